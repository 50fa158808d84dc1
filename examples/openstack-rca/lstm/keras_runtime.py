"""Inference by Keras itself: the reference for the NumPy runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm.model_store import MODEL_FILE
from lstm.network import keras
from lstm.numpy_runtime import Array, NumpyModel


def keras_model(data: bytes) -> Callable[[Array], Mapping[str, Array]]:
    """Return the function of a .keras file.

    The file goes through the NumPy runtime's reader first, which refuses any layer it does not
    know: Keras rebuilds whatever classes a file names.
    """
    NumpyModel(data)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / MODEL_FILE
        path.write_bytes(data)
        model: Any = keras.saving.load_model(path, compile=False, safe_mode=True)

    def compute(events: Array) -> dict[str, Array]:
        return {name: np.asarray(value) for name, value in model.predict(events, verbose=0).items()}

    return compute
