"""Periods of a platform: bounds frozen when opened, states in one order, every step written down.

Laws: periods of a platform never overlap; regular ones tile time without a gap from the first one on; a state
is reached once and only from the one before it. History is opened on purpose: periods that were over when
they were opened are marked historic, wait for nobody and hold nobody up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.calendar.tables import STATES, period, period_step
from service.core import spans
from service.core.errors import Conflict, FieldError, Invalid, NotFound
from service.core.spans import PeriodUnit, Span
from service.parties import trail
from service.parties.actors import SYSTEM, Actor
from service.parties.platforms import Platform
from service.runtime import db

OPENED_AHEAD = timedelta(days=1)
"""The next period is opened this long before it begins, so that no event ever finds none."""

LATE_PERIODS = 2
"""Events of this many sealed periods before the oldest unsealed one still count, as late ones."""

HISTORY_PERIODS_MAX = 600
"""The most periods that one request opens."""

WINDOW = f"""
SELECT {db.columns_of(period)} FROM period WHERE platform_id = %s AND state = 'open'
UNION ALL (
    SELECT {db.columns_of(period)} FROM period
    WHERE platform_id = %s AND state <> 'open' AND NOT is_historic AND start_at < coalesce(
        (SELECT min(start_at) FROM period WHERE platform_id = %s AND state = 'open' AND NOT is_historic),
        'infinity'
    )
    ORDER BY start_at DESC
    LIMIT {LATE_PERIODS}
)
ORDER BY start_at
"""
"""What `window` reads; its cost does not grow with history. Its parameters are all the platform's id."""

WINDOW_PARAMETERS = 3

_REACHED_AT = {"sealed": "sealed_at", "published": "published_at", "posted": "posted_at"}


class WrongState(Conflict):
    """The period is not in the state that the act needs."""

    slug = "period-state"
    title = "The period's state does not allow this"


@dataclass(frozen=True, slots=True)
class Period:
    """One period of one platform."""

    platform_id: str
    id: str
    span: Span
    time_zone: str
    state: str
    is_historic: bool
    opened_at: datetime
    sealed_at: datetime | None
    cut_seq: int | None
    published_at: datetime | None
    posted_at: datetime | None

    @property
    def is_sealed(self) -> bool:
        """Whether its events are settled: later ones are late."""
        return self.state != "open"


@dataclass(frozen=True, slots=True)
class Step:
    """A state that a period reached, when, and by whose act."""

    state: str
    at: datetime
    actor_kind: str
    actor_id: str
    detail: Mapping[str, Any]

    @property
    def actor(self) -> str:
        """The actor as text, as approvals compare it."""
        return f"{self.actor_kind}:{self.actor_id}"


def get(session: Session, platform_id: str, period_id: str, *, lock: bool = False) -> Period:
    """Read one period; with `lock`, hold its row until the transaction ends.

    Raises:
        NotFound: the platform has none with this name.
    """
    query = select(period).where(period.c.platform_id == platform_id, period.c.id == period_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        remedy = f"`benefit-ledger period list --platform {platform_id}` names those there are"
        raise NotFound(f"Platform {platform_id} has no period {period_id!r}; {remedy}.")
    return of_row(row)


def listing(session: Session, platform_id: str) -> list[Period]:
    """Read all periods of a platform, earliest first."""
    rows = session.execute(
        select(period).where(period.c.platform_id == platform_id).order_by(period.c.start_at)
    )
    return [of_row(row) for row in rows]


def containing(session: Session, platform_id: str, instant: datetime) -> Period | None:
    """Find the period that an instant lies in."""
    row = session.execute(
        select(period).where(
            period.c.platform_id == platform_id, period.c.start_at <= instant, period.c.end_at > instant
        )
    ).one_or_none()
    return None if row is None else of_row(row)


def oldest_unsealed(session: Session, platform_id: str) -> Period | None:
    """Find the earliest regular period that is still open."""
    return next(
        (one for one in listing(session, platform_id) if not one.is_sealed and not one.is_historic), None
    )


def window(session: Session, platform_id: str) -> list[Period]:
    """Read the periods whose events intake takes, earliest first.

    These are all open ones, and the LATE_PERIODS sealed regular ones just before the oldest open regular one.
    """
    return [of_row(row) for row in db.rows(session, WINDOW, *(platform_id,) * WINDOW_PARAMETERS)]


def ensure_current(session: Session, platform: Platform, now: datetime) -> Period:
    """Open every regular period that is missing up to the one of `now`, and the next one shortly before it.

    Returns:
        The period of `now`.
    """
    known = listing(session, platform.id)
    last = known[-1] if known else None
    start_at = now if last is None else min(now, last.span.end_at)
    end_at = max(now + OPENED_AHEAD, start_at + timedelta(microseconds=1))
    for name in spans.names_between(
        start_at, end_at, platform.zone, cast("PeriodUnit", platform.period_unit)
    ):
        _open(session, platform, name, actor=SYSTEM, now=now, is_historic=False)
    current = containing(session, platform.id, now)
    assert current is not None, "the loop above opened the period of now"
    return current


def open_from(
    session: Session, platform: Platform, from_at: datetime, *, actor: Actor, now: datetime
) -> list[Period]:
    """Open history: every missing period from the one of `from_at` up to the present one.

    Periods that are over are marked historic: they are closed by people, not by the clock, in any order.

    Returns:
        The periods that were opened, earliest first.

    Raises:
        Invalid: an instant in the future, or more than HISTORY_PERIODS_MAX periods.
    """
    if from_at > now:
        raise _invalid("/from", "choose an instant that is over: periods to come open by themselves")
    unit = cast("PeriodUnit", platform.period_unit)
    names = spans.names_between(from_at, now + timedelta(microseconds=1), platform.zone, unit)
    if len(names) > HISTORY_PERIODS_MAX:
        raise _invalid(
            "/from", f"these are {len(names)} periods; open at most {HISTORY_PERIODS_MAX} at a time"
        )
    known = {one.id for one in listing(session, platform.id)}
    missing = [name for name in names if name not in known]
    for name in missing:
        _open(session, platform, name, actor=actor, now=now, is_historic=True)
    if missing:
        after = {"first": missing[0], "last": missing[-1]}
        trail.record(
            session, platform.id, actor, "period.open", "platform", platform.id, after=after, now=now
        )
    return [get(session, platform.id, name) for name in missing]


def historic(platform: Platform, name: str, *, now: datetime) -> Period:
    """Describe a period as it would be opened now for history; nothing is stored."""
    return Period(
        platform_id=platform.id,
        id=name,
        span=spans.span_of(name, platform.zone),
        time_zone=platform.time_zone,
        state="open",
        is_historic=True,
        opened_at=now,
        sealed_at=None,
        cut_seq=None,
        published_at=None,
        posted_at=None,
    )


def open_history(
    session: Session, platform: Platform, wanted: Sequence[Period], *, actor: Actor, now: datetime
) -> list[Period]:
    """Open the periods that are missing of those that `historic` described; each is over.

    Returns:
        Those that were opened, earliest first.
    """
    known = {one.id for one in listing(session, platform.id)}
    missing = [one.id for one in wanted if one.id not in known]
    for name in missing:
        _open(session, platform, name, actor=actor, now=now, is_historic=True)
    return [get(session, platform.id, name) for name in missing]


def advance(
    session: Session,
    one: Period,
    to: str,
    *,
    actor: Actor,
    now: datetime,
    cut_seq: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Period:
    """Move a period to its next state and write the step down.

    Args:
        one: as read; if it moved on meanwhile, nothing is done.
        to: the state that follows its present one.
        cut_seq: for `sealed`: the last event batch that the seal takes.
        detail: what the step should remember, JSON values.

    Raises:
        WrongState: `to` does not follow its state.
    """
    if STATES.index(to) != STATES.index(one.state) + 1:
        raise WrongState(f"Period {one.id} is {one.state}; only a period that is {before(to)} becomes {to}.")
    values: dict[str, Any] = {"state": to}
    if to in _REACHED_AT:
        values[_REACHED_AT[to]] = now
    if to == "sealed":
        assert cut_seq is not None, "a seal names its last batch"
        values["cut_seq"] = cut_seq
    moved = session.execute(
        update(period)
        .where(period.c.platform_id == one.platform_id, period.c.id == one.id, period.c.state == one.state)
        .values(values)
        .returning(period.c.id)
    ).one_or_none()
    if moved is None:
        raise WrongState(f"Period {one.id} has moved on from {one.state}; read it again.")
    _write_step(session, one.platform_id, one.id, to, actor=actor, now=now, detail=detail)
    trail.record(
        session,
        one.platform_id,
        actor,
        f"period.{to}",
        "period",
        one.id,
        before={"state": one.state},
        after={"state": to},
        now=now,
    )
    return get(session, one.platform_id, one.id)


def before(state: str) -> str:
    """Name the state that comes before `state`."""
    return STATES[STATES.index(state) - 1]


def steps(session: Session, platform_id: str, period_id: str) -> list[Step]:
    """Read the states that a period reached, in order."""
    rows: Sequence[Row[Any]] = session.execute(
        select(period_step)
        .where(period_step.c.platform_id == platform_id, period_step.c.period_id == period_id)
        .order_by(period_step.c.id)
    ).all()
    return [Step(row.state, row.at, row.actor_kind, row.actor_id, row.detail) for row in rows]


def _open(
    session: Session, platform: Platform, name: str, *, actor: Actor, now: datetime, is_historic: bool
) -> None:
    span = spans.span_of(name, platform.zone)
    opened = session.execute(
        upsert(period)
        .values(
            platform_id=platform.id,
            id=name,
            start_at=span.start_at,
            end_at=span.end_at,
            time_zone=platform.time_zone,
            state="open",
            is_historic=is_historic and span.end_at <= now,
            opened_at=now,
        )
        .on_conflict_do_nothing()
        .returning(period.c.id)
    ).one_or_none()
    if opened is not None:
        _write_step(session, platform.id, name, "open", actor=actor, now=now, detail=None)


def _write_step(
    session: Session,
    platform_id: str,
    period_id: str,
    state: str,
    *,
    actor: Actor,
    now: datetime,
    detail: Mapping[str, Any] | None,
) -> None:
    session.execute(
        insert(period_step).values(
            platform_id=platform_id,
            period_id=period_id,
            state=state,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            detail=dict(detail or {}),
        )
    )


def of_row(row: Row[Any]) -> Period:
    """Read a period from a row of its table."""
    return Period(
        platform_id=row.platform_id,
        id=row.id,
        span=Span(row.start_at, row.end_at),
        time_zone=row.time_zone,
        state=row.state,
        is_historic=row.is_historic,
        opened_at=row.opened_at,
        sealed_at=row.sealed_at,
        cut_seq=row.cut_seq,
        published_at=row.published_at,
        posted_at=row.posted_at,
    )


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid(f"{pointer[1:]}: {detail}.", errors=[FieldError(pointer, detail)])
