"""Settings: defaults, environment, validation."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from config import Config, ConfigError

pytestmark = pytest.mark.configuration


def test_defaults_are_those_of_the_operations_guide() -> None:
    config = Config.from_environment({})
    assert config == Config()
    assert config.streamlit_port == 7051
    assert config.mlflow_experiment_name == "openstack_rca_system_staging"
    assert config.aws_default_region == "ap-south-1"
    assert config.model_dir == Path("models")
    assert config.problems() == []


def test_every_setting_is_read_from_its_variable() -> None:
    text = {
        "MLFLOW_TRACKING_URI": "https://mlflow.example.com",
        "MLFLOW_EXPERIMENT_NAME": "openstack_rca_system_production",
        "MLFLOW_ARTIFACT_ROOT": "s3://bucket/root",
        "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9000",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "MODEL_DIR": "/srv/models",
        "RCA_STREAMLIT_PORT": "8080",
        "RCA_METRICS_PORT": "9464",
        "RCA_THREADS": "4",
        "RCA_SEED": "1",
        "RCA_INSTANCES": "100",
        "RCA_EPOCHS": "3",
        "RCA_BATCH_SIZE": "8",
        "RCA_LEARNING_RATE": "0.5",
        "RCA_EMBEDDING_DIM": "9",
        "RCA_LSTM_UNITS": "10",
        "RCA_DROPOUT_RATE": "0.1",
        "RCA_MAX_SEQUENCE_LENGTH": "11",
        "RCA_TOP_K": "9",
    }
    assert set(text) == set(Config.variables().values())
    config = Config.from_environment(text)
    for setting, variable in Config.variables().items():
        value = getattr(config, setting)
        assert value == type(value)(text[variable]), variable
        assert value != getattr(Config(), setting), variable


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_environment({"RCA_EPOCHS": "many", "RCA_STREAMLIT_PORT": "70000"})
    assert len(caught.value.problems) == 2
    assert "RCA_EPOCHS: 'many' is not a value of type int" in str(caught.value)
    assert "RCA_STREAMLIT_PORT: 70000 is not in 1..65535" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RCA_SEED", "-1"),
        ("RCA_LEARNING_RATE", "nan"),
        ("RCA_DROPOUT_RATE", "0.95"),
        ("RCA_BATCH_SIZE", "0"),
        ("RCA_TOP_K", "1.5"),
        ("MLFLOW_TRACKING_URI", "gopher://server"),
        ("MLFLOW_EXPERIMENT_NAME", "two words"),
        ("MLFLOW_EXPERIMENT_NAME", ""),
        ("MLFLOW_S3_ENDPOINT_URL", "bucket"),
        ("MODEL_DIR", ""),
        ("MODEL_DIR", "/"),
    ],
)
def test_an_impossible_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        Config.from_environment({variable: value})


@pytest.mark.parametrize("uri", ["", "sqlite:///x.db", "postgresql+psycopg2://db/x", "./runs"])
def test_the_tracking_addresses_of_mlflow_are_accepted(uri: str) -> None:
    assert Config.from_environment({"MLFLOW_TRACKING_URI": uri}).mlflow_tracking_uri == uri


def test_upper_case_names_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    assert Config.MLFLOW_TRACKING_URI == "https://mlflow.example.com"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert Config().mlflow_tracking_uri == Config.MLFLOW_TRACKING_URI


@pytest.mark.parametrize("name", ["NO_SUCH_SETTING", "no_such_setting"])
def test_an_unknown_setting_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(Config, name)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().seed = 8  # type: ignore[misc]
