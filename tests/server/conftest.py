"""Fixtures of the server's tests: servers with any patience, and clients that are as bad as they like."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

START_WITHIN_S = 60
ANSWER_WITHIN_S = 30


@dataclass
class Served:
    """A running server with one worker."""

    port: int
    process: subprocess.Popen[bytes]

    def open(self, sent: bytes = b"", *, receive_bytes: int | None = None) -> socket.socket:
        """Connect and send; with a small buffer for what is received, if one is given."""
        made = socket.socket()
        if receive_bytes is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.settimeout(ANSWER_WITHIN_S)
        try:
            made.connect(("127.0.0.1", self.port))
            made.sendall(sent)
        except OSError:
            made.close()
            raise
        return made

    def worker(self) -> psutil.Process:
        """Give the process that answers."""
        return psutil.Process(self.process.pid).children()[0]


Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Give a function that starts a server with the patience given by name."""
    started: list[Served] = []

    def start(**patience: float) -> Served:
        port, metrics_port = _free_port(), _free_port()
        environ = {
            "PATH": os.environ["PATH"],
            "VAR_DIR": str(tmp_path_factory.mktemp("var")),
            "BIND": f"127.0.0.1:{port}",
            "METRICS_BIND": f"127.0.0.1:{metrics_port}",
            "WEB_WORKERS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.process", json.dumps(patience)],
            cwd=Path(__file__).parent.parent.parent,
            env=environ,
        )
        started.append(Served(port, process))
        _await_that_it_listens(started[-1])
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.process.terminate()
        for one in started:
            one.process.wait()


@pytest.fixture(scope="module")
def patient(serve: Serve) -> Served:
    """Give a server that waits longer than any test."""
    return serve(silence_s=300, head_s=300, grace_s=300, reader_silence_s=300)


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Give a stack that closes the connections that are put on it."""
    with ExitStack() as opened:
        yield opened


def _await_that_it_listens(served: Served) -> None:
    ends = time.monotonic() + START_WITHIN_S
    while time.monotonic() < ends:
        assert served.process.poll() is None, "the server did not start"
        with suppress(OSError), served.open(b"GET / HTTP/1.0\r\n\r\n") as probe:
            if probe.recv(1):
                return
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
