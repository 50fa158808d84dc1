"""Load a Keras model file and say what it is: `load_model.py FILE`.

Exit codes: 0 it loads, 77 there is no Keras for it, 78 it holds a class that Keras does not
know, 1 it does not load.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import sys
import threading
import time
import zipfile
from typing import Any

DOES_NOT_LOAD, NO_KERAS, UNKNOWN_CLASS = 1, 77, 78
# How often a load that takes long says that it is still at work, in seconds.
HEARTBEAT = 30

# What Keras 2.15, tf_keras and Keras 3 say of a class or function that is not registered.
UNKNOWN = re.compile(
    r"Could not locate (class|function|object)"
    r"|Unknown (layer|object|loss|metric|optimizer|activation)"
    r"|cannot be found in custom_objects"
)


class NotKerasError(Exception):
    """The file is no .keras archive."""


def saved_by(path: str) -> tuple[str, bool]:
    """Return the version of Keras that saved the file, and whether that was Keras 2.

    tf_keras goes on with Keras 2 under a name of its own, which the configuration holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            version = str(json.loads(archive.read("metadata.json"))["keras_version"])
            config = archive.read("config.json").decode("utf-8", "replace")
    except FileNotFoundError:
        raise NotKerasError("there is no such file") from None
    except zipfile.BadZipFile as error:
        raise NotKerasError(f"it is no zip archive ({error})") from None
    except KeyError as error:
        raise NotKerasError(str(error.args[0])) from None
    except (ValueError, TypeError, OSError) as error:
        raise NotKerasError(f"{type(error).__name__}: {error}") from None
    return version, version.split(".")[0] in ("1", "2") or '"module": "tf_keras' in config


def choose_backend() -> None:
    """Choose a backend that is there. A training may have chosen it in its program."""
    if "KERAS_BACKEND" in os.environ or importlib.util.find_spec("tensorflow"):
        return
    for name in ("jax", "torch"):
        if importlib.util.find_spec(name):
            os.environ["KERAS_BACKEND"] = name
            return


def package(version: str, legacy: bool) -> Any:
    """Return the package that can load what this version of Keras saved, or None.

    Keras 3 cannot read what Keras 2 saved, nor the other way round.
    """
    for name in ("tf_keras", "keras") if legacy else ("keras",):
        try:
            found = importlib.import_module(name)
        except ImportError as error:
            print(f"no {name}: {error}")
            continue
        if legacy == str(found.__version__).startswith("2."):
            return found
        print(f"{name} {found.__version__} cannot read what Keras {version} saved")
    print(
        f"nothing here loads it: Keras {version} saved it, which {'tf_keras or Keras 2' if legacy else 'Keras 3'} loads"
    )
    return None


def heartbeat(path: str, ended: threading.Event) -> None:
    """Say at times that the load goes on, until it has ended."""
    start = time.monotonic()
    while not ended.wait(HEARTBEAT):
        print(f"still loading {path} after {time.monotonic() - start:.0f} s", flush=True)


def described(model: Any) -> str:
    """Say what a model is. One without a shape of its input has no weights yet."""
    try:
        size = f"{model.count_params()} parameters"
    except ValueError:
        size = "weights that are made at the first call"
    return f"{type(model).__name__} with {size}"


def main(path: str) -> int:
    """Load the model in safe mode, so that no code in it runs."""
    try:
        version, legacy = saved_by(path)
    except NotKerasError as error:
        print(f"error: {path} is not a .keras archive: {error}", file=sys.stderr)
        return DOES_NOT_LOAD
    ended = threading.Event()
    threading.Thread(target=heartbeat, args=(path, ended), daemon=True).start()
    choose_backend()
    keras = package(version, legacy)
    if keras is None:
        return NO_KERAS
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever Keras raises, both versions are to be named
        said = " ".join(str(error).split())
        unknown = UNKNOWN.search(said)
        # Keras shows whole configurations in front of what went wrong.
        reason = (said[unknown.start() :] if unknown else said.split("Exception encountered: ")[-1])[:400]
        print(
            f"error: Keras {version} saved it, {keras.__name__} {keras.__version__} does not load it: "
            f"{type(error).__name__}: {reason}",
            file=sys.stderr,
        )
        return UNKNOWN_CLASS if unknown else DOES_NOT_LOAD
    finally:
        ended.set()
    print(f"loaded {path} with {keras.__name__} {keras.__version__}: {described(model)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
