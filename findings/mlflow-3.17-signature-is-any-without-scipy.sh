#!/usr/bin/env bash
# mlflow-skinny 3.17.2 with pandas 2.3.3 and numpy 2.4.6.
#
# infer_signature imports SciPy to see whether the data are a sparse matrix, also for a DataFrame. mlflow-skinny does not require SciPy, and
# a failure of any kind is a warning in the log: the signature of every DataFrame is then one column of type Any, which stands for no
# checks. A slim environment for training publishes a model that has a signature, as a gate may demand, and accepts text for numbers and
# frames without the columns. With SciPy installed, which the model does not use, the same program makes a signature that refuses both.
#
# Look for the names of the columns in the signature, not for its presence.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 pandas==2.3.3 numpy==2.4.6
cd "$tmp"
cat >program.py <<'PY'
import sys

import mlflow
import pandas as pd


class Count(mlflow.pyfunc.PythonModel):
    """Answers how many rows there are."""

    def predict(self, context, model_input, params=None):
        return len(model_input)


example = pd.DataFrame({"size": [1, 2], "load": [0.5, 1.5]})
signature = mlflow.models.infer_signature(example)
mlflow.pyfunc.save_model(sys.argv[1], python_model=Count(), signature=signature, pip_requirements=[])
model = mlflow.pyfunc.load_model(sys.argv[1])


def answer(frame):
    try:
        model.predict(frame)
    except mlflow.exceptions.MlflowException:
        return "refused"
    return "accepted"


print(f"{signature.inputs}; a text", answer(pd.DataFrame({"size": ["x"], "load": [0.5]})), end=", ")
print("another column", answer(pd.DataFrame({"name": [1]})))
PY
run() { MLFLOW_TRACKING_URI=sqlite:///$tmp/store.db venv/bin/python program.py "$1" 2>"$tmp/said" || { cat "$tmp/said"; exit 1; }; }
found="without SciPy: $(run without)"
venv/bin/pip install --quiet --disable-pip-version-check scipy==1.17.1
found+="
with SciPy: $(run with)"
echo "$found"
[ "$found" = "without SciPy: [Any (required)]; a text accepted, another column accepted
with SciPy: ['size': long (required), 'load': double (required)]; a text refused, another column refused" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
