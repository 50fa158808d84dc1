"""Publish the predictions of a model as the example's page does: predict.py EXAMPLE KIND."""

from __future__ import annotations

import random
import sys
import time
import types
from dataclasses import dataclass

example, kind = sys.argv[1:]
sys.path.insert(0, example)


@dataclass(frozen=True)
class Diagnosis:
    """What the page counts of a diagnosis; the real one needs numpy."""

    label: str
    probabilities: dict[str, float]


inference = types.ModuleType("lstm.inference")
inference.Diagnosis = Diagnosis  # type: ignore[attr-defined]
sys.modules["lstm.inference"] = inference

from streamlit_app.telemetry import Telemetry, serve  # noqa: E402

CLASSES = ("normal", "disk_full", "network_unreachable", "quota_exceeded")
# The bad model takes two in five sound instances for ones with a full disk.
WEIGHTS = {"good": (70, 12, 10, 8), "bad": (42, 40, 10, 8)}[kind]

telemetry = Telemetry(CLASSES)
server = serve(telemetry, 0)
print(server.server_address[1], flush=True)
while True:
    found = [Diagnosis(label, {label: random.uniform(0.6, 1)}) for label in random.choices(CLASSES, WEIGHTS, k=20)]
    telemetry.observe(found, random.uniform(0.02, 0.2))
    time.sleep(0.1)
