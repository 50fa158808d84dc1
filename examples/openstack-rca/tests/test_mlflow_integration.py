"""MLflow and the S3 API.

Against the servers that the environment names (MLFLOW_TRACKING_URI; MLFLOW_S3_ENDPOINT_URL or
AWS_ENDPOINT_URL, with MLFLOW_ARTIFACT_ROOT=s3://bucket/prefix), else against a SQLite store.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lstm.model_store import MODEL_FILE, ModelFileError
from mlflow_integration.mlflow_manager import MLflowError, MLflowManager, ModelNotFoundError
from mlflow_integration.tracking import ARTIFACT_PATH, TrainingRun
from tests.conftest import Trained

pytestmark = pytest.mark.mlflow


@pytest.fixture
def manager(trained: Trained) -> MLflowManager:
    """A manager of the session's experiment."""
    return MLflowManager(trained.tracking_uri, trained.experiment)


@pytest.fixture
def run(trained: Trained, manager: MLflowManager) -> Any:
    """The run that the training logged."""
    experiment = manager.client.get_experiment_by_name(trained.experiment)
    runs = manager.client.search_runs(
        [experiment.experiment_id], "tags.model_type = 'lstm'", max_results=2
    )
    assert len(runs) == 1
    return runs[0]


def register(
    manager: MLflowManager, model_name: str, run: Any, path: str = ARTIFACT_PATH, **tags: str
) -> str:
    """Register a run's artifacts as a version, as publishing does; return its number."""
    name = manager.registered_name(model_name)
    with contextlib.suppress(MlflowException):  # it exists; if not, the next call fails
        manager.client.create_registered_model(name)
    # A server that holds the artifacts itself wants to know the run that they belong to.
    source, run_id = f"{run.info.artifact_uri}/{path}", run.info.run_id
    return str(manager.client.create_model_version(name, source, run_id, tags=tags).version)


def test_creating_a_manager_touches_nothing(tmp_path: Path) -> None:
    manager = MLflowManager(f"sqlite:///{tmp_path}/new.db", "openstack_rca_system_staging")
    assert manager.is_enabled
    assert list(tmp_path.iterdir()) == []


def test_defaults_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "openstack_rca_system_production")
    manager = MLflowManager()
    assert manager.tracking_uri == "https://mlflow.example.com"
    assert manager.registered_name("lstm_model") == "openstack_rca_system_production_lstm_model"


def test_without_an_address_mlflow_is_off() -> None:
    manager = MLflowManager("", "e")
    assert not manager.is_enabled
    with pytest.raises(MLflowError, match="MLFLOW_TRACKING_URI is set to nothing"):
        manager.load_model_with_versioning()


def test_training_logged_a_finished_run(trained: Trained, run: Any) -> None:
    metrics = json.loads((trained.directory / "metrics.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.metrics["accuracy"] == pytest.approx(metrics["accuracy"])
    assert run.data.metrics["baseline_accuracy"] == pytest.approx(metrics["baseline_accuracy"])
    assert run.data.params["epochs"] == "6"
    assert run.data.tags["model_sha256"] == trained.model.sha256
    assert run.data.tags["data_fingerprint"] == metrics["tags"]["data_fingerprint"]


def test_every_epoch_has_its_metrics(trained: Trained, manager: MLflowManager, run: Any) -> None:
    history = json.loads((trained.directory / "metrics.json").read_text())["history"]
    for name in ("loss", "val_loss", "train_accuracy", "val_accuracy"):
        logged = manager.client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in logged] == [
            (entry["epoch"], pytest.approx(entry[name])) for entry in history
        ]
    assert len(manager.client.get_metric_history(run.info.run_id, "accuracy")) == 1


def test_the_models_files_are_artifacts_of_the_run(manager: MLflowManager, run: Any) -> None:
    names = {item.path for item in manager.client.list_artifacts(run.info.run_id, ARTIFACT_PATH)}
    expected = ("lstm_model.keras", "lstm_model.json", "metrics.json", "golden.json")
    assert names == {f"{ARTIFACT_PATH}/{name}" for name in (*expected, "predictions.json")}


def test_versions_are_loaded_by_number_alias_and_latest(
    trained: Trained, manager: MLflowManager, run: Any
) -> None:
    first = register(manager, "lstm_model", run, model_sha256=trained.model.sha256)
    second = register(manager, "lstm_model", run)
    name = manager.registered_name("lstm_model")
    manager.client.set_registered_model_alias(name, "champion", first)
    for wanted, version in ((first, first), ("champion", first), ("latest", second)):
        model = manager.load_model_with_versioning("lstm_model", wanted)
        assert model.version == version
        assert model.sha256 == trained.model.sha256
    assert manager.load_model_with_versioning().version == second
    golden = json.loads((trained.directory / "golden.json").read_text())
    sample = golden["samples"][0]
    scores = manager.load_model_with_versioning().predict([sample["events"]])["root_cause"][0]
    assert scores.tolist() == pytest.approx(sample["expected"]["root_cause"], abs=1e-5)


def test_the_latest_version_is_the_highest_number(manager: MLflowManager, run: Any) -> None:
    versions = [register(manager, "many", run) for _ in range(11)]
    name = manager.registered_name("many")
    manager.client.update_model_version(name, versions[1], "touched last")
    assert manager.load_model_with_versioning("many").version == "11"


def test_a_bare_model_file_is_loaded_with_the_description_beside_it(
    trained: Trained, manager: MLflowManager, run: Any
) -> None:
    version = register(manager, "bare", run, f"{ARTIFACT_PATH}/{MODEL_FILE}")
    model = manager.load_model_with_versioning("bare", version)
    assert model.sha256 == trained.model.sha256


@pytest.mark.parametrize("version", ["latest", "99", "champion"])
def test_a_missing_version_is_an_error(manager: MLflowManager, version: str) -> None:
    with pytest.raises(ModelNotFoundError, match="_nothing"):
        manager.load_model_with_versioning("nothing", version)


def test_a_missing_alias_of_an_existing_model_is_an_error(manager: MLflowManager, run: Any) -> None:
    register(manager, "lonely", run)
    with pytest.raises(ModelNotFoundError, match="'nobody'"):
        manager.load_model_with_versioning("lonely", "nobody")


def test_an_invalid_name_is_not_reported_as_missing(manager: MLflowManager) -> None:
    with pytest.raises(MlflowException):
        manager.load_model_with_versioning("lstm_model", "not/an alias")


def test_a_version_registered_with_another_hash_is_refused(
    manager: MLflowManager, run: Any
) -> None:
    version = register(manager, "swapped", run, model_sha256="0" * 64)
    with pytest.raises(ModelFileError, match="registered with sha256 0000"):
        manager.load_model_with_versioning("swapped", version)


def test_a_version_without_a_model_file_is_refused(
    trained: Trained, manager: MLflowManager, tmp_path: Path
) -> None:
    other = manager.client.create_run(manager.ensure_experiment())
    shutil.copy(trained.directory / "metrics.json", tmp_path / "metrics.json")
    manager.client.log_artifact(other.info.run_id, str(tmp_path / "metrics.json"), ARTIFACT_PATH)
    version = register(manager, "empty", other)
    manager.client.set_terminated(other.info.run_id)
    with pytest.raises(ModelFileError, match=r"0 \.keras files"):
        manager.load_model_with_versioning("empty", version)


def test_an_exception_ends_the_run_as_failed(manager: MLflowManager) -> None:
    tracked = TrainingRun(manager, "failing")

    def fail() -> None:
        with tracked:
            tracked.epoch(1, {"loss": 1.5})
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    ended = manager.client.get_run(tracked.run_id)
    assert ended.info.status == "FAILED"
    assert ended.data.tags["error"].startswith("ZeroDivisionError")
    assert ended.data.metrics == {"loss": 1.5}


def test_a_deleted_experiment_is_not_restored_silently(trained: Trained) -> None:
    manager = MLflowManager(trained.tracking_uri, f"{trained.experiment}_deleted")
    manager.client.delete_experiment(manager.ensure_experiment())
    with pytest.raises(MLflowError, match="_deleted: it is deleted"):
        manager.ensure_experiment()


def test_a_new_experiment_uses_the_artifact_root(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ARTIFACT_ROOT", "s3://example-bucket/root/")
    manager = MLflowManager(trained.tracking_uri, f"{trained.experiment}_rooted")
    experiment = manager.client.get_experiment(manager.ensure_experiment())
    assert experiment.artifact_location == f"s3://example-bucket/root/{manager.experiment_name}"
    assert manager.ensure_experiment() == experiment.experiment_id


def test_errors_do_not_show_the_servers_password() -> None:
    manager = MLflowManager("https://user:hunter2@mlflow.example.com", "e")
    assert "hunter2" not in manager._server


def test_the_tracking_server_answers(trained: Trained) -> None:
    # An API call, because a server's /health answers even to clients that it refuses.
    assert MlflowClient(trained.tracking_uri).search_experiments(max_results=1)


def test_s3_connectivity() -> None:
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL")
    root = urlsplit(os.environ.get("MLFLOW_ARTIFACT_ROOT", ""))
    if not endpoint or root.scheme != "s3":
        pytest.skip(
            "no S3 API: set MLFLOW_S3_ENDPOINT_URL or AWS_ENDPOINT_URL, and "
            "MLFLOW_ARTIFACT_ROOT=s3://bucket/prefix"
        )
    import boto3

    s3 = boto3.client("s3", endpoint_url=endpoint)
    prefix = f"{root.path.strip('/')}/connectivity-{uuid.uuid4().hex}".lstrip("/")
    key = f"{prefix}/object"
    s3.put_object(Bucket=root.netloc, Key=key, Body=b"content")
    try:
        assert s3.get_object(Bucket=root.netloc, Key=key)["Body"].read() == b"content"
        listed = s3.list_objects_v2(Bucket=root.netloc, Prefix=prefix)["Contents"]
        assert [item["Key"] for item in listed] == [key]
    finally:
        s3.delete_object(Bucket=root.netloc, Key=key)
