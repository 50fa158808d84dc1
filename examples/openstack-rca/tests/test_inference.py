"""The model answers what it should: loading, shapes, values, input checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lstm.dataset import NEXT_EVENT, ROOT_CAUSE
from lstm.golden import compare
from lstm.inference import BATCH, KERAS, RootCauseModel
from lstm.keras_archive import sha256_of
from lstm.model_store import GOLDEN_FILE, METRICS_FILE, MODEL_FILE, PREDICTIONS_FILE, ModelFileError
from tests.conftest import Trained
from utils.log_generator import generate
from utils.log_parser import parse_lines
from utils.sequences import group_by_instance

pytestmark = pytest.mark.inference


@pytest.fixture
def copy(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the model directory, to be damaged."""
    return Path(shutil.copytree(trained.directory, tmp_path / "models"))


def test_the_loaded_model_is_the_one_that_was_trained(trained: Trained) -> None:
    description = trained.model.description
    assert description.task == ROOT_CAUSE
    assert "normal" in description.labels
    assert trained.model.sha256 == sha256_of((trained.directory / MODEL_FILE).read_bytes())
    assert description.training["parameters"]["lstm_units"] == trained.config.lstm_units
    assert trained.model.version is None


def test_predictions_have_the_declared_shapes_and_are_probabilities(trained: Trained) -> None:
    description = trained.model.description
    outputs = trained.model.predict([["a"], ["b", "c"], ["unknown event"] * 500])
    assert outputs[ROOT_CAUSE].shape == (3, len(description.labels))
    size = (3, description.max_length, len(description.vocabulary))
    assert outputs[NEXT_EVENT].shape == size
    for values in outputs.values():
        assert np.isfinite(values).all()
        assert values.min() >= 0.0
        np.testing.assert_allclose(values.sum(axis=-1), 1.0, atol=1e-5)


def test_a_prediction_does_not_depend_on_its_batch(trained: Trained) -> None:
    events = ["Claim successful", "Creating image"]
    alone = trained.model.predict([events])
    among = trained.model.predict([["a"]] * BATCH + [events])
    for name, values in alone.items():
        np.testing.assert_allclose(values[0], among[name][-1], atol=1e-6)


def test_numpy_computes_what_keras_computes(trained: Trained) -> None:
    keras_model = RootCauseModel.load(trained.directory, KERAS)
    golden = json.loads((trained.directory / GOLDEN_FILE).read_text())
    sequences = [sample["events"] for sample in golden["samples"]]
    expected, actual = keras_model.predict(sequences), trained.model.predict(sequences)
    assert set(expected) == set(actual) == {NEXT_EVENT, ROOT_CAUSE}
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, atol=1e-5)


def test_the_saved_predictions_are_the_loaded_models(trained: Trained) -> None:
    metrics = json.loads((trained.directory / METRICS_FILE).read_text())
    predictions = json.loads((trained.directory / PREDICTIONS_FILE).read_text())
    accuracy = np.mean(np.array(predictions["y_true"]) == np.array(predictions["y_pred"]))
    assert metrics["accuracy"] == pytest.approx(accuracy)
    assert len(predictions["y_true"]) == metrics["test_sequences"]
    scores = np.array(predictions["y_score"])
    assert scores.argmax(axis=1).tolist() == predictions["y_pred"]


def test_the_model_beats_guessing_on_logs_it_never_saw(trained: Trained) -> None:
    logs = generate(150, 4711)
    sequences = group_by_instance(parse_lines(logs.lines))
    found = trained.model.diagnose([sequence.events for sequence in sequences])
    wanted = [logs.labels[sequence.key] for sequence in sequences]
    right = [answer.label == label for answer, label in zip(found, wanted, strict=True)]
    assert np.mean(right) > wanted.count("normal") / len(wanted) + 0.2


def test_a_diagnosis_is_ordered_and_marks_the_unexpected(trained: Trained) -> None:
    events = ["Claim successful", "never seen before", "Claim successful"]
    (diagnosis,) = trained.model.diagnose([events])
    values = list(diagnosis.probabilities.values())
    assert values == sorted(values, reverse=True)
    assert diagnosis.label == next(iter(diagnosis.probabilities))
    assert sum(values) == pytest.approx(1.0, abs=1e-5)
    top_k = trained.model.description.top_k
    unexpected = {anomaly.position: anomaly for anomaly in diagnosis.anomalies}
    assert 1 in unexpected
    assert unexpected[1].event == "never seen before"
    assert unexpected[1].rank > top_k
    assert unexpected[1].expected in trained.model.description.vocabulary.templates


def test_of_a_long_sequence_only_the_seen_end_can_be_unexpected(trained: Trained) -> None:
    length = trained.model.description.max_length
    events = ["never seen before"] * (3 * length)
    (diagnosis,) = trained.model.diagnose([events])
    positions = [anomaly.position for anomaly in diagnosis.anomalies]
    assert min(positions) >= 2 * length + 1
    assert max(positions) == 3 * length - 1


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "no sequence given"),
        ([["a"], []], "sequence 1 has no events"),
        (["text"], "sequence 0 is not a list"),
        ([["a", 3]], "sequence 0 is not a list"),
    ],
)
def test_wrong_input_is_refused(trained: Trained, sequences: list[list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained.model.predict(sequences)


def test_golden_predictions_hold_in_both_runtimes(trained: Trained) -> None:
    golden = trained.directory / GOLDEN_FILE
    for model in (trained.model, RootCauseModel.load(trained.directory, KERAS)):
        result = compare(model, golden, 1e-4)
        assert result["result"] == "equal"
        assert result["samples"] == 20
        assert result["max_abs_difference"] < 1e-5


def test_a_changed_expectation_is_different(trained: Trained, copy: Path) -> None:
    golden = json.loads((copy / GOLDEN_FILE).read_text())
    golden["samples"][3]["expected"][ROOT_CAUSE][0] += 0.01
    (copy / GOLDEN_FILE).write_text(json.dumps(golden))
    result = compare(trained.model, copy / GOLDEN_FILE, 1e-4)
    assert result["result"] == "different"
    assert result["max_abs_difference"] == pytest.approx(0.01, abs=1e-4)


def test_an_expectation_that_is_not_a_number_is_different(trained: Trained, copy: Path) -> None:
    golden = json.loads((copy / GOLDEN_FILE).read_text())
    golden["samples"][0]["expected"][ROOT_CAUSE][0] = float("nan")
    (copy / GOLDEN_FILE).write_text(json.dumps(golden))
    result = compare(trained.model, copy / GOLDEN_FILE, 1e-4)
    assert result["result"] == "different"
    assert result["max_abs_difference"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_sha256": "0" * 64}, "it belongs to model 0000"),
        ({"format": 2}, "format 2, not 1"),
        ({"samples": []}, "ValueError"),
        ({"samples": [{"events": ["a"], "expected": {"other": [1.0]}}]}, "KeyError: 'other'"),
        ({"samples": [{"events": ["a"], "expected": {ROOT_CAUSE: [1.0, 2.0]}}]}, "ValueError"),
    ],
)
def test_unusable_golden_predictions_are_refused(
    trained: Trained, copy: Path, change: dict[str, object], message: str
) -> None:
    golden = json.loads((copy / GOLDEN_FILE).read_text()) | change
    (copy / GOLDEN_FILE).write_text(json.dumps(golden))
    with pytest.raises(ModelFileError, match=message):
        compare(trained.model, copy / GOLDEN_FILE, 1e-4)


def test_missing_golden_predictions_are_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="FileNotFoundError"):
        compare(trained.model, tmp_path / "none.json", 1e-4)


def test_an_unknown_runtime_is_refused(trained: Trained) -> None:
    with pytest.raises(ValueError, match="'torch' is neither numpy nor keras"):
        RootCauseModel.load(trained.directory, "torch")
