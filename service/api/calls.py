"""Calls: what a view is given, and the bounded reading of a request's body."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Request
from marshmallow import Schema
from sqlalchemy.orm import Session
from werkzeug.exceptions import RequestEntityTooLarge

from service.api import paging, schemas, strict_json
from service.api.answers import JSON_TYPE, Answer, instant
from service.api.authentication import Principal
from service.api.contract import Operation
from service.api.paging import Page
from service.api.problems import UnsupportedMediaType
from service.core.errors import TooLarge, Unreadable
from service.events import wire
from service.jobs import queue
from service.jobs.queue import Run
from service.parties import staff, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.wiring import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The bytes of a request and what they claim to be; coding is the Content-Encoding header."""

    content: bytes
    media_type: str
    coding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One admitted request, within its transaction.

    Args:
        parameters: of path and query, read as the contract says.
        accept: the Accept header.
        prefer: the Prefer headers.
    """

    system: System
    session: Session
    now: datetime
    operation: Operation
    principal: Principal
    parameters: Mapping[str, Any]
    body: Body
    accept: str
    request_id: str
    prefer: tuple[str, ...] = ()

    @property
    def platform(self) -> Platform:
        """The one platform that this request may touch."""
        return self.principal.platform

    @property
    def actor(self) -> Actor:
        """The key, as the audit trail names it."""
        return self.principal.actor

    def document(self, schema: Schema) -> dict[str, Any]:
        """Read the body as JSON of a schema.

        Raises:
            Unreadable, Invalid: what is wrong, where.
        """
        return schemas.load(
            schema, strict_json.load(self.body.content, size_bytes_max=self.operation.size_bytes_max)
        )

    def page(self) -> Page:
        """Read which part of a list is asked for; a cursor serves one list with the same filters.

        Raises:
            CursorUnusable: the cursor of another list, or none that we made.
        """
        filters = [
            f"{name}={value}"
            for name, value in sorted(self.parameters.items())
            if name not in {"cursor", "limit", "platform"}
        ]
        return paging.page_of(
            self.parameters["cursor"],
            self.parameters["limit"],
            purpose="\n".join([self.operation.id, self.platform.id, *filters]),
            pepper=self.system.pepper,
        )

    def acting(self, staff_id: str | None) -> Actor:
        """Act as the key, or as a member of staff whom the key's holder vouches for, and write that down.

        Raises:
            NotFound: the platform has no such member of staff.
        """
        if staff_id is None:
            return self.actor
        person = staff.get(self.session, self.platform.id, staff_id)
        trail.record(
            self.session,
            self.platform.id,
            self.actor,
            "key.act_as",
            "staff",
            staff_id,
            after={"operation": self.operation.id},
            now=self.now,
            request_id=self.request_id,
        )
        return person.actor

    def accepted(self, run_id: uuid.UUID) -> Answer:
        """Answer that a job will do it, and where it can be followed."""
        run = queue.get(self.session, self.platform.id, run_id)
        return Answer(value=job(run), status=202, headers={"Location": self.location(f"jobs/{run.id}")})

    def location(self, path: str) -> str:
        """Write the address of something of this platform, as this key reaches it."""
        is_own = self.platform.id == self.principal.key.platform_id
        return f"/v1/{path}" if is_own else f"/v1/{path}?platform={self.platform.id}"


def read_body(request: Request, operation: Operation) -> Body:
    """Read the body of a request, within the operation's limit; that of a GET means nothing and is not read.

    Raises:
        UnsupportedMediaType: of a kind, or packed in a way, that the operation does not take.
        TooLarge: beyond the limit.
        Unreadable: a body where none is taken.
    """
    nothing = Body(content=b"{}", media_type=JSON_TYPE)
    if operation.method == "GET":
        return nothing
    limit = operation.size_bytes_max
    if (request.content_length or 0) > limit:
        raise _too_large(operation)
    try:
        # One byte more than the limit tells a body that is too large without holding all of it.
        content = request.stream.read(limit + 1)
    except RequestEntityTooLarge:
        raise _too_large(operation) from None
    if len(content) > limit:
        raise _too_large(operation)
    if content and not operation.media_types:
        raise Unreadable("This operation takes no body; send none.")
    if not content and not operation.is_body_needed:
        return nothing
    packing = request.headers.get("Content-Encoding", "")
    is_packed = packing.lower() not in {"", "identity"} and not operation.is_packing_taken
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in operation.media_types or is_packed or charset not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType(
            f"Send the body as {' or '.join(operation.media_types)}, in UTF-8"
            f"{'.' if operation.is_packing_taken else ' and unpacked.'}",
            media_types=list(operation.media_types),
        )
    return Body(content=content, media_type=request.mimetype, coding=packing)


def _too_large(operation: Operation) -> TooLarge:
    limit = operation.size_bytes_max
    limits: Mapping[str, Any] = wire.LIMITS if operation.is_packing_taken else {"body_bytes_max": limit}
    return TooLarge(
        f"The body is larger than the {limit} bytes that this operation takes; /v1/limits names the limits.",
        **limits,
        limits="/v1/limits",
    )


def job(run: Run) -> dict[str, Any]:
    """Write a job as JSON."""
    return {
        "id": str(run.id),
        "platform": run.platform_id,
        "job": run.job,
        "scope": run.scope,
        "state": run.state,
        "attempt": run.attempt,
        "progress": {"done": run.progress_done, "total": run.progress_total},
        "result": run.result,
        "fault": run.fault,
        "requested_by": run.requested_by,
        "due_at": instant(run.due_at),
        "created_at": instant(run.created_at),
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
    }
