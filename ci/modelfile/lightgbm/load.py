"""Load a model of LightGBM from its text file."""

from __future__ import annotations

from typing import Any

PACKAGES = ["lightgbm", "numpy", "scipy"]


def load(path: str, _allowed: list[str]) -> tuple[str, Any]:
    """Return what the model is, and a function that runs it."""
    import lightgbm
    import numpy as np

    booster = lightgbm.Booster(model_file=path)

    def predict(inputs: Any, _method: str) -> Any:
        return booster.predict(np.asarray(inputs))

    return f"Booster of {booster.num_trees()} trees on {booster.num_feature()} features", predict
