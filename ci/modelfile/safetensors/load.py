"""Load weights from a safetensors file by the application's module, as mlflow.pyfunc does."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

PACKAGES = ["safetensors", "torch", "numpy"]


def load(path: str, allowed: list[str]) -> tuple[str, Any]:
    """Return what the model is, and a function that calls its predict."""
    import safetensors

    with safetensors.safe_open(path, framework="np") as file:
        names = list(file.keys())
    # The module travels beside the weights; before it was published it may lie elsewhere.
    sys.path.append(os.path.dirname(os.path.abspath(path)))
    model = importlib.import_module(allowed[0])._load_pyfunc(path)

    def predict(inputs: Any, method: str) -> Any:
        import numpy as np

        result = getattr(model, method)(np.asarray(inputs))
        return result.detach().numpy() if hasattr(result, "detach") else result

    return f"{type(model).__name__} of {len(names)} tensors by {allowed[0]}", predict
