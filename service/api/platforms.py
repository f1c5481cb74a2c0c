"""The key's platform and the sub-platforms below it."""

from typing import Any

from marshmallow import fields

from service.api import paging, problems
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Choice, Document, Words
from service.closing import onboarding
from service.core.errors import Invalid
from service.parties import platforms
from service.parties.platforms import LOCALES, PERIOD_UNITS, UNKNOWN_CREATORS, Platform

ID_LENGTH_MAX = 255


class _Platform(Document):
    id = Words(ID_LENGTH_MAX)
    name = Words()
    time_zone = Words(64, required=False)
    period_unit = Choice(*PERIOD_UNITS, required=False)
    locale = Choice(*LOCALES, required=False)
    unknown_creators = Choice(*UNKNOWN_CREATORS, required=False)
    rulebook = fields.Raw(required=False, load_default=None, allow_none=False)


def listing(call: Call) -> Answer:
    """List the platform and its direct sub-platforms by id."""
    page = call.page()
    known = [call.platform, *platforms.children(call.session, call.platform.id)]
    return paging.answer(page, paging.cut(page, known, _id), _show, _id)


def get(call: Call) -> Answer:
    """Read the platform that the request acts on."""
    return Answer(value=_show(call.platform))


def found(call: Call) -> Answer:
    """Found a sub-platform: it has what the parent has, where the request does not say otherwise."""
    wanted = call.document(_Platform())
    parent = call.platform
    inherited = {
        "time_zone": parent.time_zone,
        "period_unit": parent.period_unit,
        "locale": parent.locale,
        "unknown_creators": parent.unknown_creators,
    }
    document = wanted.pop("rulebook")
    try:
        made = onboarding.found(
            call.session,
            platform_id=wanted.pop("id"),
            parent_id=parent.id,
            currency=parent.currency,
            document=document,
            actor=call.actor,
            now=call.now,
            **(inherited | wanted),
        )
    except Invalid as fault:
        # A rulebook's own pointers begin at its own root.
        is_rulebooks = document is not None and not _is_field(fault)
        raise problems.at(fault, (("", "/rulebook"),) if is_rulebooks else ()) from None
    return Answer(value=_show(made), status=201, headers={"Location": f"/v1/platform?platform={made.id}"})


def _is_field(fault: Invalid) -> bool:
    names = {f"/{name}" for name in _Platform().fields}
    return all(one.pointer in names for one in fault.errors)


def _id(one: Platform) -> str:
    return one.id


def _show(one: Platform) -> dict[str, Any]:
    return {
        "id": one.id,
        "parent": one.parent_id,
        "name": one.name,
        "currency": one.currency,
        "time_zone": one.time_zone,
        "period_unit": one.period_unit,
        "locale": one.locale,
        "unknown_creators": one.unknown_creators,
        "created_at": instant(one.created_at),
    }
