"""Search: where an event that was accepted stands, found by its name in the lake and in the log.

Owns no table. Looks at every period that takes events, and at those before them in which an event of the same
name would be the first one. Reads files with pyarrow and without an engine, as a web worker may.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import zstandard
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import LATE_PERIODS, Period
from service.core.spans import local_day
from service.events import compaction, manifest, wire
from service.events.identities import fingerprint_of, identity_of
from service.events.lake import Lake, LakeAway
from service.events.tables import event_batch
from service.events.wire import Event
from service.parties.platforms import Platform

if TYPE_CHECKING:
    import pyarrow as pa

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_COLUMNS: Final = ["identity", "seq", "position", "at", "creator", "fingerprint"]


@dataclass(frozen=True, slots=True)
class Name:
    """What an event is asked for by; `day_on`, a local day, tells apart events that share a name."""

    source: str
    event_id: str
    day_on: date | None = None

    @property
    def identity(self) -> bytes:
        """The name's digest."""
        return identity_of(self.source, self.event_id)


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """An accepted event at its place in the log."""

    seq: int
    position: int
    at: datetime
    creator_id: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """The event that a name stands for: the first of its name in reach, and the period that it lies in."""

    occurrence: Occurrence
    period: Period


def find_events(
    session: Session, lake: Lake, platform: Platform, names: Sequence[Name]
) -> list[Found | None]:
    """Find events by their names, in the order of the names; None stands for one that is not known.

    Of the occurrences of a name (on the day that is given) the latest decides the period that is meant; what
    is found is the event that makes it a repeat, or itself.

    Raises:
        LakeAway: the lake cannot be read.
    """
    known = periods.listing(session, platform.id)
    window = periods.window(session, platform.id)
    if not window:
        return [None] * len(names)
    reach_at = _reach_at(window[0], known)
    wanted = {name.identity for name in names}
    # The log first: what is compacted meanwhile is then seen twice, never not at all.
    found: dict[bytes, set[Occurrence]] = {}
    for identity, one in _in_log(session, platform.id, wanted):
        found.setdefault(identity, set()).add(one)
    files = manifest.raw_files(
        session,
        platform.id,
        from_on=local_day(reach_at, platform.zone) - _DAY,
        seq_max=compaction.newest_seq(session, platform.id),
    )
    for file in files:
        for identity, one in _in_file(lake, file.stored.path, wanted):
            found.setdefault(identity, set()).add(one)
    return [_meant(sorted(found.get(name.identity, ())), name, platform, known) for name in names]


def _meant(
    occurrences: Sequence[Occurrence], name: Name, platform: Platform, known: Sequence[Period]
) -> Found | None:
    """Choose the event that a name means."""
    candidates = [
        one for one in occurrences if name.day_on is None or local_day(one.at, platform.zone) == name.day_on
    ]
    best: Found | None = None
    for one in candidates:
        period = _period_of(one.at, known)
        if period is None:
            continue
        reach_at = _reach_at(period, known)
        first = next(other for other in occurrences if other.at >= reach_at)
        lies_in = _period_of(first.at, known)
        if lies_in is not None and (best is None or lies_in.span.start_at >= best.period.span.start_at):
            best = Found(first, lies_in)
    return best


def _period_of(at: datetime, known: Sequence[Period]) -> Period | None:
    place = bisect_right([one.span.start_at for one in known], at) - 1
    return known[place] if place >= 0 and known[place].span.contains(at) else None


def _reach_at(period: Period, known: Sequence[Period]) -> datetime:
    """Tell from when on an event makes one of this period a repeat, as a seal does."""
    before = [one for one in known if one.span.end_at <= period.span.start_at]
    return before[-LATE_PERIODS:][0].span.start_at if before else period.span.start_at


def _in_log(
    session: Session, platform_id: str, wanted: Collection[bytes]
) -> Iterator[tuple[bytes, Occurrence]]:
    """Look through the batches that are not compacted."""
    waiting = list(compaction.waiting(session, platform_id))
    batches = session.execute(
        select(event_batch.c.seq, event_batch.c.media_type, event_batch.c.body_zstd, event_batch.c.rejections)
        .where(event_batch.c.platform_id == platform_id, event_batch.c.seq.in_(waiting))
        .execution_options(yield_per=compaction.FETCH_BATCHES)
    )
    expand = zstandard.ZstdDecompressor().decompress
    for batch in batches:
        skipped = {one["index"] for one in batch.rejections}
        events = wire.read_again(expand(batch.body_zstd), batch.media_type, skipped)
        for index, event in events.items():
            identity = identity_of(event.source, event.id)
            if identity in wanted:
                yield identity, _occurrence(batch.seq, index, event)


def _occurrence(seq: int, position: int, event: Event) -> Occurrence:
    at = event.time.astimezone(UTC)
    return Occurrence(seq, position, at, event.data.creator, fingerprint(event))


def fingerprint(event: Event) -> bytes:
    """Digest what counts about an event, as the lake's rows have it."""
    data = event.data
    return fingerprint_of(
        event.source,
        event.id,
        event.type,
        microseconds(event.time),
        data.creator,
        data.content,
        data.actor,
        data.quantity,
        data.attributes,
    )


def microseconds(at: datetime) -> int:
    """Count the microseconds from 1970 to an instant, as fingerprints have it."""
    return (at - _EPOCH) // _MICROSECOND


def _in_file(lake: Lake, path: str, wanted: Collection[bytes]) -> Iterator[tuple[bytes, Occurrence]]:
    """Look through a raw file, by the identities first and by the other columns where one is there."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with lake.open(path) as source:
            parquet = pq.ParquetFile(source)
            kind = parquet.schema_arrow.field("identity").type
            values = pa.array(sorted(wanted), kind)
            for number in range(parquet.num_row_groups):
                mask = pc.is_in(parquet.read_row_group(number, ["identity"])["identity"], values)
                if pc.any(mask).as_py():
                    yield from _rows(parquet.read_row_group(number, _COLUMNS).filter(mask))
    except OSError as fault:
        raise LakeAway(f"The file {path} of the lake could not be read: {fault.strerror}.") from fault


def _rows(table: "pa.Table") -> Iterator[tuple[bytes, Occurrence]]:
    for identity, *place, at, creator_id, known_as in zip(
        *(table[name].to_pylist() for name in _COLUMNS), strict=True
    ):
        seq, position = place
        yield identity, Occurrence(seq, position, at.replace(tzinfo=UTC), creator_id, known_as)
