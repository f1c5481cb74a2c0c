"""Sealing: what becomes of each event of a period, once and for all, and a preview of it before.

Owns the files `counted` (what scoring reads) and `verdicts` (what became of which event) of each seal. The
order of the log decides: of the events with one identity the first one counts, an equal later one is a
duplicate, a different one a conflict. Looked at are the rows of the period itself, of the LATE_PERIODS before
it and of every later one, up to the seal's last batch, so that it does not matter in which period a repeat
lands. Events that came after the seal of their own period are late: the next seal carries them, under the
name of their period.

Laws: a row is settled by one seal; an identity counts at most once in reach; the files depend on the log and
the seals before only, never on the engine's threads or memory, on how the log was cut into files, or on who
runs it how often. Corrections are part of the log: those up to the seal's last batch hold.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import LATE_PERIODS, Period
from service.core.spans import Span, local_day
from service.events import compaction, corrections, manifest, quarantine, rows
from service.events.corrections import Correction
from service.events.lake import Lake, LakeAway
from service.events.manifest import Kind, LakeFile
from service.events.quarantine_rows import ConflictRow
from service.parties.platforms import Platform
from service.runtime import db, duck
from service.runtime.db import Database
from service.runtime.scratch import folder as scratch_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

VERDICTS: Final = ("counted", "late", "duplicate", "conflict", "voided")

CONFLICTS_MAX: Final = quarantine.OPEN_MAX
"""Conflicts of one seal that are handed to quarantine; its verdicts name every one."""

_CONFLICT_PLACE: Final = (
    "seq",
    "position",
    "fingerprint",
    "first_seq",
    "first_position",
    "first_fingerprint",
)
_STEP: Final = re.compile(r"^-- step: (\w+)$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"\$(\w+)")
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a seal made of a period's events.

    `counts` says how many rows have each of VERDICTS; `origins` how many rows of `counted` belong to which
    period: its own, and earlier ones whose late rows it carries.
    """

    platform_id: str
    period_id: str
    counted: tuple[LakeFile, ...]
    verdicts: tuple[LakeFile, ...]
    counts: Mapping[str, int]
    origins: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A raw file that the manifest does not name: rows that may join the log, at places after its end."""

    location: str
    day_on: date
    seq_first: int
    seq_last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a seal would count now: a Parquet file as `counted`, at an address that an engine can read.

    `last_seq` is the last batch that is looked at: more may wait in the log. `verdicts_location` has the
    verdict of each row, `raw_locations` the raw files that hold such rows.
    """

    location: str
    verdicts_location: str
    raw_locations: tuple[str, ...]
    last_seq: int
    counts: Mapping[str, int]
    origins: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Origin:
    """Rows that a seal settles: of this period, from batches after `after_seq`."""

    period_id: str
    span: Span
    after_seq: int


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a seal looks at: rows from `reach_at` on, up to batch `cut_seq`, in these files of the lake."""

    origins: tuple[_Origin, ...]
    cut_seq: int
    reach_at: datetime
    own_paths: tuple[str, ...]
    paths: tuple[str, ...]
    corrections: tuple[Correction, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    counted: Path
    verdicts: Path
    counts: Mapping[str, int]
    origins: Mapping[str, int]
    conflicts: Sequence[ConflictRow] = ()


def settle(
    database: Database,
    lake: Lake,
    platform: Platform,
    period: Period,
    *,
    now: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> Settled:
    """Decide what becomes of every event that a sealed period takes; a second call finds the first one's.

    Args:
        period: sealed; its `cut_seq` says which batches it takes.
        say: is told of each step.

    Raises:
        LakeAway: the lake cannot be read or written; nothing was recorded.
    """
    assert period.cut_seq is not None, "only a sealed period is settled"
    with db.transaction(database) as session:
        known = _files(session, period)
    if known:
        return _describe(period, known, *_recount(lake, period, known))
    compaction.run(database, lake, platform.id, up_to_seq=period.cut_seq, now=now, say=say)
    with db.transaction(database) as session:
        reach = _reach(session, lake, platform, period, period.cut_seq)
    with scratch_folder() as scratch:
        outcome = _decide(lake, period, reach, scratch)
        say(f"Settled {sum(outcome.counts.values())} events of {period.id}.")
        written = [
            _add(lake, period, "counted", outcome.counted, sum(outcome.origins.values())),
            _add(lake, period, "verdicts", outcome.verdicts, sum(outcome.counts.values())),
        ]
    say(f"Wrote the files of {period.id}.")
    with db.transaction(database) as session:
        # Two workers may get here, with equal rows. One of them records, the other finds that.
        db.lock(session, "settle", platform.id, period.id)
        if not _files(session, period):
            manifest.register(session, written, now=now)
            quarantine.add_conflicts(session, platform.id, outcome.conflicts, now)
        known = _files(session, period)
    return _describe(period, known, outcome.counts, outcome.origins)


@contextmanager
def preview(
    database: Database,
    lake: Lake,
    platform: Platform,
    period: Period,
    *,
    cut_seq: int | None = None,
    planned: Sequence[Period] = (),
    staged: Sequence[StagedFile] = (),
) -> Iterator[Preview]:
    """Decide the same for what is compacted so far, and record nothing; the files go when the context ends.

    Late rows are those that this period's seal would carry if it came now.

    Args:
        cut_seq: the last batch to look at; None looks at all that is compacted.
        planned: periods that are not opened yet and would be.
        staged: rows beside the log's.

    Raises:
        LakeAway: the lake cannot be read.
    """
    with db.transaction(database) as session:
        last_seq = compaction.last_compacted_seq(session, platform.id) if cut_seq is None else cut_seq
        reach = _reach(session, lake, platform, period, last_seq, planned=planned, staged=staged)
    with scratch_folder() as scratch:
        outcome = _decide(lake, period, reach, scratch)
        yield Preview(
            location=str(outcome.counted),
            verdicts_location=str(outcome.verdicts),
            raw_locations=reach.own_paths,
            last_seq=last_seq,
            counts=outcome.counts,
            origins=outcome.origins,
        )


def raw_locations(session: Session, lake: Lake, platform: Platform, period: Period) -> tuple[str, ...]:
    """Name the raw files that hold the rows which a sealed period's seal settled."""
    assert period.cut_seq is not None, "only a sealed period is settled"
    return _reach(session, lake, platform, period, period.cut_seq).own_paths


def _reach(
    session: Session,
    lake: Lake,
    platform: Platform,
    period: Period,
    cut_seq: int,
    *,
    planned: Sequence[Period] = (),
    staged: Sequence[StagedFile] = (),
) -> _Reach:
    """Find what a seal of the period looks at when its last batch is `cut_seq`."""
    known = sorted([*periods.listing(session, platform.id), *planned], key=lambda one: one.span.start_at)
    before = [one for one in known if one.span.end_at <= period.span.start_at]
    regular = [] if period.is_historic else [one for one in before if not one.is_historic]
    origins = [_Origin(period.id, period.span, 0)]
    if regular and regular[-1].cut_seq is not None:
        # What came for these before that seal was settled by it or by an earlier one.
        origins += [_Origin(one.id, one.span, regular[-1].cut_seq) for one in regular[-LATE_PERIODS:]]
    own: dict[str, LakeFile] = {}
    for origin in origins:
        from_on, until_on = _days(platform, origin.span)
        for file in manifest.raw_files(
            session, platform.id, from_on=from_on, until_on=until_on, seq_max=cut_seq
        ):
            if file.seq_last > origin.after_seq:
                own[file.stored.path] = file
    reach_at = min(
        [origin.span.start_at for origin in origins] + [one.span.start_at for one in before[-LATE_PERIODS:]]
    )
    # A row makes another one a repeat only if it stands before it in the log.
    top_seq = min(cut_seq, max((file.seq_last for file in own.values()), default=0))
    from_on, _ = _days(platform, Span(reach_at, period.span.end_at))
    near = manifest.raw_files(session, platform.id, from_on=from_on, seq_max=top_seq)
    own_paths = [lake.location(path) for path in sorted(own)]
    paths = [lake.location(path) for path in sorted({*own, *(file.stored.path for file in near)})]
    if staged:
        # Staged rows stand after the log's end, so that its rows are all before them.
        near = manifest.raw_files(session, platform.id, from_on=from_on, seq_max=cut_seq)
        paths = sorted({*own_paths, *(lake.location(file.stored.path) for file in near)})
        first_on, last_on = _days(platform, period.span)
        own_paths += [file.location for file in staged if first_on <= file.day_on <= last_on]
        paths += [file.location for file in staged if file.day_on >= from_on]
        cut_seq = max([cut_seq, *(file.seq_last for file in staged)])
    return _Reach(
        origins=tuple(origins),
        cut_seq=cut_seq,
        reach_at=reach_at,
        own_paths=tuple(own_paths),
        paths=tuple(paths),
        corrections=tuple(
            corrections.holding(
                session, platform.id, [origin.period_id for origin in origins], up_to_seq=cut_seq
            )
        ),
    )


def _days(platform: Platform, span: Span) -> tuple[date, date]:
    """Name the first and the last local day of a span, a day wider on either side.

    The files' days were found when their events were compacted. Should the zone's rules have been amended
    since, the rows' instants still decide, and their files are among these.
    """
    first_on, last_on = local_day(span.start_at, platform.zone), local_day(span.end_at, platform.zone)
    return first_on - _DAY, last_on + _DAY


def _decide(lake: Lake, period: Period, reach: _Reach, scratch: Path) -> _Outcome:
    """Run the steps of settle.sql and write both files into the scratch folder."""
    import duckdb

    empty = scratch / "empty.parquet"
    rows.write(rows.schema().empty_table(), empty)
    outcome = _Outcome(scratch / "counted.parquet", scratch / "verdicts.parquet", {}, {})
    parameters: dict[str, object] = {
        "own_files": [*reach.own_paths, str(empty)],
        "files": [*reach.paths, str(empty)],
        "cut_seq": reach.cut_seq,
        "reach_at": _naive(reach.reach_at),
        "period_id": period.id,
    }
    for number, origin in enumerate(reach.origins):
        parameters[f"start_{number}"] = _naive(origin.span.start_at)
        parameters[f"end_{number}"] = _naive(origin.span.end_at)
        parameters[f"after_{number}"] = origin.after_seq
        parameters[f"period_{number}"] = origin.period_id
    targets = {"counted": outcome.counted, "verdicts": outcome.verdicts}
    with closing(duck.connect(temp_dir=scratch)) as connection:
        lake.attach(connection)
        connection.register("correction", _corrections_table(reach.corrections))
        try:
            for step, statement in _steps(len(reach.origins)):
                given = {**parameters, "target": str(targets[step])} if step in targets else parameters
                wanted = set(_PARAMETER.findall(statement))
                connection.execute(statement, {name: given[name] for name in wanted})
            counts, origins = _count(connection, [str(outcome.verdicts)])
            conflicts = _conflicts(connection)
        except duckdb.IOException as fault:
            raise LakeAway(f"The files of {period.id} could not be read from the lake.") from fault
    return replace(outcome, counts=counts, origins=origins, conflicts=conflicts)


def _conflicts(connection: "DuckDBPyConnection") -> list[ConflictRow]:
    """Read the conflicts, in the order of the log, as many as quarantine takes."""
    found = connection.execute(
        "SELECT * FROM conflict ORDER BY seq, position LIMIT $most", {"most": CONFLICTS_MAX}
    )
    names = [column[0] for column in found.description or ()]
    made = []
    while row := found.fetchone():
        event = dict(zip(names, row, strict=True))
        place = {name: event.pop(name) for name in _CONFLICT_PLACE}
        made.append(ConflictRow(event=event, **place))
    return made


def _corrections_table(known: Sequence[Correction]) -> "pa.Table":
    """Give the corrections that hold as rows of a raw file: what is the event's, and what replaces it."""
    import pyarrow as pa

    shared = {
        "seq": [one.seq for one in known],
        "position": [one.position for one in known],
        "source": [one.source for one in known],
        "id": [one.event_id for one in known],
        "creator": [one.creator_id for one in known],
        "identity": [one.identity for one in known],
    }
    own = [one.replacement for one in known]
    columns = {
        field.name: pa.array(
            shared.get(field.name) or [_lake_value(it and getattr(it, field.name)) for it in own], field.type
        )
        for field in rows.schema()
    }
    return pa.table(
        {
            **columns,
            "is_void": pa.array([it is None for it in own], pa.bool_()),
            "period_id": pa.array([one.period_id for one in known], pa.string()),
        }
    )


def _lake_value(value: object) -> object:
    """Write a value as files have it."""
    return _naive(value) if isinstance(value, datetime) else value


def _steps(origin_count: int) -> Iterator[tuple[str, str]]:
    """Read the steps of settle.sql, the CASE over so many origins filled in."""
    text = resources.files("service.events").joinpath("sql/settle.sql").read_text(encoding="utf-8")
    cases = "".join(
        f' WHEN event."at" >= $start_{number} AND event."at" < $end_{number} AND event.seq > $after_{number}'
        f" THEN $period_{number}"
        for number in range(origin_count)
    )
    _, *parts = _STEP.split(text)
    for step, statement in zip(parts[::2], parts[1::2], strict=True):
        yield step, statement.replace("{origin}", f"CASE{cases} END")


def _count(
    connection: "DuckDBPyConnection", verdicts: Sequence[str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Count the rows of verdicts files: by verdict, and the counted and late ones by origin."""
    tallies = connection.execute(
        "SELECT verdict, origin_period_id, count(*) FROM read_parquet($files) GROUP BY ALL ORDER BY ALL",
        {"files": verdicts},
    ).fetchall()
    counts = dict.fromkeys(VERDICTS, 0)
    origins: dict[str, int] = {}
    for verdict, origin, row_count in tallies:
        counts[verdict] += row_count
        if verdict in {"counted", "late"}:
            origins[origin] = origins.get(origin, 0) + row_count
    return counts, origins


def _files(session: Session, period: Period) -> list[LakeFile]:
    """Read what the seal of a period wrote: nothing, or the counted files and then the verdicts."""
    return [
        file
        for kind in ("counted", "verdicts")
        for file in manifest.files_of_period(session, period.platform_id, period.id, kind)
    ]


def _recount(lake: Lake, period: Period, files: Sequence[LakeFile]) -> tuple[dict[str, int], dict[str, int]]:
    """Count what an earlier run found."""
    import duckdb

    verdicts = [lake.location(file.stored.path) for file in files if file.kind == "verdicts"]
    with (
        scratch_folder() as scratch,
        closing(duck.connect(temp_dir=scratch)) as connection,
    ):
        lake.attach(connection)
        try:
            return _count(connection, verdicts)
        except duckdb.IOException as fault:
            raise LakeAway(f"The verdicts of {period.id} could not be read from the lake.") from fault


def _describe(
    period: Period, files: Sequence[LakeFile], counts: Mapping[str, int], origins: Mapping[str, int]
) -> Settled:
    return Settled(
        platform_id=period.platform_id,
        period_id=period.id,
        counted=tuple(file for file in files if file.kind == "counted"),
        verdicts=tuple(file for file in files if file.kind == "verdicts"),
        counts=counts,
        origins=origins,
    )


def _add(lake: Lake, period: Period, kind: Kind, file: Path, row_count: int) -> LakeFile:
    assert period.cut_seq is not None, "only a sealed period is settled"
    return LakeFile(
        platform_id=period.platform_id,
        stored=lake.add(f"{period.platform_id}/{kind}/{period.id}", file),
        kind=kind,
        day_on=None,
        period_id=period.id,
        run_id=None,
        row_count=row_count,
        seq_first=0,
        seq_last=period.cut_seq,
    )


def _naive(instant: datetime) -> datetime:
    """Write an instant as the files do: in UTC, without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)
