"""Corrections of events that were accepted: voids and replacements."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Choice, Document, Id, Items, Part, Words
from service.core.errors import FieldError, Invalid
from service.events import corrections, types, wire
from service.events.corrections import CORRECTIONS_MAX, KINDS, Asked, Correction, Outcome
from service.events.types import EventType
from service.events.wire import ID_LENGTH_MAX, SOURCE_LENGTH_MAX, Event


class _Day(fields.Field[date]):
    """A local day, as 2026-11-21."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> date:
        del attr, data, kwargs
        try:
            day_on = date.fromisoformat(value)
        except (TypeError, ValueError):
            day_on = None
        if day_on is None or day_on.isoformat() != value:
            raise ValidationError("use a day such as 2026-11-21")
        return day_on


class _Event(fields.Field[dict[str, Any]]):
    """An event as intake takes it; its members are judged as intake judges them."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, Any]:
        del attr, data, kwargs
        if not isinstance(value, dict):
            raise ValidationError("use a JSON object")
        return value


class _Correction(Document):
    kind = Choice(*KINDS)
    source = Words(SOURCE_LENGTH_MAX)
    event_id = Words(ID_LENGTH_MAX, data_key="id")
    day_on = _Day(data_key="day", required=False, allow_none=False, load_default=None)
    reason = Words()
    event = _Event(required=False, allow_none=False, load_default=None)

    @validates_schema
    def _check_event(self, data: dict[str, Any], **_options: Any) -> None:
        is_replacement = data.get("kind") == "replace"
        if is_replacement and data.get("event") is None:
            raise ValidationError({"event": ["give the event that counts instead"]})
        if not is_replacement and data.get("event") is not None:
            raise ValidationError({"event": ["a void has no event; leave it out"]})


class _Corrections(Document):
    corrections = Items(Part(_Correction()), most=CORRECTIONS_MAX, least=1)
    staff = Id(data_key="as", required=False, load_default=None)


def record(call: Call) -> Answer:
    """Record voids and replacements, all or none; what would change nothing is said and not recorded."""
    wanted = call.document(_Corrections())
    asked = _asked(wanted["corrections"], types.of_platform(call.session, call.platform.id))
    outcomes = corrections.record(
        call.session,
        call.system.lake,
        call.platform,
        asked,
        actor=call.acting(wanted["staff"]),
        now=call.now,
    )
    is_any_new = any(one.is_new for one in outcomes)
    return Answer(value={"items": [_outcome(one) for one in outcomes]}, status=201 if is_any_new else 200)


def get(call: Call) -> Answer:
    """Read one correction."""
    return Answer(value=_show(corrections.get(call.session, call.platform.id, call.parameters["correction"])))


def listing(call: Call) -> Answer:
    """List corrections in the order in which they were recorded, of one period's events or of all."""
    page = call.page()
    found = corrections.listing(
        call.session,
        call.platform.id,
        period_id=call.parameters["period"],
        after=None if page.after is None else (page.after[0], page.after[1]),
        limit=page.limit + 1,
    )
    return paging.answer(page, found, _show, lambda one: [one.seq, one.position])


def _asked(wanted: Sequence[Mapping[str, Any]], known: Mapping[str, EventType]) -> list[Asked]:
    """Read the replacements as intake would read them as events.

    Raises:
        Invalid: with everything that is wrong with any of them.
    """
    asked: list[Asked] = []
    errors: list[FieldError] = []
    for index, one in enumerate(wanted):
        event: Event | None = None
        if one["event"] is not None:
            decoded = wire.decode(json.dumps(one["event"]).encode(), wire.SINGLE, known)
            event = decoded.events.get(0)
            errors += [
                FieldError(f"/corrections/{index}/event{error.pointer}", error.detail.rstrip("."))
                for rejection in decoded.rejected
                for error in rejection.errors
            ]
        asked.append(
            Asked(
                source=one["source"],
                event_id=one["event_id"],
                reason=one["reason"],
                day_on=one["day_on"],
                event=event,
            )
        )
    if errors:
        others = f" ({len(errors) - 1} more are listed in errors)" if len(errors) > 1 else ""
        raise Invalid(f"{errors[0].pointer}: {errors[0].detail}{others}.", errors=errors)
    return asked


def _outcome(one: Outcome) -> dict[str, Any]:
    return {
        "effect": "recorded" if one.is_new else "none",
        "correction": None if one.correction is None else _show(one.correction),
    }


def _show(one: Correction) -> dict[str, Any]:
    it = one.replacement
    return {
        "id": str(one.id),
        "kind": one.kind,
        "source": one.source,
        "event_id": one.event_id,
        "period": one.period_id,
        "creator": one.creator_id,
        "reason": one.reason,
        "replacement": None
        if it is None
        else {
            "type": it.type,
            "time": instant(it.at),
            "content": it.content,
            "actor": it.actor,
            "quantity": str(it.quantity),
        },
        "seq": one.seq,
        "position": one.position,
        "recorded_at": instant(one.recorded_at),
        "recorded_by": one.recorded_by,
    }
