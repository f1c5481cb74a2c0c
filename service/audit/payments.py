"""Payouts against their steps, their batches and the books.

Law: what a payout's steps say, its state and the books say too: each move that books something left exactly
its entry, and nothing else is booked for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, cast

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from service.audit.findings import BOOK, KEPT, Notes, compare_entries, stream
from service.ledger import entries
from service.ledger.entries import Entry
from service.parties.platforms import Platform
from service.payouts import batches
from service.payouts.transitions import MOVES, SETTLED, Booking, State


def steps(session: Session, platform: Platform, notes: Notes) -> None:
    """Each payout's steps are moves that exist, and lead from ready to its state."""
    for row in stream(session, platform.id, _PAYOUTS):
        notes.see()
        path = _path(row)
        notes.compare(f"payout {row.id} first step", State.READY.value, path[0][0] if path else None)
        notes.compare(f"payout {row.id} last step", row.state, path[-1][0] if path else None)
        for (one, _), (to, _) in pairwise(path):
            if (one, to) not in MOVES:
                notes.compare(f"payout {row.id}", "a move that exists", f"{one} to {to}")


def bookings(session: Session, platform: Platform, notes: Notes) -> None:
    """Each payout's entries are those that its steps book; no entry is of a payout that is not there."""
    for row in stream(session, platform.id, _PAYOUTS):
        notes.see()
        booked = dict(zip(row.entry_keys or (), map(bytes, row.entry_digests or ()), strict=True))
        compare_entries(notes, f"payout {row.id}", list(_expected_bookings(row)), booked)
    for row in stream(session, platform.id, _STRAY):
        notes.compare(f"{row.cause_kind} {row.cause_id}", None, f"entry {row.key}")


def control_totals(session: Session, platform: Platform, notes: Notes) -> None:
    """Each batch holds the payouts that it was submitted with, and is done when all are settled."""
    for batch in stream(session, platform.id, _BATCHES):
        notes.see()
        held = _held(session, batch)
        found = batches.totals_of(
            (row.id, row.creator_id, row.amount_minor, row.destination_sealed) for row in held
        )
        name = f"batch {batch.id}"
        notes.compare(f"{name} payouts", batch.payout_count, found.payout_count)
        notes.compare(f"{name} amount", batch.amount_minor, found.amount_minor)
        notes.compare(f"{name} digest", batch.payouts_sha256, found.payouts_sha256)
        moving = sum(row.state not in SETTLED for row in held)
        if batch.state in {"done", "cancelled"}:
            notes.compare(f"{name} is {batch.state}, payouts not settled", 0, moving)


def reserves(session: Session, platform: Platform, notes: Notes) -> None:
    """Each batch reserved all its payouts with one entry, and released the cancelled ones with another."""
    for batch in stream(session, platform.id, _BATCHES):
        notes.see()
        booked = session.execute(_OF_BATCH, {"platform_id": platform.id, "batch_id": str(batch.id)})
        expected = list(_expected_reserves(batch, _held(session, batch)))
        compare_entries(
            notes, f"batch {batch.id}", expected, {row.key: bytes(row.request_sha256) for row in booked}
        )


def under_way(session: Session, platform: Platform, notes: Notes) -> None:
    """What is reserved for each creator, and in transit with each provider, is what payouts say."""
    expected = _by_account(stream(session, platform.id, _UNDER_WAY))
    found = _by_account(stream(session, platform.id, _HELD))
    for name in sorted(expected.keys() | found.keys()):
        notes.see()
        notes.compare(name, expected.get(name, 0), found.get(name, 0))


CHECKS: Final[Mapping[str, Callable[[Session, Platform, Notes], None]]] = {
    "payouts.steps": steps,
    "payouts.bookings": bookings,
    "payouts.control_totals": control_totals,
    "payouts.reserves": reserves,
    "payouts.under_way": under_way,
}


def _by_account(rows: Iterator[Row[Any]]) -> dict[str, int]:
    return {f"{row.role}:{row.owner} in {row.currency}": int(row.amount_minor) for row in rows}


def _path(row: Row[Any]) -> list[tuple[str, Any]]:
    """Give the states that a payout reached, with when; a step that tried a state again is left out."""
    made = list(zip(row.step_states or (), row.step_ats or (), strict=True))
    return [step for index, step in enumerate(made) if index == 0 or step[0] != made[index - 1][0]]


def _expected_bookings(row: Row[Any]) -> Iterator[Entry]:
    facts = {"payout_id": str(row.id), "currency": row.currency, "amount_minor": row.amount_minor}
    by_all = {"creator_id": row.creator_id, "provider": row.provider}
    for (one, _), (to, at) in pairwise(_path(row)):
        match MOVES.get((cast("State", one), cast("State", to))):
            case Booking.SENT:
                yield entries.payout_sent(row.platform_id, **facts, **by_all, effective_at=at)
            case Booking.PAID:
                yield entries.payout_paid(row.platform_id, **facts, provider=row.provider, effective_at=at)
            case Booking.FAILED:
                yield entries.payout_failed(row.platform_id, **facts, **by_all, effective_at=at)
            case Booking.RETURNED:
                yield entries.payout_returned(row.platform_id, **facts, **by_all, effective_at=at)


def _held(session: Session, batch: Row[Any]) -> list[Row[Any]]:
    values = {"platform_id": batch.platform_id, "batch_id": batch.id}
    return list(session.execute(_OF_ONE_BATCH, values))


def _expected_reserves(batch: Row[Any], held: list[Row[Any]]) -> Iterator[Entry]:
    cancelled = [row for row in held if row.state == State.CANCELLED]
    yield from _booked_together(batch, Booking.RESERVED, entries.payout_reserved, held, batch.submitted_at)
    if cancelled:
        at = cancelled[0].cancelled_at
        yield from _booked_together(batch, Booking.RELEASED, entries.payout_released, cancelled, at)


def _booked_together(
    batch: Row[Any],
    booking: Booking,
    template: Callable[..., Entry],
    rows: Sequence[Row[Any]],
    at: datetime,
) -> Iterator[Entry]:
    """Make the one entry that has the lines of all these payouts' own ones, if there are any."""
    lines = [
        line
        for row in rows
        for line in template(
            batch.platform_id,
            payout_id=str(row.id),
            creator_id=row.creator_id,
            currency=batch.currency,
            amount_minor=row.amount_minor,
            effective_at=at,
        ).lines
    ]
    if lines:
        yield Entry(
            platform_id=batch.platform_id,
            kind=booking.value,
            cause_kind="payout_batch",
            cause_id=str(batch.id),
            currency=batch.currency,
            effective_at=at,
            key=f"{booking.value}:{batch.id}",
            lines=tuple(lines),
        )


_PAYOUTS: Final = text(
    f"""
    WITH {BOOK}
    SELECT payout.platform_id, payout.id, payout.creator_id, payout.provider, payout.currency,
           payout.amount_minor, payout.state, made.step_states, made.step_ats, booked.entry_keys,
           booked.entry_digests
      FROM book
      JOIN payout USING (platform_id)
      LEFT JOIN LATERAL (
          SELECT array_agg(payout_step.state ORDER BY payout_step.id) AS step_states,
                 array_agg(payout_step.at ORDER BY payout_step.id) AS step_ats
            FROM payout_step
           WHERE payout_step.platform_id = payout.platform_id AND payout_step.payout_id = payout.id
      ) AS made ON TRUE
      LEFT JOIN LATERAL (
          SELECT array_agg(entry.key ORDER BY entry.id) AS entry_keys,
                 array_agg(entry.request_sha256 ORDER BY entry.id) AS entry_digests
            FROM entry
           WHERE entry.platform_id = payout.platform_id AND entry.cause_kind = 'payout'
             AND entry.cause_id = CAST(payout.id AS text)
      ) AS booked ON TRUE
     ORDER BY payout.id
    """
)

_STRAY: Final = text(
    f"""
    WITH {BOOK}
    SELECT entry.cause_kind, entry.cause_id, entry.key
      FROM book
      JOIN entry USING (platform_id)
      LEFT JOIN payout
        ON payout.platform_id = entry.platform_id AND CAST(payout.id AS text) = entry.cause_id
      LEFT JOIN payout_batch
        ON payout_batch.platform_id = entry.platform_id AND CAST(payout_batch.id AS text) = entry.cause_id
     WHERE (entry.cause_kind = 'payout' AND payout.id IS NULL)
        OR (entry.cause_kind = 'payout_batch' AND payout_batch.id IS NULL)
     ORDER BY entry.id
    """
)

_BATCHES: Final = text("SELECT * FROM payout_batch WHERE platform_id = :platform_id ORDER BY id")

_OF_BATCH: Final = text(
    """
    SELECT key, request_sha256
      FROM entry
     WHERE platform_id = :platform_id AND cause_kind = 'payout_batch' AND cause_id = :batch_id
     ORDER BY id
    """
)

_OF_ONE_BATCH: Final = text(
    """
    SELECT payout.id, payout.creator_id, payout.amount_minor, payout.destination_sealed, payout.state,
           (SELECT min(payout_step.at)
              FROM payout_step
             WHERE payout_step.platform_id = payout.platform_id AND payout_step.payout_id = payout.id
               AND payout_step.state = 'cancelled') AS cancelled_at
      FROM payout
     WHERE payout.platform_id = :platform_id AND payout.batch_id = :batch_id
     ORDER BY payout.id
    """
)

_UNDER_WAY: Final = text(
    """
    SELECT 'reserved' AS role, creator_id AS owner, currency, sum(amount_minor) AS amount_minor
      FROM payout
     WHERE platform_id = :platform_id AND state IN ('ready', 'approved')
     GROUP BY creator_id, currency
     UNION ALL
    SELECT 'in_transit', provider, currency, sum(amount_minor)
      FROM payout
     WHERE platform_id = :platform_id AND state IN ('sending', 'unknown', 'sent')
     GROUP BY provider, currency
    """
)

_HELD: Final = text(
    f"""
    WITH {BOOK}, {KEPT}
    SELECT role, owner, currency, credit_minor - debit_minor AS amount_minor
      FROM kept
     WHERE role IN ('reserved', 'in_transit')
    """
)
