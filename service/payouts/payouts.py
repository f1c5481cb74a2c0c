"""Payouts: each creator's part of a batch, the steps it took and the attempts to send it.

Owns the one way in which a single payout changes its state: `move`, which checks the table of moves, writes
the step and books what the move books, all in the caller's transaction. Laws: a payout's amount, currency,
creator and destination never change; a payout and its ledger entries always say the same.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.ledger import entries, journal
from service.ledger.entries import Entry
from service.payouts.tables import payout, payout_attempt, payout_step
from service.payouts.transitions import Booking, State, booking_of

PAGE_MAX: Final = 500
STREAM_ROWS: Final = 5_000

_REACHED_AT: Final = {State.SENT: "sent_at", State.PAID: "settled_at"}


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout as people and rooms see it: the destination is a hint only."""

    platform_id: str
    id: uuid.UUID
    batch_id: uuid.UUID
    creator_id: str
    provider: str
    currency: str
    amount_minor: int
    destination_hint: str
    state: State
    reason: str | None
    provider_reference: str | None
    due_at: datetime | None
    created_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """A state that a payout reached, when, and what should be remembered of it."""

    state: State
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One idempotency key presented to the provider, however often."""

    number: int
    key: str
    state: str
    owner: str
    claim_count: int
    lease_until: datetime
    claimed_at: datetime
    recorded_at: datetime | None
    outcome: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class History:
    """A payout with its steps and attempts, oldest first."""

    payout: Payout
    steps: Sequence[Step]
    attempts: Sequence[Attempt]


COLUMNS = [payout.c[name] for name in Payout.__slots__]
"""What `from_row` needs."""


def listing(
    session: Session,
    platform_id: str,
    *,
    creator_id: str | None = None,
    batch_id: uuid.UUID | None = None,
    state: State | None = None,
    after: uuid.UUID | None = None,
    limit: int = 100,
) -> list[Payout]:
    """Read payouts in the order of their ids, which is that of their batches, from the one after `after`."""
    query = select(*COLUMNS).where(payout.c.platform_id == platform_id)
    if creator_id is not None:
        query = query.where(payout.c.creator_id == creator_id)
    if batch_id is not None:
        query = query.where(payout.c.batch_id == batch_id)
    if state is not None:
        query = query.where(payout.c.state == state)
    if after is not None:
        query = query.where(payout.c.id > after)
    rows = session.execute(query.order_by(payout.c.id).limit(min(limit, PAGE_MAX)))
    return [from_row(row) for row in rows]


def stream(
    session: Session,
    platform_id: str,
    *,
    creator_id: str | None = None,
    batch_id: uuid.UUID | None = None,
) -> Iterator[Payout]:
    """Read all payouts, or those of a creator or a batch, in the order of their ids, thousands at a time."""
    query = select(*COLUMNS).where(payout.c.platform_id == platform_id)
    if creator_id is not None:
        query = query.where(payout.c.creator_id == creator_id)
    if batch_id is not None:
        query = query.where(payout.c.batch_id == batch_id)
    rows = session.execute(query.order_by(payout.c.id).execution_options(yield_per=STREAM_ROWS))
    return (from_row(row) for row in rows)


def get(session: Session, platform_id: str, payout_id: uuid.UUID) -> History:
    """Read one payout with everything that happened to it.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(*COLUMNS).where(payout.c.platform_id == platform_id, payout.c.id == payout_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no payout {payout_id}.")
    steps = session.execute(
        select(payout_step.c.state, payout_step.c.at, payout_step.c.detail)
        .where(payout_step.c.platform_id == platform_id, payout_step.c.payout_id == payout_id)
        .order_by(payout_step.c.id)
    )
    attempts = session.execute(
        select(*[payout_attempt.c[name] for name in Attempt.__slots__])
        .where(payout_attempt.c.platform_id == platform_id, payout_attempt.c.payout_id == payout_id)
        .order_by(payout_attempt.c.number)
    )
    return History(
        payout=from_row(row),
        steps=[Step(State(one.state), one.at, one.detail) for one in steps],
        attempts=[Attempt(**one._mapping) for one in attempts],
    )


def move(
    session: Session,
    one: Payout,
    to: State,
    *,
    now: datetime,
    due_at: datetime | None,
    detail: Mapping[str, Any],
    reason: str | None = None,
    provider_reference: str | None = None,
) -> None:
    """Move one payout to another state, write the step and book the money.

    Args:
        one: as read under a lock of its row in this transaction.
        due_at: when the settlement looks at it again; None: never.
        detail: what the step should remember, JSON values, free of names and bank details.
        reason: why it failed or came back.
        provider_reference: the provider's number for it, as soon as there is one.

    Raises:
        ForbiddenMove: its state does not lead there.
    """
    booking = booking_of(one.state, to)
    values: dict[str, Any] = {"state": to, "due_at": due_at, "reason": reason}
    if provider_reference is not None:
        values["provider_reference"] = provider_reference
    if to in _REACHED_AT:
        values[_REACHED_AT[to]] = now
    moved = session.execute(
        update(payout)
        .where(payout.c.platform_id == one.platform_id, payout.c.id == one.id, payout.c.state == one.state)
        .values(values)
        .returning(payout.c.id)
    ).one_or_none()
    assert moved is not None, "the caller holds the row, so its state cannot have changed"
    write_step(session, one.platform_id, one.id, to, now=now, detail=detail)
    entry = _entry_of(booking, one, now)
    if entry is not None:
        journal.post(session, entry, now=now)


def write_step(
    session: Session,
    platform_id: str,
    payout_id: uuid.UUID,
    state: State,
    *,
    now: datetime,
    detail: Mapping[str, Any],
) -> None:
    """Write down that a payout reached a state, or tried it again."""
    session.execute(
        insert(payout_step).values(
            platform_id=platform_id, payout_id=payout_id, state=state, at=now, detail=dict(detail)
        )
    )


def from_row(row: Row[Any]) -> Payout:
    """Make the value of a row that has at least COLUMNS."""
    values = {name: row._mapping[name] for name in Payout.__slots__}
    return Payout(**(values | {"state": State(row.state)}))


def _entry_of(booking: Booking, one: Payout, now: datetime) -> Entry | None:
    assert booking not in {Booking.RESERVED, Booking.RELEASED}, "these are booked for a whole batch"
    if booking is Booking.PAID:
        return entries.payout_paid(
            one.platform_id,
            payout_id=str(one.id),
            provider=one.provider,
            currency=one.currency,
            amount_minor=one.amount_minor,
            effective_at=now,
        )
    templates = {
        Booking.SENT: entries.payout_sent,
        Booking.FAILED: entries.payout_failed,
        Booking.RETURNED: entries.payout_returned,
    }
    if booking not in templates:
        return None
    return templates[booking](
        one.platform_id,
        payout_id=str(one.id),
        creator_id=one.creator_id,
        provider=one.provider,
        currency=one.currency,
        amount_minor=one.amount_minor,
        effective_at=now,
    )
