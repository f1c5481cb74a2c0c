"""How a period's pool was divided: the whole, and every share."""

from typing import Any

from service.api import paging
from service.api.answers import Answer, instant, money
from service.api.calls import Call
from service.calendar import periods
from service.core.errors import NotFound
from service.splits import shares
from service.splits.methods import Share
from service.splits.shares import Split
from service.statements.statement import points_text


def get(call: Call) -> Answer:
    """Read the newest split of a period, with what recomputes it."""
    split = _named(call)
    totals = shares.totals(call.session, split)
    return Answer(
        value={
            "period": split.period_id,
            "version": split.version,
            "rulebook_sha256": split.rulebook_sha256,
            "pool": money(split.pool_minor, split.currency),
            "deficit": money(split.deficit_minor, split.currency),
            "points": points_text(split.points_e4),
            "share_count": split.share_count,
            "shares_sha256": split.shares_sha256,
            "totals": {kind: money(amount_minor, split.currency) for kind, amount_minor in totals.items()},
            "inputs": split.inputs,
            "computed_at": instant(split.computed_at),
        }
    )


def listing(call: Call) -> Answer:
    """List the shares of a period's newest split, in its order."""
    page = call.page()
    split = _named(call)
    version, *after = page.after or [split.version]
    if version != split.version:
        split = shares.get(call.session, call.platform.id, split.period_id, version)
    found = shares.page(call.session, split, after=tuple(after) or None, limit=page.limit + 1)
    return paging.answer(
        page, found, lambda one: _show(one, split), lambda one: [split.version, *_place(one)]
    )


def _named(call: Call) -> Split:
    period = periods.get(call.session, call.platform.id, call.parameters["period"])
    split = shares.latest(call.session, call.platform.id, period.id)
    if split is None or period.published_at is None:
        raise NotFound(f"Period {period.id} is {period.state}; its split is shown once it is published.")
    return split


def _place(one: Share) -> list[str]:
    return [one.party_kind, one.party_id, one.origin_period_id]


def _show(one: Share, split: Split) -> dict[str, Any]:
    return {
        "party": {"kind": one.party_kind, "id": one.party_id},
        "origin_period": one.origin_period_id,
        "points": points_text(one.points_e4),
        "amount": money(one.amount_minor, split.currency),
        "walk": one.walk,
    }
