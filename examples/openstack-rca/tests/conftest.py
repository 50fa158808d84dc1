"""One small training run for all tests that need a model, tracked in MLflow."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

import main
from config import Config
from lstm.inference import RootCauseModel
from utils.sequences import EventSequence

#: Small enough for seconds, large enough to learn something.
SMALL = {
    "RCA_INSTANCES": "220",
    "RCA_LSTM_UNITS": "24",
    "RCA_EMBEDDING_DIM": "16",
    "RCA_BATCH_SIZE": "16",
    "RCA_LEARNING_RATE": "0.012",
    "RCA_MAX_SEQUENCE_LENGTH": "32",
    "RCA_EPOCHS": "6",
    "RCA_SEED": "7",
}


@dataclass(frozen=True)
class Trained:
    """The files and the MLflow run of a training by the command line."""

    directory: Path
    model: RootCauseModel
    config: Config
    tracking_uri: str
    experiment: str
    #: What the command printed.
    output: str


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The MLflow server that the environment names, else a store of this session's own."""
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    return given or f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="session")
def experiment() -> str:
    """An experiment of this session's own: the server may be a shared one."""
    return f"openstack_rca_system_test{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def trained(
    tracking_uri: str, experiment: str, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """A model trained as a user trains it."""
    directory = tmp_path_factory.mktemp("trained") / "models"
    workdir = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workdir)  # MLflow puts local artifacts below the current directory
        for variable, value in SMALL.items():
            patch.setenv(variable, value)
        patch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
        arguments = ["--mode", "train", "--enable-mlflow", "--mlflow-experiment", experiment]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert main.main([*arguments, "--model-dir", str(directory)]) == 0
        config = Config.from_environment()
    model = RootCauseModel.load(directory)
    return Trained(directory, model, config, tracking_uri, experiment, output.getvalue())


def sequence(key: str, events: list[str], label: str | None = None) -> EventSequence:
    """Return a sequence whose lines are numbered from 1."""
    return EventSequence(key, tuple(events), tuple(range(1, len(events) + 1)), label)
