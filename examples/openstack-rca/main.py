"""Command line of the OpenStack root-cause analysis.

Every mode exits with 0 only when it did what was asked; otherwise one line on stderr says what
went wrong, and the code is 1 (2 for arguments that do not make sense).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from config import Config, ConfigError

if TYPE_CHECKING:
    from mlflow_integration.tracking import TrainingRun
    from utils.sequences import EventSequence

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class UsageError(ValueError):
    """Arguments that do not make sense together."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="main.py", description=__doc__)
    parser.add_argument("--mode", required=True, choices=sorted(_MODES))
    parser.add_argument("--data", type=Path, help="directory of logs; generated ones by default")
    parser.add_argument("--model-dir", type=Path, help="directory of the model (MODEL_DIR)")
    training = parser.add_argument_group("train")
    training.add_argument("--enable-mlflow", action="store_true", help="log the run to MLflow")
    training.add_argument("--disable-mlflow", action="store_true", help="do not (the default)")
    training.add_argument("--mlflow-experiment", help="experiment (MLFLOW_EXPERIMENT_NAME)")
    training.add_argument("--epochs", type=int, help="passes over the data (RCA_EPOCHS)")
    training.add_argument("--seed", type=int, help="seed of everything random (RCA_SEED)")
    analysis = parser.add_argument_group("analyze")
    analysis.add_argument("--issue", help="log lines, or words with instance ids beside --data")
    scoring = parser.add_argument_group("score")
    scoring.add_argument("--golden", type=Path, help="golden predictions to compare with")
    scoring.add_argument("--tolerance", type=float, default=1e-4)
    scoring.add_argument("--runtime", choices=("numpy", "keras"), default="numpy")
    return parser


def _settings(options: argparse.Namespace) -> Config:
    config = Config.from_environment()
    given = {
        "epochs": options.epochs,
        "seed": options.seed,
        "model_dir": options.model_dir,
        "mlflow_experiment_name": options.mlflow_experiment,
    }
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    problems = config.problems()
    if problems:
        raise ConfigError(problems)
    return config


def train(options: argparse.Namespace, config: Config) -> int:
    """Train a model on the generated logs, or on those of ``--data``."""
    if options.enable_mlflow and options.disable_mlflow:
        raise UsageError("--enable-mlflow and --disable-mlflow contradict each other")
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(_tracking(config)) if options.enable_mlflow else None
        # Only now: TensorFlow takes seconds to import, and wrong settings should not cost them.
        from lstm.training import train as train_model

        def report(epoch: int, epochs: int, metrics: Mapping[str, float], remaining: float) -> None:
            shown = ("loss", "val_loss", "train_accuracy", "val_accuracy")
            values = " ".join(f"{name}={metrics[name]:.4f}" for name in shown)
            print(f"epoch {epoch}/{epochs} {values} remaining={remaining:.0f}s", flush=True)
            if run is not None:
                run.epoch(epoch, metrics)

        result = train_model(_training_sequences(options, config), config, config.model_dir, report)
        if run is not None:
            run.result(result)
    names = (
        "accuracy",
        "baseline_accuracy",
        "top1_next_event_accuracy",
        "top3_next_event_accuracy",
    )
    print(" ".join(f"{name}={result.metrics[name]:.4f}" for name in names))
    print(f"model {result.files[0]} sha256={result.tags['model_sha256']}")
    return 0


def _tracking(config: Config) -> TrainingRun:
    from mlflow_integration.mlflow_manager import MLflowManager
    from mlflow_integration.tracking import TrainingRun

    manager = MLflowManager(config.mlflow_tracking_uri, config.mlflow_experiment_name)
    name = f"{config.mlflow_experiment_name}_{datetime.now(UTC):%Y%m%d_%H%M%S}"
    return TrainingRun(manager, name.replace("_", "-"))


def _training_sequences(options: argparse.Namespace, config: Config) -> list[EventSequence]:
    from utils.log_files import read_sequences

    if options.data is not None:
        return read_sequences(options.data)
    from utils.log_generator import generate
    from utils.log_parser import parse_lines
    from utils.sequences import MIN_EVENTS, group_by_instance

    logs = generate(config.instances, config.seed)
    grouped = group_by_instance(parse_lines(logs.lines))
    return [
        replace(sequence, label=logs.labels[sequence.key])
        for sequence in grouped
        if len(sequence.events) >= MIN_EVENTS
    ]


def analyze(options: argparse.Namespace, config: Config) -> int:
    """Print the root cause of each instance that an issue is about, as JSON."""
    from lstm.inference import RootCauseModel
    from utils.log_files import DataError, read_records
    from utils.log_parser import parse_lines
    from utils.sequences import group_by_instance

    if not options.issue:
        raise UsageError("--mode analyze needs --issue")
    records = list(parse_lines(options.issue.splitlines()))
    if options.data is not None:
        records += read_records(options.data)
    sequences = group_by_instance(records)
    named = {match.lower() for match in _UUID.findall(options.issue)} & {s.key for s in sequences}
    if named:
        sequences = [sequence for sequence in sequences if sequence.key in named]
    if not sequences:
        raise DataError("analyze issue: no log line that concerns an instance; give them by --data")
    model = RootCauseModel.load(config.model_dir)
    found = []
    for sequence, diagnosis in zip(
        sequences, model.diagnose([sequence.events for sequence in sequences]), strict=True
    ):
        if named or diagnosis.label != "normal":
            found.append(
                {
                    "instance": sequence.key,
                    "root_cause": diagnosis.label,
                    "probabilities": dict(diagnosis.probabilities),
                    "anomalies": [
                        {
                            "line": sequence.lines[anomaly.position],
                            "event": anomaly.event,
                            "rank": anomaly.rank,
                            "expected": anomaly.expected,
                        }
                        for anomaly in diagnosis.anomalies
                    ],
                }
            )
    report = {
        "issue": options.issue,
        "model_sha256": model.sha256,
        "instances": len(sequences),
        "findings": found,
    }
    print(json.dumps(report, indent=1, allow_nan=False))
    return 0


def score(options: argparse.Namespace, config: Config) -> int:
    """Compare the model's output with its golden predictions; 1 when it differs."""
    from lstm.golden import compare
    from lstm.inference import RootCauseModel

    if options.golden is None:
        raise UsageError("--mode score needs --golden")
    model = RootCauseModel.load(config.model_dir, options.runtime)
    result = compare(model, options.golden, options.tolerance) | {"runtime": options.runtime}
    print(json.dumps(result, allow_nan=False))
    if result["result"] != "equal":
        print("error: score model: its output differs from the golden predictions", file=sys.stderr)
        return 1
    return 0


def streamlit(options: argparse.Namespace, config: Config) -> int:
    """Become the server of the page, so that signals and exit code are Streamlit's own."""
    del options
    page = Path(__file__).parent / "streamlit_app" / "chatbot.py"
    command = [sys.executable, "-m", "streamlit", "run", str(page)]
    command += [f"--server.port={config.streamlit_port}", "--server.address=0.0.0.0"]
    command += ["--server.headless=true", "--browser.gatherUsageStats=false"]
    os.execv(sys.executable, command)


_MODES = {"train": train, "analyze": analyze, "score": score, "streamlit": streamlit}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one mode; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _MODES[options.mode](options, _settings(options))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:  # whatever it was, the caller must see a line and a code
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {text}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
