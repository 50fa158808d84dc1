"""The command line: output, exit codes, one line for each error."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import main
from config import Config
from mlflow_integration.mlflow_manager import MLflowManager
from tests.conftest import Trained
from utils.log_generator import generate, write_data_set


@pytest.fixture
def error_line(capsys: pytest.CaptureFixture[str]) -> Any:
    """Read stderr, which must be one line that starts with "error: "."""

    def read() -> str:
        text = capsys.readouterr().err
        assert text.startswith("error: ")
        assert text.count("\n") == 1
        return text

    return read


def test_training_prints_a_line_for_each_epoch(trained: Trained) -> None:
    metrics = json.loads((trained.directory / "metrics.json").read_text())
    # MLflow prints links of its own when it logs to a server.
    *epochs, accuracy, model = [
        line for line in trained.output.splitlines() if not line.startswith(("🏃", "🧪"))
    ]
    assert len(epochs) == len(metrics["history"])
    for entry, line in zip(metrics["history"], epochs, strict=True):
        assert line.startswith(f"epoch {entry['epoch']}/6 loss={entry['loss']:.4f} ")
        assert f" val_accuracy={entry['val_accuracy']:.4f} remaining=" in line
    assert f"accuracy={metrics['accuracy']:.4f} baseline_accuracy=" in accuracy
    assert trained.model.sha256 in model


def test_training_data_is_generated_or_read_from_a_directory(tmp_path: Path) -> None:
    write_data_set(tmp_path, 60, 7)
    config = Config(instances=60, seed=7)
    generated = main._training_sequences(argparse.Namespace(data=None), config)
    read = main._training_sequences(argparse.Namespace(data=tmp_path), config)
    assert generated == read
    assert len(generated) > 50


def test_training_that_fails_fails_its_run_too(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error_line: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.tracking_uri)
    arguments = ["--mode", "train", "--enable-mlflow", "--mlflow-experiment", trained.experiment]
    arguments += ["--data", str(tmp_path / "none"), "--model-dir", str(tmp_path / "models")]
    assert main.main(arguments) == 1
    assert "no such file or directory" in error_line()
    client = MLflowManager(trained.tracking_uri, trained.experiment).client
    experiment = client.get_experiment_by_name(trained.experiment)
    assert experiment is not None
    failed = client.search_runs([experiment.experiment_id], "attributes.status = 'FAILED'")
    assert any("no such file" in run.data.tags.get("error", "") for run in failed)


def test_an_unreachable_tracking_server_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error_line: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    arguments = ["--mode", "train", "--enable-mlflow", "--model-dir", str(tmp_path / "models")]
    assert main.main(arguments) == 1
    assert "127.0.0.1" in error_line()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("runtime", ["numpy", "keras"])
def test_scoring_an_unchanged_model(
    trained: Trained, runtime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--mode", "score", "--model-dir", str(trained.directory), "--runtime", runtime]
    assert main.main([*arguments, "--golden", str(trained.directory / "golden.json")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["result"] == "equal"
    assert result["runtime"] == runtime
    assert result["model_sha256"] == trained.model.sha256


def test_scoring_a_model_that_differs(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = json.loads((trained.directory / "golden.json").read_text())
    golden["samples"][0]["expected"]["root_cause"][0] += 0.5
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    arguments = ["--mode", "score", "--model-dir", str(trained.directory)]
    assert main.main([*arguments, "--golden", str(tmp_path / "golden.json")]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["result"] == "different"
    assert printed.err == "error: score model: its output differs from the golden predictions\n"


def test_analysing_pasted_lines(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    logs = generate(10, 3)
    arguments = ["--mode", "analyze", "--model-dir", str(trained.directory)]
    assert main.main([*arguments, "--issue", "\n".join(logs.lines)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model_sha256"] == trained.model.sha256
    assert report["instances"] >= 9
    assert {finding["instance"] for finding in report["findings"]} <= set(logs.labels)
    for finding in report["findings"]:
        assert finding["root_cause"] == next(iter(finding["probabilities"]))


def test_an_issue_about_one_instance_is_answered_for_it(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data_set(tmp_path, 10, 3)
    instance = next(iter(generate(10, 3).labels))
    arguments = ["--mode", "analyze", "--model-dir", str(trained.directory)]
    issue = f"Instance {instance.upper()} does not start"
    assert main.main([*arguments, "--data", str(tmp_path), "--issue", issue]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [finding["instance"] for finding in report["findings"]] == [instance]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "analyze"], "needs --issue"),
        (["--mode", "score"], "needs --golden"),
        (["--mode", "train", "--enable-mlflow", "--disable-mlflow"], "contradict each other"),
    ],
)
def test_arguments_that_make_no_sense_end_with_2(
    arguments: list[str], message: str, error_line: Any
) -> None:
    assert main.main(arguments) == 2
    assert message in error_line()


def test_an_unknown_mode_ends_with_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--mode", "vector-db"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "train", "--epochs", "-1"], "RCA_EPOCHS: -1 is not in 0..10000"),
        (["--mode", "analyze", "--issue", "it is slow"], "no log line that concerns an instance"),
        (["--mode", "score", "--golden", "x", "--model-dir", "/nowhere"], "needs one .keras file"),
    ],
)
def test_what_cannot_be_done_ends_with_1(
    arguments: list[str], message: str, error_line: Any
) -> None:
    assert main.main(arguments) == 1
    assert message in error_line()


def test_a_wrong_environment_ends_with_1(monkeypatch: pytest.MonkeyPatch, error_line: Any) -> None:
    monkeypatch.setenv("RCA_SEED", "x")
    assert main.main(["--mode", "train"]) == 1
    assert "RCA_SEED: 'x'" in error_line()


def test_analysis_without_a_model_is_an_error(tmp_path: Path, error_line: Any) -> None:
    issue = "\n".join(generate(3, 3).lines)
    arguments = ["--mode", "analyze", "--issue", issue, "--model-dir", str(tmp_path)]
    assert main.main(arguments) == 1
    assert "needs one .keras file, has none" in error_line()


def test_an_error_without_a_text_still_names_itself(
    monkeypatch: pytest.MonkeyPatch, error_line: Any
) -> None:
    def fail(*_: Any) -> int:
        raise MemoryError

    monkeypatch.setitem(main._MODES, "train", fail)
    assert main.main(["--mode", "train"]) == 1
    assert error_line() == "error: MemoryError\n"


def test_serving_becomes_streamlit_on_the_configured_port(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.setenv("RCA_STREAMLIT_PORT", "7052")
    monkeypatch.setattr(os, "execv", lambda path, command: calls.append((path, command)))
    main.main(["--mode", "streamlit"])
    ((path, command),) = calls
    assert path == command[0]
    assert command[1:4] == ["-m", "streamlit", "run"]
    assert Path(command[4]).is_file()
    assert "--server.port=7052" in command


def test_a_server_that_cannot_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, error_line: Any
) -> None:
    def fail(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "python")

    monkeypatch.setattr(os, "execv", fail)
    assert main.main(["--mode", "streamlit"]) == 1
    assert "No such file" in error_line()


def test_the_command_imports_no_training_framework_to_serve() -> None:
    # The serving image has none: what it runs must not import one.
    root = Path(main.__file__).parent
    code = (
        "import sys, main, lstm.golden, lstm.inference, streamlit_app.analysis; "
        "sys.exit(bool({'tensorflow', 'keras', 'mlflow', 'boto3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
