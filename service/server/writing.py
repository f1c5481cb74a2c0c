"""Writing: an answer on its way out, which never waits for its reader.

Stands in the place of a client's socket towards the server's own code, which may then write as if the reader
were quick. Laws: what was written arrives in order, whole or up to a break; nothing here waits; a file is
sent from a descriptor of its own, so that whoever wrote it may close it.
"""

import os
import socket
from collections import deque
from dataclasses import dataclass
from typing import IO, Final

SEND_BYTES: Final = 1_048_576


@dataclass(slots=True)
class _FilePart:
    descriptor: int
    offset: int
    left_bytes: int


class Outbox:
    """Takes what is written, sends what the socket takes, keeps the rest for `flush`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._waiting: deque[memoryview | _FilePart] = deque()
        self.held_bytes = 0
        """Of memory: what waits in files is not held."""

    @property
    def is_empty(self) -> bool:
        """Whether everything was sent."""
        return not self._waiting

    def sendall(self, data: bytes) -> None:
        """Take bytes; those that the socket takes at once are gone at once.

        Raises:
            OSError: the connection is broken.
        """
        view = memoryview(data)
        if not self._waiting:
            view = view[self._send(view) :]
        if view:
            self._waiting.append(view)
            self.held_bytes += len(view)

    def send(self, data: bytes) -> int:
        """Take bytes, all of them."""
        self.sendall(data)
        return len(data)

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:
        """Take a part of a file.

        Raises:
            OSError: the connection is broken.
        """
        descriptor = os.dup(file.fileno())
        left_bytes = os.fstat(descriptor).st_size - offset if count is None else count
        self._waiting.append(_FilePart(descriptor, offset, left_bytes))
        self.flush()
        return left_bytes

    def flush(self) -> int:
        """Send what the socket takes now; say how many bytes that was.

        Raises:
            OSError: the connection is broken.
        """
        sent_bytes = 0
        while self._waiting:
            part = self._waiting[0]
            step = self._send_file(part) if isinstance(part, _FilePart) else self._send_view(part)
            if step is None:
                break
            sent_bytes += step
        return sent_bytes

    def discard(self) -> None:
        """Forget what was not sent."""
        while self._waiting:
            part = self._waiting.popleft()
            if isinstance(part, _FilePart):
                os.close(part.descriptor)
        self.held_bytes = 0

    def _send(self, view: memoryview) -> int:
        try:
            return self._socket.send(view[:SEND_BYTES])
        except (BlockingIOError, InterruptedError):
            return 0

    def _send_view(self, view: memoryview) -> int | None:
        """Send from the part in front; None when the socket takes nothing."""
        sent_bytes = self._send(view)
        if not sent_bytes:
            return None
        self.held_bytes -= sent_bytes
        self._waiting[0] = view[sent_bytes:]
        if sent_bytes == len(view):
            self._waiting.popleft()
        return sent_bytes

    def _send_file(self, part: _FilePart) -> int | None:
        try:
            sent_bytes = os.sendfile(
                self._socket.fileno(), part.descriptor, part.offset, min(part.left_bytes, SEND_BYTES)
            )
        except (BlockingIOError, InterruptedError):
            return None
        part.offset += sent_bytes
        part.left_bytes -= sent_bytes
        # A file that became shorter ends here; its reader sees that the length it was told is not reached.
        if not sent_bytes or not part.left_bytes:
            self._waiting.popleft()
            os.close(part.descriptor)
        return sent_bytes

    # What the server's own code asks of a socket besides; the worker alone waits and closes.

    def fileno(self) -> int:
        """Name the socket's descriptor."""
        return self._socket.fileno()

    def gettimeout(self) -> float:
        """Say that it never waits."""
        return 0.0

    def settimeout(self, _seconds: float | None) -> None:
        """Keep never waiting."""

    def setblocking(self, _is_blocking: bool) -> None:
        """Keep never waiting."""

    def recv(self, _size: int) -> bytes:
        """Say that nothing more is to be read: a request is whole before anyone sees it."""
        return b""

    def shutdown(self, _how: int) -> None:
        """Leave it to the worker."""

    def close(self) -> None:
        """Leave it to the worker."""
