"""Importers: files of the shape of the real ones, ended anywhere, imported again, changed, and cut."""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.calendar import periods
from service.events import compaction, importers, sealing
from service.events import mapping as mappings
from service.events.importers import Imported
from service.events.mapping import BadMapping, Mapping
from service.events.sheets import BadFile
from service.events.tables import event_batch, event_import
from service.parties import creators
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import NOW

KLOUT_HEADER = (
    "#user_id_fingerprint\t#actor_id_fingerprint\t#post_id_fingerprint"
    "\t#post_timestamp\t#action_timestamp\t#user_timezone\n"
)
VIDEO_HEADER = "day,video,channel,category,views_delta,likes_delta,comments_delta\n"


def now_of(_: Session) -> datetime:
    """Stand still at NOW."""
    return NOW


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform that rejects unknown creators, with periods open from January 2026 on."""
    platform = worlds.founded(database, unknown_creators="reject")
    open_from(database, platform, datetime(2026, 1, 1, tzinfo=UTC))
    return platform


def open_from(database: Database, platform: Platform, from_at: datetime) -> None:
    """Open history."""
    with db.transaction(database) as session:
        periods.open_from(session, platform, from_at, actor=OPERATOR, now=NOW)


def klout(folder: Path, rows: int = 5) -> Path:
    """Write a file as Klout's: ids are signed numbers, times in milliseconds."""
    path = folder / "twitter.tsv"
    body = "".join(
        f"-{7_000_000_000 + row % 3}\t{row}\t{900 + row % 2}\t1\t{1768000000000 + row}\tPacific Time\n"
        for row in range(rows)
    )
    path.write_text(KLOUT_HEADER + body, encoding="utf-8")
    return path


def videos(folder: Path, rows: int = 4, name: str = "videos.csv.gz") -> Path:
    """Write a file as the daily counters: some changes are zero, some go down."""
    path = folder / name
    body = "".join(
        f"2026-01-{1 + row % 28:02},video-{row},channel-{row % 5},Music,"
        f"{1000 + row},{row % 4 - 1},{-(row % 2)}\n"
        for row in range(rows)
    )
    path.write_bytes(gzip.compress((VIDEO_HEADER + body).encode(), mtime=0))
    return path


def run(
    database: Database, platform: Platform, path: Path, mapping: str | Mapping, **options: Any
) -> Imported:
    """Import a file with a shipped or a given mapping."""
    known = mappings.load(mapping) if isinstance(mapping, str) else mapping
    return importers.run(database, platform, path, known, now_of=now_of, **options)


def log_size(database: Database) -> tuple[int, int]:
    """Count the batches and the accepted events of the log."""
    with db.transaction(database) as session:
        query = select(func.count(), func.coalesce(func.sum(event_batch.c.accepted_count), 0))
        batches, events = session.execute(query).one()
    return batches, int(events)


def imported_rows(
    database: Database, platform: Platform, folder: Path, columns: str
) -> list[tuple[Any, ...]]:
    """Compact and read rows of the lake, in order."""
    lake = worlds.lake_in(folder / "lake")
    compaction.run(database, lake, platform.id, now=NOW)
    return sorted(worlds.raw_rows(database, lake, platform, columns))


def counts(done: Imported) -> tuple[int, int, int, int, int]:
    """Give rows, accepted, taken, skipped and rejected."""
    return done.row_count, done.accepted_count, done.taken_count, done.skipped_count, done.rejected_count


def test_a_file_of_engagements_becomes_events(database: Database, platform: Platform, tmp_path: Path) -> None:
    """One event a row, named by the row's digest; the creators are registered."""
    done = run(database, platform, klout(tmp_path), "klout_twitter")

    assert (5, 5, 5, 0, 0) == counts(done)
    columns = 'length(id), type, creator, content, actor, quantity, epoch_ms("at")'
    rows = imported_rows(database, platform, tmp_path, columns)
    expected = [
        (
            32,
            "share",
            f"tw:-{7_000_000_000 + row % 3}",
            f"tw:{900 + row % 2}",
            f"tw:{row}",
            1,
            1768000000000 + row,
        )
        for row in range(5)
    ]
    assert sorted(expected) == rows
    with db.transaction(database) as session:
        assert 3 == creators.count(session, platform.id)


def test_a_file_of_counters_becomes_an_event_for_each_change(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """At noon of the local day; a change of zero makes none, one below zero is a correction."""
    done = run(database, platform, videos(tmp_path), "vn_video_daily")

    assert (4, 9, 9, 3, 0) == counts(done)
    rows = imported_rows(
        database, platform, tmp_path, "id, type, creator, actor, quantity, strftime(\"at\", '%d %H')"
    )
    assert ("2026-01-01:video-0:like", "like", "channel-0", None, -1, "01 05") in rows
    assert ("2026-01-02:video-1:comment", "comment", "channel-1", None, -1, "02 05") in rows
    assert 9 == len(rows)


def test_importing_the_same_file_again_changes_nothing(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """It is known by its bytes, whatever its name."""
    first = run(database, platform, videos(tmp_path), "vn_video_daily")
    size = log_size(database)

    again = run(database, platform, videos(tmp_path, name="renamed.csv.gz"), "vn_video_daily")

    assert (4, 9, 0, 3, 0) == counts(again)
    assert first.accepted_count == again.accepted_count
    assert size == log_size(database)


def test_a_changed_file_brings_what_is_new_and_repeats_are_duplicates(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """The identity of a row's events does not depend on the file."""
    run(database, platform, videos(tmp_path, rows=4), "vn_video_daily")

    more = run(database, platform, videos(tmp_path, rows=6), "vn_video_daily")

    lake = worlds.lake_in(tmp_path / "lake")
    period = worlds.seal(database, platform, "2026-01")
    settled = sealing.settle(database, lake, platform, period, now=NOW)
    assert {
        "counted": more.accepted_count,
        "duplicate": 9,
        "conflict": 0,
        "late": 0,
        "voided": 0,
    } == settled.counts


def test_a_long_file_is_imported_in_pieces(database: Database, platform: Platform, tmp_path: Path) -> None:
    """More than one batch a piece where rows make several events, and progress to the end."""
    path = videos(tmp_path, rows=importers.PIECE_ROWS + 2)
    seen: list[tuple[int, int | None]] = []

    done = run(database, platform, path, "vn_video_daily", report=lambda *at: seen.append(at))

    assert importers.PIECE_ROWS + 2 == done.row_count
    assert (3, done.accepted_count) == log_size(database)
    size = path.stat().st_size
    assert (2 * size, 2 * size) == seen[-1]
    assert sorted(seen) == seen


class Ending:
    """A clock that ends the process when it is read for the n-th time: once a piece, and once at the end."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, _: Session) -> datetime:
        self.left -= 1
        if self.left < 0:
            raise worlds.Killed
        return NOW


@pytest.mark.parametrize("bad_line", [False, True])
def test_an_import_that_is_ended_anywhere_is_taken_up(
    database: Database, platform: Platform, tmp_path: Path, bad_line: bool
) -> None:
    """After each piece, and before the last word; nothing comes twice, and the rejects are complete."""
    path = klout(tmp_path, rows=11)
    if bad_line:
        path.write_text(path.read_text().replace("\t1768000000003\t", "\tnever\t"))
    rejects = tmp_path / "rejects.ndjson"
    mapping = mappings.load("klout_twitter")

    # A clean import goes on where it was ended, so that each run makes one more piece; one with rejected rows
    # passes all its pieces again.
    for at in (0, 1, 2, 3) if bad_line else (0, 1, 1, 1):
        with pytest.raises(worlds.Killed):
            importers.run(
                database, platform, path, mapping, now_of=Ending(at), piece_rows=5, rejects_path=rejects
            )
        assert not rejects.exists()
    done = run(database, platform, path, mapping, piece_rows=5, rejects_path=rejects)

    expected = 11 - bad_line
    assert (expected, int(bad_line)) == (done.accepted_count, done.rejected_count)
    assert (3, expected) == log_size(database)
    lines = rejects.read_text().splitlines() if bad_line else []
    assert [(4, 5, "invalid")] * bad_line == [
        (one["row"], one["line"], one["code"]) for one in map(json.loads, lines)
    ]
    assert [] == list(tmp_path.glob("*.part"))


def test_rejected_rows_are_reported_with_line_and_reason(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """Whether the row, the mapping or intake refused; the others are imported."""
    path = tmp_path / "mixed.csv"
    path.write_bytes(
        VIDEO_HEADER.encode()
        + b"2026-01-05,v1,ch,Music,5,0,0\n"
        + b"2026-01-05,v2,ch,Music,five,0,0\n"
        + b"2026-01-05,v3,ch,Music\n"
        + b"2027-01-05,v4,ch,Music,5,0,0\n"
        + b"2026-01-05,v5,no such id,Music,5,0,0\n"
        + b"2026-01-05,v\xff,ch,Music,5,0,0\n"
        + b"2026-01-05,v7,ch,Music,999999999,0,0\n"
    )
    rejects = tmp_path / "rejects.ndjson"

    done = run(database, platform, path, "vn_video_daily", rejects_path=rejects)

    assert (7, 1, 1, 10, 6) == counts(done)
    assert {
        "in_future": 1,
        "invalid": 1,
        "type_mismatch": 1,
        "unknown_creator": 1,
        "unreadable": 2,
    } == done.rejected
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [
        (2, 3, "view", "invalid", "/data/quantity"),
        (3, 4, None, "unreadable", ""),
        (4, 5, "view", "in_future", "/time"),
        (5, 6, "view", "unknown_creator", "/data/creator"),
        (6, 7, None, "unreadable", ""),
        (7, 8, "view", "type_mismatch", "/data/quantity"),
    ] == [(one["row"], one["line"], one["type"], one["code"], one["errors"][0]["pointer"]) for one in lines]
    assert str(rejects) in done.advice


def test_an_import_without_rejections_leaves_no_file_of_rejects(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """Nor one of an earlier run."""
    rejects = tmp_path / "rejects.ndjson"
    rejects.write_text("old")

    done = run(database, platform, klout(tmp_path), "klout_twitter", rejects_path=rejects)

    assert ("", None) == (done.advice, done.rejects_path)
    assert not rejects.exists()


def test_missing_periods_are_told_before_anything_is_imported_and_can_be_opened(
    database: Database, tmp_path: Path
) -> None:
    """The same file is taken once they are open, as far as it was not before."""
    platform = worlds.founded(database)
    path, rejects = videos(tmp_path), tmp_path / "rejects.ndjson"
    told: list[tuple[str, int]] = []

    refused = run(
        database,
        platform,
        path,
        "vn_video_daily",
        rejects_path=rejects,
        say=lambda text: told.append((text, log_size(database)[0])),
    )
    open_from(database, platform, datetime(2026, 1, 3, tzinfo=UTC))
    partly = run(database, platform, path, "vn_video_daily", rejects_path=rejects)

    ((text, batches_then),) = told
    remedy = "benefit-ledger period open --platform tiktak --from 2026-01-01"
    assert remedy in text
    assert remedy in refused.advice
    assert 0 == batches_then
    assert {"too_old": 9} == refused.rejected
    assert (4, 9, 9, 3, 0) == counts(partly)
    assert not rejects.exists()


def test_what_a_second_run_takes_is_only_what_the_first_could_not(database: Database, tmp_path: Path) -> None:
    """An event that was accepted once is not sent to the lake again."""
    platform = worlds.founded(database)
    path = tmp_path / "two.csv"
    path.write_text(VIDEO_HEADER + "2026-11-05,v1,ch,Music,5,0,0\n2026-10-05,v2,ch,Music,6,0,0\n")

    first = run(database, platform, path, "vn_video_daily")
    open_from(database, platform, datetime(2026, 10, 1, tzinfo=UTC))
    second = run(database, platform, path, "vn_video_daily")
    third = run(database, platform, path, "vn_video_daily")

    assert [(1, 1, 1), (2, 1, 0), (2, 0, 0)] == [
        (one.accepted_count, one.taken_count, one.rejected_count) for one in (first, second, third)
    ]
    assert [("2026-10-05:v2:view",), ("2026-11-05:v1:view",)] == imported_rows(
        database, platform, tmp_path, "id"
    )


def test_a_platform_may_refuse_unknown_creators_of_a_file(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """Where the mapping does not ask to register them."""
    import msgspec

    strict = msgspec.structs.replace(mappings.load("klout_twitter"), register_creators=False)

    done = run(database, platform, klout(tmp_path), strict)

    assert {"unknown_creator": 5} == done.rejected


def test_a_file_of_another_shape_is_refused_before_anything_is_stored(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """The column that is missing is named."""
    with pytest.raises(BadMapping, match="#user_id_fingerprint"):
        run(database, platform, plain(tmp_path), "klout_twitter")

    assert (0, 0) == log_size(database)
    with db.transaction(database) as session:
        assert [] == session.execute(select(event_import)).all()


def plain(folder: Path) -> Path:
    """Write a TSV file without the columns of Klout's."""
    path = folder / "plain.tsv"
    path.write_text("a\tb\n1\t2\n")
    return path


def test_a_file_that_is_cut_off_is_imported_up_to_its_last_whole_piece_and_again_when_whole(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """The cut copy and the whole one share their first piece."""
    whole = tmp_path / "whole.csv.gz"
    body = "".join(
        f"2026-01-05,v{row},ch,Music,{row * 7919 % 100_003},0,0\n" for row in range(2 * importers.PIECE_ROWS)
    )
    whole.write_bytes(gzip.compress((VIDEO_HEADER + body).encode(), mtime=0))
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.75)])

    with pytest.raises(BadFile):
        run(database, platform, cut, "vn_video_daily")
    done = run(database, platform, whole, "vn_video_daily")

    skipped = sum(row * 7919 % 100_003 == 0 for row in range(2 * importers.PIECE_ROWS))
    assert 2 * importers.PIECE_ROWS - skipped == done.accepted_count == log_size(database)[1]


def test_an_empty_file_with_a_header_is_an_import_of_nothing(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """And is remembered as finished."""
    path = tmp_path / "none.csv"
    path.write_text(VIDEO_HEADER)

    done = run(database, platform, path, "vn_video_daily")

    assert (0, 0, 0, 0, 0) == counts(done)
    with db.transaction(database) as session:
        assert NOW == session.execute(select(event_import.c.finished_at)).scalar_one()


REAL = Path(os.environ.get("REAL_DATA_DIR", "/nowhere"))
SAMPLES = {
    "klout_twitter": "twitter_1k.tsv",
    "klout_facebook": "facebook_1k.tsv",
    "vn_video_daily": "vn_video_daily.csv.gz",
}


def sources() -> Iterator[tuple[str, str]]:
    """Name, for each shipped mapping, a made file and, where REAL_DATA_DIR has it, the real one."""
    for mapping, name in SAMPLES.items():
        yield mapping, "made"
        if (REAL / name).exists():
            yield mapping, name


@pytest.mark.parametrize(("mapping", "source"), list(sources()))
def test_every_shipped_mapping_carries_its_file_into_the_lake(
    database: Database, tmp_path: Path, mapping: str, source: str
) -> None:
    """All that the file says is there, and the sum of the quantities is the file's own."""
    platform = worlds.founded(database)
    open_from(database, platform, datetime(2014, 10, 1, tzinfo=UTC))
    if source == "made":
        path = videos(tmp_path) if mapping == "vn_video_daily" else klout(tmp_path)
    else:
        path = REAL / source
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    table = list(csv.DictReader(io.StringIO(text), delimiter="," if path.name.endswith(".csv.gz") else "\t"))

    done = run(database, platform, path, mapping)
    again = run(database, platform, path, mapping)

    changes = [int(row[name]) for row in table for name in row if name.endswith("_delta")] or [1] * len(table)
    assert (len(table), 0, 0) == (done.row_count, done.rejected_count, again.taken_count)
    assert sum(change != 0 for change in changes) == done.accepted_count == done.taken_count
    rows = imported_rows(database, platform, tmp_path, "identity, quantity")
    assert len({identity for identity, _ in rows}) == len(rows) == done.accepted_count
    assert sum(changes) == sum(quantity for _, quantity in rows)


PARQUET = """
title: Engagements
format: parquet
register_creators: true
events:
  - source: warehouse
    id: "{event.id}"
    type: view
    time: { column: at, as: rfc3339 }
    creator: "{event.creator}"
    actor: "{actor}"
    quantity_column: amount
    skip_when_zero: true
"""


def parquet(folder: Path, rows: int = 5, row_group_rows: int = 3) -> Path:
    """Write a Parquet file as a warehouse does: structs, times with a zone, decimals, nulls."""
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "event": pa.array([{"id": f"e-{row}", "creator": f"c-{row % 3}"} for row in range(rows)]),
            "at": pa.array(
                [datetime(2026, 1, 1 + row % 28, 7, 0, 0, row, tzinfo=UTC) for row in range(rows)],
                pa.timestamp("ns", "Asia/Ho_Chi_Minh"),
            ),
            "actor": pa.array([None if row % 2 else f"u-{row}" for row in range(rows)]),
            "amount": pa.array([decimal.Decimal(row % 4) for row in range(rows)], pa.decimal128(12, 2)),
        }
    )
    path = folder / "events.parquet"
    pq.write_table(table, path, row_group_size=row_group_rows)
    return path


def test_a_parquet_file_is_imported_like_any_other(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """Typed columns arrive as they are, in the lake too; a second import changes nothing."""
    mapping = mappings.parse(PARQUET)
    seen: list[tuple[int, int | None]] = []

    done = run(database, platform, parquet(tmp_path), mapping, report=lambda *at: seen.append(at))
    again = run(database, platform, parquet(tmp_path), mapping)

    assert ((5, 3, 3, 2, 0), (5, 3, 0, 2, 0)) == (counts(done), counts(again))
    assert seen[-1][0] == seen[-1][1]
    columns = "id, creator, actor, quantity, strftime(\"at\", '%d %H:%M:%S.%f')"
    assert [
        ("e-1", "c-1", None, 1, "02 07:00:00.000001"),
        ("e-2", "c-2", "u-2", 2, "03 07:00:00.000002"),
        ("e-3", "c-0", None, 3, "04 07:00:00.000003"),
    ] == imported_rows(database, platform, tmp_path, columns)


def test_a_parquet_import_that_is_ended_anywhere_is_taken_up(
    database: Database, platform: Platform, tmp_path: Path
) -> None:
    """Pieces do not depend on row groups."""
    path, mapping = parquet(tmp_path, rows=11, row_group_rows=4), mappings.parse(PARQUET)
    for at in (0, 1, 1, 1):
        with pytest.raises(worlds.Killed):
            importers.run(database, platform, path, mapping, now_of=Ending(at), piece_rows=5)

    done = run(database, platform, path, mapping, piece_rows=5)

    assert (11, 8, 0, 3, 0) == counts(done)
    assert (3, 8) == log_size(database)


def stored(database: Database) -> dict[str, int]:
    """Count the rows of every table."""
    with db.transaction(database) as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in db.metadata.sorted_tables
        }


@pytest.mark.parametrize("source", ["fresh", "begun", "finished"])
def test_a_dry_run_says_what_an_import_would_do_and_stores_nothing(
    database: Database, platform: Platform, tmp_path: Path, source: str
) -> None:
    """The counts, the reasons and the file of rejects are those of the import that follows."""
    path = tmp_path / "mixed.csv"
    body = "".join(f"2026-01-05,v{row},ch-{row % 3},Music,{row % 5},0,{row - 7}\n" for row in range(13))
    path.write_text(VIDEO_HEADER + body + "2026-01-05,v,ch,Music,five,0,0\n2031-01-05,v,ch,Music,1,0,0\nx\n")
    told: list[str] = []
    if source == "begun":
        with pytest.raises(worlds.Killed):
            importers.run(
                database, platform, path, mappings.load("vn_video_daily"), now_of=Ending(1), piece_rows=5
            )
    elif source == "finished":
        run(database, platform, path, "vn_video_daily", piece_rows=5)
    before = stored(database)

    dry = run(
        database,
        platform,
        path,
        "vn_video_daily",
        is_dry_run=True,
        rejects_path=tmp_path / "dry",
        piece_rows=5,
        say=told.append,
    )
    after = stored(database)
    wet = run(
        database,
        platform,
        path,
        "vn_video_daily",
        rejects_path=tmp_path / "wet",
        piece_rows=5,
        say=told.append,
    )

    assert before == after
    assert (True, False) == (dry.is_dry_run, wet.is_dry_run)
    assert (counts(dry), dry.rejected) == (counts(wet), wet.rejected)
    assert (tmp_path / "dry").read_bytes() == (tmp_path / "wet").read_bytes()
    assert [told[0]] * 2 == told
    assert (0 if source == "finished" else 1) == bool(wet.taken_count)


@pytest.fixture(scope="module")
def shared_platform(module_database: Database) -> Platform:
    """Found a platform for examples that only add to it."""
    return worlds.founded(module_database)


@settings(max_examples=15)
@given(data=st.data())
def test_what_is_counted_is_the_rows(
    module_database: Database,
    shared_platform: Platform,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    """Law: accepted, skipped and rejected make one a row and template; a row unread is rejected once."""
    lines = data.draw(
        st.lists(
            st.sampled_from(
                [
                    "2026-11-05,v{n},ch,Music,5,0,-1",
                    "2026-11-05,v{n},ch,Music,0,0,0",
                    "2026-11-05,v{n},no such id,Music,5,1,1",
                    "never,v{n},ch,Music,5,1,1",
                    "2026-11-05,v{n},ch,Music,1.5,1,1",
                    "2026-11-05,v{n}",
                    '"2026-11-05"x,v{n},ch,Music,5,1,1',
                ]
            ),
            max_size=12,
        )
    )
    name = f"rows{data.draw(st.integers(0, 10**12))}"
    path = tmp_path_factory.mktemp("rows") / name
    path.write_text(
        VIDEO_HEADER + "".join(line.format(n=f"{name}-{n}") + "\n" for n, line in enumerate(lines))
    )

    done = run(module_database, shared_platform, path, "vn_video_daily", piece_rows=4)

    unread = sum(line.count(",") < 6 or line.startswith('"') for line in lines)
    assert len(lines) == done.row_count
    assert 3 * (len(lines) - unread) + unread == (
        done.accepted_count + done.skipped_count + done.rejected_count
    )
