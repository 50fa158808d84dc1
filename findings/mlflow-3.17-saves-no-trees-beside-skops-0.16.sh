#!/usr/bin/env bash
# mlflow 3.17.2 with scikit-learn 1.9.1, beside skops 0.14.0 and 0.16.0.
#
# mlflow.sklearn.save_model and log_model write with skops unless they are told otherwise, and trust what skops trusts. The two lists have
# met by chance: skops 0.14.0 trusts the trees of scikit-learn, skops 0.16.0 does not, and mlflow requires only skops<1. So a training that
# logs a random forest by the defaults ends with an MlflowException once its environment is installed anew, although mlflow and
# scikit-learn have stayed the same; a linear model goes on, and a model of nearest neighbours is refused beside both.
#
# Lock skops with the training, not only mlflow; or name serialization_format or skops_trusted_types in the call.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
pip() { "$tmp/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
pip mlflow==3.17.2 scikit-learn==1.9.1 skops==0.14.0
cd "$tmp"
cat >program.py <<'PY'
import importlib.metadata
import logging
import os
import tempfile

import mlflow
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

logging.disable(logging.CRITICAL)
rows, labels = load_iris(return_X_y=True)


def save(model, **options):
    folder = os.path.join(tempfile.mkdtemp(dir="."), "model")
    try:
        mlflow.sklearn.save_model(model.fit(rows, labels), folder, **options)
    except mlflow.exceptions.MlflowException as error:
        return "refused" if "untrusted types" in str(error) else str(error)
    return next(name for name in sorted(os.listdir(folder)) if name.startswith("model."))


models = [RidgeClassifier(), RandomForestClassifier(5), GradientBoostingClassifier(n_estimators=5), HistGradientBoostingClassifier(max_iter=5)]
models.append(KNeighborsClassifier())
told = [f"{type(model).__name__} {save(model)}" for model in models]
told.append(f"RandomForestClassifier by cloudpickle {save(RandomForestClassifier(5), serialization_format='cloudpickle')}")
print(f"skops {importlib.metadata.version('skops')}: " + ", ".join(told))
PY
run() { MLFLOW_TRACKING_URI=sqlite:///$tmp/store.db venv/bin/python program.py 2>"$tmp/said" || { cat "$tmp/said"; exit 1; }; }
found=$(run)
pip skops==0.16.0
found+="
$(run)
mlflow requires $(venv/bin/python -c 'import importlib.metadata as m; print(*[r for r in m.requires("mlflow") if r.startswith("skops")])')"
echo "$found"
[ "$found" = "skops 0.14.0: RidgeClassifier model.skops, RandomForestClassifier model.skops, GradientBoostingClassifier model.skops, \
HistGradientBoostingClassifier model.skops, KNeighborsClassifier refused, RandomForestClassifier by cloudpickle model.pkl
skops 0.16.0: RidgeClassifier model.skops, RandomForestClassifier refused, GradientBoostingClassifier refused, \
HistGradientBoostingClassifier refused, KNeighborsClassifier refused, RandomForestClassifier by cloudpickle model.pkl
mlflow requires skops<1" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
