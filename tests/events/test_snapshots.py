"""A snapshot for readers: every accepted event once, whatever else goes on."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from service.core.errors import NotFound
from service.events import compaction, manifest, merging, partitions, snapshots, sweeping
from service.events.lake import Lake, LakeAway
from service.events.snapshots import Snapshot
from service.events.tables import event_batch
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.events import worlds
from tests.events.worlds import DAY, NOW, event

HOUR = timedelta(hours=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return worlds.founded(database)


def ids(tables: Iterator[Any]) -> Counter[str]:
    """Count the events of some tables by id."""
    return Counter(one for table in tables for one in table["id"].to_pylist())


def once(*names: str) -> Counter[str]:
    """Name events that are seen once each."""
    return Counter(names)


def test_a_snapshot_has_what_is_in_the_lake_and_what_waits(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """And nothing that is sent after it."""
    worlds.send(database, platform, event("e-1"), event("e-2", time="2026-11-19T04:00:00Z"))
    compaction.run(database, lake, platform.id, now=NOW)
    worlds.send(database, platform, event("e-3"), {"id": "bad"})
    snapshot = snapshots.of(database, platform.id)
    worlds.send(database, platform, event("e-4"))

    assert 3 == snapshot.event_count
    assert once("e-1", "e-2", "e-3") == ids(snapshots.read(database, lake, snapshot))


def test_rows_of_the_log_are_those_that_compaction_writes(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A reader cannot tell where a row came from."""
    worlds.send(database, platform, event("e-1"), event("e-2", content=None, quantity=7))
    waiting = snapshots.of(database, platform.id)
    compaction.run(database, lake, platform.id, now=NOW)
    settled = snapshots.of(database, platform.id)

    before, after = (
        sorted(row.items() for table in snapshots.read(database, lake, one) for row in table.to_pylist())
        for one in (waiting, settled)
    )
    assert [list(row) for row in before] == [list(row) for row in after]
    assert ((), (1,)) == (waiting.files, waiting.seqs)
    assert () == settled.seqs


def test_a_snapshot_is_read_to_the_end_though_everything_moves(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """Compacted, merged, swept and pruned, up to a day later."""
    names = [f"e-{number}" for number in range(20)]
    for name in names[:18]:
        worlds.send(database, platform, event(name))
    compaction.run(database, lake, platform.id, chunk_events=1, now=NOW)
    for name in names[18:]:
        worlds.send(database, platform, event(name))
    snapshot = snapshots.of(database, platform.id)
    seen = snapshots.read(database, lake, snapshot)
    first = next(seen)

    compaction.run(database, lake, platform.id, chunk_events=1, now=NOW + HOUR)
    merging.run(database, lake, platform.id, now=NOW + 2 * HOUR)
    for hours in (3, 23):
        sweeping.run(database, lake, platform.id, now=NOW + hours * HOUR)
        partitions.prune(database_urls.owner_url, now=NOW + hours * HOUR)

    assert once(*names) == ids(itertools.chain([first], seen))
    assert once(*names) == ids(snapshots.read(database, lake, snapshot))


def test_a_snapshot_that_is_too_old_says_so(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """Rather than giving less."""
    worlds.send(database, platform, event("e-1"))
    waiting = snapshots.of(database, platform.id)
    compaction.run(database, lake, platform.id, now=NOW)
    partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY)

    with pytest.raises(LakeAway, match="take a new snapshot"):
        ids(snapshots.read(database, lake, waiting))


def test_a_reader_in_a_transaction_sees_the_log_across_a_drop(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """However late: a day goes only when those who read the log before have ended."""
    worlds.send(database, platform, event("e-1"))
    query = select(func.count()).select_from(event_batch)
    with db.transaction(database) as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        snapshot = snapshots.take(session, platform.id)
        compaction.run(database, lake, platform.id, now=NOW)
        pruned = partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY, lock_timeout_s=0.1)
        assert ((), True) == (pruned.dropped, pruned.is_blocked)
        assert snapshot.seqs == tuple(session.scalars(select(event_batch.c.seq)))
        assert once("e-1") == ids(snapshots.read(database, lake, snapshots.of(database, platform.id)))

    assert 1 == len(partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY).dropped)
    with db.transaction(database) as session:
        assert 0 == session.scalar(query)
    assert once("e-1") == ids(snapshots.read(database, lake, snapshots.of(database, platform.id)))


def test_a_platform_that_does_not_exist_is_not_found(database: Database) -> None:
    """Rather than empty."""
    with pytest.raises(NotFound):
        snapshots.of(database, "nobody")


def test_files_without_a_newer_column_are_read_with_nulls(
    database: Database, lake: Lake, platform: Platform, tmp_path: Path
) -> None:
    """What was written before the column was thought of."""
    import pyarrow.parquet as pq

    worlds.send(database, platform, event("e-1"))
    (table,) = snapshots.read(database, lake, snapshots.of(database, platform.id))
    old = tmp_path / "old.parquet"
    pq.write_table(table.drop_columns(["content"]), old)
    from service.events import rows

    (read,) = rows.read_stream(lake, lake.add("tiktak/raw/x", old).path)

    assert table.schema == read.schema
    assert [None] == read["content"].to_pylist()
    assert ["e-1"] == read["id"].to_pylist()


class Model:
    """A platform's life: what was accepted, and a clock that the test turns."""

    def __init__(self, database: Database, owner_url: str, lake: Lake, platform: Platform) -> None:
        """Begin with nothing."""
        self.database, self.owner_url, self.lake, self.platform = database, owner_url, lake, platform
        self.now = NOW
        self.accepted: list[str] = []
        self.open: list[tuple[Snapshot, Counter[str], Any]] = []

    def send(self, count: int) -> None:
        """Send a batch; its events are all in November, so that merges find files of one day."""
        names = [f"e-{len(self.accepted) + number}" for number in range(count)]
        worlds.send(self.database, self.platform, *(event(name) for name in names), now=self.now)
        self.accepted += names

    def compact(self) -> None:
        """Compact, batch by batch."""
        compaction.run(self.database, self.lake, self.platform.id, chunk_events=1, now=self.now)

    def merge(self) -> None:
        """Merge what is due."""
        merging.run(self.database, self.lake, self.platform.id, now=self.now)

    def prune(self) -> None:
        """Drop what may go."""
        partitions.prune(self.owner_url, now=self.now, lock_timeout_s=0.1)

    def sweep(self) -> None:
        """Remove what may go."""
        sweeping.run(self.database, self.lake, self.platform.id, now=self.now)

    def wait(self) -> None:
        """Let half a day pass; readers do not take longer than a day."""
        self.now += DAY / 2
        for one in self.open:
            if one[2] + DAY <= self.now + DAY / 2:
                self.finish(one)
        self.open = [one for one in self.open if one[2] + DAY > self.now + DAY / 2]

    def take(self) -> None:
        """Take a snapshot to read later."""
        snapshot = snapshots.of(self.database, self.platform.id)
        self.open.append((snapshot, Counter(self.accepted), self.now))

    def finish(self, one: tuple[Snapshot, Counter[str], Any]) -> None:
        """Read a snapshot that was taken before: it has what had been accepted then."""
        assert one[1] == ids(snapshots.read(self.database, self.lake, one[0]))

    def check(self) -> None:
        """Read everything now, and what is still open."""
        for one in self.open:
            self.finish(one)
        self.take()
        self.finish(self.open[-1])
        with db.transaction(self.database) as session:
            named = {file.stored.path for file in manifest.in_force(session, self.platform.id)}
        assert named <= set(self.lake.paths(self.platform.id))


STEP = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 3)),
    st.sampled_from(["compact", "merge", "prune", "sweep", "wait", "take"]).map(lambda name: (name,)),
)


@settings(max_examples=20)
@given(steps=st.lists(STEP, max_size=40))
def test_any_order_of_work_shows_every_event_once(
    database_of_module: tuple[Database, str],
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Any, ...]],
) -> None:
    """Against a model in memory: what was accepted when a snapshot was taken is what it gives."""
    database, owner_url = database_of_module
    with db.transaction(database) as session:
        count = session.scalar(text("SELECT count(*) FROM platform"))
    platform = worlds.founded(database, platform_id=f"p{count}")
    model = Model(database, owner_url, worlds.lake_in(tmp_path_factory.mktemp("lake")), platform)
    for name, *arguments in steps:
        getattr(model, name)(*arguments)
    model.check()


@pytest.fixture(scope="module")
def database_of_module(module_database: Database, postgres_endpoint: Endpoint) -> tuple[Database, str]:
    """Give the module's database, and its owner's address."""
    from tests.conftest import database_at

    name = module_database.engine.url.database
    assert name is not None
    return module_database, database_at(postgres_endpoint, name).owner_url


class Bustle:
    """Everything at once, each in a thread; the sender turns the clock a quarter of a day a step."""

    STEPS = 48

    def __init__(self, database: Database, owner_url: str, lake: Lake, platform: Platform) -> None:
        """Begin with nothing."""
        self.database, self.owner_url, self.lake, self.platform = database, owner_url, lake, platform
        self.now = NOW
        self.accepted: list[str] = []
        self.faults: list[BaseException] = []
        self.seen_counts: list[int] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Do all of it to the end."""
        works = (self.send, self.keep_up, self.keep_up, self.look, self.look)
        threads = [threading.Thread(target=self.guard, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def guard(self, work: Callable[[], None]) -> None:
        """Keep what goes wrong in a thread for the test."""
        try:
            work()
        except BaseException as fault:
            self.faults.append(fault)
            self.done.set()

    def send(self) -> None:
        """Send batches while days pass."""
        for number in range(self.STEPS):
            if self.done.is_set():
                return
            names = [f"e-{number}-{copy}" for copy in range(3)]
            worlds.send(self.database, self.platform, *(event(name) for name in names), now=self.now)
            self.accepted.extend(names)
            if number % 2:
                self.now += DAY / 4
        self.done.set()

    def keep_up(self) -> None:
        """Compact, merge, sweep and prune in any order."""
        chance = random.Random(7)
        acts: list[Callable[[datetime], object]] = [
            lambda now: compaction.run(self.database, self.lake, self.platform.id, chunk_events=2, now=now),
            lambda now: merging.run(self.database, self.lake, self.platform.id, now=now),
            lambda now: sweeping.run(self.database, self.lake, self.platform.id, now=now),
            lambda now: partitions.prune(self.owner_url, now=now, lock_timeout_s=0.2),
        ]
        while not self.done.is_set():
            chance.choice(acts)(self.now)

    def look(self) -> None:
        """Read snapshots, each to the end, and compare with what had been accepted."""
        while not self.done.is_set():
            begun_at = self.now
            before = set(self.accepted)
            snapshot = snapshots.of(self.database, self.platform.id)
            after = set(self.accepted)
            try:
                found = ids(snapshots.read(self.database, self.lake, snapshot))
            except LakeAway:
                # The reader took longer than a day of this hurried clock.
                assert self.now - begun_at >= DAY / 2
                continue
            assert set(found.values()) <= {1}
            assert before <= found.keys()
            # A batch is committed a little before the sender writes down that it is.
            assert len(found.keys() - after) <= 3
            self.seen_counts.append(len(found))


def test_readers_and_all_the_upkeep_at_once(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """Nobody sees an event twice or not at all, and in the end the log is empty and the lake has all."""
    bustle = Bustle(database, database_urls.owner_url, lake, platform)

    bustle.run()

    assert [] == bustle.faults
    assert bustle.seen_counts
    compaction.run(database, lake, platform.id, now=bustle.now)
    partitions.prune(database_urls.owner_url, now=bustle.now + 3 * DAY)
    last = snapshots.of(database, platform.id)
    assert once(*bustle.accepted) == ids(snapshots.read(database, lake, last))
    with db.transaction(database) as session:
        assert 0 == session.scalar(select(func.count()).select_from(event_batch))
