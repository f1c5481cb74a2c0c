"""The application: the API and the pages behind one door that logs, counts, guards and explains.

Laws: every request gets an id and one log line; every fault of the API is a problem document; an unexpected
one says its request id and nothing else; no answer leaves while a transaction of its request is open.
"""

import re
import time
import uuid
from typing import Final

import structlog
from flask import Flask, Response, g, has_request_context, request
from sqlalchemy import event
from sqlalchemy.engine import Connection
from werkzeug.exceptions import HTTPException

from service.api import contract, dispatch, nouns, problems, reference
from service.core.errors import Fault
from service.runtime import metrics
from service.web import pages
from service.wiring import System

REQUEST_HEADER: Final = "X-Request-Id"
BODY_BYTES_MAX: Final = 16 * 1_048_576
"""More than any operation takes; each has a limit of its own below."""

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STRICT_TRANSPORT: Final = "max-age=31536000"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NO_TRACE: Final = ("0" * 32, "0" * 16)

_log = structlog.stdlib.get_logger("access")


def create(system: System) -> Flask:
    """Make the application around a wired system.

    Raises:
        ContractBroken: openapi.yaml and the code differ.
    """
    app = Flask("benefit-ledger", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES_MAX, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.merge_slashes = False
    known = contract.load()
    for blueprint in dispatch.blueprints(system, known, nouns.ALL):
        app.register_blueprint(blueprint)
    app.register_blueprint(reference.blueprint(known))
    app.register_blueprint(pages.blueprint(system))
    for moment, listener in (("begin", _began), ("commit", _ended), ("rollback", _ended)):
        event.listen(system.database.engine, moment, listener)
    app.before_request(_begin)
    app.register_error_handler(Exception, lambda fault: _explain(system, fault))
    is_behind_tls = system.settings.public_url.startswith("https://")
    app.after_request(lambda response: _finish(response, is_behind_tls=is_behind_tls))
    return app


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get(REQUEST_HEADER, "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id, **_trace())


def _trace() -> dict[str, str]:
    """Continue the caller's trace (W3C Trace Context), or begin one."""
    match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    span_id = uuid.uuid4().hex[:16]
    if match is None or match[1] == _NO_TRACE[0] or match[2] == _NO_TRACE[1]:
        return {"trace_id": uuid.uuid4().hex, "span_id": span_id}
    return {"trace_id": match[1], "parent_span_id": match[2], "span_id": span_id}


def _explain(system: System, fault: Exception) -> Response:
    """Answer a fault as a problem, or to a browser as a page; log what nobody expected."""
    known = _known(fault)
    metrics.refused(known.slug)
    if _is_browser():
        response = pages.explain(system, known)
    else:
        response = problems.response(known, instance=request.path, request_id=g.request_id)
    if isinstance(fault, HTTPException):
        response.headers.extend((name, value) for name, value in fault.get_headers() if name == "Allow")
    return response


def _is_browser() -> bool:
    """Tell whether a person is looking: browsers name HTML first, and the API is not for them."""
    preferred = request.accept_mimetypes.best_match([problems.MEDIA_TYPE, "text/html"])
    return preferred == "text/html" and not request.path.startswith("/v1/")


def _known(fault: Exception) -> Fault:
    if isinstance(fault, Fault):
        return fault
    if isinstance(fault, HTTPException):
        return problems.of_http(fault)
    expected = problems.of_database(fault)
    if expected is not None:
        _log.warning("database", fault=type(fault).__name__)
        return expected
    _log.error("unexpected", exc_info=fault)
    return _internal()


def _internal() -> Fault:
    return problems.Internal(
        "Nobody expected this. Name the request id when you report it; send the request again with the same"
        " Idempotency-Key to learn what became of it."
    )


def _finish(response: Response, *, is_behind_tls: bool) -> Response:
    if g.get("open_transactions"):
        _log.error("transaction-open", count=len(g.open_transactions))
        response = problems.response(_internal(), instance=request.path, request_id=g.request_id)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    is_page = response.mimetype == "text/html"
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else API_POLICY)
    if is_behind_tls:
        response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
    response.headers[REQUEST_HEADER] = g.request_id
    seconds = time.perf_counter() - g.started
    route = request.url_rule.rule if request.url_rule is not None else "(none)"
    metrics.answered(route, request.method, response.status_code, seconds)
    _log.info(
        "request",
        method=request.method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        bytes=response.calculate_content_length(),
    )
    return response


def _began(connection: Connection) -> None:
    if has_request_context():
        _open_transactions().add(id(connection))


def _ended(connection: Connection) -> None:
    if has_request_context():
        _open_transactions().discard(id(connection))


def _open_transactions() -> set[int]:
    """Give the transactions that the present request has open."""
    known: set[int] = g.setdefault("open_transactions", set())
    return known
