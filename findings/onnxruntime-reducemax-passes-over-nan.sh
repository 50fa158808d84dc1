#!/usr/bin/env bash
# onnx 1.23.2 with onnxruntime 1.31.1 (CPU).
#
# A model that diverged answers NaN, and a check for NaN in its outputs is how pipelines see that. If a model ends in ReduceMax or ReduceMin
# (the confidence of the best label, the worst of several scores), onnxruntime returns NaN only if the NaN comes first; elsewhere it is left
# out, and the output is an ordinary number. onnx's own reference evaluator returns NaN in both cases, and so does onnxruntime for Max, which
# compares the same values as separate inputs. microsoft/onnxruntime#10514 has another case of the operator.
#
# Look for NaN in what goes into such an operator: make the scores an output too.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
cat >"$tmp/program.py" <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)


def model(operator, size, **attributes):
    """Make a model of one operator: over one input, or for Max over one input for each value."""
    names = [f"x{i}" for i in range(size)] if operator == "Max" else ["x"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1 if operator == "Max" else size]) for name in names]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1] if operator == "Max" else [])
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **attributes)], "g", inputs, [output])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


for operator, attributes in (("ReduceMax", {"keepdims": 0}), ("ReduceMin", {"keepdims": 0}), ("Max", {})):
    for scores in ([np.nan, 0.25, 0.75], [0.25, np.nan, 0.75]):
        made = model(operator, len(scores), **attributes)
        values = np.array(scores, "float32")
        given = {f"x{i}": values[i : i + 1] for i in range(len(scores))} if operator == "Max" else {"x": values}
        reference = ReferenceEvaluator(made).run(None, given)[0].item()
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        print(f"{operator} of {scores}: reference {reference}, onnxruntime {session.run(None, given)[0].item()}")
PY
seen=$("$tmp/venv/bin/python" "$tmp/program.py")
echo "$seen"
[ "$seen" = "ReduceMax of [nan, 0.25, 0.75]: reference nan, onnxruntime nan
ReduceMax of [0.25, nan, 0.75]: reference nan, onnxruntime 0.75
ReduceMin of [nan, 0.25, 0.75]: reference nan, onnxruntime nan
ReduceMin of [0.25, nan, 0.75]: reference nan, onnxruntime 0.25
Max of [nan, 0.25, 0.75]: reference nan, onnxruntime nan
Max of [0.25, nan, 0.75]: reference nan, onnxruntime nan" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
