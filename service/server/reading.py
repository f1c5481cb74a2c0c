"""Reading: the bytes of one request as they come in, and where it ends. Touches no socket.

Owns the question whether a request is whole. The framing is h11's; what h11 cannot read as plain HTTP/1.1 is
handed on as it is, for the server to refuse in its own words. Laws: however the bytes are cut, the same
request comes out; what follows the request is given back untouched; a body that is announced or turns out
larger than the limit is not waited for.

Source: RFC 9112 sections 6 and 7, by the library h11.
"""

import io
from enum import Enum
from typing import Final

import h11
from gunicorn.http.unreader import Unreader
from werkzeug.exceptions import RequestEntityTooLarge

HEAD_BYTES_MAX: Final = 65_536
"""Of request line and headers; the server's own limits are narrower, and name what is too long."""

CHUNKS_MAX: Final = 32_768
"""Of a body in chunks; each costs its framing, however little it holds."""

CHUNKED_OVERHEAD: Final = 2
"""How many times as long as its content a body in chunks may be."""


class Progress(Enum):
    """How far the reading of a request is."""

    PARTIAL = "partial"
    WHOLE = "whole"
    HANDED_ON = "handed on"
    """Whatever more would come, it is not waited for: the answer will be a refusal."""


class Reading:
    """One request on its way in."""

    def __init__(self, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._framing = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._chunk_count = 0
        self.size_bytes = 0
        self.is_continued = False
        """Whether the client was told so."""
        self.has_head = False
        """Whether request line and headers are complete."""
        self.target = ""
        """What is asked for, once the head is complete."""

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits to be told that it may send the body."""
        return self._framing.they_are_waiting_for_100_continue

    def feed(self, data: bytes) -> Progress:
        """Take what came in."""
        self._parts.append(data)
        self.size_bytes += len(data)
        try:
            self._framing.receive_data(data)
            while True:
                event = self._framing.next_event()
                if event is h11.NEED_DATA:
                    return Progress.PARTIAL
                if isinstance(event, h11.EndOfMessage):
                    return Progress.WHOLE
                if not isinstance(event, (h11.Request, h11.Data)) or self._is_beyond(event):
                    return Progress.HANDED_ON
        except h11.RemoteProtocolError:
            return Progress.HANDED_ON

    def take(self, progress: Progress) -> tuple[bytes, bytes]:
        """Give the request's bytes, and what follows them."""
        everything = b"".join(self._parts)
        if progress is not Progress.WHOLE:
            return everything, b""
        rest, _ = self._framing.trailing_data
        return everything[: len(everything) - len(rest)], rest

    def _is_beyond(self, event: h11.Request | h11.Data) -> bool:
        """Note what came in; tell whether the body is one that is not waited for."""
        if isinstance(event, h11.Request):
            self.target = event.target.decode("latin-1")
            self.has_head = True
            announced = next((value for name, value in event.headers if name == b"content-length"), b"0")
            return int(announced) > self._body_bytes_max
        self._body_bytes += len(event.data)
        self._chunk_count += event.chunk_start
        return (
            self._body_bytes > self._body_bytes_max
            or self._chunk_count > CHUNKS_MAX
            or self.size_bytes > HEAD_BYTES_MAX + CHUNKED_OVERHEAD * self._body_bytes_max
        )


class Bytes(Unreader):  # type: ignore[misc]
    """What the server's own parser reads a request from, in the place of a socket: it is all there.

    Args:
        is_cut: the body ends here only because the rest was not waited for; who reads on is told.
    """

    def __init__(self, request: bytes, *, is_cut: bool = False) -> None:
        super().__init__()
        self._stream = io.BytesIO(request)
        self._is_cut = is_cut

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """Read so many bytes, or some; none at the end.

        Raises:
            RequestEntityTooLarge: the request was cut, so that its beginning is never taken for the whole.
        """
        wanted = size if size is not None and size >= 0 else read_ahead or HEAD_BYTES_MAX
        data = self._stream.read(wanted)
        if self._is_cut and wanted and not data:
            raise RequestEntityTooLarge
        return data

    def unread(self, data: bytes) -> None:
        """Give back the end of what was just read."""
        self._stream.seek(-len(data), io.SEEK_CUR)

    def take_buffered(self) -> bytes:
        """Take what nobody read."""
        return self._stream.read()
