"""Corrections and clawbacks against the log, the splits and the books.

Laws: each correction is what its batch of the log says; what was taken back of a line follows from the line
and the points that it lost, all runs together; the books moved exactly that, and what creators owe is what
was not covered less what was recovered.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from service.audit.findings import BOOK, KEPT, Fact, Notes, compare_entries, stream
from service.calendar import periods
from service.core.digests import canonical_json, sha256_hex
from service.events import corrections as recorded
from service.events import search
from service.events.identities import fingerprint_of, identity_of
from service.ledger import entries
from service.ledger.entries import Entry
from service.parties.platforms import Platform
from service.rules import registry
from service.splits import shares

_INSTANT: Final = timedelta(microseconds=1)


def corrections(session: Session, platform: Platform, notes: Notes) -> None:
    """Each batch of corrections holds those that are recorded of it; none is of a name that was voided."""
    for batch in stream(session, platform.id, _BATCHES):
        notes.see()
        known = recorded.of_batch(session, platform.id, batch.seq)
        said = canonical_json([recorded.body_of(one) for one in known])
        notes.compare(f"batch {batch.seq} corrections", bytes(batch.body_sha256).hex(), sha256_hex(said))
        for one in known:
            name = f"correction {one.id}"
            notes.compare(f"{name} identity", identity_of(one.source, one.event_id).hex(), one.identity.hex())
            if one.replacement is not None:
                notes.compare(f"{name} fingerprint", _fingerprint(one), one.replacement.fingerprint.hex())
    for row in stream(session, platform.id, _AFTER_VOID):
        notes.compare(f"correction {row.id}", "none after a void of its event", row.kind)


def clawbacks(session: Session, platform: Platform, notes: Notes) -> None:
    """Each line that a run took something back of is a line of the posted split, and it took what it lost."""
    for _, rows in groupby(stream(session, platform.id, _LINES), key=attrgetter("line_key")):
        before_minor = 0
        for row in rows:
            notes.see()
            name = f"clawback {row.period_id}/{row.seq_last} {row.creator_id} {row.origin_period_id}"
            notes.compare(f"{name} line", row.share_minor, row.line_minor)
            notes.compare(f"{name} points", _whole(row.share_e4), _whole(row.points_e4))
            total_minor = row.line_minor * int(row.lost_e4) // int(row.points_e4)
            notes.compare(f"{name} total", total_minor, row.total_minor)
            notes.compare(f"{name} amount", row.total_minor - before_minor, row.amount_minor)
            before_minor = row.total_minor


def bookings(session: Session, platform: Platform, notes: Notes) -> None:
    """Each run and each recovery is booked as one entry of its lines; no other entry is of them."""
    booked = {
        row.key: bytes(row.request_sha256) for row in session.execute(_ENTRIES, {"platform_id": platform.id})
    }
    expected = [*_expected_runs(session, platform, notes), *_expected_recoveries(session, platform)]
    notes.see(len(expected))
    compare_entries(notes, "clawbacks", expected, booked)


def receivables(session: Session, platform: Platform, notes: Notes) -> None:
    """What each creator owes is what clawbacks did not find, less what postings recovered."""
    for row in stream(session, platform.id, _RECEIVABLES):
        notes.see()
        notes.compare(f"clawback_receivable:{row.creator_id}", int(row.expected_minor), int(row.found_minor))


CHECKS: Final[Mapping[str, Callable[[Session, Platform, Notes], None]]] = {
    "events.corrections": corrections,
    "closing.clawbacks": clawbacks,
    "closing.clawback_bookings": bookings,
    "closing.receivables": receivables,
}


def _fingerprint(one: recorded.Correction) -> str:
    it = one.replacement
    assert it is not None, "only a replacement has one"
    at_us = search.microseconds(it.at)
    return fingerprint_of(
        one.source, one.event_id, it.type, at_us, one.creator_id, it.content, it.actor, it.quantity
    ).hex()


def _whole(points_e4: Any) -> Fact:
    return None if points_e4 is None else str(int(points_e4))


def _expected_runs(session: Session, platform: Platform, notes: Notes) -> Iterator[Entry]:
    for run in session.execute(_RUNS, {"platform_id": platform.id}).all():
        values = {"platform_id": platform.id, "period_id": run.period_id, "seq_last": run.seq_last}
        rows = session.execute(_OF_RUN, values).all()
        name = f"clawback run {run.period_id}/{run.seq_last}"
        notes.compare(f"{name} amount", sum(row.amount_minor for row in rows), run.amount_minor)
        if rows:
            entry = _entry_of_run(session, platform, run, rows)
            yield entry
            notes.compare(f"{name} entry", entry.key, run.entry_key)


def _entry_of_run(session: Session, platform: Platform, run: Row[Any], rows: Any) -> Entry:
    split = shares.get(session, platform.id, run.period_id, run.version)
    return entries.claw_back(
        platform.id,
        period_id=run.period_id,
        seq_last=run.seq_last,
        currency=run.currency,
        unearned_to=registry.get(session, platform.id, split.rulebook_sha256).rulebook.unearned_to,
        parts=[
            (row.creator_id, row.amount_minor - row.receivable_minor, row.receivable_minor) for row in rows
        ],
        effective_at=run.effective_at,
    )


def _expected_recoveries(session: Session, platform: Platform) -> Iterator[Entry]:
    rows = session.execute(_RECOVERIES, {"platform_id": platform.id}).all()
    for period_id, its in groupby(rows, key=attrgetter("period_id")):
        yield entries.claw_back_recovered(
            platform.id,
            period_id=period_id,
            currency=platform.currency,
            parts=[(row.creator_id, row.amount_minor) for row in its],
            effective_at=periods.get(session, platform.id, period_id).span.end_at - _INSTANT,
        )


_BATCHES: Final = text(
    "SELECT seq, body_sha256 FROM event_batch"
    " WHERE platform_id = :platform_id AND channel = 'correction' ORDER BY seq"
)

_AFTER_VOID: Final = text(
    """
    SELECT later.id, later.kind
      FROM event_correction AS earlier
      JOIN event_correction AS later
        ON later.platform_id = earlier.platform_id AND later.identity = earlier.identity
       AND (later.seq, later.position) > (earlier.seq, earlier.position)
     WHERE earlier.platform_id = :platform_id AND earlier.kind = 'void'
     ORDER BY later.seq, later.position
    """
)

_LINES: Final = text(
    """
    SELECT clawback.*, (clawback.period_id, clawback.creator_id, clawback.origin_period_id) AS line_key,
           share.amount_minor AS share_minor, share.points_e4 AS share_e4
      FROM clawback
      JOIN clawback_run USING (platform_id, period_id, seq_last)
      LEFT JOIN share
        ON share.platform_id = clawback.platform_id AND share.period_id = clawback.period_id
       AND share.version = clawback_run.version AND share.party_kind = 'creator'
       AND share.party_id = clawback.creator_id AND share.origin_period_id = clawback.origin_period_id
     WHERE clawback.platform_id = :platform_id
     ORDER BY clawback.period_id, clawback.creator_id, clawback.origin_period_id, clawback.seq_last
    """
)

_ENTRIES: Final = text(
    "SELECT key, request_sha256 FROM entry"
    " WHERE platform_id = :platform_id AND kind IN ('claw_back', 'claw_back_recovered') ORDER BY id"
)

_RUNS: Final = text(
    """
    SELECT clawback_run.*, entry.key AS entry_key
      FROM clawback_run
      LEFT JOIN entry ON entry.platform_id = clawback_run.platform_id AND entry.id = clawback_run.entry_id
     WHERE clawback_run.platform_id = :platform_id
     ORDER BY clawback_run.period_id, clawback_run.seq_last
    """
)

_OF_RUN: Final = text(
    """
    SELECT *
      FROM clawback
     WHERE platform_id = :platform_id AND period_id = :period_id AND seq_last = :seq_last
     ORDER BY creator_id COLLATE "C", origin_period_id COLLATE "C"
    """
)

_RECOVERIES: Final = text(
    """
    SELECT period_id, creator_id, amount_minor
      FROM clawback_recovery
     WHERE platform_id = :platform_id
     ORDER BY period_id COLLATE "C", creator_id COLLATE "C"
    """
)

_RECEIVABLES: Final = text(
    f"""
    WITH {BOOK}, {KEPT},
    moved AS (
        SELECT creator_id, receivable_minor AS moved_minor FROM book JOIN clawback USING (platform_id)
         UNION ALL
        SELECT creator_id, - amount_minor FROM book JOIN clawback_recovery USING (platform_id)
    ),
    owed AS (SELECT creator_id, sum(moved_minor) AS expected_minor FROM moved GROUP BY creator_id),
    held AS (
        SELECT owner AS creator_id, debit_minor - credit_minor AS found_minor
          FROM kept
         WHERE role = 'clawback_receivable'
    )
    SELECT creator_id, coalesce(owed.expected_minor, 0) AS expected_minor,
           coalesce(held.found_minor, 0) AS found_minor
      FROM owed
      FULL JOIN held USING (creator_id)
     ORDER BY creator_id
    """
)
