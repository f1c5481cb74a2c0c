"""Payouts: what each creator was paid or will be, and everything that happened to it."""

from typing import Any

from service.api import paging
from service.api.answers import Answer, instant, money
from service.api.calls import Call
from service.payouts import due, payouts
from service.payouts.due import Due
from service.payouts.payouts import Attempt, History, Payout, Step
from service.payouts.transitions import State


def listing(call: Call) -> Answer:
    """List payouts in the order of their making: of a creator, a batch or a state, or all."""
    page = call.page()
    wanted = call.parameters
    found = payouts.listing(
        call.session,
        call.platform.id,
        creator_id=wanted["creator"],
        batch_id=wanted["batch"],
        state=State(wanted["state"]) if wanted["state"] else None,
        after=page.after_uuid,
        limit=page.limit + 1,
    )
    return paging.answer(page, found, _show, lambda one: str(one.id))


def get(call: Call) -> Answer:
    """Read one payout with its steps and attempts."""
    return Answer(value=_history(payouts.get(call.session, call.platform.id, call.parameters["payout"])))


def due_now(call: Call) -> Answer:
    """List every balance that is owed and free, and whether it would be paid now; if not, why not."""
    page = call.page()
    known = due.listing(call.session, call.platform, now=call.now)
    return paging.answer(page, paging.cut(page, known, _creator), _due, _creator)


def _creator(one: Due) -> str:
    return one.creator_id


def _due(one: Due) -> dict[str, Any]:
    return {
        "creator": one.creator_id,
        "payable": money(one.payable_minor, one.currency),
        "minimum": money(one.minimum_minor, one.currency),
        "verdict": one.verdict.value,
        "provider": one.provider,
        "destination_hint": one.destination_hint,
    }


def _show(one: Payout) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "batch": str(one.batch_id),
        "creator": one.creator_id,
        "provider": one.provider,
        "amount": money(one.amount_minor, one.currency),
        "destination_hint": one.destination_hint,
        "state": one.state.value,
        "reason": one.reason,
        "provider_reference": one.provider_reference,
        "created_at": instant(one.created_at),
        "sent_at": instant(one.sent_at),
        "settled_at": instant(one.settled_at),
    }


def _history(one: History) -> dict[str, Any]:
    return _show(one.payout) | {
        "steps": [_step(each) for each in one.steps],
        "attempts": [_attempt(each) for each in one.attempts],
    }


def _step(one: Step) -> dict[str, Any]:
    return {"state": one.state.value, "at": instant(one.at), "detail": dict(one.detail)}


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "number": one.number,
        "key": one.key,
        "state": one.state,
        "claimed_at": instant(one.claimed_at),
        "recorded_at": instant(one.recorded_at),
        "outcome": one.outcome,
    }
