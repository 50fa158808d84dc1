"""Load a Keras model file and say what it is: `load_model.py FILE`.

Exit codes: 0 it loads, 77 there is no Keras to load it with, 78 it holds a class that Keras
does not know, anything else it does not load.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import zipfile
from typing import Any

# What Keras 2.15, tf_keras and Keras 3 say of a class or function that is not registered.
UNKNOWN = re.compile(
    r"Could not locate (class|function|object)"
    r"|Unknown (layer|object|loss|metric|optimizer|activation)"
    r"|cannot be found in custom_objects"
)


def saved_by(path: str) -> str:
    """Return the version of Keras that saved the file, as the file says."""
    with zipfile.ZipFile(path) as archive:
        return str(json.loads(archive.read("metadata.json")).get("keras_version", "unknown"))


def package(version: str) -> Any:
    """Return the package that can load a file of this version of Keras, or None.

    Keras 3 cannot read what Keras 2 saved; tf_keras goes on with Keras 2.
    """
    legacy = version.split(".")[0] in ("1", "2")
    for name in ("tf_keras", "keras") if legacy else ("keras",):
        try:
            found = importlib.import_module(name)
        except ImportError as error:
            print(f"no {name}: {error}")
            continue
        if not legacy or str(found.__version__).startswith("2."):
            return found
        print(f"{name} {found.__version__} cannot read what Keras {version} saved; tf_keras can")
    return None


def main(path: str) -> int:
    """Load the model in safe mode, so that no code in it runs."""
    version = saved_by(path)
    keras = package(version)
    if keras is None:
        return 77
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever Keras raises, both versions are to be named
        said = " ".join(str(error).split())
        print(
            f"error: Keras {version} saved it, {keras.__name__} {keras.__version__} does not load it: "
            f"{type(error).__name__}: {said[:400]}",
            file=sys.stderr,
        )
        return 78 if UNKNOWN.search(said) else 1
    print(f"loaded {path}: {type(model).__name__} with {model.count_params()} parameters")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
