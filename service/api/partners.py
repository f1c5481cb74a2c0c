"""Partners: funds, charities and businesses that a rulebook may give a share to."""

from typing import Any

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Document, Id, Words
from service.parties import partners
from service.parties.partners import Partner


class _Partner(Document):
    id = Id()
    name = Words()


def listing(call: Call) -> Answer:
    """List the platform's partners by id."""
    page = call.page()
    known = partners.listing(call.session, call.platform.id)
    return paging.answer(page, paging.cut(page, known, _id), _show, _id)


def register(call: Call) -> Answer:
    """Register a partner, or rename the one with this id."""
    wanted = call.document(_Partner())
    made = partners.register(
        call.session, call.platform.id, wanted["id"], wanted["name"], actor=call.actor, now=call.now
    )
    return Answer(value=_show(made), status=201 if made.created_at == call.now else 200)


def _id(one: Partner) -> str:
    return one.id


def _show(one: Partner) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "created_at": instant(one.created_at)}
