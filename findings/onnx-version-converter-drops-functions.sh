#!/usr/bin/env bash
# onnx 1.23.2.
#
# A model may define functions (model-local functions), as some exporters do. onnx.version_converter converts such a model without a
# warning, and leaves its functions out. onnx.checker accepts the result, even with full_check: a node of an unknown domain may be a
# custom operator. The model fails when it is run.
#
# Inline the functions first (onnx.inliner), and run the converted model once.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
cat >"$tmp/program.py" <<'PY'
import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto, helper, version_converter
from onnx.reference import ReferenceEvaluator

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
own = [helper.make_opsetid("", 18), helper.make_opsetid("example.org", 1)]
twice = helper.make_function("example.org", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], own[:1])
graph = helper.make_graph([helper.make_node("Twice", ["x"], ["y"], domain="example.org")], "g", [x], [y])
model = helper.make_model(graph, opset_imports=own, functions=[twice], ir_version=10)


def show(name, model):
    """Show what the checker and a run make of it."""
    onnx.checker.check_model(model, full_check=True)
    try:
        said = ReferenceEvaluator(model).run(None, {"x": np.array([[1, 2]], "float32")})[0].tolist()
    except Exception as error:
        said = type(error).__name__
    print(f"{name}: {len(model.functions)} function, the checker passes, a run gives {said}")


show("as made", model)
show("converted", version_converter.convert_version(model, 21))
show("inlined, converted", version_converter.convert_version(onnx.inliner.inline_local_functions(model), 21))
PY
seen=$("$tmp/venv/bin/python" "$tmp/program.py")
echo "$seen"
[ "$seen" = "as made: 1 function, the checker passes, a run gives [[2.0, 4.0]]
converted: 0 function, the checker passes, a run gives NotImplementedError
inlined, converted: 0 function, the checker passes, a run gives [[2.0, 4.0]]" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
