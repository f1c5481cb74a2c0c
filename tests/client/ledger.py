"""A small real HTTP server that takes events as the service does, and fails as it is told."""

import gzip
import hashlib
import json
import socket
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zstandard

from benefit_ledger_client import Client

Deed = Callable[["Handler", bytes], bool]
"""What is done with a request instead of answering it; True if it is answered as usual all the same."""


@dataclass
class Ledger:
    """What the server was sent, what it took, and what it is told to do with the next requests."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    taken: dict[bytes, bytes] = field(default_factory=dict)
    """The receipts that were given, by the digest of their batch."""
    events: list[str] = field(default_factory=list)
    """The ids that were taken, in order; those of a replayed batch once."""
    deeds: deque[Deed] = field(default_factory=deque)
    always: Deed | None = None
    is_bad: Callable[[dict[str, Any]], bool] = lambda _: False
    codings: tuple[str, ...] = ("zstd", "gzip", "")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, **options: Any) -> Client:
        """Make a client of this server that waits for nothing long."""
        given = {"give_up_after_s": 20.0, "answer_timeout_s": 5.0, **options}
        return Client(self.url, "key", **given)

    def take(self, body: bytes) -> tuple[int, bytes]:
        """Judge a batch as the service does."""
        digest = hashlib.sha256(body).digest()
        with self.lock:
            if digest in self.taken:
                document = {**json.loads(self.taken[digest]), "replayed": True}
                return 207 if document["items"] else 200, json.dumps(document).encode()
            lines = [json.loads(line) for line in body.splitlines()]
            bad = [(index, one) for index, one in enumerate(lines) if self.is_bad(one)]
            self.events += [one["id"] for one in lines if not self.is_bad(one)]
            document = {
                "batch_id": f"batch-{len(self.taken)}",
                "sha256": digest.hex(),
                "counts": {"accepted": len(lines) - len(bad), "rejected": len(bad)},
                "items": [
                    {
                        "index": index,
                        "id": one["id"],
                        "verdict": "rejected",
                        "code": "unknown_creator",
                        "errors": [{"pointer": "/data/creator", "detail": "There is none."}],
                    }
                    for index, one in bad
                ],
                "replayed": False,
            }
            self.taken[digest] = json.dumps(document).encode()
            return 207 if bad else 200, self.taken[digest]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    ledger: Ledger

    def do_POST(self) -> None:
        """Read the request, do what is told, or answer."""
        ledger = self.ledger
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with ledger.lock:
            ledger.requests.append((self.command, self.path, dict(self.headers)))
            ledger.bodies.append(body)
            deed = ledger.deeds.popleft() if ledger.deeds else ledger.always
        if deed is not None and not deed(self, body):
            return
        if not self.path.startswith("/v1/events"):
            self.answer(201, json.dumps({"got": json.loads(body)}).encode())
            return
        coding = self.headers.get("Content-Encoding", "")
        if coding not in ledger.codings:
            self.answer(415, b'{"type": "/problems/unsupported-media-type"}')
            return
        self.answer(*ledger.take(inflate(coding, body)))

    do_GET = do_POST  # noqa: N815 — the library's name.

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Write an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def inflate(coding: str, body: bytes) -> bytes:
    """Unpack a body."""
    match coding:
        case "zstd":
            return zstandard.ZstdDecompressor().decompress(body)
        case "gzip":
            return gzip.decompress(body)
    return body


def drops(handler: Handler, _: bytes) -> bool:
    """End the connection without an answer; the batch was not taken."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return False


def drops_afterwards(handler: Handler, body: bytes) -> bool:
    """Take the batch and end the connection before the answer."""
    handler.ledger.take(inflate(handler.headers.get("Content-Encoding", ""), body))
    return drops(handler, body)


def cuts_its_answer(handler: Handler, body: bytes) -> bool:
    """Take the batch and send half of the receipt."""
    _, receipt = handler.ledger.take(inflate(handler.headers.get("Content-Encoding", ""), body))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(receipt)))
    handler.end_headers()
    handler.wfile.write(receipt[: len(receipt) // 2])
    return drops(handler, body)


def trickles(handler: Handler, body: bytes) -> bool:
    """Take the batch and send the receipt a byte at a time, until the client has enough of it."""
    _, receipt = handler.ledger.take(inflate(handler.headers.get("Content-Encoding", ""), body))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(receipt)))
    handler.end_headers()
    handler.close_connection = True
    is_over = threading.Event()
    try:
        for place in range(len(receipt)):
            handler.wfile.write(receipt[place : place + 1])
            is_over.wait(0.05)
    except OSError:
        pass
    return False


def stalls(handler: Handler, _: bytes) -> bool:
    """Say nothing until the client goes away."""
    handler.close_connection = True
    handler.connection.recv(1)
    return False


def says(status: int, body: bytes = b"{}", **headers: str) -> Deed:
    """Answer in a certain way, and take nothing."""

    def deed(handler: Handler, _: bytes) -> bool:
        handler.answer(status, body, **headers)
        return False

    return deed


def limits_to(event_count: int) -> Deed:
    """Refuse batches of more events."""

    def deed(handler: Handler, body: bytes) -> bool:
        content = inflate(handler.headers.get("Content-Encoding", ""), body)
        if content.count(b"\n") <= event_count:
            return True
        handler.answer(413, b'{"detail": "Send fewer."}')
        return False

    return deed


@contextmanager
def running() -> Iterator[Ledger]:
    """Run a server."""
    ledger = Ledger()
    handler = type("ItsHandler", (Handler,), {"ledger": ledger})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    ledger.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield ledger
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def crc(text: str) -> int:
    """Give a number that a text always has."""
    return zlib.crc32(text.encode())
