"""Compaction: each accepted event is in the lake once, however often and wherever a run was ended."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from service.core.errors import NotFound
from service.events import compaction, manifest, wire
from service.events.compaction import Compacted
from service.events.lake import Lake, LakeAway
from service.events.tables import compacted
from service.parties import creators
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import NOW, event


def log_of(database: Database, platform: Platform) -> None:
    """Send three batches over two days, with rejected items among them."""
    worlds.send(database, platform, event("e-1"), {"id": "bad"}, event("e-2", time="2026-11-19T04:00:00Z"))
    worlds.send(database, platform, {"id": "all bad"})
    worlds.send(database, platform, event("e-3"), event("e-1"))


PLACES = "id, position, CAST(day_on AS VARCHAR)"

EXPECTED = [
    ("e-1", 0, "2026-11-20"),
    ("e-1", 1, "2026-11-20"),
    ("e-2", 2, "2026-11-19"),
    ("e-3", 0, "2026-11-20"),
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return worlds.founded(database)


def test_every_accepted_event_is_in_the_lake_by_day(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Rejected items are not; repeats are, since the seal decides about them."""
    log_of(database, platform)

    done = compaction.run(database, lake, platform.id, now=NOW)

    assert Compacted(batch_count=3, row_count=4, file_count=2) == done
    assert sorted(worlds.raw_rows(database, lake, platform, PLACES)) == EXPECTED


def test_the_manifest_says_what_each_file_is(database: Database, lake: Lake, platform: Platform) -> None:
    """Its day, rows, batches and digest."""
    log_of(database, platform)

    compaction.run(database, lake, platform.id, now=NOW)

    with db.transaction(database) as session:
        files = manifest.listing(session, platform.id)
        seqs = list(session.scalars(select(compacted.c.seq).order_by(compacted.c.seq)))
    by_day = {str(file.day_on): file for file in files}
    assert ["2026-11-19", "2026-11-20"] == sorted(by_day)
    assert [(1, seqs[0], seqs[0]), (3, seqs[0], seqs[2])] == [
        (file.row_count, file.seq_first, file.seq_last) for _, file in sorted(by_day.items())
    ]
    assert all(lake.digest(file.stored.path) == file.stored for file in files)
    assert all(file.stored.path.startswith(f"tiktak/raw/{day}/") for day, file in by_day.items())


def test_a_second_run_finds_nothing_to_do(database: Database, lake: Lake, platform: Platform) -> None:
    """Until something new is sent."""
    log_of(database, platform)
    compaction.run(database, lake, platform.id, now=NOW)

    again = compaction.run(database, lake, platform.id, now=NOW)
    worlds.send(database, platform, event("e-9"))
    more = compaction.run(database, lake, platform.id, now=NOW)

    assert [Compacted(0, 0, 0), Compacted(1, 1, 1)] == [again, more]


def test_a_run_goes_up_to_the_batch_it_was_told(database: Database, lake: Lake, platform: Platform) -> None:
    """A seal needs no more than its cut."""
    log_of(database, platform)
    period = worlds.seal(database, platform, "2026-11")
    worlds.send(database, platform, event("e-late"))

    done = compaction.run(database, lake, platform.id, up_to_seq=period.cut_seq, now=NOW)

    assert 3 == done.batch_count


def test_platforms_do_not_mix(database: Database, lake: Lake, platform: Platform) -> None:
    """A run is one platform's."""
    other = worlds.founded(database, platform_id="other")
    worlds.send(database, other, event("theirs"))
    log_of(database, platform)

    compaction.run(database, lake, platform.id, now=NOW)

    assert 4 == len(worlds.raw_rows(database, lake, platform, "id"))
    assert [] == worlds.raw_rows(database, lake, other, "id")


def test_a_platform_that_does_not_exist_is_not_found(database: Database, lake: Lake) -> None:
    """Rather than that nothing is to be done."""
    with pytest.raises(NotFound):
        compaction.run(database, lake, "nobody", now=NOW)


def test_items_that_an_earlier_batch_brought_are_not_in_the_lake_twice(
    database: Database, lake: Lake
) -> None:
    """The same bytes, sent again after a creator became known, bring only what was missing."""
    platform = worlds.founded(database, platform_id="strict", unknown_creators="reject")
    with db.transaction(database) as session:
        creators.ensure(session, platform.id, ["c-1"], now=NOW)
    events = (event("e-1"), event("e-2", creator="c-2"))
    worlds.send(database, platform, *events)
    with db.transaction(database) as session:
        creators.ensure(session, platform.id, ["c-2"], now=NOW)
    worlds.send(database, platform, *events)

    compaction.run(database, lake, platform.id, now=NOW)

    assert [("e-1", 0), ("e-2", 1)] == sorted(worlds.raw_rows(database, lake, platform, "id, position"))


def test_every_form_of_body_is_compacted(database: Database, lake: Lake, platform: Platform) -> None:
    """Lines and single events as well as batches."""
    from service.events import intake

    with db.transaction(database) as session:
        for body, kind in (
            (worlds.lines(event("e-1"), b"rubbish", event("e-2")), wire.LINES),
            (worlds.batch(event("e-3"))[1:-1], wire.SINGLE),
        ):
            intake.receive(session, platform, body, kind, channel="import", now=NOW)

    compaction.run(database, lake, platform.id, now=NOW)

    rows = sorted(worlds.raw_rows(database, lake, platform, "id, position"))
    assert [("e-1", 0), ("e-2", 2), ("e-3", 0)] == rows


def test_a_run_that_is_ended_at_any_step_is_finished_by_the_next(database: Database, tmp_path: Path) -> None:
    """Each step in turn; in the end every event is there once, and no file is left over."""
    steps: list[str] = []
    reference = worlds.founded(database, platform_id="reference")
    log_of(database, reference)
    compaction.run(database, worlds.lake_in(tmp_path / "r"), reference.id, now=NOW, say=steps.append)
    assert len(steps) >= 4

    for number in range(len(steps)):
        platform = worlds.founded(database, platform_id=f"killed-{number}")
        lake = worlds.lake_in(tmp_path / str(number))
        log_of(database, platform)
        with pytest.raises(worlds.Killed):
            compaction.run(database, lake, platform.id, now=NOW, say=worlds.killer(number))

        compaction.run(database, lake, platform.id, now=NOW)

        assert sorted(worlds.raw_rows(database, lake, platform, PLACES)) == EXPECTED, steps[number]
        with db.transaction(database) as session:
            named = {file.stored.path for file in manifest.listing(session, platform.id)}
        there = {str(path.relative_to(lake.url)) for path in Path(lake.url).rglob("*") if path.is_file()}
        assert named == there


def test_of_two_workers_one_records_and_the_other_goes_on(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The second one wrote its files, finds the batches recorded, and leaves it at that."""
    log_of(database, platform)
    said: list[str] = []

    def say_first(text: str) -> None:
        # While the first worker is between reading and recording, a second one does all of the work.
        if not said:
            compaction.run(database, lake, platform.id, now=NOW)
        said.append(text)

    done = compaction.run(database, lake, platform.id, now=NOW, say=say_first)

    assert Compacted(0, 0, 0) == done
    assert "Another worker has recorded these batches." in said
    assert sorted(worlds.raw_rows(database, lake, platform, PLACES)) == EXPECTED


def test_workers_at_the_same_time_compact_each_batch_once(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Whoever wins."""
    for number in range(10):
        worlds.send(database, platform, event(f"e-{number}"))

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(compaction.run, database, lake, platform.id, now=NOW) for _ in range(3)]
        done = [job.result() for job in jobs]

    assert 10 == sum(one.batch_count for one in done)
    assert [(f"e-{number}",) for number in range(10)] == sorted(
        worlds.raw_rows(database, lake, platform, "id")
    )


def test_a_lake_that_is_away_leaves_the_log_waiting(
    database: Database, tmp_path: Path, platform: Platform
) -> None:
    """Nothing is recorded, and the next run does the work."""
    log_of(database, platform)
    (tmp_path / "blocked").write_text("a file is in the way")

    with pytest.raises(LakeAway):
        compaction.run(database, worlds.lake_in(tmp_path / "blocked"), platform.id, now=NOW)

    done = compaction.run(database, worlds.lake_in(tmp_path / "free"), platform.id, now=NOW)
    assert 3 == done.batch_count


def test_an_object_store_is_a_lake_as_well(database: Database, platform: Platform) -> None:
    """Whatever fsspec knows."""
    lake = Lake("memory://compaction")
    log_of(database, platform)

    compaction.run(database, lake, platform.id, now=NOW)

    assert sorted(worlds.raw_rows(database, lake, platform, PLACES)) == EXPECTED


def test_a_run_is_due_when_a_batch_has_waited_a_minute(database: Database, platform: Platform) -> None:
    """Nothing is due when nothing waits."""
    with db.transaction(database) as session:
        before = compaction.due_at(session, platform.id)
    worlds.send(database, platform, event("e-1"))
    worlds.send(database, platform, event("e-2"), now=NOW + worlds.DAY)

    with db.transaction(database) as session:
        due_at = compaction.due_at(session, platform.id)

    assert (None, NOW + compaction.WAIT_MAX) == (before, due_at)


def test_many_waiting_events_make_a_run_due_at_once(database: Database, platform: Platform) -> None:
    """Two batches of two events are four."""
    worlds.send(database, platform, event("e-1"), event("e-2"))
    worlds.send(database, platform, event("e-3"), event("e-4"))

    with db.transaction(database) as session:
        due = [compaction.due_at(session, platform.id, chunk_events=number) for number in (4, 5)]

    assert [NOW, NOW + compaction.WAIT_MAX] == due


def test_a_long_log_is_compacted_in_chunks(database: Database, lake: Lake, platform: Platform) -> None:
    """Each is recorded before the next is read, so that what is held stays bounded."""
    log_of(database, platform)
    said: list[str] = []

    done = compaction.run(database, lake, platform.id, chunk_events=1, now=NOW, say=said.append)

    assert Compacted(batch_count=3, row_count=4, file_count=3) == done
    assert 2 == sum(text.startswith("Recorded") for text in said)
    assert sorted(worlds.raw_rows(database, lake, platform, PLACES)) == EXPECTED
