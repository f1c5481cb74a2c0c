"""Problems: every fault as RFC 9457 problem+json, the router's and the unexpected ones included.

Laws: a problem never says more than the fault's own sentence; one that nobody expected says the request id
only.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from flask import Response
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from service.core.errors import (
    Conflict,
    Fault,
    FieldError,
    Invalid,
    NotFound,
    TooLarge,
    Unavailable,
    Unreadable,
)
from service.runtime import db

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 2

_UNIQUE_VIOLATION: Final = "23505"
_TRY_LATER: Final = frozenset({"40001", "40P01", "55P03", "57014"})


class MethodNotAllowed(Fault):
    """The address is there; what was asked of it is not."""

    status = 405
    slug = "method-not-allowed"
    title = "This method is not allowed here"


class UnsupportedMediaType(Fault):
    """The body is of a kind that the operation does not take."""

    status = 415
    slug = "unsupported-media-type"
    title = "This kind of body is not taken"


class ParameterInvalid(Invalid):
    """A parameter of the address is unknown, repeated or out of bounds."""

    slug = "parameter-invalid"
    title = "A parameter is not valid"


class Internal(Fault):
    """Something went wrong that nobody expected; the log knows more under the request id."""

    status = 500
    slug = "internal"
    title = "Something went wrong on our side"


_BY_STATUS: Final[dict[int, type[Fault]]] = {
    400: Unreadable,
    404: NotFound,
    405: MethodNotAllowed,
    413: TooLarge,
    415: UnsupportedMediaType,
    503: Unavailable,
}


def of_http(fault: HTTPException) -> Fault:
    """Make a fault of what the router or the HTTP layer refused."""
    kind = _BY_STATUS.get(fault.code or 500, Unreadable if (fault.code or 500) < 500 else Internal)
    details = {
        404: "There is nothing at this address; /openapi.yaml lists what there is.",
        405: "This address does not answer to this method; the Allow header names those it answers to.",
        413: "The body is larger than this operation takes; /v1/limits names the limits.",
    }
    return kind(details.get(kind.status, f"{kind.title}."))


def of_database(fault: Exception) -> Fault | None:
    """Make a fault of what the database refused, where it is no mistake of ours; else None."""
    if isinstance(fault, PoolTimeout):
        return Unavailable("Every database connection is busy; send the request again shortly.")
    if not isinstance(fault, DBAPIError):
        return None
    state = getattr(fault.orig, "sqlstate", None)
    if isinstance(fault, IntegrityError) and state == _UNIQUE_VIOLATION:
        return Conflict("Another request stored the same at the same moment; read it, then decide.")
    if state in _TRY_LATER or (isinstance(fault, OperationalError) and db.is_away(fault)):
        return Unavailable("The database could not serve this now and stored nothing; send it again shortly.")
    return None


def document(fault: Fault, *, instance: str, request_id: str) -> dict[str, Any]:
    """Give the problem document of a fault; its own members come first."""
    problem: dict[str, Any] = {
        "type": f"/problems/{fault.slug}",
        "title": fault.title,
        "status": fault.status,
        "detail": fault.detail,
        "instance": instance,
        "request_id": request_id,
    }
    if fault.errors:
        problem["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in fault.errors]
    return problem | {name: value for name, value in fault.extra.items() if name not in problem}


def response(fault: Fault, *, instance: str, request_id: str) -> Response:
    """Answer with a fault."""
    # ASCII only: the address and the texts it quotes may hold anything.
    body = json.dumps(document(fault, instance=instance, request_id=request_id), default=str)
    made = Response(body, status=fault.status, mimetype=MEDIA_TYPE)
    if fault.status == 401:
        made.headers["WWW-Authenticate"] = 'Bearer realm="benefit-ledger"'
    if fault.status == 503:
        made.headers["Retry-After"] = str(RETRY_AFTER_S)
    made.headers.update(fault.headers)
    return made


def at(fault: Fault, renamed: Sequence[tuple[str, str]]) -> Fault:
    """Give the same fault with the pointers as the request's document has them.

    Args:
        renamed: pairs of a pointer's beginning as the act names it and as the document has it.
    """
    fault.errors = tuple(FieldError(_renamed(one.pointer, renamed), one.detail) for one in fault.errors)
    return fault


def _renamed(pointer: str, renamed: Sequence[tuple[str, str]]) -> str:
    for before, after in renamed:
        if pointer == before or pointer.startswith(f"{before}/"):
            return after + pointer[len(before) :]
    return pointer
