"""The worker: gunicorn's threads, which see whole requests only and never wait for a client.

One loop waits for all sockets, and writes what readers did not take at once. A thread reads what is there,
without waiting, and goes on to answer when that was the request's last byte. Laws: no client, however slow or
silent, holds a thread; what all unfinished requests and answers of a process hold together is bounded, and
whoever takes longest makes room; requests of one connection are answered one after another, in their order.

What stands under "in a thread" runs there, and owns its connection meanwhile; everything else runs in the
loop's own thread. A look at the sockets tells of many at once: whoever was let go on account of one of them
may still be told of, and is in no phase any more.
"""

import errno
import json
import selectors
import socket
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn, ThreadWorker

from service.api import problems
from service.core.errors import Fault, Unavailable
from service.runtime import metrics
from service.server.reading import Bytes, Progress, Reading
from service.server.writing import Outbox

RECEIVE_BYTES: Final = 262_144
READS_A_TURN: Final = 64
"""A thread reads no longer for a client that sends a byte at a time."""

LOOK_EVERY_S: Final = 0.25
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_DONE: Final = (Progress.WHOLE, Progress.HANDED_ON)
_log = structlog.stdlib.get_logger("server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long clients are waited for, and how much is held for them.

    Args:
        silence_s: for the next byte of a request.
        head_s: for a whole request line and headers.
        grace_s: before a rate is asked of a body or a reader.
        rate_bytes_s: the least average rate then.
        reader_silence_s: for a reader to take anything; generous, since a kernel buffers for slow lines.
        linger_s: for a client to notice that its connection ends.
        body_bytes_max: the largest body that is waited for; more is refused unread.
        held_bytes_max: of all requests and answers on their way, in one process.
        connections_max: of one process; below what it may open by default.
    """

    silence_s: float = 10.0
    head_s: float = 15.0
    grace_s: float = 15.0
    rate_bytes_s: int = 8_192
    reader_silence_s: float = 30.0
    linger_s: float = 2.0
    body_bytes_max: int = 8 * 1_048_576
    held_bytes_max: int = 96 * 1_048_576
    connections_max: int = 800


class TooSlow(Fault):
    """The rest of the request did not come in time."""

    status = 408
    slug = "too-slow"
    title = "The request did not come in time"


class Connection(TConn):  # type: ignore[misc]
    """One client's connection, and what is on its way on it."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.socket = sock
        self.sock = Outbox(sock)
        # There is no handshake, and a thread sees the connection only with a whole request.
        self.initialized = self.data_ready = True
        self.reading: Reading | None = None
        self.rest = b""
        self.is_whole = True
        self.is_kept = True
        self.begun_at_s = self.moved_at_s = time.monotonic()
        self.moved_bytes = 0
        self.held_bytes = 0

    def begin(self) -> None:
        """Begin another phase: reading, writing, ending."""
        self.begun_at_s = self.moved_at_s = time.monotonic()
        self.moved_bytes = 0

    def moved(self, size_bytes: int) -> None:
        """Note that the client did something."""
        self.moved_bytes += size_bytes
        self.moved_at_s = time.monotonic()

    def rate_bytes_s(self, now_s: float) -> float:
        """Tell how quick the client has been in this phase."""
        return self.moved_bytes / max(now_s - self.begun_at_s, 0.001)

    def is_slow(self, now_s: float, patience: Patience) -> bool:
        """Tell whether the client had its grace and is below the least rate."""
        return now_s - self.begun_at_s > patience.grace_s and self.rate_bytes_s(now_s) < patience.rate_bytes_s

    def close(self, graceful: bool = False) -> None:
        """Close the socket at once."""
        del graceful
        self.sock.discard()
        self.socket.close()


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's worker with threads, reading and writing for them."""

    patience = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each in the order in which the phase was begun.
        self.readings: dict[Connection, None] = {}
        self.pauses: dict[Connection, None] = {}
        self.drains: dict[Connection, None] = {}
        self.lingers: dict[Connection, None] = {}
        self.held_bytes = 0
        self.looked_at_s = 0.0

    # Reading.

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; where there are too many, an idle or old one makes room."""
        try:
            sock, client = listener.accept()
        except OSError as fault:
            if fault.errno in {errno.EMFILE, errno.ENFILE}:
                self._evict()
            elif fault.errno not in {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}:
                raise
            return
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._evict()
        self._read(Connection(self.cfg, sock, client, listener.getsockname()), b"")

    def on_client_socket_readable(self, conn: Connection, client: Outbox) -> None:
        """Begin another request on a connection that was kept."""
        if conn not in self.keepalived_conns:
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.reading = Reading(self.patience.body_bytes_max)
        conn.begin()
        self.enqueue_req(conn)

    def _read(self, conn: Connection, rest: bytes) -> None:
        """Begin to read a request, of which some bytes may be there."""
        conn.reading, conn.rest = Reading(self.patience.body_bytes_max), rest
        conn.begin()
        if rest:
            self.enqueue_req(conn)
        else:
            self._await(conn)

    def _await(self, conn: Connection) -> None:
        """Wait for more of a request, with no thread."""
        self.readings[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))

    def _on_readable(self, conn: Connection, _client: Outbox) -> None:
        is_full = self.held_bytes >= self.patience.held_bytes_max and not self._evict(holding=True)
        if conn not in self.readings:
            return
        self._leave(conn)
        if is_full:
            self.pauses[conn] = None
        else:
            self.enqueue_req(conn)

    # In a thread of the pool.

    def handle(self, conn: Connection) -> Any:
        """Read what is there; answer the request when it is whole."""
        progress = self._gather(conn)
        return super().handle(conn) if progress in _DONE else progress

    def _gather(self, conn: Connection) -> Progress | None:
        """Read without waiting; None when the client is gone."""
        reading = conn.reading
        assert reading is not None, "a thread is given a connection to read a request from"
        progress = Progress.PARTIAL
        for _ in range(READS_A_TURN):
            data, conn.rest = conn.rest or self._receive(conn), b""
            if not data:
                return None if data is not None else progress
            conn.moved(len(data))
            progress = reading.feed(data)
            if progress is not Progress.PARTIAL:
                break
            if reading.wants_continue and not reading.is_continued:
                reading.is_continued = True
                conn.sock.sendall(CONTINUE)
        else:
            return progress
        request, conn.rest = reading.take(progress)
        conn.reading, conn.is_whole = None, progress is Progress.WHOLE
        conn.parser = RequestParser(self.cfg, (), conn.client)
        conn.parser.unreader = Bytes(request, is_cut=reading.has_head and not conn.is_whole)
        return progress

    def _receive(self, conn: Connection) -> bytes | None:
        """Take what came in: b"" when the client is gone, None when there is nothing at present."""
        try:
            return conn.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a request; one that is not whole is the last of its connection."""
        req._expected_100_continue = False  # noqa: SLF001 — it was told already, or shall not be.
        if not conn.is_whole:
            req.force_close()
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """Keep a connection only when the server found the request's end where it is."""
        if not keepalive or not conn.is_whole or not conn.parser.finish_body():
            return False
        return not conn.parser.unreader.take_buffered()

    # After the answer.

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Send what is left of the answer; then go on with the connection, or end it."""
        result = None if fs.cancelled() or fs.exception() is not None else fs.result()
        if result is Progress.PARTIAL and conn.reading is not None:
            self._hold(conn, conn.reading.size_bytes)
            self._await(conn)
            # The look at all might always fall into the moments in which a thread reads for this one.
            self._judge(conn, time.monotonic())
            while self.held_bytes > self.patience.held_bytes_max:
                if not self._evict(holding=True):
                    break
            return
        if result is None:
            self._end(conn)
            self._resume()
            return
        conn.parser, conn.is_kept = None, bool(result)
        self._hold(conn, conn.sock.held_bytes + len(conn.rest))
        if conn.sock.is_empty:
            self._go_on(conn)
        else:
            conn.begin()
            self.drains[conn] = None
            self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._on_writable, conn))
        self._resume()

    def _on_writable(self, conn: Connection, _client: Outbox) -> None:
        if conn not in self.drains:
            return
        try:
            conn.moved(conn.sock.flush())
        except OSError:
            self._end(conn)
            return
        self._hold(conn, conn.sock.held_bytes + len(conn.rest))
        if conn.sock.is_empty:
            self._leave(conn)
            self._go_on(conn)

    def _go_on(self, conn: Connection) -> None:
        self._hold(conn, 0)
        if not conn.is_kept:
            self._linger(conn)
        elif conn.rest:
            self._read(conn, conn.rest)
        else:
            conn.set_timeout()
            self.keepalived_conns.append(conn)
            if not self.alive:
                self._cap_keepalive(time.monotonic() + self.patience.linger_s)
            self.poller.register(
                conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn)
            )

    def _linger(self, conn: Connection) -> None:
        """End a connection so that the client can still read the answer (RFC 9112 section 9.6)."""
        try:
            conn.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(conn)
            return
        conn.begin()
        self.lingers[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_lingering, conn))

    def _on_lingering(self, conn: Connection, _client: Outbox) -> None:
        if conn in self.lingers and self._receive(conn) == b"":
            self._end(conn)

    # Patience.

    def murder_pending(self) -> None:
        """Give up on those who took too long; asked after every look at the sockets."""
        now_s = time.monotonic()
        if now_s - self.looked_at_s < LOOK_EVERY_S:
            return
        self.looked_at_s = now_s
        for conn in list(self.readings):
            self._judge(conn, now_s)
        for conn in list(self.drains):
            is_silent = now_s - conn.moved_at_s > self._while_alive(self.patience.reader_silence_s)
            if is_silent or conn.is_slow(now_s, self.patience):
                self._tell("reader-given-up", conn)
                self._end(conn)
        for conn in list(self.lingers):
            if now_s - conn.begun_at_s > self.patience.linger_s:
                self._end(conn)
        self._resume()

    def _judge(self, conn: Connection, now_s: float) -> None:
        reading = conn.reading
        assert reading is not None, "it is read"
        waited_s = now_s - conn.begun_at_s
        if not reading.size_bytes:
            # Nothing was asked, so there is nothing to answer.
            if waited_s > self._while_alive(self.patience.silence_s):
                self._end(conn)
            return
        is_late = not reading.has_head and waited_s > self.patience.head_s
        is_silent = now_s - conn.moved_at_s > self._while_alive(self.patience.silence_s)
        if is_late or is_silent or conn.is_slow(now_s, self.patience):
            self._refuse(conn, TooSlow("The rest of the request did not come in time; send it again."))

    def _while_alive(self, seconds: float) -> float:
        """Give a time to wait; much less of it once this process shall stop."""
        return seconds if self.alive else min(seconds, self.patience.linger_s)

    def _refuse(self, conn: Connection, fault: Fault) -> None:
        """Answer a request that is not whole with a problem, and end its connection."""
        assert conn.reading is not None, "it is read"
        request_id = uuid.uuid4().hex
        self._tell("client-given-up", conn, slug=fault.slug, request_id=request_id)
        metrics.refused(fault.slug)
        document = problems.document(fault, instance=conn.reading.target, request_id=request_id)
        body = json.dumps(document).encode()
        head = [
            f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}",
            f"Content-Type: {problems.MEDIA_TYPE}",
            f"Content-Length: {len(body)}",
            f"X-Request-Id: {request_id}",
            f"Retry-After: {problems.RETRY_AFTER_S}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        self._leave(conn)
        self._hold(conn, 0)
        conn.reading = None
        with suppress(OSError):
            conn.sock.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        conn.sock.discard()
        self._linger(conn)

    def _evict(self, *, holding: bool = False) -> bool:
        """Let the client that takes longest make room.

        Args:
            holding: only one for whom something is held.

        Returns:
            False if everyone is being served.
        """
        if not holding and self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()
        elif not holding and self.lingers:
            self._end(next(iter(self.lingers)))
        elif (conn := _oldest(self.readings, holding=holding)) is not None:
            if conn.moved_bytes:
                self._refuse(conn, Unavailable("Too many requests are on their way; send it again shortly."))
            if not holding:
                self._end(conn)
        elif (conn := _oldest(self.drains, holding=holding)) is not None:
            self._tell("reader-given-up", conn)
            self._end(conn)
        else:
            return False
        return True

    def _resume(self) -> None:
        """Go on reading where there was no room."""
        while self.pauses and self.held_bytes < self.patience.held_bytes_max:
            conn = next(iter(self.pauses))
            del self.pauses[conn]
            conn.begin()
            self.enqueue_req(conn)

    # What every phase needs.

    def _hold(self, conn: Connection, size_bytes: int) -> None:
        self.held_bytes += size_bytes - conn.held_bytes
        conn.held_bytes = size_bytes

    def _leave(self, conn: Connection) -> None:
        """Leave the present phase."""
        for phase in (self.readings, self.drains, self.lingers):
            if conn in phase:
                del phase[conn]
                self.poller.unregister(conn.sock)

    def _end(self, conn: Connection) -> None:
        self._leave(conn)
        self._hold(conn, 0)
        self.nr_conns -= 1
        conn.close()

    def _tell(self, words: str, conn: Connection, **more: str) -> None:
        _log.info(
            words,
            waited_s=round(time.monotonic() - conn.begun_at_s, 1),
            moved_bytes=conn.moved_bytes,
            **more,
        )


def _oldest(phase: Iterable[Connection], *, holding: bool) -> Connection | None:
    return min(
        (one for one in phase if one.held_bytes or not holding),
        key=lambda one: one.begun_at_s,
        default=None,
    )
