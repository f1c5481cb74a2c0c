"""What a creator earned, is owed and was paid, and how a pool became an amount."""

from collections.abc import Sequence
from typing import Any

from service.api.answers import Answer, instant, money, span
from service.api.calls import Call
from service.closing.clawbacks import Taken
from service.closing.estimates import Estimate
from service.earnings import creator
from service.earnings.creator import Counted, OriginLine, PeriodEarning, PoolWalk, Summary
from service.earnings.quota import Quota
from service.payouts.due import Due
from service.statements.statement import points_text


def summary(call: Call) -> Answer:
    """Read where a creator's money is, and what the open period may bring."""
    found = creator.summary(call.session, call.platform, call.parameters["creator"], now=call.now)
    return Answer(value=_summary(found))


def of_period(call: Call) -> Answer:
    """Walk from a period's pool to a creator's amount."""
    found = creator.of_period(
        call.session, call.platform, call.parameters["creator"], call.parameters["period"]
    )
    return Answer(value=_walk(found))


def _summary(one: Summary) -> dict[str, Any]:
    return {
        "creator": one.creator_id,
        "time_zone": one.time_zone,
        "as_of_at": instant(one.as_of_at),
        "estimate": None if one.estimate is None else _estimate(one.estimate),
        "payable": money(one.payable_minor, one.currency),
        "held": money(one.held_minor, one.currency),
        "reserved": money(one.reserved_minor, one.currency),
        "under_way": money(one.under_way_minor, one.currency),
        "paid": money(one.paid_minor, one.currency),
        "owed_back": money(one.owed_back_minor, one.currency),
        "next_payout": None if one.next_payout is None else _due(one.next_payout),
        "periods": [
            {
                "period": each.period_id,
                "span": span(each.span),
                "state": each.state.value,
                "amount": _amount(each.amount_minor, one.currency),
            }
            for each in one.periods
        ],
    }


def _estimate(one: Estimate) -> dict[str, Any]:
    return {
        "period": one.period_id,
        "as_of_at": instant(one.as_of_at),
        "points": points_text(one.points_e4),
        "amount": money(one.amount_minor, one.currency),
    }


def _due(one: Due) -> dict[str, Any]:
    return {
        "payable": money(one.payable_minor, one.currency),
        "minimum": money(one.minimum_minor, one.currency),
        "verdict": one.verdict.value,
        "provider": one.provider,
        "destination_hint": one.destination_hint,
    }


def _walk(one: PeriodEarning) -> dict[str, Any]:
    return {
        "creator": one.creator_id,
        "period": one.period_id,
        "span": span(one.span),
        "time_zone": one.time_zone,
        "state": one.state.value,
        "as_of_at": instant(one.as_of_at),
        "published_at": instant(one.published_at),
        "posted_at": instant(one.posted_at),
        "rulebook": {"sha256": one.rule.sha256, "version": one.rule.version},
        "split": None
        if one.split_version is None
        else {"version": one.split_version, "shares_sha256": one.shares_sha256},
        "pool": None if one.pool is None else _pool(one.pool, one.currency),
        "points_total": None if one.points_total_e4 is None else points_text(one.points_total_e4),
        "lines": [_line(each, one.currency) for each in one.lines],
        "amount": _amount(one.amount_minor, one.currency),
        "taken_back": [_taken(each) for each in one.taken_back],
    }


def _taken(one: Taken) -> dict[str, Any]:
    return {
        "origin_period": one.origin_period_id,
        "at": instant(one.effective_at),
        "points": points_text(one.lost_e4),
        "amount": money(one.amount_minor, one.currency),
        "owed": money(one.receivable_minor, one.currency),
        "entry": one.entry_id,
    }


def _pool(one: PoolWalk, currency: str) -> dict[str, Any]:
    return {
        "revenues": [
            {
                "id": str(each.id),
                "stream": each.stream,
                "gross": money(each.gross_minor, each.currency),
                "net": money(each.net_minor, each.currency),
            }
            for each in one.revenues
        ],
        "recorded": money(one.recorded_minor, currency),
        "recovered": money(one.recovered_minor, currency),
        "carried": money(one.carried_minor, currency),
        "divided": money(one.divided_minor, currency),
    }


def _line(one: OriginLine, currency: str) -> dict[str, Any]:
    return {
        "origin_period": one.origin_period_id,
        "counted": _counted(one.counted),
        "excluded": {clause: _counted(each) for clause, each in one.excluded.items()},
        "changed": {clause: points_text(moved_e4) for clause, moved_e4 in one.changed_e4.items()},
        "scored": points_text(one.scored_e4),
        "quota": _quota(one.quota, currency),
        "amount": money(one.amount_minor, currency),
    }


def _quota(one: Quota, currency: str) -> dict[str, Any]:
    # The fraction is written as text: its two halves pass what a JSON number keeps.
    return {
        "pool": money(one.pool_minor, currency),
        "creators_bp": one.creators_bp,
        "points": points_text(one.points_e4),
        "points_total": points_text(one.points_total_e4),
        "numerator": str(one.numerator),
        "denominator": str(one.denominator),
        "floor": money(one.floor_minor, currency),
        "rounding": one.rounding,
    }


def _counted(lines: Sequence[Counted]) -> list[dict[str, Any]]:
    return [
        {
            "type": one.type,
            "events": one.event_count,
            "quantity": str(one.quantity),
            "points": points_text(one.points_e4),
        }
        for one in lines
    ]


def _amount(amount_minor: int | None, currency: str) -> dict[str, Any] | None:
    return None if amount_minor is None else money(amount_minor, currency)
