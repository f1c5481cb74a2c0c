"""Rulebooks: the one in force, every one before it, and the next."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from marshmallow import fields

from service.api import paging, problems
from service.api.answers import Answer, instant, span
from service.api.calls import Call
from service.api.schemas import At, Document
from service.core.errors import Invalid
from service.rules import registry, words
from service.rules.registry import Pin, Published


class _Rulebook(Document):
    document = fields.Raw(required=True, error_messages={"required": "this member is needed"})
    in_force_from_at = At()


def listing(call: Call) -> Answer:
    """List the platform's rulebooks, the founding one first."""
    page = call.page()
    known = registry.history(call.session, call.platform.id)
    show = partial(_head, registry.pins(call.session, call.platform.id))
    return paging.answer(page, paging.cut(page, known, _version), show, _version)


def in_force(call: Call) -> Answer:
    """Read the rulebook that computes a period which starts now, or at another instant."""
    at = call.parameters["at"] or call.now
    return Answer(value=_show(call, registry.in_force(call.session, call.platform.id, at)))


def get(call: Call) -> Answer:
    """Read one rulebook by the digest of its document."""
    return Answer(
        value=_show(call, registry.get(call.session, call.platform.id, call.parameters["rulebook"]))
    )


def publish(call: Call) -> Answer:
    """Publish the next rulebook; the same document again is the same version."""
    wanted = call.document(_Rulebook())
    try:
        made = registry.publish(
            call.session,
            call.platform,
            wanted["document"],
            in_force_from_at=wanted["in_force_from_at"],
            actor=call.actor,
            now=call.now,
        )
    except Invalid as fault:
        raise problems.at(fault, (("", "/document"),)) from None
    return Answer(
        value=_show(call, made),
        status=201 if made.published_at == call.now else 200,
        headers={"Location": call.location(f"rulebooks/{made.sha256}")},
    )


def _version(one: Published) -> int:
    return one.version


def _head(pins: Sequence[Pin], one: Published) -> dict[str, Any]:
    pinned = [
        {"span": span(each.span), "backfill": str(each.backfill_id), "pinned_at": instant(each.pinned_at)}
        for each in pins
        if each.sha256 == one.sha256
    ]
    return {
        "sha256": one.sha256,
        "version": one.version,
        "in_force_from_at": instant(one.in_force_from_at),
        "published_at": instant(one.published_at),
        "published_by": one.published_by,
        "pinned": pinned,
    }


def _show(call: Call, one: Published) -> dict[str, Any]:
    locale = call.parameters.get("locale") or call.platform.locale
    clauses = words.render(one.rulebook, locale, currency=call.platform.currency)
    return _head(registry.pins(call.session, call.platform.id), one) | {
        "document": one.document,
        "locale": locale,
        "clauses": [{"key": each.key, "title": each.title, "text": each.text} for each in clauses],
    }
