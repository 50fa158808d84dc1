#!/usr/bin/env bash
# skops 0.16.0 with scikit-learn 1.9.1 and joblib 1.5.3.
#
# skops writes an object by what its __reduce__ returns, as pickle does, but only the first three of its five values: the elements of a
# sequence are the fourth. A deque comes back empty, without a warning, so a transformer that keeps the last values of a window forgets them.
# And an estimator whose arrays are memory-mapped (joblib.load with mmap_mode) is written without complaint into a file that cannot be
# loaded. A pickle keeps both.
#
# Load what was saved, and compare its outputs, before it is published; store such values as lists and plain arrays.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check skops==0.16.0 scikit-learn==1.9.1 joblib==1.5.3 numpy==2.4.6
cd "$tmp"
cat >window.py <<'PY'
from collections import deque

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class AboveRecent(TransformerMixin, BaseEstimator):
    """How far values are above the mean of the last ones of the training."""

    def __init__(self, size=3):
        self.size = size

    def fit(self, rows, labels=None):
        self.recent_ = deque(np.asarray(rows)[:, 0].tolist(), maxlen=self.size)
        return self

    def transform(self, rows):
        return np.asarray(rows) - sum(self.recent_) / self.size
PY
cat >program.py <<'PY'
import pickle

import joblib
import numpy as np
import skops.io
from sklearn.linear_model import LinearRegression
from window import AboveRecent

rows = np.arange(6.0).reshape(-1, 1)


def by_skops(trained):
    skops.io.dump(trained, "model.skops")
    return skops.io.load("model.skops", trusted=skops.io.get_untrusted_types(file="model.skops"))


def by_pickle(trained):
    return pickle.loads(pickle.dumps(trained))


def show(name, trained, use):
    told = []
    for again in (lambda model: model, by_skops, by_pickle):
        try:
            told.append(use(again(trained)))
        except Exception as error:
            told.append(type(error).__name__)
    print(f"{name}: as trained {told[0]}, by skops {told[1]}, by pickle {told[2]}")


show("deque", AboveRecent().fit(rows), lambda model: float(model.transform([[5.0]])[0, 0]))
joblib.dump(LinearRegression().fit(rows, rows[:, 0]), "model.joblib")
mapped = joblib.load("model.joblib", mmap_mode="r")
show(type(mapped.coef_).__name__, mapped, lambda model: round(float(model.predict([[5.0]])[0]), 6))
PY
found=$(venv/bin/python -W error program.py)
echo "$found"
[ "$found" = "deque: as trained 1.0, by skops 5.0, by pickle 1.0
memmap: as trained 5.0, by skops TypeError, by pickle 5.0" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
