"""A server in a process of its own, with an application that answers in ways that try a server."""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from service import server
from service.runtime import logs, settings
from service.server.worker import Patience

LARGE_BYTES = 24 * 1_048_576
"""More than the buffers of two kernels hold."""

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Answer what the body was, or something large from memory or from a file."""
    path = environ["PATH_INFO"]
    if path == "/memory":
        start_response("200 OK", [("Content-Length", str(LARGE_BYTES))])
        return [large()]
    if path == "/pieces":
        start_response("200 OK", [])
        content = large()
        return (content[start : start + 1_048_576] for start in range(0, LARGE_BYTES, 1_048_576))
    if path == "/file":
        file = tempfile.TemporaryFile()  # noqa: SIM115 — the server closes it.
        file.write(large())
        file.seek(0)
        start_response("200 OK", [("Content-Length", str(LARGE_BYTES))])
        return environ["wsgi.file_wrapper"](file)
    is_read = path != "/unread"
    body = environ["wsgi.input"].read() if is_read else b""
    answer = json.dumps(
        {"path": path, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    ).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


@cache
def large() -> bytes:
    """Make bytes of which every part tells its place."""
    return b"".join(number.to_bytes(8, "big") for number in range(LARGE_BYTES // 8))


def main() -> None:
    """Serve as the environment says; the first argument holds the patience."""
    logs.configure("error", sys.stderr)
    patience = Patience(**json.loads(sys.argv[1]))
    server.serve(settings.read(os.environ), lambda: application, patience=patience)


if __name__ == "__main__":
    main()
