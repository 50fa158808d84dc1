#!/usr/bin/env bash
# mlflow-skinny 3.17.2 with pandas 2.3.3.
#
# A signature makes a model refuse other types: mlflow.pyfunc.load_model(...).predict raises an error for 1.7 in a column of type long. The
# scoring server of the same model (`mlflow models serve`) casts JSON to the types first, so that nothing is left to refuse: 1.7 becomes 1,
# and in a column of type boolean null becomes false, and "false" true, each with status 200. As CSV, the same 1.7 and the missing value are
# refused, and "false" is false. A test of the contract that calls the model from Python says nothing of what the service does.
#
# Check the types in front of the server, and test the contract over HTTP.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 pandas==2.3.3 fastapi==0.165.0 starlette==1.10.0 \
	httpx==0.28.1 scipy==1.17.1
cd "$tmp"
cat >program.py <<'PY'
import json

import mlflow
import pandas as pd
from fastapi.testclient import TestClient
from mlflow.pyfunc import scoring_server


class Echo(mlflow.pyfunc.PythonModel):
    """Answers what it was given."""

    def predict(self, context, model_input, params=None):
        return model_input["x"].tolist()


def show(kind, values):
    example = pd.DataFrame({"x": {"long": [1, 2], "boolean": [True, False]}[kind]})
    signature = mlflow.models.infer_signature(example)
    mlflow.pyfunc.save_model(kind, python_model=Echo(), signature=signature, pip_requirements=[])
    model = mlflow.pyfunc.load_model(kind)
    server = TestClient(scoring_server.init(model), raise_server_exceptions=False)
    for value in values:
        try:
            direct = model.predict(pd.DataFrame({"x": [value]}))
        except mlflow.exceptions.MlflowException:
            direct = "refused"
        sent = json.dumps({"dataframe_split": {"columns": ["x"], "data": [[value]]}})
        answers = [
            server.post("/invocations", content=content, headers={"content-type": form})
            for content, form in ((sent, "application/json"), (f"x\n{json.dumps(value)}\n", "text/csv"))
        ]
        told = [answer.json()["predictions"] if answer.status_code == 200 else answer.status_code for answer in answers]
        print(f"{kind}, {json.dumps(value)}: pyfunc {direct}, JSON {told[0]}, CSV {told[1]}")


show("long", [7, 1.7])
show("boolean", [True, 0, None, "false"])
PY
found=$(MLFLOW_TRACKING_URI=sqlite:///$tmp/store.db venv/bin/python program.py 2>said) || { cat said; exit 1; }
echo "$found"
[ "$found" = 'long, 7: pyfunc [7], JSON [7], CSV [7]
long, 1.7: pyfunc refused, JSON [1], CSV 400
boolean, true: pyfunc [True], JSON [True], CSV [True]
boolean, 0: pyfunc refused, JSON [False], CSV [False]
boolean, null: pyfunc [None], JSON [False], CSV 400
boolean, "false": pyfunc ['"'"'false'"'"'], JSON [True], CSV [False]' ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
