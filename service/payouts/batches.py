"""Batches: payouts that are submitted by one and released by another person, with frozen control totals.

Owns what happens to a batch as a whole: submitting reserves the money of all its payouts with one ledger
entry, approving releases them to the settlement, cancelling gives back what nobody has been asked to send.
Laws: two batches never hold the same money; what is approved is exactly what was submitted; the database
itself refuses a batch whose approver is its submitter.

Locks are taken in one order: a platform's submissions, the batch, its payouts, then the books.
"""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, exists, func, insert, select, update
from sqlalchemy.orm import Session

from service.core import digests, ids
from service.core.errors import Conflict, FieldError, Invalid, NotFound
from service.ledger import entries, journal
from service.ledger.entries import Entry, Line
from service.parties import staff, trail
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.parties.staff import RoleMissing
from service.payouts import due
from service.payouts.due import Due, Standing
from service.payouts.tables import payout, payout_batch, payout_step
from service.payouts.transitions import FIRST, SETTLED, WITHDRAWABLE, Booking, State, booking_of
from service.runtime import db

PAYOUTS_MAX: Final = 100_000
"""Payouts of one batch; what is due beyond it waits for the next one."""

PAGE_MAX: Final = 500


class NothingDue(Conflict):
    """No balance can be paid at present."""

    slug = "nothing-due"
    title = "There is nothing to pay"


class WrongBatchState(Conflict):
    """The batch is not in a state that admits the act."""

    slug = "payout-batch-state"
    title = "The batch's state does not allow this"


class ControlTotalsDiffer(Conflict):
    """The payouts of a batch are not those that were submitted."""

    slug = "control-totals-differ"
    title = "The batch is not what was submitted"


@dataclass(frozen=True, slots=True)
class Totals:
    """What a batch was frozen as: how many payouts, their sum in minor units, and a digest of all of them."""

    payout_count: int
    amount_minor: int
    payouts_sha256: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch; people are named as `kind:id`."""

    platform_id: str
    id: uuid.UUID
    provider: str
    currency: str
    state: str
    payout_count: int
    amount_minor: int
    payouts_sha256: str
    submitted_by: str
    submitted_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many payouts of a batch are in a state, and their sum in minor units."""

    state: State
    payout_count: int
    amount_minor: int


_COLUMNS = [payout_batch.c[name] for name in Batch.__slots__]


def submit(
    session: Session,
    platform: Platform,
    *,
    provider: str | None = None,
    limit: int = PAYOUTS_MAX,
    actor: Actor,
    now: datetime,
) -> Batch:
    """Put everything that is payable now into a batch and reserve its money.

    Args:
        provider: pay the payees of this one; may be left out while all payable ones have the same.
        limit: at most so many payouts, by creator id; the rest waits for the next batch.
        actor: the service itself, a key, or a member of staff who holds finance_maker.

    Raises:
        RoleMissing: a member of staff without the role.
        Invalid: payees of several providers, and none was named.
        NothingDue: no balance can be paid; `due.listing` says why for each.
    """
    staff.require(session, platform.id, actor, "finance_maker")
    # Two runs at once would both find the same balances: the second waits here and then finds them reserved.
    db.lock(session, "payouts.submit", platform.id)
    payable = [one for one in due.listing(session, platform, now=now) if one.verdict is Standing.PAYABLE]
    chosen = _provider_of({one.provider for one in payable if one.provider is not None}, provider)
    payable = [one for one in payable if one.provider == chosen][:limit]
    if chosen is None or not payable:
        raise NothingDue(
            f"Platform {platform.id} has no balance that can be paid now; `payouts due` says why."
        )
    parts = sorted(((ids.new(now), one) for one in payable), key=lambda part: part[0])
    totals = totals_of(
        (payout_id, one.creator_id, one.payable_minor, one.destination_sealed or b"")
        for payout_id, one in parts
    )
    made = session.execute(
        insert(payout_batch)
        .values(
            platform_id=platform.id,
            id=ids.new(now),
            provider=chosen,
            currency=platform.currency,
            state="submitted",
            payout_count=totals.payout_count,
            amount_minor=totals.amount_minor,
            payouts_sha256=totals.payouts_sha256,
            submitted_by=str(actor),
            submitted_at=now,
        )
        .returning(*_COLUMNS)
    ).one()
    batch = Batch(**made._mapping)
    _store(session, batch, parts, now)
    _write_steps(session, batch, FIRST, [payout_id for payout_id, _ in parts], actor, now)
    reserved = [(payout_id, one.creator_id, one.payable_minor) for payout_id, one in parts]
    _book(session, batch, Booking.RESERVED, reserved, now)
    _record(session, batch, actor, "submit", now, after=_shown(batch))
    return batch


def approve(session: Session, platform_id: str, batch_id: uuid.UUID, *, actor: Actor, now: datetime) -> Batch:
    """Release a batch to the settlement, after comparing it with its control totals.

    Args:
        actor: a person who holds finance_checker and did not submit it.

    Raises:
        NotFound: the platform has no such batch.
        WrongBatchState: it is not submitted (any more).
        RoleMissing, SamePerson: not a second person who may.
        ControlTotalsDiffer: its payouts are not those that were submitted; nothing is released.
    """
    batch = get(session, platform_id, batch_id, lock=True)
    if batch.state != "submitted":
        raise WrongBatchState(f"Batch {batch.id} is {batch.state}; only a submitted one can be approved.")
    staff.require_second(session, platform_id, actor, "finance_checker", prepared_by=batch.submitted_by)
    _check_totals(session, batch)
    moved = _move_all(session, batch, {State.READY}, State.APPROVED, {"due_at": now}, actor, now)
    assert len(moved) == batch.payout_count, "every payout of a submitted batch is ready"
    return _change(
        session, batch, actor, "approve", now, state="approved", approved_by=str(actor), approved_at=now
    )


def cancel(
    session: Session,
    platform_id: str,
    batch_id: uuid.UUID,
    *,
    reason: str = "withdrawn",
    actor: Actor,
    now: datetime,
) -> Batch:
    """Withdraw every payout of a batch that no provider has been asked to send, and release its reserve.

    Returns:
        The batch: cancelled if nothing of it had been claimed, else approved still, with less to send.

    Raises:
        NotFound: the platform has no such batch.
        RoleMissing: a member of staff who holds neither finance_maker nor finance_checker.
        WrongBatchState: nothing of it can be withdrawn any more.
    """
    _require_finance(session, platform_id, actor)
    batch = get(session, platform_id, batch_id, lock=True)
    values = {"due_at": None, "reason": reason}
    moved = _move_all(session, batch, WITHDRAWABLE, State.CANCELLED, values, actor, now)
    if not moved:
        raise WrongBatchState(f"Batch {batch.id} is {batch.state}; nothing of it can be withdrawn any more.")
    _book(
        session, batch, Booking.RELEASED, [(row.id, row.creator_id, row.amount_minor) for row in moved], now
    )
    state = "cancelled" if len(moved) == batch.payout_count else batch.state
    return _change(session, batch, actor, "cancel", now, state=state)


def get(session: Session, platform_id: str, batch_id: uuid.UUID, *, lock: bool = False) -> Batch:
    """Read one batch; with `lock`, hold its row until the transaction ends.

    Raises:
        NotFound: the platform has none with this id.
    """
    query = select(*_COLUMNS).where(payout_batch.c.platform_id == platform_id, payout_batch.c.id == batch_id)
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no payout batch {batch_id}.")
    return Batch(**row._mapping)


def listing(
    session: Session,
    platform_id: str,
    *,
    state: str | None = None,
    after: uuid.UUID | None = None,
    limit: int = 100,
) -> list[Batch]:
    """Read batches, newest first, from the one before `after`."""
    query = select(*_COLUMNS).where(payout_batch.c.platform_id == platform_id)
    if state is not None:
        query = query.where(payout_batch.c.state == state)
    if after is not None:
        query = query.where(payout_batch.c.id < after)
    rows = session.execute(query.order_by(payout_batch.c.id.desc()).limit(min(limit, PAGE_MAX)))
    return [Batch(**row._mapping) for row in rows]


def tallies(session: Session, platform_id: str, batch_id: uuid.UUID) -> list[Tally]:
    """Count the payouts of a batch by state, in the order of the states; those without any are left out."""
    rows = session.execute(
        select(payout.c.state, func.count(), func.sum(payout.c.amount_minor))
        .where(payout.c.platform_id == platform_id, payout.c.batch_id == batch_id)
        .group_by(payout.c.state)
    )
    found = {State(state): Tally(State(state), count, int(sum_minor)) for state, count, sum_minor in rows}
    return [found[state] for state in State if state in found]


def finish(session: Session, *, provider: str, platform_id: str | None = None, now: datetime) -> int:
    """Mark approved batches done whose payouts are all settled; return how many.

    It looks at what is committed, so that two workers who settle the last two payouts at the same time both
    may find the batch unfinished; the next look then finds it.
    """
    done = session.execute(
        update(payout_batch)
        .where(*_finished(platform_id), payout_batch.c.provider == provider)
        .values(state="done", done_at=now)
        .returning(payout_batch.c.id)
    )
    return len(done.all())


def finishable_at(session: Session, platform_id: str) -> datetime | None:
    """Find since when a batch of the platform may be waiting to be marked done; None: none is."""
    found: datetime | None = session.scalar(
        select(func.min(payout_batch.c.approved_at)).where(*_finished(platform_id))
    )
    return found


def totals_of(rows: Iterable[tuple[uuid.UUID, str, int, bytes]]) -> Totals:
    """Freeze payouts as control totals.

    Args: rows: (payout id, creator id, minor units, sealed destination) by payout id.
    Laws: other payouts, another order, amount, creator or destination give another digest.
    """
    count, amount_minor, frames = 0, 0, []
    for payout_id, creator_id, one_minor, sealed in rows:
        count += 1
        amount_minor += one_minor
        parts = (payout_id.bytes, creator_id.encode(), str(one_minor).encode(), digests.sha256(bytes(sealed)))
        frames.append(digests.framed(*parts))
    return Totals(count, amount_minor, digests.sha256_hex(b"".join(frames)))


def _provider_of(present: Collection[str], named: str | None) -> str | None:
    if named is not None:
        return named
    if len(present) > 1:
        detail = f"name one of {', '.join(sorted(present))}: payees of several providers are due"
        raise Invalid(f"provider: {detail}.", errors=[FieldError("/provider", detail)])
    return next(iter(present), None)


def _store(session: Session, batch: Batch, parts: Sequence[tuple[uuid.UUID, Due]], now: datetime) -> None:
    fixed = {
        "platform_id": batch.platform_id,
        "batch_id": batch.id,
        "provider": batch.provider,
        "currency": batch.currency,
        "state": FIRST.value,
        "created_at": now,
    }
    names = [*fixed, "id", "creator_id", "amount_minor", "destination_sealed", "destination_hint"]
    rows = (
        [
            *fixed.values(),
            payout_id,
            one.creator_id,
            one.payable_minor,
            one.destination_sealed,
            one.destination_hint,
        ]
        for payout_id, one in parts
    )
    db.copy_rows(session, payout, names, rows)


def _write_steps(
    session: Session, batch: Batch, to: State, payout_ids: Iterable[uuid.UUID], actor: Actor, now: datetime
) -> None:
    detail = json.dumps({"by": str(actor)})
    names = ("platform_id", "payout_id", "state", "at", "detail")
    rows = ((batch.platform_id, payout_id, to.value, now, detail) for payout_id in payout_ids)
    db.copy_rows(session, payout_step, names, rows)


def _check_totals(session: Session, batch: Batch) -> None:
    rows = session.execute(
        select(payout.c.id, payout.c.creator_id, payout.c.amount_minor, payout.c.destination_sealed)
        .where(payout.c.platform_id == batch.platform_id, payout.c.batch_id == batch.id)
        .order_by(payout.c.id)
        .with_for_update()
    )
    found = totals_of((row.id, row.creator_id, row.amount_minor, row.destination_sealed) for row in rows)
    frozen = Totals(batch.payout_count, batch.amount_minor, batch.payouts_sha256)
    if found != frozen:
        raise ControlTotalsDiffer(
            f"Batch {batch.id} was submitted as {frozen.payout_count} payouts of {frozen.amount_minor} and is"
            f" now {found.payout_count} of {found.amount_minor}, or differs in what they are; cancel it and"
            " find out who changed it."
        )


def _move_all(
    session: Session,
    batch: Batch,
    ones: Collection[State],
    to: State,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> list[Row[Any]]:
    """Move all payouts of a batch that are in one of some states; a claim in progress is waited for."""
    for one in ones:
        booking_of(one, to)
    moved = session.execute(
        update(payout)
        .where(
            payout.c.platform_id == batch.platform_id,
            payout.c.batch_id == batch.id,
            payout.c.state.in_([one.value for one in ones]),
        )
        .values(state=to.value, **values)
        .returning(payout.c.id, payout.c.creator_id, payout.c.amount_minor)
    ).all()
    _write_steps(session, batch, to, [row.id for row in moved], actor, now)
    return list(moved)


def _book(
    session: Session,
    batch: Batch,
    booking: Booking,
    parts: Iterable[tuple[uuid.UUID, str, int]],
    now: datetime,
) -> None:
    """Book one entry for a whole batch: the lines of the single entries, in the order of the payouts."""
    make = {Booking.RESERVED: entries.payout_reserved, Booking.RELEASED: entries.payout_released}[booking]
    lines: list[Line] = []
    for payout_id, creator_id, amount_minor in sorted(parts):
        single = make(
            batch.platform_id,
            payout_id=str(payout_id),
            creator_id=creator_id,
            currency=batch.currency,
            amount_minor=amount_minor,
            effective_at=now,
        )
        lines += single.lines
    entry = Entry(
        platform_id=batch.platform_id,
        kind=booking.value,
        cause_kind="payout_batch",
        cause_id=str(batch.id),
        currency=batch.currency,
        effective_at=now,
        key=f"{booking.value}:{batch.id}",
        lines=tuple(lines),
    )
    journal.post(session, entry, now=now)


def _change(session: Session, batch: Batch, actor: Actor, act: str, now: datetime, **values: Any) -> Batch:
    row = session.execute(
        update(payout_batch)
        .where(payout_batch.c.platform_id == batch.platform_id, payout_batch.c.id == batch.id)
        .values(values)
        .returning(*_COLUMNS)
    ).one()
    changed = Batch(**row._mapping)
    _record(session, batch, actor, act, now, before={"state": batch.state}, after={"state": changed.state})
    return changed


def _finished(platform_id: str | None) -> list[ColumnElement[bool]]:
    moving = exists().where(
        payout.c.platform_id == payout_batch.c.platform_id,
        payout.c.batch_id == payout_batch.c.id,
        payout.c.state.not_in([state.value for state in SETTLED]),
    )
    scope = [] if platform_id is None else [payout_batch.c.platform_id == platform_id]
    return [payout_batch.c.state == "approved", ~moving, *scope]


def _require_finance(session: Session, platform_id: str, actor: Actor) -> None:
    """Let makers and checkers pass: either may stop money from leaving."""
    try:
        staff.require(session, platform_id, actor, "finance_maker")
    except RoleMissing:
        staff.require(session, platform_id, actor, "finance_checker")


def _record(
    session: Session,
    batch: Batch,
    actor: Actor,
    act: str,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
) -> None:
    trail.record(
        session,
        batch.platform_id,
        actor,
        f"payout_batch.{act}",
        "payout_batch",
        str(batch.id),
        before=before,
        after=after,
        now=now,
    )


def _shown(batch: Batch) -> dict[str, Any]:
    return {
        "state": batch.state,
        "provider": batch.provider,
        "currency": batch.currency,
        "payout_count": batch.payout_count,
        "amount_minor": batch.amount_minor,
        "payouts_sha256": batch.payouts_sha256,
    }
