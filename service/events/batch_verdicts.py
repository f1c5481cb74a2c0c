"""The verdicts of a batch: what became of each of its items.

Reads, and writes nothing. What a seal settled and did not except is counted, so that a batch is answered from
the exceptions of a few seals, however many events these settled. Law: every item has one verdict; those that
the batch did not bring say why.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.core import spans
from service.core.spans import Span
from service.events import batches, index, manifest, verdicts, wire
from service.events.batches import Head
from service.events.index import Row
from service.events.intake import ACCEPTED_BEFORE
from service.events.lake import Lake
from service.events.manifest import LakeFile
from service.events.verdicts import Place, Seal, Sent, Standing
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

REPLAYED: Final = "replayed"
"""The verdict of an item that an earlier batch of the same bytes had brought: that batch has its verdict."""

_NAMED: Final = ("position", "source", "id", "type", "at", "creator", "content", "actor", "quantity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a batch.

    Args:
        source, event_id, sent: None where the item was not accepted or the platform's policy removed it; a
            rejected item has its id where that could be read.
        code, errors: of a rejected one: why.
    """

    index: int
    standing: Standing
    source: str | None = None
    event_id: str | None = None
    sent: Sent | None = None
    code: str | None = None
    errors: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class BatchVerdicts:
    """A batch and what became of its items, by index; `counts` adds them up by verdict."""

    head: Head
    items: tuple[Item, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Plan:
    head: Head
    body: bytes | None
    raw: tuple[LakeFile, ...]
    periods: tuple[Period, ...]
    """Those in which the batch's events lie."""
    seals: tuple[Seal, ...]


def look_up(database: Database, lake: Lake, platform: Platform, batch_id: UUID) -> BatchVerdicts:
    """Find what became of each item of a batch.

    Raises:
        NotFound: the platform sent no such batch.
        LakeAway: the lake cannot be read.
    """
    plan = _plan(database, platform, batch_id)
    head = plan.head
    excepted: dict[int, tuple[Standing, tuple[int, int] | None]] = {}
    for seal in plan.seals:
        excepted |= verdicts.exceptions_of(lake, seal, head.seq)
    rows = {row["position"]: row for row in _rows(lake, platform, plan)}
    with db.transaction(database) as session:
        firsts = [first[0] for _, first in excepted.values() if first is not None]
        heads = batches.by_seq(session, platform.id, firsts)
    skipped = {one["index"]: one for one in head.rejections}
    items = []
    for number in range(head.item_count):
        if number in skipped:
            items.append(_skipped(skipped[number]))
            continue
        row = rows.get(number)
        if number in excepted:
            standing, first = excepted[number]
            place = None if first is None else Place(heads[first[0]].id, first[1])
            items.append(_item(number, replace(standing, first=place), row))
        else:
            items.append(_item(number, _plain(plan, row), row))
    counts = Counter(one.standing.verdict for one in items)
    return BatchVerdicts(head, tuple(items), dict(sorted(counts.items())))


def _plan(database: Database, platform: Platform, batch_id: UUID) -> _Plan:
    with db.transaction(database) as session:
        head = batches.get(session, platform.id, batch_id)
        if head.first_at is None or head.last_at is None:
            return _Plan(head, None, (), (), ())
        known = periods.listing(session, platform.id)
        span = Span(head.first_at, head.last_at + timedelta.resolution)
        wanted = [one for one in known if one.span.overlaps(span)]
        seals = [
            seal
            for seal in verdicts.seals_of(session, platform.id, verdicts.carriers_of(known, wanted))
            if seal.took(head.seq)
        ]
        body = batches.body(session, head)
        raw = [] if body is not None else _raw(session, platform, span, head.seq)
    return _Plan(head, body, tuple(raw), tuple(wanted), tuple(seals))


def _raw(session: Session, platform: Platform, span: Span, seq: int) -> list[LakeFile]:
    first_on: date = spans.local_day(span.start_at, platform.zone)
    last_on: date = spans.local_day(span.end_at, platform.zone)
    files = manifest.raw_files(session, platform.id, from_on=first_on, until_on=last_on, seq_max=seq)
    return [file for file in files if file.seq_last >= seq]


def _rows(lake: Lake, platform: Platform, plan: _Plan) -> Sequence[Row]:
    """Read the batch's accepted events: from its body while the log keeps it, else from the raw files."""
    head = plan.head
    if plan.body is None:
        return [
            row
            for file in plan.raw
            for row in index.scanned_rows(lake, file.stored.path, "seq", head.seq, _NAMED)
        ]
    skipped = {one["index"] for one in head.rejections}
    return verdicts.rows_of(head, wire.read_again(plan.body, head.media_type, skipped), platform.zone)


def _skipped(one: Mapping[str, Any]) -> Item:
    if one["code"] == ACCEPTED_BEFORE:
        return Item(index=one["index"], standing=Standing(verdict=REPLAYED))
    return Item(
        index=one["index"],
        standing=Standing(verdict="rejected"),
        event_id=one["id"],
        code=one["code"],
        errors=tuple(one["errors"]),
    )


def _item(number: int, standing: Standing, row: Row | None) -> Item:
    if row is None:
        return Item(index=number, standing=standing)
    return Item(
        index=number,
        standing=standing,
        source=row["source"],
        event_id=row["id"],
        sent=verdicts.sent_of(row),
    )


def _plain(plan: _Plan, row: Row | None) -> Standing:
    """Say what became of an accepted item that no seal excepted: counted, or waiting for its seal."""
    head = plan.head
    at = None if row is None else row["at"].replace(tzinfo=UTC)
    near = [one for one in plan.periods if at is None or one.span.contains(at)]
    settled = {seal.period.id for seal in plan.seals}
    if near and all(one.id in settled for one in near):
        # Without its time, of several periods that are all settled, the one that counted it is not known.
        period_id = near[0].id if len(near) == 1 else None
        return Standing(verdict="counted", settled_in=period_id, origin_period_id=period_id)
    return Standing(verdict="accepted", waits_in="lake" if head.is_compacted else "log")
