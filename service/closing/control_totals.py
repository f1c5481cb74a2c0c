"""Control totals: what a sender says it sent, held against what was settled.

Owns `control_total`, `control_comparison` and `control_look`. A total names source, type and span, the number
of events and the sum of their quantities; a later one for the same three supersedes it. Compared is every
identity once, as it was first sent: voided events too, since the sender sent them; duplicates and conflicts
not. Laws: totals of a period are taken until its seal, and its close compares each one in force, once; what
it found is written once and shown to whoever approves; a blocking total holds the seal back until it matches.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, cast

from sqlalchemy import Case, Row, Select, Subquery, and_, case, delete, func, insert, null, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period, WrongState
from service.closing.revenues import SpanCrossesPeriods
from service.closing.tables import control_comparison, control_look, control_total
from service.core import spans
from service.core.errors import Conflict, FieldError, Invalid
from service.core.spans import PeriodUnit, Span, to_text
from service.events import types
from service.events.lake import Lake, LakeAway
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.runtime import duck

Verdict = Literal["matches", "differs", "missing"]

VERDICTS: Final = ("matches", "differs", "missing")

TOTALS_MAX: Final = 1_000
"""Totals of one request."""

COUNT_MAX: Final = 10**15
QUANTITY_MAX: Final = 10**30
SOURCE_LENGTH_MAX: Final = 200


class SenderTotalsDiffer(Conflict):
    """What a sender says it sent is not what was settled, and the sender wants the seal to wait for it."""

    slug = "sender-totals-differ"
    title = "The sender's totals are not what arrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One total as a sender gives it."""

    source: str
    type: str
    span: Span
    event_count: int
    quantity: int
    is_blocking: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What was settled of a total."""

    event_count: int
    quantity: int
    compared_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTotal:
    """One total in force, and what the close of its period found; None before that.

    `so_far` is what the latest estimate of its period found, if there was one since.
    """

    platform_id: str
    id: int
    period_id: str
    given: Given
    recorded_at: datetime
    recorded_by: str
    found: Found | None
    so_far: Found | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What the comparison says; None before there is one."""
        return None if self.found is None else verdict_of(self.given, self.found)


def verdict_of(given: Given, found: Found) -> Verdict:
    """Compare a total with what was settled of it."""
    if (found.event_count, found.quantity) == (given.event_count, given.quantity):
        return "matches"
    return "differs" if found.event_count else "missing"


def record(
    session: Session, platform: Platform, totals: Sequence[Given], *, actor: Actor, now: datetime
) -> list[ControlTotal]:
    """Write totals down, all or none; one for the same source, type and span as an earlier one supersedes it.

    Raises:
        Invalid: too many, a type that the platform does not have, a number out of bounds.
        SpanCrossesPeriods: a span that does not lie within one period.
        WrongState: a period is sealed already: its totals were compared.
    """
    if not 1 <= len(totals) <= TOTALS_MAX:
        raise _invalid("/totals", f"give 1 to {TOTALS_MAX} totals")
    _check(totals, types.of_platform(session, platform.id))
    # From here on no period of the platform is sealed until the transaction ends.
    seal_lock.share(session, platform.id)
    known = periods.listing(session, platform.id)
    values = [
        {
            "platform_id": platform.id,
            "period_id": _period_of(platform, known, one.span, index),
            "source": one.source,
            "type": one.type,
            "start_at": one.span.start_at,
            "end_at": one.span.end_at,
            "event_count": one.event_count,
            "quantity": one.quantity,
            "is_blocking": one.is_blocking,
            "recorded_at": now,
            "recorded_by": str(actor),
        }
        for index, one in enumerate(totals)
    ]
    made = session.execute(
        insert(control_total).returning(*control_total.columns, sort_by_parameter_order=True), values
    ).all()
    return [_total(row, None) for row in made]


def listing(
    session: Session,
    platform_id: str,
    period_id: str,
    *,
    is_blocking: bool | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[ControlTotal]:
    """Read the totals in force of a period, with what its close found, in the order of recording.

    Args:
        is_blocking: only those that block, or only those that do not.
        after: only those after this one.
    """
    known = _known(platform_id, period_id)
    query = select(known).where(known.c.id > after).order_by(known.c.id)
    if is_blocking is not None:
        query = query.where(known.c.is_blocking == is_blocking)
    return [_with_found(row) for row in session.execute(query if limit is None else query.limit(limit))]


def first(session: Session, platform_id: str, period_id: str, *, limit: int) -> list[ControlTotal]:
    """Read some totals in force of a period, for people: those that do not match come first."""
    known = _known(platform_id, period_id)
    order = case({"missing": 0, "differs": 1, "matches": 3}, value=_verdict(known), else_=2)
    rows = session.execute(select(known).order_by(order, known.c.id).limit(limit))
    return [_with_found(row) for row in rows]


def tallies(session: Session, platform_id: str, period_id: str) -> dict[Verdict | None, int]:
    """Count a period's totals in force by verdict; those that are not compared stand under None."""
    known = _known(platform_id, period_id)
    verdict = _verdict(known)
    rows = session.execute(select(verdict, func.count()).select_from(known).group_by(verdict))
    return {cast("Verdict | None", name): int(count) for name, count in rows}


def compare(
    lake: Lake,
    period: Period,
    totals: Sequence[ControlTotal],
    *,
    raw_locations: Sequence[str],
    verdicts_locations: Sequence[str],
    cut_seq: int,
    now: datetime,
) -> dict[int, Found]:
    """Add up what was settled of each total, by its id; files are read outside of any transaction.

    Args:
        raw_locations: the raw files that hold the period's rows.
        verdicts_locations: what a seal, or a preview of it, made of them.
        cut_seq: the last batch that it looked at.

    Raises:
        LakeAway: the files could not be read.
    """
    import duckdb

    if not totals or not raw_locations:
        return {one.id: Found(0, 0, now) for one in totals}
    text = resources.files("service.closing").joinpath("sql/control_totals.sql").read_text(encoding="utf-8")
    parameters = {
        "raw": list(raw_locations),
        "verdicts": list(verdicts_locations),
        "cut_seq": cut_seq,
        "start_at": _naive(period.span.start_at),
        "end_at": _naive(period.span.end_at),
    }
    with (
        tempfile.TemporaryDirectory(prefix="benefit-ledger-") as scratch,
        closing(duck.connect(temp_dir=Path(scratch))) as connection,
    ):
        lake.attach(connection)
        connection.register("total", _table(totals))
        try:
            sums = connection.execute(text, parameters).fetchall()
        except duckdb.IOException as fault:
            raise LakeAway(f"The files of {period.id} could not be read from the lake.") from fault
    return {total_id: Found(int(event_count), int(quantity), now) for total_id, event_count, quantity in sums}


def write_comparison(session: Session, period: Period, found: Mapping[int, Found]) -> None:
    """Write down what the close of a period found, in the transaction of its step."""
    values = [
        {
            "platform_id": period.platform_id,
            "total_id": total_id,
            "period_id": period.id,
            "event_count": one.event_count,
            "quantity": one.quantity,
            "compared_at": one.compared_at,
        }
        for total_id, one in found.items()
    ]
    if values:
        session.execute(insert(control_comparison), values)


def replace_looks(session: Session, platform_id: str, found: Mapping[int, Found]) -> None:
    """Keep what an estimate found so far, in place of what the one before it found."""
    session.execute(delete(control_look).where(control_look.c.platform_id == platform_id))
    values = [
        {
            "platform_id": platform_id,
            "total_id": total_id,
            "event_count": one.event_count,
            "quantity": one.quantity,
            "as_of_at": one.compared_at,
        }
        for total_id, one in found.items()
    ]
    if values:
        session.execute(insert(control_look), values)


def check(period: Period, totals: Sequence[ControlTotal], found: Mapping[int, Found]) -> None:
    """Refuse a seal that blocking totals do not agree with.

    Raises:
        SenderTotalsDiffer: names the first one and lists them all.
    """
    wrong = [one for one in totals if verdict_of(one.given, found[one.id]) != "matches"]
    if not wrong:
        return
    first = wrong[0].given
    others = f" ({len(wrong) - 1} more are listed in differences)" if len(wrong) > 1 else ""
    settled = found[wrong[0].id]
    raise SenderTotalsDiffer(
        f"{first.source} sent {first.event_count} events of type {first.type} with a sum of {first.quantity} "
        f"from {to_text(first.span.start_at)} until {to_text(first.span.end_at)}; settled would be "
        f"{settled.event_count} with {settled.quantity}{others}. Send what is missing, or a total that "
        f"supersedes this one, then close {period.id} again.",
        differences=[
            {
                "source": one.given.source,
                "type": one.given.type,
                "span": {
                    "start_at": to_text(one.given.span.start_at),
                    "end_at": to_text(one.given.span.end_at),
                },
                "count": one.given.event_count,
                "quantity": str(one.given.quantity),
                "settled_count": found[one.id].event_count,
                "settled_quantity": str(found[one.id].quantity),
            }
            for one in wrong
        ],
    )


def _known(platform_id: str, period_id: str) -> Subquery:
    """Join the totals in force of a period and what its close found of each."""
    newest = _in_force(platform_id, period_id).subquery()
    found, look = control_comparison.c, control_look.c
    joined = newest.outerjoin(
        control_comparison, and_(found.platform_id == newest.c.platform_id, found.total_id == newest.c.id)
    ).outerjoin(control_look, and_(look.platform_id == newest.c.platform_id, look.total_id == newest.c.id))
    return (
        select(
            newest,
            found.event_count.label("found_count"),
            found.quantity.label("found_quantity"),
            found.compared_at,
            look.event_count.label("look_count"),
            look.quantity.label("look_quantity"),
            look.as_of_at,
        )
        .select_from(joined)
        .subquery()
    )


def _verdict(known: Subquery) -> Case[str | None]:
    """Say in SQL what `verdict_of` says."""
    columns = known.c
    is_equal = and_(columns.found_count == columns.event_count, columns.found_quantity == columns.quantity)
    return case(
        (columns.compared_at.is_(None), null()),
        (is_equal, "matches"),
        (columns.found_count > 0, "differs"),
        else_="missing",
    )


def _in_force(platform_id: str, period_id: str) -> Select[Any]:
    key = [control_total.c[name] for name in ("source", "type", "start_at", "end_at")]
    return (
        select(control_total)
        .ext(distinct_on(*key))
        .where(control_total.c.platform_id == platform_id, control_total.c.period_id == period_id)
        .order_by(*key, control_total.c.id.desc())
    )


def _check(totals: Sequence[Given], known: Mapping[str, object]) -> None:
    errors = []
    for index, one in enumerate(totals):
        place = f"/totals/{index}"
        if one.type not in known:
            errors.append(FieldError(f"{place}/type", "the platform has no event type of this name"))
        if not 1 <= len(one.source) <= SOURCE_LENGTH_MAX or not one.source.isprintable():
            errors.append(FieldError(f"{place}/source", f"use 1 to {SOURCE_LENGTH_MAX} printable characters"))
        if not 0 <= one.event_count <= COUNT_MAX:
            errors.append(FieldError(f"{place}/count", f"use a whole number from 0 to {COUNT_MAX}"))
        if abs(one.quantity) > QUANTITY_MAX:
            errors.append(FieldError(f"{place}/quantity", f"use at most {QUANTITY_MAX}, above or below zero"))
    if errors:
        raise Invalid(f"{errors[0].pointer[1:]}: {errors[0].detail}.", errors=errors)


def _period_of(platform: Platform, known: Sequence[Period], span: Span, index: int) -> str:
    """Name the period that a span lies in: one that is open, or one that may be opened for history."""
    one = next((period for period in known if period.span.contains(span.start_at)), None)
    if one is None:
        unit = cast("PeriodUnit", platform.period_unit)
        expected = spans.period_of(span.start_at, platform.zone, unit)
        name, end_at = expected.name, expected.span.end_at
    else:
        name, end_at = one.id, one.span.end_at
    if one is not None and one.is_sealed:
        detail = f"period {name} is {one.state}; its totals were compared when it was closed"
        raise WrongState(
            f"totals/{index}/start_at: {detail}.", errors=[FieldError(f"/totals/{index}/start_at", detail)]
        )
    if span.end_at > end_at:
        detail = f"period {name} ends at {to_text(end_at)}; give a total for each period"
        raise SpanCrossesPeriods(
            f"totals/{index}/end_at: {detail}.", errors=[FieldError(f"/totals/{index}/end_at", detail)]
        )
    return name


def _table(totals: Sequence[ControlTotal]) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "id": pa.array([one.id for one in totals], pa.int64()),
            "source": pa.array([one.given.source for one in totals], pa.string()),
            "type": pa.array([one.given.type for one in totals], pa.string()),
            "start_at": pa.array([_naive(one.given.span.start_at) for one in totals], pa.timestamp("us")),
            "end_at": pa.array([_naive(one.given.span.end_at) for one in totals], pa.timestamp("us")),
        }
    )


def _with_found(row: Row[Any]) -> ControlTotal:
    found = so_far = None
    if row.compared_at is not None:
        found = Found(row.found_count, int(row.found_quantity), row.compared_at)
    elif row.as_of_at is not None:
        so_far = Found(row.look_count, int(row.look_quantity), row.as_of_at)
    return _total(row, found, so_far)


def _total(row: Row[Any], found: Found | None, so_far: Found | None = None) -> ControlTotal:
    return ControlTotal(
        platform_id=row.platform_id,
        id=row.id,
        period_id=row.period_id,
        given=Given(
            source=row.source,
            type=row.type,
            span=Span(row.start_at, row.end_at),
            event_count=row.event_count,
            quantity=int(row.quantity),
            is_blocking=row.is_blocking,
        ),
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        found=found,
        so_far=so_far,
    )


def _naive(instant: datetime) -> datetime:
    """Write an instant as the files do: in UTC, without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid(f"{pointer[1:]}: {detail}.", errors=[FieldError(pointer, detail)])
