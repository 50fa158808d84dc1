"""Settings, read from the environment and validated as a whole.

``Config.from_environment()`` gives an immutable set of settings. Upper-case names on the
class (``Config.MLFLOW_TRACKING_URI``) read one setting from the environment at the time of
the access, which is how the operations guide's snippets use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TRACKING_SCHEMES = ("", "file", "http", "https", "sqlite", "postgresql", "mysql", "mssql")
_EXPERIMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")


class ConfigError(ValueError):
    """Settings that cannot be used. Names every problem, not only the first."""

    def __init__(self, problems: list[str]) -> None:
        """Take the problems, each a sentence that names the variable."""
        super().__init__("; ".join(problems))
        self.problems = problems


class _ReadsEnvironment(type):
    """Gives the class upper-case attributes that read the environment."""

    def __getattr__(cls, name: str) -> Any:
        if name.isupper() and name in _VARIABLES.values():
            setting = next(key for key, value in _VARIABLES.items() if value == name)
            return getattr(Config.from_environment(), setting)
        raise AttributeError(f"{cls.__name__} has no setting {name}")


@dataclass(frozen=True)
class Config(metaclass=_ReadsEnvironment):
    """All settings. Each field's variable is in ``variables()``."""

    #: MLflow's own default store; an empty value switches MLflow off.
    mlflow_tracking_uri: str = "sqlite:///mlflow.db"
    mlflow_experiment_name: str = "openstack_rca_system_staging"
    #: Where a new experiment keeps its artifacts; empty leaves that to the MLflow server.
    mlflow_artifact_root: str = ""
    #: Endpoint of the S3 API; empty means AWS.
    mlflow_s3_endpoint_url: str = ""
    aws_default_region: str = "ap-south-1"
    model_dir: Path = Path("models")
    streamlit_port: int = 7051
    #: Where the page's metrics are served for Prometheus; 0 serves none.
    metrics_port: int = 0
    #: Threads of TensorFlow. Fixed, not taken from the machine: it decides the order of sums.
    threads: int = 2
    seed: int = 7
    #: Virtual machines in the generated training logs.
    instances: int = 2400
    #: Passes over the data; 0 lets the task decide.
    epochs: int = 0
    batch_size: int = 64
    learning_rate: float = 0.004
    embedding_dim: int = 32
    lstm_units: int = 64
    dropout_rate: float = 0.2
    #: Events of a sequence that the model sees; of longer ones the last count.
    max_sequence_length: int = 48
    #: An event is expected when it is among this many most likely ones (DeepLog's g).
    top_k: int = 3

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Return the environment variable of every setting."""
        return dict(_VARIABLES)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Read and validate all settings.

        Raises ConfigError naming every variable that cannot be used.
        """
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        problems: list[str] = []
        for field in fields(cls):
            variable = _VARIABLES[field.name]
            text = environment.get(variable)
            if text is None:
                continue
            try:
                values[field.name] = _TYPES[field.name](text.strip())
            except ValueError:
                wanted = _TYPES[field.name].__name__
                problems.append(f"{variable}: {text!r} is not a value of type {wanted}")
        config = cls(**values)
        problems += config.problems()
        if problems:
            raise ConfigError(problems)
        return config

    def problems(self) -> list[str]:
        """Return what is wrong with the settings, each problem naming its variable."""
        found: list[str] = []
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                found.append(f"{_VARIABLES[name]}: {value} is not in {low}..{high}")
        scheme = urlsplit(self.mlflow_tracking_uri).scheme.split("+")[0]
        if scheme not in _TRACKING_SCHEMES:
            found.append(f"MLFLOW_TRACKING_URI: scheme {scheme!r} is not one MLflow tracks to")
        if not _EXPERIMENT.match(self.mlflow_experiment_name):
            found.append(
                "MLFLOW_EXPERIMENT_NAME: only letters, digits, '_', '.' and '-', at most 200, "
                "because it is part of the registered model's name"
            )
        endpoint = self.mlflow_s3_endpoint_url
        if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
            found.append(f"MLFLOW_S3_ENDPOINT_URL: {endpoint!r} is not an http(s) address")
        if str(self.model_dir) in ("", ".", "/"):
            found.append("MODEL_DIR: must name a directory of its own")
        return found


_VARIABLES = {
    field.name: (
        field.name.upper()
        if field.name.startswith(("mlflow_", "aws_", "model_"))
        else f"RCA_{field.name.upper()}"
    )
    for field in fields(Config)
}

_TYPES: dict[str, type] = {field.name: type(field.default) for field in fields(Config)}

_RANGES: dict[str, tuple[float, float]] = {
    "streamlit_port": (1, 65535),
    "metrics_port": (0, 65535),
    "threads": (1, 256),
    "seed": (0, 2**31 - 1),
    "instances": (60, 1_000_000),
    "epochs": (0, 10_000),
    "batch_size": (1, 65_536),
    "learning_rate": (1e-6, 1.0),
    "embedding_dim": (1, 4096),
    "lstm_units": (1, 4096),
    "dropout_rate": (0.0, 0.9),
    "max_sequence_length": (4, 4096),
    "top_k": (1, 100),
}
