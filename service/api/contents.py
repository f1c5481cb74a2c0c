"""Contents, their owners, and who contributes to them from which date on."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from marshmallow import fields, validate

from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import At, Document, Id, Whole
from service.parties import contributions
from service.parties.contributions import CONTRIBUTORS_MAX, WHOLE_BP, Content, Contribution


class _Content(Document):
    id = Id()
    creator = Id()


class _Contributions(Document):
    shares_bp = fields.Dict(
        keys=Id(),
        values=Whole(1, WHOLE_BP),
        required=True,
        validate=validate.Length(
            1, CONTRIBUTORS_MAX, error=f"name 1 to {CONTRIBUTORS_MAX} creators and their basis points"
        ),
        error_messages={"invalid": "use a JSON object of creators and basis points"},
    )
    from_at = At()


def register(call: Call) -> Answer:
    """Register a content and its owner; the same again changes nothing."""
    wanted = call.document(_Content())
    made = contributions.register_content(
        call.session, call.platform.id, wanted["id"], wanted["creator"], actor=call.actor, now=call.now
    )
    return Answer(
        value=_one(call, made),
        status=201 if made.created_at == call.now else 200,
        headers={"Location": call.location(f"contents/{made.id}")},
    )


def get(call: Call) -> Answer:
    """Read a content with every declaration of its contributors."""
    found = contributions.get_content(call.session, call.platform.id, call.parameters["content"])
    return Answer(value=_one(call, found))


def contribute(call: Call) -> Answer:
    """Declare who contributes to a content from an instant on."""
    wanted = call.document(_Contributions())
    content_id = call.parameters["content"]
    contributions.declare(
        call.session,
        call.platform.id,
        content_id,
        wanted["shares_bp"],
        from_at=wanted["from_at"],
        actor=call.actor,
        now=call.now,
    )
    return Answer(value=_one(call, contributions.get_content(call.session, call.platform.id, content_id)))


def _one(call: Call, one: Content) -> dict[str, Any]:
    held = contributions.of_content(call.session, call.platform.id, one.id)
    return {
        "id": one.id,
        "creator": one.creator_id,
        "created_at": instant(one.created_at),
        "contributions": [_show(list(parts)) for _, parts in groupby(held, lambda part: part.from_at)],
    }


def _show(parts: Sequence[Contribution]) -> dict[str, Any]:
    return {
        "from_at": instant(parts[0].from_at),
        "until_at": instant(parts[0].until_at),
        "shares_bp": {part.creator_id: part.share_bp for part in parts},
    }
