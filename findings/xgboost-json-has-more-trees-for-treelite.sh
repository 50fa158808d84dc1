#!/usr/bin/env bash
# xgboost-cpu 3.2.0 with treelite 4.8.1 and onnxmltools 1.16.0.
#
# After early stopping the file of XGBClassifier.save_model holds all rounds that were trained, also those after the best one. The number
# of the best round is an attribute beside the trees. XGBClassifier reads it and predicts with the rounds up to there; onnxmltools converts
# those only. xgboost.Booster and treelite, made for serving, use every round. So the model that was measured and the one that serves are
# different functions of one file, whose digest is right. XGBoost documents that for its own two classes.
#
# Cut the model before saving it, as Booster[:best_iteration + 1] does, or compare outputs of the reader that serves.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check xgboost-cpu==3.2.0 treelite==4.8.1 onnxmltools==1.16.0 onnx==1.23.2 \
	onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
cd "$tmp"
cat >program.py <<'PY'
import sys

import numpy as np
import onnxruntime
import treelite
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

# A label that the features hardly tell: more rounds only learn the noise.
rows = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
labels = (rows[:, 0] + np.random.default_rng(1).normal(size=400) > 0).astype(int)
model = xgboost.XGBClassifier(n_estimators=100, learning_rate=0.5, early_stopping_rounds=10)
model.fit(rows[:300], labels[:300], eval_set=[(rows[300:], labels[300:])], verbose=False)
model.save_model("model.json")
measured = model.predict_proba(rows)[:, 1]


def tell(reader, outputs):
    same = np.allclose(measured, np.asarray(outputs).reshape(-1), atol=1e-4)
    print(f"{reader}: {'as measured' if same else 'other outputs'}")


classifier = xgboost.XGBClassifier()
classifier.load_model("model.json")
tell("XGBClassifier", classifier.predict_proba(rows)[:, 1])
converted = convert_xgboost(classifier, initial_types=[("rows", FloatTensorType([None, 5]))])
session = onnxruntime.InferenceSession(converted.SerializeToString())
tell("onnxmltools", [row[1] for row in session.run(None, {"rows": rows})[1]])
booster = xgboost.Booster(model_file="model.json")
tell("Booster", booster.predict(xgboost.DMatrix(rows)))
tell("treelite", treelite.gtil.predict(treelite.frontend.load_xgboost_model("model.json"), rows))
cut = booster[: booster.best_iteration + 1]
cut.save_model("cut.json")
tell("treelite, cut", treelite.gtil.predict(treelite.frontend.load_xgboost_model("cut.json"), rows))
later = booster.num_boosted_rounds() - booster.best_iteration - 1
print(f"{later} rounds after the best", file=sys.stderr)
PY
found=$(venv/bin/python program.py 2>said) || { cat said; exit 1; }
echo "$found"
tail -n 1 said
[ "$found" = "XGBClassifier: as measured
onnxmltools: as measured
Booster: other outputs
treelite: other outputs
treelite, cut: as measured" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
