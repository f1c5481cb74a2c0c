"""Payout batches: submitted by one person, approved by another, with frozen control totals."""

from typing import Any

from service.api import paging
from service.api.answers import Answer, instant, money
from service.api.calls import Call
from service.api.schemas import Document, Id, Words
from service.payouts import batches
from service.payouts.batches import Batch


class _Submission(Document):
    staff = Id(data_key="as", required=False, load_default=None)
    provider = Words(32, required=False, load_default=None)


class _Approval(Document):
    staff = Id(data_key="as")


class _Cancellation(Document):
    staff = Id(data_key="as", required=False, load_default=None)
    reason = Words(required=False, load_default="withdrawn")


def submit(call: Call) -> Answer:
    """Put everything that is payable into a batch and reserve its money."""
    wanted = call.document(_Submission())
    made = batches.submit(
        call.session,
        call.platform,
        provider=wanted["provider"],
        actor=call.acting(wanted["staff"]),
        now=call.now,
    )
    return Answer(
        value=_whole(call, made),
        status=201,
        headers={"Location": call.location(f"payout-batches/{made.id}")},
    )


def listing(call: Call) -> Answer:
    """List batches, newest first."""
    page = call.page()
    found = batches.listing(
        call.session,
        call.platform.id,
        state=call.parameters["state"],
        after=page.after_uuid,
        limit=page.limit + 1,
    )
    return paging.answer(page, found, _show, lambda one: str(one.id))


def get(call: Call) -> Answer:
    """Read one batch and how many of its payouts are in which state."""
    return Answer(value=_whole(call, batches.get(call.session, call.platform.id, call.parameters["batch"])))


def approve(call: Call) -> Answer:
    """Release a batch in the name of a person who did not submit it."""
    actor = call.acting(call.document(_Approval())["staff"])
    approved = batches.approve(
        call.session, call.platform.id, call.parameters["batch"], actor=actor, now=call.now
    )
    return Answer(value=_whole(call, approved))


def cancel(call: Call) -> Answer:
    """Withdraw what no provider has been asked to send."""
    wanted = call.document(_Cancellation())
    cancelled = batches.cancel(
        call.session,
        call.platform.id,
        call.parameters["batch"],
        reason=wanted["reason"],
        actor=call.acting(wanted["staff"]),
        now=call.now,
    )
    return Answer(value=_whole(call, cancelled))


def _whole(call: Call, one: Batch) -> dict[str, Any]:
    tallies = batches.tallies(call.session, one.platform_id, one.id)
    return _show(one) | {
        "payouts": [
            {
                "state": each.state.value,
                "count": each.payout_count,
                "amount": money(each.amount_minor, one.currency),
            }
            for each in tallies
        ]
    }


def _show(one: Batch) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "provider": one.provider,
        "state": one.state,
        "payout_count": one.payout_count,
        "amount": money(one.amount_minor, one.currency),
        "payouts_sha256": one.payouts_sha256,
        "submitted_by": one.submitted_by,
        "submitted_at": instant(one.submitted_at),
        "approved_by": one.approved_by,
        "approved_at": instant(one.approved_at),
        "done_at": instant(one.done_at),
    }
