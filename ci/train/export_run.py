"""Write all runs of an MLflow store to one strict JSON file.

Usage: python export_run.py TRACKING_URI OUTPUT

Works with every store that MLflow's client can open. JSON has no NaN and no Infinity, but a
training may log them: they are written as the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 1000


def number(value: float) -> float | str:
    """Return the value as JSON can hold it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def experiments(client: MlflowClient) -> dict[str, str]:
    """Return the names of all active experiments by id."""
    names: dict[str, str] = {}
    token: str | None = None
    while True:
        page = client.search_experiments(view_type=ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token)
        names |= {experiment.experiment_id: experiment.name for experiment in page}
        token = page.token
        if not token:
            return names


def runs(client: MlflowClient, experiment_ids: list[str]) -> Iterator[Run]:
    """Yield all active runs of the experiments."""
    token: str | None = None
    while True:
        page = client.search_runs(
            experiment_ids, run_view_type=ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def exported(client: MlflowClient, run: Run, experiment: str) -> dict[str, Any]:
    """Return one run with the whole history of every metric."""
    history = {
        key: [
            [point.step, point.timestamp, number(point.value)]
            for point in client.get_metric_history(run.info.run_id, key)
        ]
        for key in sorted(run.data.metrics)
    }
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name or "",
        "experiment": experiment,
        "status": run.info.status,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "params": dict(sorted(run.data.params.items())),
        "tags": dict(sorted(run.data.tags.items())),
        "metrics": history,
    }


def main(tracking_uri: str, output: str) -> None:
    """Export every run of the store at the tracking URI to the output file."""
    client = MlflowClient(tracking_uri=tracking_uri)
    names = experiments(client)
    found = [exported(client, run, names[run.info.experiment_id]) for run in runs(client, list(names))]
    document = {"format": 1, "runs": found}
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
