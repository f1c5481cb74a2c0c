"""What a creator earned, is owed and was paid, and how a pool became an amount.

Owns the reading for one creator; writes nothing. Refuses to show an amount before it is published, but for
the estimate of the open period, which says that it is one. Laws: a reader with a calculator arrives at every
amount from the figures beside it; what is final is what was booked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.closing import clawbacks, estimates, revenues
from service.closing.clawbacks import Taken
from service.closing.estimates import Estimate
from service.closing.revenues import Revenue
from service.core.spans import Span
from service.earnings.quota import Quota
from service.ledger import balances
from service.ledger.accounts import AccountRef, Role
from service.parties import creators
from service.parties.platforms import Platform
from service.payouts import due, payouts
from service.payouts.due import Due
from service.payouts.transitions import State as PayoutState
from service.rules import registry
from service.rules.registry import Published
from service.runtime.texts import msgid
from service.splits import shares

PAGE: Final = 500
"""Rows that are read at a time where all are needed."""

_UNDER_WAY: Final = frozenset({PayoutState.SENDING, PayoutState.UNKNOWN, PayoutState.SENT})


class State(StrEnum):
    """How far the amount of a period is."""

    OPEN = "open"
    """The period takes events; its amount is an estimate."""
    CLOSING = "closing"
    """The period is sealed and being computed; it has no amount to show."""
    PUBLISHED = "published"
    """The split is out and may be challenged; it is not booked."""
    POSTED = "posted"
    """The amount is final and booked."""


WORDS: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.OPEN: msgid("Estimate, not final"),
        State.CLOSING: msgid("Being closed"),
        State.PUBLISHED: msgid("Published, may be challenged"),
        State.POSTED: msgid("Final"),
    }
)
"""What people read about each state, as messages for the catalogues of `runtime.texts`."""

_STATES: Final[Mapping[str, State]] = MappingProxyType(
    {
        "open": State.OPEN,
        "published": State.PUBLISHED,
        "approved": State.PUBLISHED,
        "posted": State.POSTED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodAmount:
    """A period in the creator's list; the amount is None while there is none to show."""

    period_id: str
    span: Span
    state: State
    amount_minor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Where a creator's money is, all in minor units of the platform's currency.

    Args:
        estimate: of the open period, provisional; None before the first one.
        payable_minor: final and free to pay; held_minor: final and held back; reserved_minor: in a batch that
            was not sent yet; under_way_minor: with the provider; paid_minor: arrived, to date.
        owed_back_minor: taken back after it had left or was set aside; kept back from what is earned next.
        next_payout: what would be paid next, or what blocks it; None when nothing is payable.
        periods: the latest first.
    """

    platform_id: str
    creator_id: str
    currency: str
    time_zone: str
    as_of_at: datetime
    estimate: Estimate | None
    payable_minor: int
    held_minor: int
    reserved_minor: int
    under_way_minor: int
    paid_minor: int
    owed_back_minor: int
    next_payout: Due | None
    periods: Sequence[PeriodAmount]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolWalk:
    """From a period's revenue to what was divided: recorded - recovered + carried = divided.

    Args:
        revenues: every record that joined the pool; recorded_minor: the sum of their nets.
        recovered_minor: what went to recover deficits of earlier periods.
        carried_minor: what corrections took beyond zero, carried as a deficit to later periods.
    """

    revenues: Sequence[Revenue]
    recorded_minor: int
    recovered_minor: int
    carried_minor: int
    divided_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Events of one type: how many, of what quantity in all, worth how many points."""

    type: str
    event_count: int
    quantity: int
    points_e4: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginLine:
    """What the events of one period earned in this pool.

    Args:
        counted, excluded: events by type, and those that a clause of the rulebook left out, by clause.
        changed_e4: by how many points each clause then moved the sum.
        scored_e4: counted and changed together; where late corrections are greater than what they correct,
            the points that took part (quota.points_e4) are others.
        quota: the exact fraction, and the amount that it became.
    """

    origin_period_id: str
    counted: Sequence[Counted]
    excluded: Mapping[str, Sequence[Counted]]
    changed_e4: Mapping[str, int]
    scored_e4: int
    quota: Quota

    @property
    def amount_minor(self) -> int:
        """What this line is worth."""
        return self.quota.amount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodEarning:
    """The walk from a period's pool to a creator's amount, as far as it may be shown.

    Args:
        as_of_at: of an estimate: up to when it counts; None where it is final, published or not there.
        split_version, shares_sha256: of a published split.
        rule: the rulebook in force for the period.
        pool, points_total_e4, amount_minor: None while there is nothing to show.
        lines: the period's own first, then those of late events by origin; none without points.
        taken_back: what corrections of events took back of these lines after they were booked; the amounts
            of the lines and their sum stay what they were.
    """

    platform_id: str
    creator_id: str
    period_id: str
    span: Span
    time_zone: str
    currency: str
    state: State
    as_of_at: datetime | None
    published_at: datetime | None
    posted_at: datetime | None
    split_version: int | None
    shares_sha256: str | None
    rule: Published
    pool: PoolWalk | None
    points_total_e4: int | None
    lines: Sequence[OriginLine]
    amount_minor: int | None
    taken_back: Sequence[Taken]


@dataclass(frozen=True, slots=True)
class _Part:
    """One line of a split or an estimate, as both tell it."""

    origin_period_id: str
    points_e4: int
    amount_minor: int
    walk: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Division:
    """What a walk is made of, from a published split or from an estimate."""

    pool_minor: int
    points_total_e4: int
    parts: Sequence[_Part]
    rule: Published
    as_of_at: datetime | None = None
    split_version: int | None = None
    shares_sha256: str | None = None


def summary(session: Session, platform: Platform, creator_id: str, *, now: datetime) -> Summary:
    """Read where a creator's money is.

    Raises:
        NotFound: no such creator.
    """
    creators.get(session, platform.id, creator_id)
    estimate = estimates.of_creator(session, platform.id, creator_id)
    moved_minor = _payouts_by_state(session, platform, creator_id)

    def balance(role: Role) -> int:
        return balances.of(session, platform.id, AccountRef(role, creator_id), platform.currency)

    known = periods.listing(session, platform.id)
    return Summary(
        platform_id=platform.id,
        creator_id=creator_id,
        currency=platform.currency,
        time_zone=platform.time_zone,
        as_of_at=now,
        estimate=estimate if _is_current(estimate, known) else None,
        payable_minor=balance(Role.CREATOR_PAYABLE),
        held_minor=balance(Role.HELD),
        reserved_minor=balance(Role.RESERVED),
        under_way_minor=sum(moved_minor[state] for state in _UNDER_WAY),
        paid_minor=moved_minor[PayoutState.PAID],
        owed_back_minor=balance(Role.CLAWBACK_RECEIVABLE),
        next_payout=due.of_creator(session, platform, creator_id, now=now),
        periods=_amounts(session, platform, creator_id, known, estimate, now),
    )


def of_period(session: Session, platform: Platform, creator_id: str, period_id: str) -> PeriodEarning:
    """Walk from a period's pool to a creator's amount.

    Raises:
        NotFound: no such creator or period.
    """
    creators.get(session, platform.id, creator_id)
    period = periods.get(session, platform.id, period_id)
    state = _state(period)
    found: _Division | None = None
    if state is State.OPEN:
        found = _estimated(session, platform, creator_id, period)
    elif state is not State.CLOSING:
        found = _published(session, platform, creator_id, period)
    rule = found.rule if found else registry.in_force(session, platform.id, period.span.start_at)
    return PeriodEarning(
        platform_id=platform.id,
        creator_id=creator_id,
        period_id=period_id,
        span=period.span,
        time_zone=period.time_zone,
        currency=platform.currency,
        state=state,
        as_of_at=found.as_of_at if found else None,
        published_at=period.published_at,
        posted_at=period.posted_at,
        split_version=found.split_version if found else None,
        shares_sha256=found.shares_sha256 if found else None,
        rule=rule,
        pool=_pool(session, period, found) if found else None,
        points_total_e4=found.points_total_e4 if found else None,
        lines=_lines(found, period_id) if found else (),
        amount_minor=sum(part.amount_minor for part in found.parts) if found else None,
        taken_back=clawbacks.of_creator(session, platform.id, creator_id, period_id),
    )


def _state(period: Period) -> State:
    return _STATES.get(period.state, State.CLOSING)


def _is_current(estimate: Estimate | None, known: Sequence[Period]) -> bool:
    """Tell whether an estimate is of a period that is still open: one that is sealed has no estimate."""
    return estimate is not None and any(
        one.id == estimate.period_id and _state(one) is State.OPEN for one in known
    )


def _payouts_by_state(session: Session, platform: Platform, creator_id: str) -> Counter[PayoutState]:
    """Add up a creator's payouts by their present state."""
    sums: Counter[PayoutState] = Counter()
    for one in payouts.stream(session, platform.id, creator_id=creator_id):
        sums[one.state] += one.amount_minor
    return sums


def _amounts(
    session: Session,
    platform: Platform,
    creator_id: str,
    known: Sequence[Period],
    estimate: Estimate | None,
    now: datetime,
) -> list[PeriodAmount]:
    """List the periods in which the creator earned, and those that have begun and are not published yet."""
    earned: Counter[str] = Counter()
    for one in shares.of_creator(session, platform.id, creator_id):
        earned[one.period_id] += one.share.amount_minor
    found = []
    for period in reversed(known):
        state = _state(period)
        amount_minor = None
        if state in {State.PUBLISHED, State.POSTED}:
            if period.id not in earned:
                continue
            amount_minor = earned[period.id]
        elif period.is_historic or period.span.start_at > now:
            continue
        elif state is State.OPEN and estimate is not None and estimate.period_id == period.id:
            amount_minor = estimate.amount_minor
        found.append(
            PeriodAmount(period_id=period.id, span=period.span, state=state, amount_minor=amount_minor)
        )
    return found


def _estimated(session: Session, platform: Platform, creator_id: str, period: Period) -> _Division | None:
    estimate = estimates.of_creator(session, platform.id, creator_id)
    if estimate is None or estimate.period_id != period.id:
        return None
    return _Division(
        pool_minor=estimate.pool_minor,
        points_total_e4=estimate.pool_points_e4,
        parts=[
            _Part(line["origin_period_id"], int(line["points_e4"]), line["amount_minor"], line["walk"])
            for line in estimate.walk["lines"]
        ],
        rule=registry.in_force(session, platform.id, period.span.start_at),
        as_of_at=estimate.as_of_at,
    )


def _published(session: Session, platform: Platform, creator_id: str, period: Period) -> _Division:
    split = shares.latest(session, platform.id, period.id)
    assert split is not None, "a published period has a split"
    earned = shares.of_creator(session, platform.id, creator_id, period.id)
    return _Division(
        pool_minor=split.pool_minor,
        points_total_e4=split.points_e4,
        parts=[
            _Part(one.share.origin_period_id, one.share.points_e4, one.share.amount_minor, one.share.walk)
            for one in earned
        ],
        rule=registry.get(session, platform.id, split.rulebook_sha256),
        split_version=split.version,
        shares_sha256=split.shares_sha256,
    )


def _pool(session: Session, period: Period, found: _Division) -> PoolWalk:
    """Walk from recorded revenue to what was divided; an estimate counts what was there when it looked."""
    recorded: list[Revenue] = []
    after = None
    while page := revenues.listing(session, period.platform_id, period_id=period.id, after=after, limit=PAGE):
        recorded += page
        after = page[-1].id
    if found.as_of_at is not None:
        recorded = [one for one in recorded if one.recorded_at <= found.as_of_at]
    recorded_minor = sum(one.net_minor for one in recorded)
    difference_minor = found.pool_minor - recorded_minor
    return PoolWalk(
        revenues=recorded,
        recorded_minor=recorded_minor,
        recovered_minor=max(-difference_minor, 0),
        carried_minor=max(difference_minor, 0),
        divided_minor=found.pool_minor,
    )


def _lines(found: _Division, period_id: str) -> list[OriginLine]:
    """Explain each part: the period's own first, then those of late events by origin."""
    parts = sorted(found.parts, key=lambda one: (one.origin_period_id != period_id, one.origin_period_id))
    return [_line(part, found) for part in parts]


def _line(part: _Part, found: _Division) -> OriginLine:
    walk = part.walk
    return OriginLine(
        origin_period_id=part.origin_period_id,
        counted=_counted(walk["counted"]),
        excluded={clause: _counted(lines) for clause, lines in walk["excluded"].items()},
        changed_e4={clause: int(moved_e4) for clause, moved_e4 in walk["changed"].items()},
        # The walk names what was scored where another number of points took part.
        scored_e4=int(walk.get("scored_e4", part.points_e4)),
        quota=Quota(
            pool_minor=found.pool_minor,
            creators_bp=found.rule.rulebook.creators_bp,
            points_e4=part.points_e4,
            points_total_e4=found.points_total_e4,
            amount_minor=part.amount_minor,
        ),
    )


def _counted(lines: Mapping[str, Mapping[str, Any]]) -> list[Counted]:
    """Read the walk's lines by event type; quantities and points are texts, which keep every digit."""
    return [
        Counted(
            type=name,
            event_count=line["events"],
            quantity=int(line["quantity"]),
            points_e4=int(line["points_e4"]),
        )
        for name, line in sorted(lines.items())
    ]
