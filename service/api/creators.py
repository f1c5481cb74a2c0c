"""Creators of a platform. Ids are the platform's pseudonyms; a name is shown only where it was given."""

from typing import Any

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Document, Id, Words
from service.parties import creators
from service.parties.creators import Creator


class _Creator(Document):
    id = Id()
    display_name = Words(required=False, load_default=None, allow_none=True)


def listing(call: Call) -> Answer:
    """List the platform's creators by id."""
    page = call.page()
    found = creators.listing(call.session, call.platform.id, after=page.after, limit=page.limit + 1)
    names = creators.names(call.session, call.platform.id, [one.id for one in found], call.system.vault)
    return paging.answer(page, found, lambda one: _show(one, names), lambda one: one.id)


def register(call: Call) -> Answer:
    """Register a creator, or rename the one with this id."""
    wanted = call.document(_Creator())
    made = creators.register(
        call.session,
        call.platform.id,
        wanted["id"],
        display_name=wanted["display_name"],
        vault=call.system.vault,
        actor=call.actor,
        now=call.now,
    )
    status = 201 if made.created_at == call.now else 200
    return Answer(value=_one(call, made), status=status, headers={"Location": call.location(_path(made))})


def get(call: Call) -> Answer:
    """Read one creator."""
    return Answer(value=_one(call, creators.get(call.session, call.platform.id, call.parameters["creator"])))


def _one(call: Call, one: Creator) -> dict[str, Any]:
    return _show(one, creators.names(call.session, call.platform.id, [one.id], call.system.vault))


def _path(one: Creator) -> str:
    return f"creators/{one.id}"


def _show(one: Creator, names: dict[str, str]) -> dict[str, Any]:
    return {"id": one.id, "display_name": names.get(one.id), "created_at": instant(one.created_at)}
