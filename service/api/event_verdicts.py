"""What became of an event: for the platform that sent it, and for the creator whose content it was.

The lake is read after the request's transaction, never within it.
"""

from datetime import date
from typing import Any

from service.api import standings
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.problems import ParameterInvalid
from service.earnings import events
from service.earnings.events import Told
from service.events import verdicts
from service.events.corrections import Correction
from service.events.quarantine import Quarantined
from service.events.verdicts import Occurrence


def of_platform(call: Call) -> Answer:
    """Look up every occurrence of an event, and what became of each."""
    system, platform, (source, event_id, day) = call.system, call.platform, _wanted(call)

    def look() -> Answer:
        told = events.of_platform(system.database, system.lake, platform, source, event_id, day=day)
        return Answer(value=_show(told, source, event_id, names_actors=True))

    return Answer(later=look)


def of_creator(call: Call) -> Answer:
    """Look up what became of an event on a creator's own content."""
    system, platform, (source, event_id, day) = call.system, call.platform, _wanted(call)
    creator_id = call.parameters["creator"]

    def look() -> Answer:
        told = events.of_creator(
            system.database, system.lake, platform, creator_id, source, event_id, day=day
        )
        return Answer(value=_show(told, source, event_id, names_actors=False))

    return Answer(later=look)


def _wanted(call: Call) -> tuple[str, str, date | None]:
    text = call.parameters["day"]
    try:
        day = None if text is None else date.fromisoformat(text)
    except ValueError:
        fault = {"in": "query", "name": "day", "detail": "there is no such day"}
        raise ParameterInvalid("The parameter day: there is no such day.", parameters=[fault]) from None
    return call.parameters["source"], call.parameters["id"], day


def _show(told: Told, source: str, event_id: str, *, names_actors: bool) -> dict[str, Any]:
    return {
        "source": source,
        "id": event_id,
        "verdict": told.found.verdict,
        "occurrences": [_occurrence(one, told, names_actors) for one in told.found.occurrences],
        "corrections": [_correction(one) for one in told.found.corrections],
        "rejections": [_rejection(one) for one in told.found.rejections],
        "searched": verdicts.describe(told.found.searched),
    }


def _correction(one: Correction) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "kind": one.kind,
        "reason": one.reason,
        "recorded_at": instant(one.recorded_at),
    }


def _rejection(one: Quarantined) -> dict[str, Any]:
    return {
        "quarantined": str(one.id),
        "state": one.state,
        "batch": None if one.batch_id is None else str(one.batch_id),
        "index": one.position,
        "received_at": instant(one.received_at),
        "code": one.code,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in one.errors],
    }


def _occurrence(one: Occurrence, told: Told, names_actors: bool) -> dict[str, Any]:
    quoted = told.clause_of(one.standing)
    first = one.standing.first
    shown = {
        "batch": str(one.place.batch_id),
        "index": one.place.index,
        "received_at": instant(one.received_at),
        **standings.standing(one.standing, quoted),
        "fingerprint": one.fingerprint.hex(),
        "event": None if one.sent is None else standings.sent(one.sent, names_actors=names_actors),
    }
    if first is not None and one.first_fingerprint is not None:
        shown["first"] = standings.place(first) | {"fingerprint": one.first_fingerprint.hex()}
    return shown
