"""Complete a test environment: the test tools, the event plugin.

Runs inside the environment, after the project's own packages are installed:

    python openstack_rca_tools.py pytest==9.2.0 pytest-cov==7.1.0 ...

A tool that the project installs itself is left alone, whatever its version; only what
is missing is added. What was added is written down beside the plugin, which reports it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGINS = (
    "openstack_rca_pytest.py",
    "openstack_rca_collect.py",
    "openstack_rca_coverage.py",
    "openstack_rca_select.py",
    "openstack_rca_merge.py",
)
ADDED = "openstack_rca_added.json"


def installed(name: str) -> bool:
    """Tell whether a distribution is installed."""
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main(requirements: list[str]) -> int:
    """Install what is missing of the pinned requirements, then the plugin."""
    missing = [r for r in requirements if not installed(r.split("==")[0])]
    if missing:
        done = subprocess.run(["uv", "pip", "install", *missing], check=False)
        if done.returncode != 0:
            return done.returncode
    site = Path(sysconfig.get_path("purelib"))
    for name in PLUGINS:
        shutil.copyfile(HERE / name, site / name)
        py_compile.compile(str(site / name))
    (site / ADDED).write_text(json.dumps(missing), encoding="utf-8")
    compile_plugins()
    return 0


def compile_plugins() -> None:
    """Have pytest compile its plugins now, in its own way, and not anew in each run.

    An environment is the same at the start of every run, so what a run compiles is not kept. Whether this
    works only decides how long a run takes: a plugin of the project may need settings that are not here.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "openstack_rca_pytest",
                "--collect-only",
                "--cov=.",
                "--cov-report=",
                "-c",
                os.devnull,
                empty,
            ],
            cwd=empty,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
