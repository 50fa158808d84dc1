"""Load a model of XGBoost from JSON or UBJSON."""

from __future__ import annotations

import json
from typing import Any

PACKAGES = ["xgboost", "xgboost-cpu", "numpy", "scipy"]


def load(path: str, _allowed: list[str]) -> tuple[str, Any]:
    """Return what the model is, and a function that runs it as the class does that saved it."""
    import numpy as np
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(path)
    described = f"{booster.num_boosted_rounds()} rounds on {booster.num_features()} features"
    kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    classes = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}
    estimator: Any = None
    if kind in classes:
        estimator = getattr(xgboost, classes[kind])()
        estimator.load_model(path)

    def predict(inputs: Any, method: str) -> Any:
        values = np.asarray(inputs)
        if estimator is not None:
            return getattr(estimator, method)(values)
        return booster.predict(xgboost.DMatrix(values, feature_names=booster.feature_names))

    return f"{classes.get(kind, 'Booster')} of {described}", predict
