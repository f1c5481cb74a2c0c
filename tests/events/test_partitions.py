"""The log's partitions: there when an intake needs one, gone when the lake has had its events for a day."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from service.audit import replay
from service.core.errors import Unavailable
from service.events import compaction, intake, marks, partitions, wire
from service.events.lake import Lake
from service.events.partitions import Content, Partition, Pruned
from service.events.tables import compacted, event_batch
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.events import worlds
from tests.events.worlds import DAY, NOW, event

HOUR = timedelta(hours=1)
ARRIVED_ON = date(2026, 11, 20)
NAME = "event_batch_20261120"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform."""
    return worlds.founded(database)


@pytest.fixture
def owner(database_urls: Endpoint) -> Iterator[Connection]:
    """Connect as the role that owns the tables; every statement by itself."""
    engine = create_engine(database_urls.owner_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def names(database: Database) -> list[str]:
    """Name the partitions there are."""
    with db.transaction(database) as session:
        return [one.name for one in partitions.listing(session) if one.is_attached]


def test_an_intake_makes_the_partition_that_is_missing(database: Database, platform: Platform) -> None:
    """However long no scheduler ran; the next intake of that day finds it."""
    assert [] == names(database)

    worlds.send(database, platform, event("e-1"))
    worlds.send(database, platform, event("e-2"))

    assert [NAME] == names(database)


def test_intakes_that_miss_a_partition_at_once_are_all_taken(database: Database, platform: Platform) -> None:
    """One of them makes it, the others wait for that and go on."""
    start = threading.Barrier(4)

    def send(number: int) -> int:
        start.wait()
        return worlds.send(database, platform, event(f"e-{number}")).accepted_count

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(send, range(4)))

    assert [1] * 4 == taken
    assert [NAME] == names(database)


def test_a_batch_lies_in_the_utc_day_of_its_arrival(database: Database, platform: Platform) -> None:
    """The last microsecond of a day and the first of the next, in one sequence of numbers."""
    midnight_at = datetime(2026, 11, 21, tzinfo=UTC)
    for number, now in enumerate((midnight_at - timedelta(microseconds=1), midnight_at)):
        worlds.send(database, platform, event(f"e-{number}"), now=now)

    query = text("SELECT CAST(CAST(tableoid AS regclass) AS text), seq FROM event_batch ORDER BY seq")
    with db.transaction(database) as session:
        found = session.execute(query).all()

    assert [(NAME, 1), ("event_batch_20261121", 2)] == found


def test_partitions_are_made_ahead_once(database: Database) -> None:
    """Today's and those of a fortnight."""
    with db.transaction(database) as session:
        first = partitions.ensure_ahead(session, NOW)
    with db.transaction(database) as session:
        second = partitions.ensure_ahead(session, NOW)

    assert (15, 0) == (first, second)
    assert (NAME, "event_batch_20261204") == (names(database)[0], names(database)[-1])


@pytest.mark.parametrize("day_on", ["1999-12-31", "2200-01-01", None])
def test_the_schema_makes_partitions_of_sensible_days_only(database: Database, day_on: str | None) -> None:
    """The application can ask for nothing else."""
    with pytest.raises(DBAPIError, match="no partition"), db.transaction(database) as session:
        session.execute(text("SELECT open_event_partition(CAST(:day AS date))"), {"day": day_on})


@pytest.mark.parametrize(
    "statement", ["DROP TABLE {}", "TRUNCATE {}", "INSERT INTO {} DEFAULT VALUES", "SELECT seq FROM {}"]
)
def test_the_application_reaches_a_partition_through_the_log_alone(
    database: Database, platform: Platform, statement: str
) -> None:
    """It owns none and has no right on one."""
    worlds.send(database, platform, event())
    with pytest.raises(ProgrammingError), db.transaction(database) as session:
        session.execute(text(statement.format(NAME)))


@pytest.mark.parametrize("statement", ["UPDATE {} SET seq = seq", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["event_batch", NAME])
def test_what_a_partition_holds_cannot_be_changed_even_by_its_owner(
    database: Database, platform: Platform, owner: Connection, table: str, statement: str
) -> None:
    """Neither through the log nor past it."""
    worlds.send(database, platform, event())
    with pytest.raises(ProgrammingError, match="written once"):
        owner.execute(text(statement.format(table)))


ENDED_AT = datetime(2026, 11, 21, tzinfo=UTC)
LATER_AT = ENDED_AT + 3 * HOUR


@pytest.mark.parametrize(
    ("content", "now", "may_go"),
    [
        pytest.param(Content(0, None), ENDED_AT + DAY, True, id="empty, a day after its end"),
        pytest.param(Content(0, None), ENDED_AT + DAY - HOUR, False, id="empty, an hour too early"),
        pytest.param(Content(0, NOW), ENDED_AT + DAY, True, id="compacted on its day"),
        pytest.param(Content(0, LATER_AT), LATER_AT + DAY, True, id="compacted later, a day ago"),
        pytest.param(Content(0, LATER_AT), LATER_AT + DAY - HOUR, False, id="compacted later, too early"),
        pytest.param(Content(1, LATER_AT), LATER_AT + 400 * DAY, False, id="a batch waits"),
    ],
)
def test_a_partition_goes_a_day_after_all_of_it_is_in_the_lake(
    content: Content, now: datetime, may_go: bool
) -> None:
    """And after its own end: until then batches may arrive."""
    one = Partition(ARRIVED_ON, is_attached=True, is_leaving=False)

    assert partitions.may_go(one, content, now) is may_go


def test_a_prune_drops_what_is_compacted_and_keeps_what_waits(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """Numbers, headers and receipts stay, the books agree, and the same bytes are a replay as before."""
    receipt = worlds.send(database, platform, event("e-1"), {"id": "bad"})
    compaction.run(database, lake, platform.id, now=NOW)
    worlds.send(database, platform, event("e-2"), now=NOW + DAY)
    later_at = NOW + 30 * DAY

    pruned = partitions.prune(database_urls.owner_url, now=later_at)

    assert Pruned((NAME,), is_blocked=False) == pruned
    assert "event_batch_20261121" in names(database)
    again = worlds.send(database, platform, event("e-1"), {"id": "bad"}, now=NOW + DAY)
    assert (True, receipt.batch_id) == (again.is_replay, again.batch_id)
    with db.transaction(database) as session:
        header = session.execute(select(compacted)).one()
        assert 2 == compaction.newest_seq(session, platform.id)
        assert 1 == session.scalar(select(func.count()).select_from(event_batch))
    assert (receipt.batch_id, 1, NOW, wire.BATCH, 2, 1) == (
        header.batch_id,
        header.seq,
        header.received_at,
        header.media_type,
        header.item_count,
        header.accepted_count,
    )
    assert [1] == [one["index"] for one in header.rejections]
    compaction.run(database, lake, platform.id, now=later_at)
    assert () == replay.run(database, lake).findings


def test_the_number_of_the_newest_batch_outlives_the_whole_log(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """A seal of a platform that was quiet for weeks takes what it sent before."""
    worlds.send(database, platform, event())
    compaction.run(database, lake, platform.id, now=NOW)
    partitions.prune(database_urls.owner_url, now=NOW + 40 * DAY)

    with db.transaction(database) as session:
        assert 0 == session.scalar(select(func.count()).select_from(event_batch))
        assert 1 == compaction.newest_seq(session, platform.id)


def test_a_prune_waits_for_a_reader_and_takes_nothing_from_it(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """The reader sees its batch to the end; the detachment is finished when it has gone."""
    worlds.send(database, platform, event())
    with db.transaction(database) as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        query = select(func.count()).select_from(event_batch)
        assert 1 == session.scalar(query)
        compaction.run(database, lake, platform.id, now=NOW)
        blocked = partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY, lock_timeout_s=0.1)
        assert Pruned((), is_blocked=True) == blocked
        assert 1 == session.scalar(query)
        # Meanwhile intakes go on, also beyond what was made ahead.
        worlds.send(database, platform, event("e-2"), now=NOW + 3 * DAY)
        assert 1 == session.scalar(query)

    assert Pruned((NAME,), is_blocked=False) == partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY)


def test_a_batch_that_was_detached_before_it_was_compacted_goes_back_to_the_log(
    database: Database, database_urls: Endpoint, owner: Connection, lake: Lake, platform: Platform
) -> None:
    """It is dropped only when it is in the lake; a mark that was moved past it meanwhile is taken back."""
    worlds.send(database, platform, event())
    owner.execute(text(f"ALTER TABLE event_batch DETACH PARTITION {NAME} CONCURRENTLY"))
    later_at = NOW + 3 * DAY
    ends = time.monotonic() + 60
    number = 0
    while _mark(database, platform) < 2:
        assert time.monotonic() < ends, "the mark does not move"
        number += 1
        worlds.send(database, platform, event(f"later-{number}"), now=later_at)
        compaction.run(database, lake, platform.id, now=later_at)

    first = partitions.prune(database_urls.owner_url, now=later_at)
    assert 0 == _mark(database, platform)
    compaction.run(database, lake, platform.id, now=later_at)
    second = partitions.prune(database_urls.owner_url, now=later_at + 2 * DAY)

    assert ((), (NAME,)) == (first.dropped, second.dropped[:1])
    assert ("e-1",) in worlds.raw_rows(database, lake, platform, "id")


def _mark(database: Database, platform: Platform) -> int:
    with db.transaction(database) as session:
        return marks.of(session, platform.id)


def test_a_day_that_a_batch_is_just_written_to_stays(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """However old the day; the batch is compacted first."""
    worlds.send(database, platform, event("e-1"))
    compaction.run(database, lake, platform.id, now=NOW)
    later_at = NOW + 3 * DAY
    with db.transaction(database) as session:
        intake.receive(session, platform, worlds.batch(event("slow")), wire.BATCH, channel="http", now=NOW)
        blocked = partitions.prune(database_urls.owner_url, now=later_at, lock_timeout_s=0.1)
    kept = partitions.prune(database_urls.owner_url, now=later_at)
    compaction.run(database, lake, platform.id, now=later_at)
    dropped = partitions.prune(database_urls.owner_url, now=later_at + DAY)

    assert Pruned((), is_blocked=True) == blocked
    assert Pruned((), is_blocked=False) == kept
    assert (NAME,) == dropped.dropped
    assert [("e-1",), ("slow",)] == sorted(worlds.raw_rows(database, lake, platform, "id"))


def test_a_day_that_is_about_to_leave_takes_no_batch(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """A clock that was put back by days is refused; today is not concerned."""
    worlds.send(database, platform, event("e-1"))
    compaction.run(database, lake, platform.id, now=NOW)
    with db.transaction(database) as session:
        assert 1 == session.scalar(select(func.count()).select_from(event_batch))
        partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY, lock_timeout_s=0.1)
        with pytest.raises(DBAPIError):
            worlds.send(database, platform, event("e-2"))
        assert 1 == worlds.send(database, platform, event("e-3"), now=NOW + 3 * DAY).accepted_count


def test_a_prune_that_ended_after_the_detachment_is_finished_by_the_next(
    database: Database, database_urls: Endpoint, owner: Connection, lake: Lake, platform: Platform
) -> None:
    """The detached table is found by its name."""
    worlds.send(database, platform, event())
    compaction.run(database, lake, platform.id, now=NOW)
    owner.execute(text(f"ALTER TABLE event_batch DETACH PARTITION {NAME} CONCURRENTLY"))

    assert (NAME,) == partitions.prune(database_urls.owner_url, now=NOW + 3 * DAY).dropped


def test_of_two_prunes_at_once_one_steps_back(
    database_urls: Endpoint, database: Database, owner: Connection
) -> None:
    """It says so, and the next one looks again."""
    owner.execute(select(func.pg_advisory_lock(partitions.LOCK_KEY)))

    assert Pruned((), is_blocked=True) == partitions.prune(database_urls.owner_url, now=NOW)
    assert [] == names(database)


def test_what_could_long_be_dropped_is_told(
    database: Database, database_urls: Endpoint, lake: Lake, platform: Platform
) -> None:
    """Where no scheduler knows the owner's address, somebody has to prune."""
    worlds.send(database, platform, event())
    compaction.run(database, lake, platform.id, now=NOW)
    with db.transaction(database) as session:
        early = partitions.overdue(session, NOW + 3 * DAY)
        late = partitions.overdue(session, NOW + 4 * DAY)
    partitions.prune(database_urls.owner_url, now=NOW + 4 * DAY)
    with db.transaction(database) as session:
        pruned = partitions.overdue(session, NOW + 4 * DAY)

    assert ([], [NAME], []) == ([one.name for one in early], [one.name for one in late], pruned)


def test_an_intake_that_is_rolled_back_leaves_no_partition_behind(
    database: Database, platform: Platform
) -> None:
    """The next one makes it anew."""

    def fail() -> None:
        with db.transaction(database) as session:
            intake.receive(session, platform, worlds.batch(event()), wire.BATCH, channel="http", now=NOW)
            raise worlds.Killed

    with pytest.raises(worlds.Killed):
        fail()

    assert [] == names(database)
    assert 1 == worlds.send(database, platform, event()).accepted_count


def test_a_prune_without_its_database_says_that_it_is_away() -> None:
    """The scheduler tries again; nothing of it is unexpected."""
    with pytest.raises(Unavailable):
        partitions.prune("postgresql+psycopg://owner:secret@127.0.0.1:1/nowhere", now=NOW)
