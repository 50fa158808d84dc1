"""Load a Keras model file with the package that saved it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import zipfile
from typing import Any

# Once one of them is imported to load a model, those that it is loaded with.
PACKAGES = ["keras", "tf-keras", "tensorflow", "torch", "jax", "numpy"]

# What Keras 2.15, tf_keras and Keras 3 say of a class or function that they do not find.
UNKNOWN = re.compile(
    r"Could not locate (class|function|object)"
    r"|Unknown (layer|object|loss|metric|optimizer|activation)"
    r"|cannot be found in custom_objects"
    r"|Cannot deserialize object of type"
    r"|(class|function) '[^']*' because its parent module \S+ cannot be imported"
)


class NotKerasError(Exception):
    """The file is no .keras archive."""


class UnknownClassError(Exception):
    """The file holds a class or function that Keras does not have."""


class VersionsError(Exception):
    """Keras raised something; its own version and that of the file are to be told."""


def saved_by(path: str) -> tuple[str, bool]:
    """Return what saved the file, and whether that was Keras 2.

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
    legacy = version.split(".")[0] in ("1", "2") or '"module": "tf_keras' in config
    # The last version of Keras 2 itself is 2.15.
    new = re.match(r"2\.(1[6-9]|[2-9]\d)\b", version)
    return f"{'tf_keras' if new else 'Keras'} {version}", legacy


def choose_backend() -> None:
    """Choose a backend that is there. A training may have chosen it in its program."""
    if "KERAS_BACKEND" in os.environ or importlib.util.find_spec("tensorflow"):
        return
    for name in ("jax", "torch"):
        if importlib.util.find_spec(name):
            os.environ["KERAS_BACKEND"] = name
            return


def package(saver: str, legacy: bool) -> Any:
    """Return the package that can load what this one saved.

    Keras 3 cannot read what Keras 2 saved, nor the other way round.
    """
    said = []
    for name in ("tf_keras", "keras") if legacy else ("keras",):
        try:
            found = importlib.import_module(name)
        except ImportError as error:
            said.append(f"no {name}: {error}")
            continue
        if legacy == str(found.__version__).startswith("2."):
            return found
        said.append(f"{name} {found.__version__} cannot read it")
    needed = "tf_keras or Keras 2" if legacy else "Keras 3"
    raise ImportError(f"{saver} saved it, which {needed} loads ({'; '.join(said)})")


def described(model: Any) -> str:
    """Say what a model is. One without a shape of its input has no weights yet."""
    try:
        size = f"{model.count_params()} parameters"
    except ValueError:
        size = "weights that are made at the first call"
    return f"{type(model).__name__} with {size}"


def array(values: Any) -> Any:
    """Return what a model takes. Keras 3 takes texts from TensorFlow alone, which their layers need anyway."""
    import numpy as np

    found = np.asarray(values)
    if found.dtype.kind != "U":
        return found
    import tensorflow as tf

    return tf.constant(values)


def load(path: str, _allowed: list[str]) -> tuple[str, Any]:
    """Load the model in safe mode, so that no code in it runs."""
    saver, legacy = saved_by(path)
    choose_backend()
    keras = package(saver, legacy)
    PACKAGES[:] = [keras.__name__.replace("_", "-"), "tensorflow" if legacy else keras.backend.backend(), "numpy"]
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever Keras raises, both versions are to be named
        said = " ".join(str(error).split())
        unknown = UNKNOWN.search(said)
        # Keras shows whole configurations in front of what went wrong, and advice behind it.
        reason = said[unknown.start() :].split(". ")[0] if unknown else said.split("Exception encountered: ")[-1]
        kind = UnknownClassError if unknown else VersionsError
        raise kind(f"{saver} saved it; {type(error).__name__}: {reason}") from None

    def predict(inputs: Any, _method: str) -> Any:
        by_name = isinstance(inputs, dict)
        return model.predict({name: array(inputs[name]) for name in inputs} if by_name else array(inputs), verbose=0)

    return described(model), predict
