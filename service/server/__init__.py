"""The web server: gunicorn with threads, and a worker in which a slow client holds nobody, not even a thread.

Workers connect to the database after the fork; the master holds no connection. Metrics of all workers are
summed in files (prometheus_client's multi-process mode) and served on an address of their own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from service.runtime import metrics
from service.runtime.settings import Settings
from service.server.worker import Patience, Worker

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

THREADS = 8
GRACEFUL_TIMEOUT_S = 30
REQUEST_LINE_MAX = 4094
HEADERS_MAX = 64
HEADER_SIZE_MAX_BYTES = 8190


class _Application(BaseApplication):  # type: ignore[misc]
    """Gunicorn's own shape of an application with settings."""

    def __init__(self, load_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._load_app = load_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self._load_app()


def serve(settings: Settings, load_app: Callable[[], Flask], *, patience: Patience | None = None) -> None:
    """Serve until the process is told to stop.

    Args:
        load_app: makes the application; called in every worker.
        patience: how long clients are waited for.
    """
    waits = patience or Patience()
    metrics.share(settings.var_dir)
    shown: list[WSGIServer] = []

    def show_metrics(_server: Any) -> None:
        shown.append(metrics.serve(settings.metrics_bind))

    def leave_metrics(_server: Any, _worker: Any) -> None:
        # A worker outlives a killed master for a moment; the next master needs the address at once.
        for one in shown:
            one.socket.close()

    _Application(
        load_app,
        {
            "bind": str(settings.bind),
            "workers": settings.web_workers,
            "worker_class": type("PatientWorker", (Worker,), {"patience": waits}),
            "worker_connections": waits.connections_max,
            "threads": THREADS,
            "graceful_timeout": GRACEFUL_TIMEOUT_S,
            "timeout": 60,
            "keepalive": 5,
            "limit_request_line": REQUEST_LINE_MAX,
            "limit_request_fields": HEADERS_MAX,
            "limit_request_field_size": HEADER_SIZE_MAX_BYTES,
            "proc_name": "benefit-ledger",
            "loglevel": "warning",
            "control_socket_disable": True,
            "child_exit": _forget_worker,
            "when_ready": show_metrics,
            "post_fork": leave_metrics,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 — a heartbeat file.
        },
    ).run()


def _forget_worker(_server: Any, worker: Any) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
