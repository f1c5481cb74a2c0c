"""Metrics: counted by template, summed over processes, shown at an address of their own."""

import http.client
import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from werkzeug.test import Client as Asker

from service.runtime import metrics
from service.runtime.settings import Address
from tests.api.client import Client
from tests.api.story import send_events
from tests.api.world import World

COUNT = """
import sys
from service.runtime import metrics
metrics.answered("/v1/limits", "GET", 200, 0.01)
metrics.ingested(3, 1)
"""
SHOW = """
from werkzeug.test import Client
from service.runtime import metrics
print(Client(metrics.application()).get("/").text)
"""


def shown() -> dict[str, float]:
    """Read the metrics of this process, by name and labels."""
    lines = Asker(metrics.application()).get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def test_a_request_is_counted_by_its_template(client: Client) -> None:
    """No path, and nobody's id, is ever a label."""
    name = 'http_requests_total{method="GET",route="/v1/creators/<creator>",status="200"}'
    before = shown().get(name, 0)

    client.get("/v1/creators/linh")

    after = shown()
    assert before + 1 == after[name]
    assert not any("linh" in label for label in after)


def test_a_request_to_nowhere_is_counted_under_one_name(client: Client) -> None:
    """Addresses that people make up make no series."""
    client.get("/v1/made-up")

    assert not any("made-up" in label for label in shown())
    assert shown()['http_requests_total{method="GET",route="(none)",status="404"}'] >= 1


def test_a_problem_is_counted_by_its_type(client: Client) -> None:
    """A rise of one type is an alarm of its own."""
    name = 'http_problems_total{type="unauthenticated"}'
    before = shown().get(name, 0)

    client.of(None).get("/v1/limits")

    assert before + 1 == shown()[name]


def test_events_are_counted_once(client: Client, world: World) -> None:
    """A repeat of the same bytes is no new event."""
    name = 'events_ingested_total{result="accepted"}'
    before = shown().get(name, 0)

    send_events(client, world)
    send_events(client, world)

    assert before + 3 == shown()[name]


def test_a_tick_leaves_its_time(client: Client) -> None:
    """An alarm asks how long ago it was."""
    at = datetime(2026, 11, 21, tzinfo=UTC)

    metrics.ticked(at, overdue_s=7)

    assert at.timestamp() == shown()["scheduler_last_tick_timestamp"]
    assert 7 == shown()["job_run_overdue_seconds"]


def test_processes_that_share_a_folder_are_summed(tmp_path: Path) -> None:
    """Also those that have ended: what they counted, they counted."""
    environ = {**os.environ, metrics.FOLDER_VARIABLE: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT], env=environ, check=True)

    run = subprocess.run(
        [sys.executable, "-c", SHOW], env=environ, check=True, capture_output=True, text=True
    )

    lines = run.stdout.splitlines()
    assert 'http_requests_total{method="GET",route="/v1/limits",status="200"} 2.0' in lines
    assert 'events_ingested_total{result="accepted"} 6.0' in lines


def test_metrics_are_served_at_an_address_of_their_own() -> None:
    """Not where the API is: it is for the operator's network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    server = metrics.serve(Address("127.0.0.1", port))

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    server.shutdown()
    server.server_close()
    assert "build_info{" in text


def test_the_api_does_not_show_metrics(client: Client) -> None:
    """Whoever reaches the API reaches no figures of the whole."""
    assert 404 == client.get("/metrics").status_code
    assert "/metrics" not in json.dumps(client.rules.contract.document["paths"])
