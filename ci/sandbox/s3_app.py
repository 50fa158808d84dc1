"""moto's S3 API as a WSGI application, for gunicorn.

gunicorn, unlike moto's development server, ends in order when it is told to. Requests
are executed one after the other: moto looks for an object and writes it in two steps,
so that two conditional writes at once could both succeed. A lock does that, and not a
single thread, which would wait on any connection that a client opened and left idle.

The bucket that S3_BUCKET names is there from the start: a step that this server is
started for has nobody else to make it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends

s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(os.environ["S3_BUCKET"], os.environ["AWS_DEFAULT_REGION"])
_moto = DomainDispatcherApplication(create_backend_app)
_turn = threading.Lock()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Execute one request, its answer complete before the next begins."""
    with _turn:
        return list(_moto(environ, start_response))
