"""The shipped server around the real application: intake goes on whatever other clients do."""

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from service.events import wire
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.api import world as world_module
from tests.api.world import World
from tests.server.conftest import Served, _await_that_it_listens, _free_port
from tests.server.test_clients import answer_of, is_open
from tests.world import event

LIMIT = wire.BODY_BYTES_MAX


@dataclass
class Shipped:
    """The service as `benefit-ledger serve` runs it, with one worker, and a key."""

    served: Served
    world: World
    key: str

    def head(self, *lines: str) -> bytes:
        """Write the head of a request for intake."""
        first = ["POST /v1/events HTTP/1.1", "Host: x", f"Authorization: Bearer {self.key}"]
        return "\r\n".join([*first, f"Content-Type: {wire.BATCH}", *lines, "", ""]).encode()

    def batch(self, name: str, count: int) -> bytes:
        """Write a batch."""
        at = self.world.now()
        return json.dumps([event(f"{name}-{one}", "view", at, "linh") for one in range(count)]).encode()


@pytest.fixture
def shipped(database_urls: Endpoint, database: Database, tmp_path: Path) -> Iterator[Shipped]:
    """Give the running service."""
    world = world_module.build(database, tmp_path)
    port, metrics_port = _free_port(), _free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_urls.app_url,
        "SECRET_KEY": "s" * 32,
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "VAR_DIR": str(tmp_path),
        "BIND": f"127.0.0.1:{port}",
        "METRICS_BIND": f"127.0.0.1:{metrics_port}",
        "WEB_WORKERS": "1",
        "LOG_LEVEL": "error",
    }
    served = Served(port, subprocess.Popen([sys.executable, "-m", "service.cli", "serve"], env=environ))
    try:
        _await_that_it_listens(served)
        yield Shipped(served, world, world.key())
    finally:
        served.process.terminate()
        served.process.wait()


def problem(client: socket.socket) -> tuple[int, dict[str, Any]]:
    """Read a problem."""
    answer = answer_of(client)
    return answer.status, json.loads(answer.body)


def test_two_hundred_stalled_uploads_do_not_keep_a_good_client_waiting(
    shipped: Shipped, clients: ExitStack
) -> None:
    """Uploads, half-sent heads and chunks without an end; batches are accepted beside them, packed or not."""
    kinds = [
        shipped.head("Content-Length: 100000") + b"[" * 1_000,
        shipped.head()[:-30],
        shipped.head("Transfer-Encoding: chunked") + b"3e8\r\n" + b"[" * 1_000 + b"\r\n",
        shipped.head("Content-Encoding: gzip", "Content-Length: 5000") + gzip.compress(b"[")[:10],
    ]
    bad = [clients.enter_context(shipped.served.open(kinds[number % 4])) for number in range(200)]
    good = http.client.HTTPConnection("127.0.0.1", shipped.served.port, timeout=30)
    clients.callback(good.close)
    accepted = 0
    for number in range(20):
        content = shipped.batch(f"good{number}", 100)
        headers = {"Authorization": f"Bearer {shipped.key}", "Content-Type": wire.BATCH}
        if number % 2:
            content, headers["Content-Encoding"] = gzip.compress(content), "gzip"
        good.request("POST", "/v1/events", content, headers)
        accepted += json.loads(good.getresponse().read())["counts"]["accepted"]

    assert 2_000 == accepted
    assert [True] * 200 == [is_open(one) for one in bad]


def test_a_body_that_is_too_long_is_refused_by_its_announcement(shipped: Shipped, clients: ExitStack) -> None:
    """413 with the limits, before a byte of it was sent; one of just the limit is asked for."""
    lines = ("Expect: 100-continue", "Content-Length: {}")
    over = shipped.head(*lines).decode().format(LIMIT + 1).encode()
    full = shipped.head(*lines).decode().format(LIMIT).encode()
    status, found = problem(clients.enter_context(shipped.served.open(over)))
    client = clients.enter_context(shipped.served.open(full))
    asked = client.recv(1_000)
    client.sendall(b"[]".ljust(LIMIT))

    assert (413, "/problems/too-large") == (status, found["type"])
    assert dict(wire.LIMITS) == {name: found[name] for name in wire.LIMITS}
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == asked
    assert 200 == answer_of(client).status


def test_a_body_without_an_announcement_is_refused_at_the_limit(shipped: Shipped, clients: ExitStack) -> None:
    """It need not end for that; one of just the limit is taken."""
    head = shipped.head("Transfer-Encoding: chunked")
    chunk = b"%x\r\n" % (LIMIT // 8)
    pieces = [chunk + piece.ljust(LIMIT // 8) + b"\r\n" for piece in [b"[", *[b""] * 6, b"]"]]
    full = clients.enter_context(shipped.served.open(head + b"".join(pieces) + b"0\r\n\r\n"))
    over = clients.enter_context(shipped.served.open(head + b"".join(pieces) + b"1\r\n \r\n"))

    assert 200 == answer_of(full).status
    status, found = problem(over)
    assert (413, "/problems/too-large") == (status, found["type"])
