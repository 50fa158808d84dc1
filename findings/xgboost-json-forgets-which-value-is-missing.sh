#!/usr/bin/env bash
# xgboost-cpu 3.2.0 with scikit-learn 1.9.1.
#
# XGBClassifier(missing=-999.0) trains and predicts with -999 as a missing value. save_model writes the trees and what class it was, but not
# this parameter, and load_model into the same class leaves it at its default, NaN. So the loaded model takes -999 for a number, and answers
# other classes than the one that was measured, for the same rows, from the same library, without a warning. A pickle keeps the parameter.
# XGBoost documents that parameters of the training are not in the file; this one is of the prediction too.
#
# Turn such values into NaN before training, or compare outputs of the loaded file with those of the trained model.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6
cd "$tmp"
cat >program.py <<'PY'
import pickle

import numpy as np
from xgboost import XGBClassifier

# The label is 1 for values above 0, and where there is none.
value = np.linspace(-1, 1, 400)
label = (value > 0).astype(int)
absent = np.arange(400) % 4 == 0
label[absent] = 1


def show(missing):
    rows = np.where(absent, missing, value).reshape(-1, 1)
    trained = XGBClassifier(n_estimators=20, missing=missing).fit(rows, label)
    trained.save_model("model.json")
    loaded = XGBClassifier()
    loaded.load_model("model.json")
    pickled = pickle.loads(pickle.dumps(trained))
    right = [f"{(model.predict(rows) == label).mean():.0%}" for model in (trained, loaded, pickled)]
    print(f"missing={missing}: trained {right[0]}, from JSON {right[1]} with missing={loaded.missing}, from a pickle {right[2]}")


show(-999.0)
show(np.nan)
PY
found=$(venv/bin/python program.py 2>said) || { cat said; exit 1; }
echo "$found"
[ "$found" = "missing=-999.0: trained 100%, from JSON 75% with missing=nan, from a pickle 100%
missing=nan: trained 100%, from JSON 100% with missing=nan, from a pickle 100%" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
