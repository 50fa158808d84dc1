#!/usr/bin/env bash
# mlflow-skinny 3.17.2 with onnx 1.19.1 and onnxruntime 1.23.2.
#
# A model directory says in MLmodel where its file is ("data"), and this may be in a folder, as it is for Keras. For ONNX,
# mlflow.onnx.load_model follows it. mlflow.pyfunc.load_model reads the same MLmodel, and then looks for MLmodel beside the file
# once more. So a model in a folder passes every check with the loader of its flavour, and fails where pyfunc serves it. XGBoost and
# LightGBM are the other way round: there, the entry of python_function must not name the file at all.
#
# Keep such a file beside MLmodel, and test with mlflow.pyfunc.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 pandas==2.3.3 onnx==1.19.1 onnxruntime==1.23.2
cd "$tmp"
cat >program.py <<'PY'
import pathlib

import mlflow.onnx
import mlflow.pyfunc
import numpy as np
from onnx import TensorProto, helper

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 21)])
model.ir_version = 10
mlflow.onnx.save_model(model, "saved", save_as_external_data=False)
print("saved by MLflow, by pyfunc:", mlflow.pyfunc.load_model("saved").predict(np.array([[-1, 2]], dtype="float32")))
folder = pathlib.Path("saved/data")
folder.mkdir()
pathlib.Path("saved/model.onnx").rename(folder / "model.onnx")
description = pathlib.Path("saved/MLmodel")
description.write_text(description.read_text().replace("data: model.onnx", "data: data/model.onnx"))
print("in a folder, by mlflow.onnx:", mlflow.onnx.load_model("saved").graph.node[0].op_type)
try:
    mlflow.pyfunc.load_model("saved")
    print("in a folder, by pyfunc: loaded")
except Exception as error:
    print("in a folder, by pyfunc:", type(error).__name__, str(error)[-40:])
PY
MLFLOW_DISABLE_TELEMETRY=true "$tmp/venv/bin/python" program.py 2>"$tmp/errors" | tee "$tmp/out" || { tail -5 "$tmp/errors"; exit 1; }

grep -q 'by mlflow.onnx: Relu' "$tmp/out" && grep -q 'in a folder, by pyfunc: .*MLmodel' "$tmp/out" || {
	echo "CHANGED: pyfunc loads an ONNX model in a folder, or mlflow.onnx does not"
	exit 1
}
echo "as described"
