"""How verdicts look in JSON, wherever they are told."""

from typing import Any

from service.api.answers import instant
from service.earnings.events import Quoted
from service.events.verdicts import Place, Sent, Standing
from service.rules.words import Clause


def standing(one: Standing, quoted: Quoted | None) -> dict[str, Any]:
    """Write what became of an event, with the clause that left it out."""
    return {
        "verdict": one.verdict,
        "waits_in": one.waits_in,
        "settled_in": one.settled_in,
        "origin_period": one.origin_period_id,
        "clause": None if quoted is None else _clause(quoted),
        "first": None if one.first is None else place(one.first),
    }


def place(one: Place) -> dict[str, Any]:
    """Write where an event stands in the log."""
    return {"batch": str(one.batch_id), "index": one.index}


def _clause(one: Quoted) -> dict[str, Any]:
    return {
        "key": one.key,
        "rulebook": {"sha256": one.rulebook_sha256, "version": one.rulebook_version},
        "words": {locale: _words(clause) for locale, clause in one.words.items()},
    }


def _words(one: Clause) -> dict[str, str]:
    return {"title": one.title, "text": one.text}


def sent(one: Sent, *, names_actors: bool) -> dict[str, Any]:
    """Write an event as it was sent; its actor only for those who may know."""
    shown = {
        "type": one.type,
        "time": instant(one.at),
        "creator": one.creator,
        "content": one.content,
        "quantity": one.quantity,
    }
    return shown | {"actor": one.actor} if names_actors else shown
