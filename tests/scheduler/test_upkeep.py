"""The scheduler's upkeep of events: partitions ahead, merges, removals; each when it is due and by itself."""

from datetime import timedelta
from pathlib import Path

import pytest

from service.events import manifest, merging, partitions, retention
from service.jobs import queue
from service.jobs.queue import Run
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db, settings
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from service.scheduler import ticker
from service.wiring import System, assemble
from tests.events import worlds
from tests.events.worlds import DAY, NOW, event
from tests.world import founded_platform


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give the settings of a scheduler that knows nobody but itself."""
    return {"VAR_DIR": str(tmp_path)}


def tick(system: System, now: object) -> None:
    """Tick at an instant."""
    done = ticker.tick(system, owner="test", now_of=lambda _session: now)
    assert 0 == done.failed_count


def founded(database: Database) -> Platform:
    """Found a platform with a rulebook and a creator."""
    with db.transaction(database) as session:
        return founded_platform(session, now=NOW, creator_ids=("c-1",))


def runs(database: Database, platform_id: str, job: str) -> list[Run]:
    """Read the runs of one job."""
    with db.transaction(database) as session:
        return [one for one in queue.listing(session, platform_id, limit=1_000) if one.job == job]


def test_every_tick_finds_partitions_ahead_and_makes_them_four_times_a_day(
    database: Database, environment: dict[str, str]
) -> None:
    """Also where nobody knows the owner's address."""
    system = assemble(settings.read(environment), database)
    for minutes in (0, 1, 7 * 60):
        tick(system, NOW + timedelta(minutes=minutes))

    assert ["done", "done"] == [one.state for one in runs(database, "", "prune")]
    with db.transaction(database) as session:
        assert partitions.AHEAD_DAYS + 1 == len(partitions.listing(session))


def test_a_scheduler_that_knows_the_owner_gives_days_back(
    database: Database, database_urls: Endpoint, environment: dict[str, str]
) -> None:
    """Two days after they ended, when all of it has been in the lake for one."""
    known = {
        **environment,
        "DATABASE_URL": database_urls.app_url,
        "DATABASE_OWNER_URL": database_urls.owner_url,
        "SECRET_KEY": "a secret key for tests, long enough to be one",
        "ENCRYPTION_KEYS": "dGVzdHMgdGVzdHMgdGVzdHMgdGVzdHMgdGVzdHMgdGU=",
    }
    system = assemble(settings.read(known), database)
    platform = founded(database)
    worlds.send(database, platform, event())
    there: list[bool] = []
    for days in (0, 1, 2):
        tick(system, NOW + days * DAY)
        with db.transaction(database) as session:
            there.append("event_batch_20261120" in {one.name for one in partitions.listing(session)})

    assert [True, True, False] == there


def test_small_files_are_merged_and_replaced_ones_go_a_day_later(
    database: Database, environment: dict[str, str]
) -> None:
    """The rest of a day is merged once a day."""
    system = assemble(settings.read(environment), database)
    platform = founded(database)
    counts = []
    for number in range(merging.FILES_MIN):
        worlds.send(database, platform, event(f"e-{number}"), now=NOW + number * timedelta(minutes=2))
        tick(system, NOW + (number + 1) * timedelta(minutes=2))
        counts.append(_in_force(database, platform.id))
    before = len(system.lake.paths(f"{platform.id}/raw"))
    tick(system, NOW + 2 * DAY)

    assert [*range(1, merging.FILES_MIN), 1] == counts
    assert (17, 1) == (before, len(system.lake.paths(f"{platform.id}/raw")))


def _in_force(database: Database, platform_id: str) -> int:
    with db.transaction(database) as session:
        return len(manifest.in_force(session, platform_id))


def test_the_policy_is_carried_out_once_a_day(database: Database, environment: dict[str, str]) -> None:
    """A run a day, whatever it finds."""
    system = assemble(settings.read(environment), database)
    platform = founded(database)
    with db.transaction(database) as session:
        retention.set_days(session, platform.id, 0, actor=OPERATOR, now=NOW)
    for hours in (0, 1, 24):
        tick(system, NOW + timedelta(hours=hours))

    found = runs(database, platform.id, "tidy")
    assert ["done", "done"] == [one.state for one in found]
    expected = {"period_count", "file_count", "receipt_count", "replaced_count", "orphan_count"}
    assert all(one.result is not None and expected == one.result.keys() for one in found)
