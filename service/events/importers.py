"""Importers: a file of rows goes through the same intake as everything else, a piece at a time.

Owns `event_import`, one row for each file and mapping, written in the transaction of each piece's batches.
Laws: a piece is committed as a whole with the progress it makes; a run that ended anywhere is taken up by the
next one without an event taken twice, because intake knows the bytes of a piece again; importing a file that
was imported changes nothing, unless rows that were rejected for the platform's state would be taken now;
every row is accepted, skipped or in the file of rejects with its line and the reason.
"""

import io
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from service.calendar import periods
from service.core import digests
from service.core.errors import FieldError
from service.core.spans import local_day
from service.events import backfills, files, intake, wire
from service.events import mapping as mappings
from service.events.mapping import Maker, Mapping, Row
from service.events.sheets import BadRow
from service.events.tables import event_import
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

PIECE_ROWS: Final = 5_000
"""Rows of one piece: what one transaction imports."""

Report = Callable[[int, int | None], None]

_Taken = tuple["_Totals", list[dict[str, Any]]]

_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of a file: its rows, and the events that they made, of which a row may make several.

    `taken_count` says how many of the accepted events this run brought, or in a dry run would have brought;
    the others were there before. Law: accepted, skipped and rejected make one for each row and template, but
    that a row that cannot be read is rejected once.
    """

    is_dry_run: bool

    file_name: str
    row_count: int
    accepted_count: int
    taken_count: int
    skipped_count: int
    rejected_count: int
    rejected: dict[str, int]
    rejects_path: str | None
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The times of a file's events, as far as they can be read, and the first one that no period takes."""

    first_at: datetime | None
    last_at: datetime | None
    first_missing_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Key:
    """A file under a mapping, on a platform."""

    platform_id: str
    file_sha256: bytes
    mapping_sha256: bytes


@dataclass(frozen=True, slots=True)
class _Totals:
    """What has been committed so far; rejections by code."""

    row_count: int = 0
    accepted_count: int = 0
    skipped_count: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    taken_count: int = 0

    @property
    def rejected_count(self) -> int:
        return self.rejected.total()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored of an earlier run."""

    totals: _Totals
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where an item of a batch comes from; a row that cannot be read has no type."""

    row: int
    line: int
    type: str | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows as batches of intake, beside what cannot be one of their items."""

    last_row: int
    batches: tuple[tuple[bytes, tuple[_Origin, ...]], ...]
    rejects: tuple[dict[str, Any], ...]
    skipped_count: int


def run(
    database: Database,
    platform: Platform,
    path: Path,
    mapping: Mapping,
    *,
    now_of: Callable[[Session], datetime],
    rejects_path: Path | None = None,
    piece_rows: int = PIECE_ROWS,
    is_dry_run: bool = False,
    report: Report = lambda _done, _total: None,
    say: Callable[[str], None] = lambda _: None,
    backfill_id: uuid.UUID | None = None,
) -> Imported:
    """Import a file of events.

    Args:
        now_of: reads the clock, once in each piece's transaction.
        rejects_path: where rejected rows are written, one JSON object a line; made only if there are any.
        piece_rows: what one transaction imports; the same for every run of a file.
        is_dry_run: judge every piece as an import would, in a transaction that is undone: nothing is stored
            but the file of rejects.
        report: is told what has been done of what there is, in bytes read over both passes.
        say: is told, before anything is imported, if periods are missing for the file's times.
        backfill_id: stages the events in this backfill; its progress is its own.

    Raises:
        NotFound, WrongBackfillState: the backfill is not there, or takes no more events.
        BadMapping: a column that the mapping uses is not in the file.
        BadFile: it cannot be read, or is damaged; the pieces before that place stay imported.
    """
    key = _Key(platform.id, files.digest(path), _digest(mapping, backfill_id))
    with db.transaction(database) as session:
        known = _read(session, key)
    is_clean = known is not None and not known.totals.rejected_count and not is_dry_run
    if known is not None and known.finished_at is not None and is_clean:
        return _imported(platform, path, known.totals, None, rejects_path, backfill_id)
    size_bytes = path.stat().st_size
    outlook = look_ahead(
        database,
        platform,
        path,
        mapping,
        report=lambda done: report(done, 2 * size_bytes),
        backfill_id=backfill_id,
    )
    if outlook.first_missing_at is not None:
        say(_advise(platform, outlook.first_missing_at, backfill_id))
    if mapping.register_creators:
        platform = replace(platform, unknown_creators="register")
    # A run without rejections goes on after the last committed row. Otherwise all pieces pass intake again,
    # which knows their bytes: the rejects are written anew, and what can be taken only now is taken.
    totals = known.totals if known is not None and is_clean else _Totals()
    act = _undone if is_dry_run else db.run
    with _rejects_file(rejects_path) as rejects, files.opened(path, mapping) as sheet:
        make = mappings.maker(mapping, sheet.columns)
        for piece in _pieces(sheet.rows, make, totals.row_count, piece_rows):
            totals, rejected = act(
                database,
                partial(
                    _take,
                    platform=platform,
                    key=key,
                    path=path,
                    piece=piece,
                    before=totals,
                    now_of=now_of,
                    backfill_id=backfill_id,
                ),
            )
            rejects.write(b"".join(_ENCODE(one) + b"\n" for one in rejected))
            report(size_bytes + sheet.offset_bytes(), 2 * size_bytes)
        if not is_dry_run:
            with db.transaction(database) as session:
                _write(session, key, path, totals, now=now_of(session), is_finished=True)
    done = _imported(platform, path, totals, outlook.first_missing_at, rejects_path, backfill_id)
    return replace(done, is_dry_run=is_dry_run)


class _Undone(Exception):  # noqa: N818 — it is how a transaction is ended without an effect.
    """Carries what an act gave out of its transaction."""


def _undone(database: Database, act: Callable[[Session], _Taken]) -> _Taken:
    """Run an act as `db.run` does, and undo all that it did."""

    def run(session: Session) -> None:
        raise _Undone(act(session))

    try:
        db.run(database, run)
    except _Undone as done:
        taken: _Taken = done.args[0]
        return taken
    raise AssertionError("the act raised nothing")


def look_ahead(
    database: Database,
    platform: Platform,
    path: Path,
    mapping: Mapping,
    *,
    report: Callable[[int], None] = lambda _: None,
    backfill_id: uuid.UUID | None = None,
) -> Outlook:
    """Find, before anything is imported, the first time in a file that no period takes.

    Raises:
        BadMapping, BadFile: as `run` says.
    """
    first: dict[date, datetime] = {}
    last: dict[date, datetime] = {}
    with files.opened(path, mapping) as sheet:
        read = mappings.times(mapping, sheet.columns)
        for row in sheet.rows:
            for at in read(row) if isinstance(row, Row) else ():
                day = at.date()
                first[day] = min(at, first.get(day, at))
                last[day] = max(at, last.get(day, at))
            if row.number % PIECE_ROWS == 0:
                report(sheet.offset_bytes())
    with db.transaction(database) as session:
        if backfill_id is None:
            spans = [one.span for one in periods.window(session, platform.id)]
        else:
            spans = [backfills.get(session, platform.id, backfill_id).span]
    missing = [
        at for at in sorted([*first.values(), *last.values()]) if not any(span.contains(at) for span in spans)
    ]
    return Outlook(
        first_at=min(first.values(), default=None),
        last_at=max(last.values(), default=None),
        first_missing_at=missing[0] if missing else None,
    )


def _digest(mapping: Mapping, backfill_id: uuid.UUID | None) -> bytes:
    """Digest how and where a file is imported."""
    if backfill_id is None:
        return mapping.sha256
    return digests.sha256(digests.framed(mapping.sha256, backfill_id.bytes))


def _pieces(rows: Iterator[Row | BadRow], make: Maker, done_count: int, piece_rows: int) -> Iterator[_Piece]:
    """Cut rows into pieces and make each one's batches; the first `done_count` rows are passed over.

    Law: where a piece begins depends on the numbers of its rows alone.
    """
    while taken := list(islice(rows, piece_rows)):
        if taken[-1].number > done_count:
            yield _piece(taken, make)


def _piece(taken: Sequence[Row | BadRow], make: Maker) -> _Piece:
    batches: list[tuple[bytes, tuple[_Origin, ...]]] = []
    lines: list[bytes] = []
    origins: list[_Origin] = []
    rejects: list[dict[str, Any]] = []
    size_bytes = skipped_count = 0
    for row in taken:
        if isinstance(row, BadRow):
            rejects.append(_reject(_Origin(row.number, row.line, None), None, "unreadable", (row.error,)))
            continue
        for made in make(row):
            origin = _Origin(row.number, row.line, made.type)
            if made.error is not None:
                rejects.append(_reject(origin, None, "invalid", (made.error,)))
            elif made.event is None:
                skipped_count += 1
            else:
                line = _ENCODE(made.event) + b"\n"
                if len(lines) == wire.ITEMS_MAX or size_bytes + len(line) > wire.BODY_BYTES_MAX:
                    batches.append((b"".join(lines), tuple(origins)))
                    lines, origins, size_bytes = [], [], 0
                lines.append(line)
                origins.append(origin)
                size_bytes += len(line)
    if lines:
        batches.append((b"".join(lines), tuple(origins)))
    return _Piece(taken[-1].number, tuple(batches), tuple(rejects), skipped_count)


def _take(
    session: Session,
    *,
    platform: Platform,
    key: _Key,
    path: Path,
    piece: _Piece,
    before: _Totals,
    now_of: Callable[[Session], datetime],
    backfill_id: uuid.UUID | None,
) -> tuple[_Totals, list[dict[str, Any]]]:
    """Import a piece within one transaction: its batches and the progress that they make."""
    now = now_of(session)
    rejects = list(piece.rejects)
    accepted_count = taken_count = 0
    take = (
        partial(intake.receive, session, platform)
        if backfill_id is None
        else partial(backfills.receive, session, platform, backfill_id)
    )
    for body, origins in piece.batches:
        receipt = take(body, wire.LINES, channel="import", now=now)
        accepted_count += receipt.accepted_count
        taken_count += receipt.taken_count
        rejects += [_reject(origins[one.index], one.id, one.code, one.errors) for one in receipt.rejected]
    rejects.sort(key=lambda one: one["row"])
    totals = _Totals(
        row_count=piece.last_row,
        accepted_count=before.accepted_count + accepted_count,
        skipped_count=before.skipped_count + piece.skipped_count,
        rejected=before.rejected + Counter(one["code"] for one in rejects),
        taken_count=before.taken_count + taken_count,
    )
    _write(session, key, path, totals, now=now, is_finished=False)
    return totals, rejects


def _reject(origin: _Origin, event_id: str | None, code: str, errors: Sequence[FieldError]) -> dict[str, Any]:
    return {
        "row": origin.row,
        "line": origin.line,
        "type": origin.type,
        "id": event_id,
        "code": code,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in errors],
    }


@contextmanager
def _rejects_file(path: Path | None) -> Iterator[IO[bytes]]:
    """Open the file of rejects: it gets its name when the import is done, and only if it holds any."""
    if path is None:
        yield io.BytesIO()
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            is_empty = file.tell() == 0
        if is_empty:
            path.unlink(missing_ok=True)
        else:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(session: Session, key: _Key) -> _Known | None:
    row = session.execute(
        select(event_import).where(
            event_import.c.platform_id == key.platform_id,
            event_import.c.file_sha256 == key.file_sha256,
            event_import.c.mapping_sha256 == key.mapping_sha256,
        )
    ).one_or_none()
    if row is None:
        return None
    rejected = Counter({"rejected": row.rejected_count}) if row.rejected_count else Counter[str]()
    totals = _Totals(row.row_count_done, row.accepted_count, row.skipped_count, rejected)
    return _Known(totals, row.finished_at)


def _write(
    session: Session, key: _Key, path: Path, totals: _Totals, *, now: datetime, is_finished: bool
) -> None:
    changing = {
        "row_count_done": totals.row_count,
        "accepted_count": totals.accepted_count,
        "rejected_count": totals.rejected_count,
        "skipped_count": totals.skipped_count,
        "finished_at": now if is_finished else None,
    }
    session.execute(
        upsert(event_import)
        .values(
            platform_id=key.platform_id,
            file_sha256=key.file_sha256,
            mapping_sha256=key.mapping_sha256,
            file_name=path.name,
            started_at=now,
            **changing,
        )
        .on_conflict_do_update(index_elements=["platform_id", "file_sha256", "mapping_sha256"], set_=changing)
    )


def _imported(
    platform: Platform,
    path: Path,
    totals: _Totals,
    first_missing_at: datetime | None,
    rejects_path: Path | None,
    backfill_id: uuid.UUID | None,
) -> Imported:
    advice = ""
    if totals.rejected_count:
        advice = "Nothing of the rejected rows was stored; import the file again once they can be taken."
        if rejects_path is not None:
            advice = f"Each is in {rejects_path} with its line and the reason. {advice}"
        if first_missing_at is not None:
            advice = f"{_advise(platform, first_missing_at, backfill_id)} {advice}"
    return Imported(
        is_dry_run=False,
        file_name=path.name,
        row_count=totals.row_count,
        accepted_count=totals.accepted_count,
        taken_count=totals.taken_count,
        skipped_count=totals.skipped_count,
        rejected_count=totals.rejected_count,
        rejected=dict(sorted(totals.rejected.items())),
        rejects_path=str(rejects_path) if rejects_path is not None and totals.rejected_count else None,
        advice=advice,
    )


def _advise(platform: Platform, first_at: datetime, backfill_id: uuid.UUID | None) -> str:
    day = local_day(first_at, platform.zone)
    if backfill_id is not None:
        return f"The file has times, such as {day}, outside of the backfill's span; these rows are rejected."
    return (
        f"The file has times from {day} on that no open period takes. Open what is missing with "
        f"`benefit-ledger period open --platform {platform.id} --from {day}`, then import the file."
    )
