"""Recorded revenue: stream, gross, named deductions, net, span; what the pool of a period is made of.

Laws: net is gross less deductions, exactly; a reference is recorded once; a sealed period's pool never
changes (what comes later for it joins the open period and names its origin); every record is an entry in the
ledger, in the same transaction. A correction is revenue below zero, never an edit.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period
from service.closing.tables import revenue
from service.core import ids
from service.core.errors import Conflict, FieldError, Invalid, NotFound
from service.core.spans import Span, to_text
from service.ledger import entries, journal
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.runtime import db

AMOUNT_MAX = 10**15
"""The largest gross amount or deduction of one record, in minor units."""

DEDUCTIONS_MAX = 50


class ReferenceUsed(Conflict):
    """The reference stands for another record."""

    slug = "revenue-reference-used"
    title = "This reference is recorded with other values"


class SpanCrossesPeriods(Invalid):
    """The span does not lie within one period."""

    slug = "span-crosses-periods"
    title = "The span does not lie within one period"


@dataclass(frozen=True, slots=True)
class Deduction:
    """What is taken off the gross before it is shared, by name."""

    name: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Revenue:
    """One record of revenue."""

    id: uuid.UUID
    platform_id: str
    period_id: str
    origin_period_id: str
    stream: str
    reference: str
    currency: str
    gross_minor: int
    deductions: tuple[Deduction, ...]
    net_minor: int
    span: Span
    entry_id: int | None
    recorded_at: datetime
    recorded_by: str

    @property
    def is_late(self) -> bool:
        """Whether it joined a later pool than the one its span lies in."""
        return self.period_id != self.origin_period_id


def record(
    session: Session,
    platform: Platform,
    *,
    stream: str,
    reference: str,
    currency: str,
    gross_minor: int,
    deductions: Sequence[Deduction] = (),
    span: Span | None = None,
    period_id: str | None = None,
    actor: Actor,
    now: datetime,
) -> Revenue:
    """Record recognised revenue and book it to the pool of its period.

    Args:
        reference: the platform's own number for it; recording it again with the same values changes nothing.
        gross_minor: below zero for a correction; deductions then are zero or below.
        span: when it was earned, within one period; or `period_id` for a whole period.

    Raises:
        Invalid: a currency that is not the platform's, amounts out of bounds, neither or both of span and
            period. SpanCrossesPeriods: see its name.
        NotFound: no period is open or was open for the span.
        ReferenceUsed: the reference is recorded with other values.
    """
    inputs.check_id(reference, "/reference")
    stream = inputs.check_name(stream, "/stream")
    _check_amounts(platform, currency, gross_minor, deductions)
    seal_lock.share(session, platform.id)
    db.lock(session, "revenue", platform.id, reference)
    origin = _origin(session, platform, span, period_id)
    if span is None:
        span = origin.span
    wanted = {
        "stream": stream,
        "currency": currency,
        "gross_minor": gross_minor,
        "deductions": [{"name": one.name, "amount_minor": one.amount_minor} for one in deductions],
        "start_at": span.start_at,
        "end_at": span.end_at,
    }
    known = _by_reference(session, platform.id, reference)
    if known is not None:
        if any(getattr(known, name) != value for name, value in wanted.items()):
            detail = "use a new reference, or send the same values"
            raise ReferenceUsed(
                f"Reference {reference} is recorded with other values; {detail}.",
                errors=[FieldError("/reference", detail)],
            )
        return _revenue(known)
    joined = _joined(session, platform, origin, now)
    revenue_id = ids.new(now)
    net_minor = gross_minor - sum(one.amount_minor for one in deductions)
    entry_id = None
    if net_minor:
        entry = entries.revenue_recognised(
            platform_id=platform.id,
            revenue_id=str(revenue_id),
            period_id=joined.id,
            currency=currency,
            net_minor=net_minor,
            effective_at=span.start_at if joined == origin else now,
        )
        entry_id = journal.post(session, entry, now=now).entry_id
    session.execute(
        insert(revenue).values(
            **wanted,
            platform_id=platform.id,
            id=revenue_id,
            period_id=joined.id,
            origin_period_id=origin.id,
            reference=reference,
            net_minor=net_minor,
            entry_id=entry_id,
            recorded_at=now,
            recorded_by=str(actor),
        )
    )
    after = {"reference": reference, "stream": stream, "net_minor": net_minor, "period": joined.id}
    trail.record(
        session, platform.id, actor, "revenue.record", "revenue", str(revenue_id), after=after, now=now
    )
    made = _by_reference(session, platform.id, reference)
    assert made is not None, "it was inserted above"
    return _revenue(made)


def get(session: Session, platform_id: str, revenue_id: uuid.UUID) -> Revenue:
    """Read one record.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(revenue).where(revenue.c.platform_id == platform_id, revenue.c.id == revenue_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no revenue {revenue_id}.")
    return _revenue(row)


def listing(
    session: Session,
    platform_id: str,
    *,
    period_id: str | None = None,
    after: uuid.UUID | None = None,
    limit: int = 100,
) -> list[Revenue]:
    """Read records in the order in which they were recorded.

    Args:
        period_id: only those whose net joined this period's pool.
        after: only those after this one.
    """
    query = select(revenue).where(revenue.c.platform_id == platform_id).order_by(revenue.c.id)
    if period_id is not None:
        query = query.where(revenue.c.period_id == period_id)
    if after is not None:
        query = query.where(revenue.c.id > after)
    return [_revenue(row) for row in session.execute(query.limit(limit))]


def _check_amounts(
    platform: Platform, currency: str, gross_minor: int, deductions: Sequence[Deduction]
) -> None:
    errors = []
    if currency != platform.currency:
        errors.append(
            FieldError("/currency", f"use {platform.currency}, the currency of the platform's books")
        )
    if abs(gross_minor) > AMOUNT_MAX:
        errors.append(FieldError("/gross/amount_minor", f"use at most {AMOUNT_MAX} minor units a record"))
    if len(deductions) > DEDUCTIONS_MAX:
        errors.append(FieldError("/deductions", f"name at most {DEDUCTIONS_MAX} deductions"))
    sign = -1 if gross_minor < 0 else 1
    for index, one in enumerate(deductions):
        if not 0 <= one.amount_minor * sign <= AMOUNT_MAX:
            detail = "use the sign of the gross amount: a deduction lowers it, a correction gives it back"
            errors.append(FieldError(f"/deductions/{index}/amount_minor", detail))
        if not one.name.strip():
            errors.append(FieldError(f"/deductions/{index}/name", "name the deduction"))
    if errors:
        raise Invalid(f"{errors[0].pointer[1:]}: {errors[0].detail}.", errors=errors)


def _origin(session: Session, platform: Platform, span: Span | None, period_id: str | None) -> Period:
    if (span is None) == (period_id is None):
        detail = "give either a span or a period"
        raise Invalid(f"span: {detail}.", errors=[FieldError("/span", detail)])
    if period_id is not None:
        return periods.get(session, platform.id, period_id)
    assert span is not None, "checked above"
    origin = periods.containing(session, platform.id, span.start_at)
    if origin is None:
        remedy = f"open its period first: `benefit-ledger period open --from {to_text(span.start_at)}`"
        raise NotFound(
            f"No period of {platform.id} holds {to_text(span.start_at)}; {remedy}.",
            errors=[FieldError("/span/start_at", "no period holds this instant")],
        )
    if span.end_at > origin.span.end_at:
        detail = f"period {origin.id} ends at {to_text(origin.span.end_at)}; record a part for each period"
        raise SpanCrossesPeriods(
            f"The span crosses periods: {detail}.", errors=[FieldError("/span/end_at", detail)]
        )
    return origin


def _joined(session: Session, platform: Platform, origin: Period, now: datetime) -> Period:
    if not origin.is_sealed:
        return origin
    periods.ensure_current(session, platform, now)
    joined = periods.oldest_unsealed(session, platform.id)
    assert joined is not None, "the period of now is regular and open"
    return joined


def _by_reference(session: Session, platform_id: str, reference: str) -> Row[Any] | None:
    return session.execute(
        select(revenue).where(revenue.c.platform_id == platform_id, revenue.c.reference == reference)
    ).one_or_none()


def _revenue(row: Row[Any]) -> Revenue:
    return Revenue(
        id=row.id,
        platform_id=row.platform_id,
        period_id=row.period_id,
        origin_period_id=row.origin_period_id,
        stream=row.stream,
        reference=row.reference,
        currency=row.currency,
        gross_minor=row.gross_minor,
        deductions=tuple(Deduction(one["name"], one["amount_minor"]) for one in row.deductions),
        net_minor=row.net_minor,
        span=Span(row.start_at, row.end_at),
        entry_id=row.entry_id,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
    )
