"""Merging and sweeping: fewer files, the same rows; nothing in force is ever removed."""

import itertools
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from service.audit import replay
from service.events import compaction, manifest, merging, rows, sealing, sweeping
from service.events.lake import Lake, LakeAway, Stored
from service.events.manifest import LakeFile
from service.events.merging import FILES_MIN, ROWS_MAX, SMALL_ROWS, Merged
from service.events.sweeping import Swept
from service.events.tables import lake_removal
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import DAY, NOW, event

HOUR = timedelta(hours=1)
COLUMNS = "seq, position, id, creator, CAST(day_on AS VARCHAR)"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path / "lake")


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return worlds.founded(database)


def pieces(database: Database, lake: Lake, platform: Platform, count: int, *, now: datetime = NOW) -> None:
    """Bring so many batches into the lake, each as files of its own; every fifth has one of yesterday."""
    for number in range(count):
        name = f"e-{now:%d%H}-{number}"
        events = [event(name, creator=f"c-{number % 3}"), event(f"{name}b", creator="c-1", actor="u-2")]
        if number % 5 == 0:
            events.append(event(f"{name}c", time="2026-11-19T04:00:00Z"))
        worlds.send(database, platform, *events, now=now)
    compaction.run(database, lake, platform.id, chunk_events=1, now=now)


def in_force(database: Database, platform: Platform) -> list[LakeFile]:
    """Read which raw files are in force."""
    with db.transaction(database) as session:
        return manifest.in_force(session, platform.id)


def found_rows(database: Database, lake: Lake, platform: Platform) -> list[tuple[object, ...]]:
    """Read every row of the files that are in force."""
    return sorted(worlds.rows(lake, [one.stored.path for one in in_force(database, platform)], COLUMNS))


def test_many_small_files_of_a_day_become_one_with_the_same_rows(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """In order of creator, then of the log; another day's few files wait."""
    pieces(database, lake, platform, FILES_MIN)
    before = found_rows(database, lake, platform)

    done = merging.run(database, lake, platform.id, now=NOW)

    assert Merged(merge_count=1, replaced_count=16, row_count=32) == done
    assert before == found_rows(database, lake, platform)
    files = in_force(database, platform)
    assert [("2026-11-19", 1)] * 4 + [("2026-11-20", 32)] == sorted(
        (str(one.day_on), one.row_count) for one in files
    )
    merged = next(one for one in files if one.row_count == 32)
    assert (1, 16) == (merged.seq_first, merged.seq_last)
    kept = worlds.rows(lake, [merged.stored.path], "creator, seq, position")
    assert sorted(kept) == kept
    assert pq.read_schema(lake.location(merged.stored.path)).equals(rows.schema())


def test_one_file_less_is_not_merged(database: Database, lake: Lake, platform: Platform) -> None:
    """Not before a day has passed."""
    pieces(database, lake, platform, FILES_MIN - 1)

    early = merging.run(database, lake, platform.id, now=NOW + DAY - HOUR)
    late = merging.run(database, lake, platform.id, now=NOW + DAY)

    assert Merged(0, 0, 0) == early
    assert Merged(2, 18, 33) == late
    assert 2 == len(in_force(database, platform))


def test_a_late_file_waits_for_a_day_beside_what_was_merged(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The merged file is old, but by itself it waits for nothing."""
    pieces(database, lake, platform, FILES_MIN)
    merging.run(database, lake, platform.id, now=NOW)
    later_at = NOW + 30 * HOUR
    merging.run(database, lake, platform.id, now=later_at)
    pieces(database, lake, platform, 1, now=later_at)

    assert Merged(0, 0, 0) == merging.run(database, lake, platform.id, now=later_at + HOUR)
    assert 2 == merging.run(database, lake, platform.id, now=later_at + DAY).merge_count


def test_the_audit_agrees_after_merges_and_sweeps(database: Database, lake: Lake, platform: Platform) -> None:
    """The lines of removed files stay; each compaction is still accounted for."""
    pieces(database, lake, platform, FILES_MIN)
    merging.run(database, lake, platform.id, now=NOW)
    assert () == replay.run(database, lake).findings

    assert Swept(16, 0) == sweeping.run(database, lake, platform.id, now=NOW + DAY)

    report = replay.run(database, lake)
    assert () == report.findings
    assert 10 == report.checks["events.files"]


def test_a_lost_row_of_a_merge_is_found_by_the_audit(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A merge whose file says other than what it replaced."""
    pieces(database, lake, platform, FILES_MIN)
    merging.run(database, lake, platform.id, now=NOW)
    with db.transaction(database) as session:
        files = manifest.listing(session, platform.id)
        orphan = next(one for one in files if one.row_count == 1 and one.kind == "raw")
        run_id = next(one.run_id for one in files if one.row_count == 32)
        assert run_id is not None
        manifest.replace(session, platform.id, [orphan.stored.path], run_id=run_id, now=NOW)

    found = replay.run(database, lake).findings

    assert [("events.compaction", 33, 32)] == [(one.check, one.expected, one.found) for one in found]


def test_replaced_files_stay_for_a_day(database: Database, lake: Lake, platform: Platform) -> None:
    """Whoever read the manifest before the merge reads them to the end."""
    pieces(database, lake, platform, FILES_MIN)
    before = [one for one in in_force(database, platform) if str(one.day_on) == "2026-11-20"]
    merging.run(database, lake, platform.id, now=NOW)

    early = sweeping.run(database, lake, platform.id, now=NOW + DAY - HOUR)
    still_there = [lake.modified_at(one.stored.path) is not None for one in before]
    late = sweeping.run(database, lake, platform.id, now=NOW + DAY)
    again = sweeping.run(database, lake, platform.id, now=NOW + 2 * DAY)

    assert (Swept(0, 0), Swept(16, 0), Swept(0, 0)) == (early, late, again)
    assert [True] * 16 == still_there
    assert [None] * 16 == [lake.modified_at(one.stored.path) for one in before]
    assert 36 == len(found_rows(database, lake, platform))
    with db.transaction(database) as session:
        removed = session.execute(select(lake_removal.c.sha256, lake_removal.c.reason)).all()
        its_indexes = manifest.indexes(session, platform.id, [one.stored.path for one in before])
    gone = [*before, *its_indexes.values()]
    assert {(one.stored.sha256, "replaced") for one in gone} == {(bytes(a), b) for a, b in removed}


def test_of_two_workers_one_records_and_the_other_goes_on(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The second one finds its files replaced and leaves it at that."""
    pieces(database, lake, platform, FILES_MIN)
    before = found_rows(database, lake, platform)
    said: list[str] = []

    def say_first(text: str) -> None:
        if not said:
            merging.run(database, lake, platform.id, now=NOW)
        said.append(text)

    done = merging.run(database, lake, platform.id, now=NOW, say=say_first)

    assert Merged(0, 0, 0) == done
    assert "Another worker has taken these files." in said
    assert before == found_rows(database, lake, platform)


def test_workers_at_the_same_time_merge_once(database: Database, lake: Lake, platform: Platform) -> None:
    """Whoever wins."""
    pieces(database, lake, platform, FILES_MIN)
    before = found_rows(database, lake, platform)

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(merging.run, database, lake, platform.id, now=NOW) for _ in range(3)]
        done = [job.result() for job in jobs]

    assert 1 == sum(one.merge_count for one in done)
    assert before == found_rows(database, lake, platform)


@pytest.mark.parametrize("act", [merging.run, sweeping.run])
def test_a_run_that_is_ended_at_any_step_is_finished_by_the_next(
    database: Database, tmp_path: Path, act: Callable[..., object]
) -> None:
    """Each step in turn; in the end there are the same rows, and no file too many."""
    later_at = NOW + DAY

    def prepare(name: str) -> tuple[Platform, Lake]:
        platform, lake = worlds.founded(database, platform_id=name), worlds.lake_in(tmp_path / name)
        pieces(database, lake, platform, FILES_MIN)
        if act is sweeping.run:
            merging.run(database, lake, platform.id, now=NOW)
            (Path(lake.url) / name / "raw" / "nobody.parquet").write_bytes(b"")
            aged(lake, later_at - 2 * DAY)
        return platform, lake

    def ids(lake: Lake, platform: Platform) -> list[object]:
        return sorted(row[2] for row in found_rows(database, lake, platform))

    steps: list[str] = []
    reference, lake = prepare("reference")
    before = ids(lake, reference)
    act(database, lake, reference.id, now=later_at, say=steps.append)
    assert len(steps) >= 3
    for number in range(len(steps)):
        platform, lake = prepare(f"killed-{number}")
        with pytest.raises(worlds.Killed):
            act(database, lake, platform.id, now=later_at, say=worlds.killer(number))

        act(database, lake, platform.id, now=later_at)
        aged(lake, later_at)
        sweeping.run(database, lake, platform.id, now=later_at + DAY)

        assert before == ids(lake, platform), steps[number]
        named = {one.stored.path for one in in_force(database, platform)}
        with db.transaction(database) as session:
            its_indexes = manifest.indexes(session, platform.id, sorted(named))
        named |= {one.stored.path for one in its_indexes.values()}
        assert named == set(lake.paths(platform.id)), steps[number]


def aged(lake: Lake, instant: datetime) -> None:
    """Set the instant at which every file of a lake was written."""
    for path in Path(lake.url).rglob("*"):
        os.utime(path, (instant.timestamp(), instant.timestamp()))


def test_files_that_nobody_names_go_when_they_are_a_day_old(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Whole ones and unfinished ones; those that were just written, and all that are named, stay."""
    pieces(database, lake, platform, 2)
    folder = Path(lake.url) / platform.id / "raw" / "2026-11-20"
    for name in ("old.parquet", ".old.part"):
        (folder / name).write_bytes(b"x")
    aged(lake, NOW)
    (folder / "new.parquet").write_bytes(b"x")
    os.utime(folder / "new.parquet", ((NOW + HOUR).timestamp(),) * 2)

    early = sweeping.run(database, lake, platform.id, now=NOW + DAY - HOUR)
    late = sweeping.run(database, lake, platform.id, now=NOW + DAY)

    assert (Swept(0, 0), Swept(0, 2)) == (early, late)
    assert (folder / "new.parquet").exists()
    assert () == replay.run(database, lake).findings


def test_nothing_is_swept_that_a_compaction_might_be_about_to_name(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """While a batch waits that arrived more than a day ago, an old file may be of a run that begins again."""
    worlds.send(database, platform, event())
    folder = Path(lake.url) / platform.id / "raw"
    folder.mkdir(parents=True)
    (folder / "old.parquet").write_bytes(b"x")
    aged(lake, NOW - 3 * DAY)

    waiting = sweeping.run(database, lake, platform.id, now=NOW + 2 * DAY)
    compaction.run(database, lake, platform.id, now=NOW + 2 * DAY)

    assert Swept(0, 0) == waiting
    assert Swept(0, 1) == sweeping.run(database, lake, platform.id, now=NOW + 2 * DAY)


def test_another_platforms_files_are_not_swept(database: Database, lake: Lake, platform: Platform) -> None:
    """Not even those of a sub-platform, whose id begins the same."""
    for platform_id in ("tiktak2", "tiktak.kids"):
        (Path(lake.url) / platform_id / "raw").mkdir(parents=True)
        (Path(lake.url) / platform_id / "raw" / "theirs.parquet").write_bytes(b"x")
    aged(lake, NOW - 3 * DAY)

    assert Swept(0, 0) == sweeping.run(database, lake, platform.id, now=NOW)


def test_an_object_store_is_merged_and_swept_as_well(database: Database, platform: Platform) -> None:
    """Whatever fsspec knows."""
    lake = Lake("memory://merging")
    pieces(database, lake, platform, FILES_MIN)
    before = found_rows(database, lake, platform)

    assert 1 == merging.run(database, lake, platform.id, now=NOW).merge_count
    assert Swept(16, 0) == sweeping.run(database, lake, platform.id, now=NOW + DAY)

    assert before == found_rows(database, lake, platform)
    assert 10 == len(lake.paths(platform.id)), "each file has its index"


def test_a_damaged_file_is_not_merged(database: Database, lake: Lake, platform: Platform) -> None:
    """Its digest says so; under a new name the damage could not be told any more."""
    pieces(database, lake, platform, FILES_MIN)
    path = Path(lake.location(in_force(database, platform)[-1].stored.path))
    path.write_bytes(path.read_bytes()[:-1] + b"X")

    with pytest.raises(LakeAway, match="not what was written"):
        merging.run(database, lake, platform.id, now=NOW)
    assert 20 == len(in_force(database, platform))


def test_a_file_that_was_removed_meanwhile_does_not_come_back(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A policy may remove what a merge is just writing anew."""
    pieces(database, lake, platform, FILES_MIN)

    def remove_all(_: str) -> None:
        with db.transaction(database) as session:
            manifest.remove(session, manifest.in_force(session, platform.id), "retention", now=NOW)

    done = merging.run(database, lake, platform.id, now=NOW, say=remove_all)

    assert Merged(0, 0, 0) == done
    assert [] == in_force(database, platform)


def test_a_seal_does_not_depend_on_how_the_log_was_cut(database: Database, tmp_path: Path) -> None:
    """Small files, merged files, or one: the sealed files are the same, byte for byte."""
    digests = set()
    for number, merges in enumerate((0, 1, 2)):
        platform = worlds.founded(database, platform_id=f"cut-{number}")
        lake = worlds.lake_in(tmp_path / str(number))
        for piece in range(2):
            for copy in range(FILES_MIN):
                name = f"e-{copy % 9}"
                worlds.send(database, platform, event(name, quantity=1 + piece, creator=f"c-{copy % 4}"))
            compaction.run(database, lake, platform.id, chunk_events=1, now=NOW)
            if merges > piece:
                merging.run(database, lake, platform.id, now=NOW + DAY)
        period = worlds.seal(database, platform, "2026-11")
        settled = sealing.settle(database, lake, platform, period, now=NOW)
        assert 9 == settled.counts["counted"]
        base = worlds.rows(lake, [settled.counted[0].stored.path], "min(seq)")[0][0]
        kept = worlds.rows(
            lake,
            [one.stored.path for one in (*settled.counted, *settled.verdicts)][:1],
            f"seq - {base}, position, id, creator, quantity",
        )
        verdicts = worlds.rows(
            lake, [settled.verdicts[0].stored.path], f"identity, seq - {base}, verdict, first_seq - {base}"
        )
        digests.add((tuple(kept), tuple(verdicts)))

    assert 1 == len(digests)


def _file(number: int, day: int, row_count: int) -> LakeFile:
    return LakeFile(
        platform_id="p",
        stored=Stored(f"p/{number}", 1, b""),
        kind="raw",
        day_on=date(2026, 11, day),
        period_id=None,
        run_id=None,
        row_count=row_count,
        seq_first=1,
        seq_last=2,
    )


FILES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.one_of(st.integers(1, 40), st.integers(1, SMALL_ROWS + 5)),
        st.integers(0, 30),
    ),
    max_size=60,
)


@given(FILES)
def test_a_plan_merges_each_file_at_most_once_and_within_bounds(drawn: list[tuple[int, int, int]]) -> None:
    """And carrying plans out comes to an end, with few small files left of any size."""
    files = {
        number: (_file(number, day, row_count), NOW - age_h * HOUR)
        for number, (day, row_count, age_h) in enumerate(drawn)
    }
    number = len(files)
    total = sum(file.row_count for file, _ in files.values())
    for _ in range(len(drawn) + 1):
        plan = merging.plan(list(files.values()), NOW)
        if not plan:
            break
        taken = [path for merge in plan for path in merge.paths]
        assert len(taken) == len(set(taken))
        for merge in plan:
            assert len(merge.files) >= 2
            assert merge.row_count <= ROWS_MAX
            assert {merge.day_on} == {file.day_on for file in merge.files}
            assert all(file.row_count < SMALL_ROWS for file in merge.files)
            files = {key: value for key, value in files.items() if value[0].stored.path not in merge.paths}
            files[number] = (_file(number, merge.day_on.day, merge.row_count), NOW)
            number += 1
    assert [] == merging.plan(list(files.values()), NOW)
    assert total == sum(file.row_count for file, _ in files.values())


@given(cuts=st.lists(st.integers(0, 9), max_size=5))
def test_a_stream_of_tables_is_one_file_however_it_is_cut(cuts: list[int]) -> None:
    """The row groups are those of the whole."""
    from service.events import wire
    from service.events.rows import Days

    body = worlds.batch(*(event(f"e-{number}") for number in range(9)))
    events = wire.decode(body, wire.BATCH, worlds.TYPES).events
    times = [one.time for one in events.values()]
    platform_days = Days(ZoneInfo("Asia/Ho_Chi_Minh"), min(times), max(times))
    table = rows.table_of(1, events, platform_days)
    edges = [0, *sorted(cuts), 9]
    pieces_of = [table.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        rows.write(table, whole)
        assert 9 == rows.write_stream(pieces_of, cut)
        assert whole.read_bytes() == cut.read_bytes()


def test_finding_merges_does_not_read_the_whole_manifest(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Days for which nothing was written lately are not looked at."""
    pieces(database, lake, platform, 3)

    with db.transaction(database) as session:
        recent = manifest.of_recent_days(session, platform.id, NOW - HOUR)
        old = manifest.of_recent_days(session, platform.id, NOW)
        count = session.scalar(select(func.count()).select_from(lake_removal))

    assert (4, 0, 0) == (len(recent), len(old), count)
