"""The low-water mark: what waits is found at once, however long the history, and nothing is ever left out."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from service.events import compaction, intake, marks, partitions, wire
from service.events.lake import Lake
from service.events.tables import compacted, event_type
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import NOW, event


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return founded(database)


def founded(database: Database, **options: str) -> Platform:
    """Found a platform on which an intake that is held open keeps no other one waiting.

    The first one of a day makes its partition, and the first one of a type marks it as used.
    """
    platform = worlds.founded(database, **options)
    with db.transaction(database) as session:
        partitions.ensure_ahead(session, NOW)
        session.execute(update(event_type).values(first_event_at=NOW))
    return platform


def mark(database: Database, platform: Platform) -> int:
    """Read the platform's mark."""
    with db.transaction(database) as session:
        return marks.of(session, platform.id)


def compact(database: Database, lake: Lake, platform: Platform) -> int:
    """Run compaction; return how many batches it took."""
    return compaction.run(database, lake, platform.id, now=NOW).batch_count


@contextmanager
def sending(database: Database, platform: Platform, event_id: str) -> Iterator[Session]:
    """Hold an intake open: its batch has a number and is committed when the context ends."""
    with db.transaction(database) as session:
        intake.receive(
            session,
            platform,
            worlds.batch(event(event_id, creator=event_id)),
            wire.BATCH,
            channel="http",
            now=NOW,
        )
        yield session


def moved(database: Database, lake: Lake, platform: Platform, to: int) -> None:
    """Send and compact until the mark has moved; other tests' transactions on this server may hold it up."""
    ends = time.monotonic() + 60
    number = 0
    while mark(database, platform) < to:
        assert time.monotonic() < ends, "the mark does not move"
        number += 1
        worlds.send(database, platform, event(f"more-{number}"))
        compact(database, lake, platform)


def test_the_mark_follows_what_is_compacted(database: Database, lake: Lake, platform: Platform) -> None:
    """One run notes the last number, a later one finds it decided; nothing waits below it."""
    worlds.send(database, platform, event("e-0"))
    compact(database, lake, platform)
    assert 0 == mark(database, platform)

    moved(database, lake, platform, 3)

    assert 0 == compact(database, lake, platform)
    with db.transaction(database) as session:
        seqs = session.scalars(select(compacted.c.seq).order_by(compacted.c.seq)).all()
    assert list(range(1, len(seqs) + 1)) == list(seqs)


def test_a_batch_that_commits_after_one_with_a_higher_number_is_not_left_out(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """However many runs pass meanwhile, the mark stays below it."""
    with sending(database, platform, "slow"):
        for number in range(4):
            worlds.send(database, platform, event(f"e-{number}"))
            assert 1 == compact(database, lake, platform)
        assert 0 == mark(database, platform)

    assert 1 == compact(database, lake, platform)
    assert 5 == len(worlds.raw_rows(database, lake, platform, "id"))


def test_a_number_that_was_given_out_in_vain_holds_nothing_up(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Its transaction was rolled back."""
    with pytest.raises(worlds.Killed), sending(database, platform, "gone"):
        raise worlds.Killed

    moved(database, lake, platform, 2)


def test_the_mark_of_a_restored_database_moves_again(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Its transactions are counted from another number."""
    worlds.send(database, platform, event("e-1"))
    compact(database, lake, platform)
    with db.transaction(database) as session:
        session.execute(text("UPDATE compaction_mark SET next_xact = 4000000000000000000"))

    moved(database, lake, platform, 2)


def test_another_platforms_batches_do_not_hold_the_mark(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Each has its own."""
    other = worlds.founded(database, platform_id="other")
    worlds.send(database, other, event())

    moved(database, lake, platform, 2)

    assert 0 == mark(database, other)
    assert 1 == compact(database, lake, other)


STEPS = st.lists(st.sampled_from(["open", "commit", "rollback", "compact"]), max_size=24)


@settings(max_examples=25)
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_whatever_the_order_of_commits_every_batch_is_compacted_once(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory, steps: list[str], order: Any
) -> None:
    """Intakes are held open, committed, and given up in any order, with runs between them."""
    lake = worlds.lake_in(tmp_path_factory.mktemp("lake"))
    with db.transaction(module_database) as session:
        count = session.scalar(text("SELECT count(*) FROM platform"))
    platform = founded(module_database, platform_id=f"p{count}")
    held: list[tuple[str, Session]] = []
    committed: set[str] = set()
    try:
        for number, step in enumerate(steps):
            if step == "open" and len(held) < 4:
                session = Session(module_database.engine)
                body = worlds.batch(event(f"e-{number}", creator=f"c-{number}"))
                intake.receive(session, platform, body, wire.BATCH, channel="http", now=NOW)
                held.append((f"e-{number}", session))
            elif step in {"commit", "rollback"} and held:
                event_id, session = held.pop(order.randrange(len(held)))
                if step == "commit":
                    session.commit()
                    committed.add(event_id)
                session.close()
            elif step == "compact":
                compact(module_database, lake, platform)
                found = {row[0] for row in worlds.raw_rows(module_database, lake, platform, "id")}
                assert committed == found
    finally:
        for _, session in held:
            session.close()
    compact(module_database, lake, platform)
    rows = worlds.raw_rows(module_database, lake, platform, "id")
    assert sorted((one,) for one in committed) == sorted(rows)


HISTORY = 100_000


@pytest.fixture
def history(database: Database, platform: Platform) -> Platform:
    """Fill the log with compacted batches over ten days."""
    statement = """
    WITH batch AS (
        INSERT INTO event_batch (platform_id, id, received_at, channel, media_type, item_count,
                                 accepted_count, body_sha256, body_zstd, rejections)
        SELECT :platform_id, gen_random_uuid(), CAST(:now AS timestamptz) - number * interval '8 seconds',
               'http', 'x', 1, 1, '\\x00', '\\x00', '[]'
          FROM generate_series(1, :count) AS number
        RETURNING *
    )
    INSERT INTO compacted
    SELECT platform_id, seq, id, received_at, id, received_at, channel, media_type, item_count,
           accepted_count, first_at, last_at, body_sha256, rejections
      FROM batch
    """
    given_values = {"platform_id": platform.id, "now": NOW, "count": HISTORY}
    with db.transaction(database) as session:
        for number in range(11):
            session.execute(
                text("SELECT open_event_partition(CAST(:on AS date))"), {"on": NOW - number * worlds.DAY}
            )
    with db.transaction(database) as session:
        session.execute(text(statement), given_values)
    return platform


def rows_read(plan: dict[str, Any]) -> int:
    """Count the rows that the leaves of a plan gave or threw away."""
    children = plan.get("Plans", [])
    if children:
        return sum(rows_read(child) for child in children)
    return int(plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)))


def test_finding_what_waits_costs_the_same_after_a_long_history(
    database: Database, lake: Lake, history: Platform
) -> None:
    """With a hundred thousand compacted batches, a handful of rows is read to find one that waits."""
    moved(database, lake, history, HISTORY + 1)
    worlds.send(database, history, event("waits"))
    seen: list[tuple[str, Any]] = []

    def explain(moment: str, statement: str) -> None:
        if moment == "before" and "compacted" in statement and statement.lstrip().startswith("SELECT"):
            seen.append((statement, None))

    with db.transaction(database) as session:
        assert mark(database, history) >= HISTORY
        stop = db.on_statement(database, explain)
        try:
            compaction.due_at(session, history.id)
            compaction.newest_seq(session, history.id)
        finally:
            stop()
        costs = []
        for statement, _ in seen:
            raw = session.connection().connection.driver_connection
            values = {
                name: value
                for name, value in {
                    "platform_id_1": history.id,
                    "platform_id_2": history.id,
                    "seq_1": mark(database, history),
                }.items()
                if f"%({name})" in statement
            }
            plan = raw.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).fetchone()[0]
            costs.append(
                rows_read(plan[0]["Plan"] if isinstance(plan, list) else json.loads(plan)[0]["Plan"])
            )

    assert 2 == len(costs)
    assert max(costs) <= 10
