"""Metrics: what the processes count, in the form that Prometheus reads.

Owns the names of all instruments. Refuses labels whose values have no bound: routes are templates, and
nobody's id is ever a label. The library chooses at its import whether processes of one server share their
counts (when PROMETHEUS_MULTIPROC_DIR names a folder), so it is imported by the first count, after that folder
is known.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from service.runtime.settings import Address

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ITEMS: Final = (1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000)


@dataclass(frozen=True, slots=True)
class _Instruments:
    requests: "Counter"
    request_seconds: "Histogram"
    problems: "Counter"
    events: "Counter"
    batch_items: "Histogram"
    tick_at: "Gauge"
    overdue_seconds: "Gauge"
    quarantine_open: "Gauge"
    quarantine_oldest_seconds: "Gauge"


def share(var_dir: Path) -> None:
    """Let the processes of this machine count together, in a folder below VAR_DIR; before the first count.

    What processes left that are gone is removed.
    """
    folder = var_dir / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        number = file.stem.rpartition("_")[2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            file.unlink(missing_ok=True)
    os.environ[FOLDER_VARIABLE] = str(folder)


def answered(route: str, method: str, status: int, seconds: float) -> None:
    """Count an answered request under its route's template."""
    _instruments().requests.labels(route, method, str(status)).inc()
    _instruments().request_seconds.labels(route, method).observe(seconds)


def refused(slug: str) -> None:
    """Count a problem by its type."""
    _instruments().problems.labels(slug).inc()


def ingested(accepted_count: int, rejected_count: int) -> None:
    """Count the events of one batch."""
    _instruments().events.labels("accepted").inc(accepted_count)
    _instruments().events.labels("rejected").inc(rejected_count)
    _instruments().batch_items.observe(accepted_count + rejected_count)


def ticked(at: datetime, *, overdue_s: int) -> None:
    """Note that the scheduler looked for what is due, and for how long the oldest run has been waiting."""
    _instruments().tick_at.set(at.timestamp())
    _instruments().overdue_seconds.set(overdue_s)


def quarantined(open_count: int, *, oldest_s: int) -> None:
    """Note how many events of all platforms wait in quarantine, and for how long the oldest one has."""
    _instruments().quarantine_open.set(open_count)
    _instruments().quarantine_oldest_seconds.set(oldest_s)


def application() -> Callable[..., Any]:
    """Make the WSGI application that shows the metrics of this process, or of all that share a folder."""
    from prometheus_client import make_wsgi_app

    _instruments()
    return make_wsgi_app(_registry())


def serve(address: Address) -> "WSGIServer":
    """Show the metrics at an address of their own, from a thread that ends with the process.

    Returns:
        The server, for those who end it earlier.
    """
    from prometheus_client import start_http_server

    _instruments()
    server, _ = start_http_server(address.port, address.host, registry=_registry())
    return server


def _registry() -> "CollectorRegistry":
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    if FOLDER_VARIABLE not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


@cache
def _instruments() -> _Instruments:
    from prometheus_client import Counter, Gauge, Histogram

    build = Gauge("build_info", "The running version.", ["version"], multiprocess_mode="max")
    build.labels(version("benefit-ledger")).set(1)
    return _Instruments(
        requests=Counter("http_requests", "Requests that were answered.", ["route", "method", "status"]),
        request_seconds=Histogram(
            "http_request_seconds",
            "Time from request to answer.",
            ["route", "method"],
            buckets=_SECONDS,
        ),
        problems=Counter("http_problems", "Requests that were refused, by problem type.", ["type"]),
        events=Counter("events_ingested", "Events that were taken in.", ["result"]),
        batch_items=Histogram("event_batch_size", "Events in a batch.", buckets=_ITEMS),
        tick_at=Gauge(
            "scheduler_last_tick_timestamp",
            "When a scheduler last looked for what is due, in seconds since 1970.",
            multiprocess_mode="mostrecent",
        ),
        overdue_seconds=Gauge(
            "job_run_overdue_seconds",
            "For how long the oldest unfinished run has been due.",
            multiprocess_mode="mostrecent",
        ),
        quarantine_open=Gauge(
            "quarantine_open",
            "Events that wait in quarantine.",
            multiprocess_mode="mostrecent",
        ),
        quarantine_oldest_seconds=Gauge(
            "quarantine_oldest_seconds",
            "For how long the oldest event has been waiting in quarantine.",
            multiprocess_mode="mostrecent",
        ),
    )
