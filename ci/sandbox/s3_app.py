"""moto's S3 API as a WSGI application, for gunicorn.

gunicorn runs it in one process and one thread: moto looks for an object and writes it
in two steps, so that with more threads two conditional writes could both succeed. And
unlike moto's development server, gunicorn ends in order when it is told to.
"""

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

application = DomainDispatcherApplication(create_backend_app)
