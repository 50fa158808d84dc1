"""Load a model of scikit-learn from a skops file."""

from __future__ import annotations

from typing import Any

PACKAGES = ["scikit-learn", "skops", "numpy", "scipy"]


class UnknownClassError(Exception):
    """The file has types that the installed skops does not trust."""


def load(path: str, allowed: list[str]) -> tuple[str, Any]:
    """Return what the model is, and a function that calls one of its methods."""
    import numpy as np
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        model = skops.io.load(path, trusted=allowed)
    except UntrustedTypesFoundException as error:
        if allowed:
            raise UnknownClassError(str(error)) from None
        raise

    def predict(inputs: Any, method: str) -> Any:
        if isinstance(inputs, dict):  # columns by name
            import pandas as pd

            return getattr(model, method)(pd.DataFrame(inputs))
        return getattr(model, method)(np.asarray(inputs))

    return f"{type(model).__name__} of {getattr(model, 'n_features_in_', 'unknown')} features", predict
