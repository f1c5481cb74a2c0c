"""Staff: the people in whose names periods and payout batches are approved."""

from typing import Any

from marshmallow import fields

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Document, Id, Items, Words
from service.parties import staff
from service.parties.scopes import ROLES
from service.parties.staff import Staff


class _Staff(Document):
    id = Id()
    name = Words()
    roles = Items(fields.String(), least=1, most=len(ROLES))


def listing(call: Call) -> Answer:
    """List the platform's staff by id."""
    page = call.page()
    return paging.answer(
        page, paging.cut(page, staff.listing(call.session, call.platform.id), _id), _show, _id
    )


def register(call: Call) -> Answer:
    """Register a member of staff, or change the name and roles of the one with this id."""
    wanted = call.document(_Staff())
    made = staff.register(
        call.session,
        call.platform.id,
        wanted["id"],
        wanted["name"],
        wanted["roles"],
        actor=call.actor,
        now=call.now,
    )
    return Answer(value=_show(made), status=201 if made.created_at == call.now else 200)


def _id(one: Staff) -> str:
    return one.id


def _show(one: Staff) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "roles": list(one.roles),
        "created_at": instant(one.created_at),
        "deactivated_at": instant(one.deactivated_at),
    }
