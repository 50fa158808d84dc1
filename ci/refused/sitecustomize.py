"""Name the hosts that a program without a network asks for, one line each on stderr.

Python imports this at its start, from a folder in PYTHONPATH. Libraries often hide which host
they could not reach. What else is called sitecustomize is imported as it would be without this.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys

# This machine, under the names that are resolved without a network; one without a dot is another.
HERE = {"127.0.0.1", "::1", "0.0.0.0", "::", os.uname().nodename}
seen: set[str] = set()


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Note the host of a name's resolution or of a connection."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode("utf-8", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str) or name in seen or name in HERE or not {".", ":"} & set(name):
        return
    seen.add(name)
    try:
        os.write(2, f"openstack-rca: no network, so that this host was not reached: {name[:253]}\n".encode())
    except OSError:
        pass


def others() -> None:
    """Import the module that this one hides, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = [entry for entry in sys.path if os.path.abspath(entry) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


sys.addaudithook(watch)
others()
