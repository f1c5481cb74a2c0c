"""Verdicts: what became of an event, for anyone who knows its source and id.

Owns the look-up: in the verdicts of seals, in the raw files by their indexes, and in the batches that are not
in the lake yet. Reads, and writes nothing. Files are read between transactions, never inside one. Laws: every
occurrence of an identity in the places that are searched is found once, whatever compaction, merges and seals
do meanwhile; what a seal decided is given as it decided; what the answer did not search it does not claim.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import LATE_PERIODS, Period
from service.core import spans
from service.core.errors import NotFound, Unavailable
from service.core.spans import Span
from service.events import batches, corrections, index, manifest, quarantine, rows, wire
from service.events.batches import Head
from service.events.corrections import Correction
from service.events.identities import identity_of
from service.events.index import Row
from service.events.lake import Lake
from service.events.manifest import LakeFile
from service.events.quarantine import Quarantined
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

VERDICTS: Final = ("accepted", "counted", "filtered", "late", "duplicate", "conflict", "voided", "rejected")
"""What can become of an event that was sent; `accepted` waits for its seal."""

RECENT_PERIODS: Final = LATE_PERIODS + 2
"""How many sealed periods are searched where no day is named."""

WAITING_MAX: Final = 2_000
"""Batches of the log that one look-up reads at most; compaction is far behind when more wait."""

_EVENT: Final = ("type", "at", "creator", "content", "actor", "quantity")
_PLACE: Final = ("seq", "position", "fingerprint")
_SETTLED: Final = (
    *_PLACE,
    "verdict",
    "origin_period_id",
    "first_seq",
    "first_position",
    "first_fingerprint",
)
_EXCEPTION: Final = ("position", "verdict", "clause", "origin_period_id", "first_seq", "first_position")
_UNDECIDED: Final = frozenset({"open", "sealed"})
_DAY: Final = timedelta(days=1)


class EventUnknown(NotFound):
    """No event of this source and id was accepted, in the places that were searched."""

    slug = "event-unknown"
    title = "No such event was found"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in the log: its batch, and its index within the batch."""

    batch_id: UUID
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event as it was sent; `at` is its own time."""

    type: str
    at: datetime
    creator: str
    content: str | None
    actor: str | None
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What became of one event.

    Args:
        verdict: one of VERDICTS.
        waits_in: of an accepted one: `log` or `lake`.
        settled_in: the period whose seal decided; of a late event the one into which it was carried.
        origin_period_id: the period that the event's own time lies in, as the seal found it.
        clause: of a filtered one: the key of the rulebook's clause.
        first: of a duplicate or conflict: where the event stands that came first.
    """

    verdict: str
    waits_in: str | None = None
    settled_in: str | None = None
    origin_period_id: str | None = None
    clause: str | None = None
    first: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One sending of an event.

    Args:
        fingerprint: of all that counts about it; first_fingerprint: of the one that came first.
        sent: None when the platform's policy has removed the event, and its verdict is all that is kept.
    """

    place: Place
    received_at: datetime
    standing: Standing
    fingerprint: bytes
    first_fingerprint: bytes | None
    sent: Sent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """Where a look-up looked: at one local day or at whole periods, and at how many batches of the log.

    `left_out_count` says how many batches wait beyond WAITING_MAX, at least.
    """

    day_on: date | None
    period_ids: tuple[str, ...]
    batch_count: int
    left_out_count: int


@dataclass(frozen=True, slots=True)
class Found:
    """Every occurrence of an identity, in the order of the log, and where it was looked for.

    A replacement is an occurrence at the place of its correction. `corrections` are all that were recorded
    for the identity, the first one first; those that no seal knows of yet among them. `rejections` are the
    times that an event of this name was not taken, as far as quarantine still has them.
    """

    occurrences: tuple[Occurrence, ...]
    searched: Searched
    corrections: tuple[Correction, ...] = ()
    rejections: tuple[Quarantined, ...] = ()

    @property
    def verdict(self) -> str:
        """What became of the first occurrence, the one that stands for the event; `rejected` if none is."""
        return self.occurrences[0].standing.verdict if self.occurrences else "rejected"


@dataclass(frozen=True, slots=True)
class Seal:
    """The files of a seal whose verdicts are final."""

    period: Period
    verdicts: tuple[str, ...]
    exceptions: tuple[str, ...]

    def took(self, seq: int) -> bool:
        """Tell whether the seal took a batch."""
        return self.period.cut_seq is not None and seq <= self.period.cut_seq


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where to look: read in one transaction, used outside of it."""

    waiting: tuple[Head, ...]
    raw: tuple[LakeFile, ...]
    indexes: Mapping[str, LakeFile]
    seals: tuple[Seal, ...]
    zone: ZoneInfo
    searched: Searched


@dataclass(frozen=True, slots=True)
class _Trace:
    """What the files know of one occurrence before it is put together."""

    seq: int
    position: int
    fingerprint: bytes
    standing: Standing
    first: tuple[int, int, bytes] | None = None
    sent: Sent | None = None


def look_up(
    database: Database, lake: Lake, platform: Platform, source: str, event_id: str, *, day: date | None = None
) -> Found:
    """Find what became of an event.

    Args:
        day: the platform's local day of the event's time. Without it, the periods that take events and the
            RECENT_PERIODS sealed ones before them are searched.

    Raises:
        EventUnknown: it was neither accepted nor rejected, as far as was searched; `searched` says how far.
        Unavailable: it was not found, and so many batches wait that not all of them could be searched.
        LakeAway: the lake cannot be read.
    """
    identity = identity_of(source, event_id)
    with db.transaction(database) as session:
        plan = _plan(session, platform, day)
    traces: dict[tuple[int, int], _Trace] = {}
    for seal in plan.seals:
        for trace in _settled(lake, seal, identity):
            traces[trace.seq, trace.position] = trace
    known_seqs = {seq for seq, _ in traces}
    unsettled = [
        *_in_lake(lake, plan, identity, known_seqs),
        *_in_log(database, platform, plan, source, event_id),
    ]
    for trace in unsettled:
        # A batch that was on its way to the lake is seen in both places: it is one occurrence.
        known = traces.setdefault((trace.seq, trace.position), trace)
        if known.sent is None:
            traces[trace.seq, trace.position] = replace(known, sent=trace.sent)
    wanted = [traces[place] for place in sorted(traces) if _is_wanted(traces[place], plan)]
    with db.transaction(database) as session:
        rejections = [
            one
            for one in quarantine.of_event(session, platform.id, source, event_id)
            if day is None or spans.local_day(one.happened_at, platform.zone) == day
        ]
        if not wanted and not rejections:
            raise unknown(source, event_id, plan.searched)
        corrected = corrections.of_event(session, platform.id, source, event_id)
        found = _found(session, platform.id, wanted, plan.searched, corrected)
    return replace(found, rejections=tuple(rejections))


def seals_of(session: Session, platform_id: str, known: Sequence[Period]) -> list[Seal]:
    """Read which of some periods have verdicts that are final, and in which files they stand.

    A period that is sealed and not scored has none: what a clause of the rulebook leaves out is not known.
    """
    decided = {one.id: one for one in known if one.state not in _UNDECIDED}
    files = manifest.of_seals(session, platform_id, list(decided))
    return [
        Seal(
            period,
            tuple(one.stored.path for one in files if (one.period_id, one.kind) == (name, "verdicts")),
            tuple(one.stored.path for one in files if (one.period_id, one.kind) == (name, "exceptions")),
        )
        for name, period in decided.items()
    ]


def carriers_of(known: Sequence[Period], wanted: Iterable[Period]) -> list[Period]:
    """Find the periods whose seals settle events of some periods: these, and those that carry late ones.

    Args:
        known: all periods of the platform, earliest first.
    """
    regular = [one for one in known if not one.is_historic]
    found = {one.id: one for one in wanted}
    for one in list(found.values()):
        after = [other for other in regular if other.span.start_at > one.span.start_at]
        found |= {other.id: other for other in after[:LATE_PERIODS] if not one.is_historic}
    return [one for one in known if one.id in found]


def exceptions_of(lake: Lake, seal: Seal, seq: int) -> dict[int, tuple[Standing, tuple[int, int] | None]]:
    """Read what a seal settled of one batch and did not plainly count, by position.

    Returns:
        For each the standing without its `first`, and the number and position of the first one.

    Raises:
        LakeAway: the lake cannot be read.
    """
    found = [row for path in seal.exceptions for row in index.equal_rows(lake, path, "seq", seq, _EXCEPTION)]
    if not seal.exceptions:
        # A seal of before there were exceptions: its verdicts are sorted otherwise, so they are read whole.
        wanted = [name for name in _EXCEPTION if name != "clause"]
        found = [
            row
            for path in seal.verdicts
            for row in index.scanned_rows(lake, path, "seq", seq, wanted)
            if row["verdict"] != "counted"
        ]
    return {row["position"]: (_standing(seal, row), _first(row)) for row in found}


def _plan(session: Session, platform: Platform, day: date | None) -> _Plan:
    known = periods.listing(session, platform.id)
    if day is None:
        wanted = _recent(known, periods.window(session, platform.id))
        wanted_spans = [one.span for one in wanted]
    else:
        wanted_spans = [spans.day_span(day, platform.zone)]
        wanted = [one for one in known if one.span.overlaps(wanted_spans[0])]
    # The log is read first: a batch that goes to the lake meanwhile is then seen twice, and not missed.
    waiting = batches.waiting(session, platform.id, wanted_spans if day else None, limit=WAITING_MAX + 1)
    days = [_days(span, platform.zone) for span in wanted_spans]
    raw = [
        file
        for file in manifest.raw_files(
            session,
            platform.id,
            from_on=min((first for first, _ in days), default=date.max),
            until_on=max((last for _, last in days), default=date.min),
        )
        if any(first <= file.day_on <= last for first, last in days if file.day_on)
    ]
    seals = seals_of(session, platform.id, carriers_of(known, wanted))
    return _Plan(
        waiting=tuple(waiting[:WAITING_MAX]),
        raw=tuple(raw),
        indexes=manifest.indexes(session, platform.id, [file.stored.path for file in raw]),
        seals=tuple(seals),
        zone=platform.zone,
        searched=Searched(
            day_on=day,
            period_ids=tuple(one.id for one in wanted),
            batch_count=len(waiting[:WAITING_MAX]),
            left_out_count=len(waiting[WAITING_MAX:]),
        ),
    )


def _recent(known: Sequence[Period], window: Sequence[Period]) -> list[Period]:
    """Name the periods that take events, and the latest sealed ones beside them."""
    sealed = [one for one in known if one.is_sealed][-RECENT_PERIODS:]
    ids = {one.id for one in (*window, *sealed)}
    return [one for one in known if one.id in ids]


def _days(span: Span, zone: ZoneInfo) -> tuple[date, date]:
    return spans.local_day(span.start_at, zone), spans.local_day(span.end_at - timedelta.resolution, zone)


def _settled(lake: Lake, seal: Seal, identity: bytes) -> Iterator[_Trace]:
    """Read what a seal decided about an identity."""
    for path in seal.verdicts:
        for row in index.equal_rows(lake, path, "identity", identity, _SETTLED):
            standing, first = _standing(seal, row), _first(row)
            if standing.verdict in {"counted", "late"}:
                filtered = exceptions_of(lake, seal, row["seq"]).get(row["position"])
                standing = filtered[0] if filtered is not None else standing
            yield _Trace(
                row["seq"],
                row["position"],
                row["fingerprint"],
                standing,
                None if first is None else (*first, row["first_fingerprint"]),
            )


def _is_wanted(one: _Trace, plan: _Plan) -> bool:
    """Tell whether an occurrence is of the day that was named; the seals that were read hold others too.

    Of one whose event was removed only the period is known.
    """
    day_on = plan.searched.day_on
    if day_on is None:
        return True
    if one.sent is None:
        return one.standing.origin_period_id in plan.searched.period_ids
    return spans.local_day(one.sent.at, plan.zone) == day_on


def _standing(seal: Seal, row: Row) -> Standing:
    return Standing(
        verdict=row["verdict"],
        settled_in=seal.period.id,
        origin_period_id=row["origin_period_id"],
        clause=row.get("clause"),
    )


def _first(row: Row) -> tuple[int, int] | None:
    return None if row["first_seq"] is None else (row["first_seq"], row["first_position"])


def _in_lake(lake: Lake, plan: _Plan, identity: bytes, known_seqs: set[int]) -> Iterator[_Trace]:
    """Read the rows of an identity from the raw files that can hold some."""
    for file in plan.raw:
        is_near = any(file.seq_first <= seq <= file.seq_last for seq in known_seqs)
        if not is_near and _is_settled(file, plan):
            continue
        for row in _raw_rows(lake, file, plan.indexes.get(file.stored.path), identity):
            yield _trace(row, "lake")


def _is_settled(file: LakeFile, plan: _Plan) -> bool:
    """Tell whether all rows of a file were settled by one seal, whose verdicts name each of them."""
    assert file.day_on is not None, "a raw file has a day"
    day = spans.day_span(file.day_on, plan.zone)
    return any(
        seal.took(file.seq_last)
        and seal.period.span.start_at <= day.start_at
        and day.end_at <= seal.period.span.end_at
        for seal in plan.seals
    )


def _raw_rows(lake: Lake, file: LakeFile, its_index: LakeFile | None, identity: bytes) -> Sequence[Row]:
    wanted = (*_PLACE, *_EVENT)
    if its_index is None:
        return index.scanned_rows(lake, file.stored.path, "identity", identity, wanted)
    found = index.equal_rows(lake, its_index.stored.path, "identity", identity, ["row"])
    if not found:
        return ()
    return index.numbered_rows(lake, file.stored.path, [row["row"] for row in found], wanted)


def _in_log(
    database: Database, platform: Platform, plan: _Plan, source: str, event_id: str
) -> Iterator[_Trace]:
    """Read the events of an identity from the bodies that are not in the lake yet."""
    for head in plan.waiting:
        with db.transaction(database) as session:
            body = batches.body(session, head)
        # A name that is written without escapes stands in the bytes as it is.
        if body is None or (event_id.encode() not in body and b"\\" not in body):
            continue
        skipped = {one["index"] for one in head.rejections}
        taken = wire.read_again(body, head.media_type, skipped)
        same = {
            position: one for position, one in taken.items() if (one.source, one.id) == (source, event_id)
        }
        for row in rows_of(head, same, plan.zone):
            yield _trace(row, "log")


def rows_of(head: Head, events: Mapping[int, wire.Event], zone: ZoneInfo) -> list[Row]:
    """Make the rows of some events of a batch, as the lake is going to hold them."""
    if not events:
        return []
    times = [one.time for one in events.values()]
    found: list[Row] = rows.table_of(head.seq, events, rows.Days(zone, min(times), max(times))).to_pylist()
    return found


def _trace(row: Row, waits_in: str) -> _Trace:
    return _Trace(
        row["seq"],
        row["position"],
        row["fingerprint"],
        Standing(verdict="accepted", waits_in=waits_in),
        sent=sent_of(row),
    )


def sent_of(row: Row) -> Sent:
    """Read an event from a row of a raw file."""
    values: dict[str, Any] = {name: row[name] for name in _EVENT}
    return Sent(**{**values, "at": row["at"].replace(tzinfo=UTC)})


def _found(
    session: Session,
    platform_id: str,
    traces: Sequence[_Trace],
    searched: Searched,
    corrected: Sequence[Correction],
) -> Found:
    seqs = [one.seq for one in traces] + [one.first[0] for one in traces if one.first is not None]
    heads = batches.by_seq(session, platform_id, seqs)
    replacements = {(one.seq, one.position): one for one in corrected}
    occurrences = [_occurrence(one, heads, replacements.get((one.seq, one.position))) for one in traces]
    return Found(tuple(occurrences), searched, tuple(corrected))


def _occurrence(one: _Trace, heads: Mapping[int, Head], replacement: Correction | None) -> Occurrence:
    head = heads[one.seq]
    first = None if one.first is None else Place(heads[one.first[0]].id, one.first[1])
    return Occurrence(
        place=Place(head.id, one.position),
        received_at=head.received_at,
        standing=replace(one.standing, first=first),
        fingerprint=one.fingerprint,
        first_fingerprint=None if one.first is None else one.first[2],
        sent=one.sent if replacement is None else _replaced(replacement),
    )


def _replaced(one: Correction) -> Sent | None:
    """Give what counts in place of an event, as if it had been sent."""
    it = one.replacement
    if it is None:
        return None
    return Sent(
        type=it.type,
        at=it.at,
        creator=one.creator_id,
        content=it.content,
        actor=it.actor,
        quantity=it.quantity,
    )


def unknown(source: str, event_id: str, searched: Searched) -> NotFound | Unavailable:
    """Say that an event was not found, and where it was looked for."""
    if searched.left_out_count:
        return Unavailable(
            f"The event was not found, and more than {WAITING_MAX} batches wait for the lake; ask again when "
            "the scheduler has caught up."
        )
    places = f"the day {searched.day_on}" if searched.day_on else f"{', '.join(searched.period_ids)}"
    remedy = "check source and id" if searched.day_on else "check source and id, or name the day of its time"
    return EventUnknown(
        f"No event {event_id!r} of {source!r} was sent in {places or 'any period'}; {remedy}.",
        searched=describe(searched),
    )


def describe(searched: Searched) -> dict[str, Any]:
    """Write as JSON values where a look-up looked."""
    return {
        "day": None if searched.day_on is None else searched.day_on.isoformat(),
        "periods": list(searched.period_ids),
        "log_batches": searched.batch_count,
        "is_complete": searched.left_out_count == 0,
    }
