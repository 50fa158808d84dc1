"""Load an ONNX file with onnxruntime, on the CPU."""

from __future__ import annotations

from typing import Any

PACKAGES = ["onnxruntime", "onnx", "numpy"]

# What onnxruntime says of an operator that it does not bring.
UNKNOWN = ("is not a registered function/op", "No Op registered for", "Fatal error: ", "NOT_IMPLEMENTED")


class UnknownClassError(Exception):
    """The file has operators that must be registered first."""


def load(path: str, allowed: list[str]) -> tuple[str, Any]:
    """Return what the model takes and gives, and a function that runs it."""
    import numpy as np
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        if allowed and any(text in str(error) for text in UNKNOWN):
            raise UnknownClassError(str(error)) from None
        raise
    kinds = {value.name: value.type for value in session.get_inputs()}
    outputs = [value.name for value in session.get_outputs()]

    def array(name: str, value: Any) -> Any:
        kind = kinds[name].removeprefix("tensor(").removesuffix(")")
        numbers = {"float": "float32", "double": "float64", "string": "object"}
        return np.asarray(value, dtype=numbers.get(kind, kind))

    def predict(inputs: Any, _method: str) -> Any:
        if isinstance(inputs, dict) and inputs.keys() <= kinds.keys():
            given = {name: array(name, value) for name, value in inputs.items()}
        elif len(kinds) == 1:
            name = next(iter(kinds))
            given = {name: array(name, inputs)}
        else:
            raise ValueError(f"the inputs are {', '.join(kinds)}")
        results = session.run(outputs, given)
        return dict(zip(outputs, results, strict=True)) if len(outputs) > 1 else results[0]

    described = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    return f"takes {described[:200]}, gives {', '.join(outputs)[:200]}", predict
