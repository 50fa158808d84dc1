"""Logging one training run."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lstm.training import TrainingResult
    from mlflow_integration.mlflow_manager import MLflowManager

#: Folder of the model's files among the run's artifacts.
ARTIFACT_PATH = "model"


class TrainingRun:
    """An MLflow run that is never left open: FINISHED, or FAILED with the exception's text."""

    def __init__(self, manager: MLflowManager, run_name: str) -> None:
        """Take the manager of the experiment; the run starts on entering the context."""
        self._client = manager.client
        self._experiment = manager.ensure_experiment()
        self._name = run_name
        self.run_id = ""

    def __enter__(self) -> Self:
        """Start the run."""
        run = self._client.create_run(self._experiment, run_name=self._name)
        self.run_id = run.info.run_id
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run; the exception, if any, goes on."""
        if error is None:
            self._client.set_terminated(self.run_id, "FINISHED")
            return
        try:
            self._client.set_tag(self.run_id, "error", f"{type(error).__name__}: {error}"[:5000])
        finally:
            self._client.set_terminated(self.run_id, "FAILED")

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch; its number, from 1, is the step."""
        for name, value in metrics.items():
            self._client.log_metric(self.run_id, name, value, step=number)

    def result(self, result: TrainingResult) -> None:
        """Log parameters, final metrics, tags and the model's files."""
        for name, value in result.params.items():
            self._client.log_param(self.run_id, name, _text(value))
        of_epochs = set(result.history[-1])
        for name, value in result.metrics.items():
            if name not in of_epochs:  # those have their own series
                self._client.log_metric(self.run_id, name, value, step=len(result.history))
        for name, text in result.tags.items():
            self._client.set_tag(self.run_id, name, text)
        for path in result.files:
            self._client.log_artifact(self.run_id, str(path), ARTIFACT_PATH)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
