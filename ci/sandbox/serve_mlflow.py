"""Serve MLflow on SQLite, with artifacts behind the server, in the working directory.

`serve_mlflow.py prepare` runs when the environment is made: it writes an empty,
migrated database into the environment, which takes as long as starting the server.
`serve_mlflow.py HOST PORT` copies that database and becomes the server.

The server's own command line is not used: it loads all of MLflow a second time
before it starts the same gunicorn with the same variables. Their names are those of
mlflow/server/constants.py of the locked version.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

DATABASE = Path(sys.prefix) / "share" / "openstack-rca" / "mlflow.db"


def prepare() -> None:
    """Write the migrated database."""
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    DATABASE.parent.mkdir(parents=True, exist_ok=True)
    temporary = DATABASE.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    _initialize_tables(create_sqlalchemy_engine(f"sqlite:///{temporary}"))
    temporary.rename(DATABASE)


def serve(host: str, port: str) -> None:
    """Become the server. Everything it stores is below the working directory."""
    here = Path.cwd()
    shutil.copyfile(DATABASE, here / "mlflow.db")
    (here / "artifacts").mkdir(exist_ok=True)
    database = f"sqlite:///{here / 'mlflow.db'}"
    os.environ.update(
        _MLFLOW_SERVER_FILE_STORE=database,
        _MLFLOW_SERVER_REGISTRY_STORE=database,
        _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
        _MLFLOW_SERVER_ARTIFACT_ROOT="mlflow-artifacts:/",
        _MLFLOW_SERVER_ARTIFACT_DESTINATION=str(here / "artifacts"),
        _MLFLOW_SGI_NAME="gunicorn",
    )
    # One process: SQLite knows one writer. Threads serve the callers.
    arguments = ["--workers", "1", "--threads", "8", "--timeout", "600"]
    arguments += ["--graceful-timeout", "3", "--no-control-socket"]
    arguments += ["--bind", f"{host}:{port}", "mlflow.server:app"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *arguments])


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        prepare()
    else:
        serve(*sys.argv[1:])
