"""The experiment and its registered models on an MLflow server."""

from __future__ import annotations

import importlib.util
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import Config
from lstm.inference import RootCauseModel
from lstm.model_store import ModelFileError

if TYPE_CHECKING:
    from mlflow import MlflowClient

LATEST = "latest"
#: Tag of a model version with the sha256 of the model file, as publishing sets it.
SHA256_TAG = "model_sha256"


class MLflowError(RuntimeError):
    """MLflow is switched off or did not do what was asked; the message says what."""


class ModelNotFoundError(LookupError):
    """No such registered model, version or alias."""


class MLflowManager:
    """One experiment. Creating a manager reads and changes nothing on the server."""

    def __init__(self, tracking_uri: str | None = None, experiment_name: str | None = None) -> None:
        """Take the server's address and the experiment; by default those of the settings."""
        config = Config.from_environment()
        self.tracking_uri = config.mlflow_tracking_uri if tracking_uri is None else tracking_uri
        self.experiment_name = experiment_name or config.mlflow_experiment_name
        self._artifact_root = config.mlflow_artifact_root

    @property
    def is_enabled(self) -> bool:
        """Whether MLflow is installed and has an address. Says nothing about the server."""
        return bool(self.tracking_uri) and importlib.util.find_spec("mlflow") is not None

    @cached_property
    def client(self) -> MlflowClient:
        """The client, made at first use. Raises MLflowError when MLflow is not enabled."""
        if not self.is_enabled:
            raise MLflowError(
                "use MLflow: it is not installed, or MLFLOW_TRACKING_URI is set to nothing"
            )
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def registered_name(self, model_name: str) -> str:
        """Return the name in the registry: the experiment's, then the model's."""
        return f"{self.experiment_name}_{model_name}"

    def ensure_experiment(self) -> str:
        """Return the experiment's id; create the experiment when there is none.

        Raises MLflowError for a deleted one: restoring it is a decision for people.
        """
        found = self.client.get_experiment_by_name(self.experiment_name)
        if found is None:
            root = self._artifact_root.rstrip("/")
            location = f"{root}/{self.experiment_name}" if root else None
            return str(self.client.create_experiment(self.experiment_name, location))
        if found.lifecycle_stage != "active":
            raise MLflowError(
                f"use experiment {self.experiment_name}: it is deleted; restore it or use another"
            )
        return str(found.experiment_id)

    def load_model_with_versioning(
        self, model_name: str = "lstm_model", version: str | int = LATEST
    ) -> RootCauseModel:
        """Load exactly one registered version: a number, an alias, or the newest ("latest").

        Raises ModelNotFoundError when there is none, ModelFileError when its files are not the
        ones that were registered.
        """
        entry = self._version(self.registered_name(model_name), str(version))
        with tempfile.TemporaryDirectory() as scratch:
            directory, file = self._download(entry, Path(scratch))
            model = RootCauseModel.load(directory, file=file)
        registered = entry.tags.get(SHA256_TAG, model.sha256)
        if registered != model.sha256:
            raise ModelFileError(
                f"load {entry.name} version {entry.version}: registered with sha256 {registered}, "
                f"its file has {model.sha256}"
            )
        model.version = str(entry.version)
        return model

    def _version(self, name: str, version: str) -> Any:
        from mlflow.exceptions import MlflowException

        if version == LATEST:
            found = list(self.client.search_model_versions(f"name='{name}'", max_results=1000))
            if not found:
                raise ModelNotFoundError(f"load {name}: it has no version on {self._server}")
            # By number: the registry orders by time of the last change.
            return max(found, key=lambda entry: int(entry.version))
        try:
            if version.isdecimal():
                return self.client.get_model_version(name, version)
            return self.client.get_model_version_by_alias(name, version)
        except MlflowException as error:
            # A missing alias is an INVALID_PARAMETER_VALUE, not a RESOURCE_DOES_NOT_EXIST.
            missing = error.error_code == "RESOURCE_DOES_NOT_EXIST" or (
                error.error_code == "INVALID_PARAMETER_VALUE" and "not found" in str(error)
            )
            if not missing:
                raise
            raise ModelNotFoundError(
                f"load {name}: no version or alias {version!r} on {self._server}"
            ) from error

    def _download(self, entry: Any, scratch: Path) -> tuple[Path, str | None]:
        """Return the local directory with the model, and its file's name where that is known."""
        from mlflow.artifacts import download_artifacts

        source = self.client.get_model_version_download_uri(entry.name, entry.version)
        file: str | None = None
        if source.endswith(".keras"):  # a bare file: its description lies beside it
            source, file = source.rsplit("/", 1)
        local = download_artifacts(
            artifact_uri=source, dst_path=str(scratch), tracking_uri=self.tracking_uri
        )
        if file is not None:
            return Path(local), file
        candidates = sorted(Path(local).rglob("*.keras"))
        if len(candidates) != 1:
            raise ModelFileError(
                f"load {entry.name} version {entry.version}: {len(candidates)} .keras files in "
                f"{source}, needs one"
            )
        return candidates[0].parent, candidates[0].name

    @property
    def _server(self) -> str:
        # Addresses may hold a password; errors must not.
        return self.tracking_uri.rsplit("@", 1)[-1]
