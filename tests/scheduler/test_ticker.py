"""A tick writes down what is due and does it: once, whoever ticks, however often, after any downtime."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from werkzeug.test import Client as Asker

from service.calendar import periods
from service.closing import estimates, revenues, stages
from service.events import corrections
from service.events.corrections import Asked
from service.events.quarantine import OPEN_KEPT
from service.jobs import queue
from service.jobs.queue import Run
from service.parties import platforms
from service.parties.actors import OPERATOR, SYSTEM
from service.parties.platforms import Platform
from service.payouts import batches, payees
from service.payouts import payouts as payout_acts
from service.payouts.providers.sandbox import Sandbox
from service.runtime import db, metrics, settings
from service.runtime.db import Database
from service.scheduler import ticker
from service.wiring import System, assemble
from tests.world import LAN, MINH, books, event, founded_platform, send

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
CLOSE = datetime(2026, 11, 3, 17, tzinfo=UTC)
POST = CLOSE + timedelta(hours=72)
_HOUR = timedelta(hours=1)


def _at(instant: datetime) -> Callable[[Session], datetime]:
    return lambda _session: instant


@pytest.fixture
def system(database: Database, tmp_path: Path) -> System:
    """Give a system on a database of this test's own, with a platform that had one like in October."""
    made = assemble(settings.read({"VAR_DIR": str(tmp_path)}), database)
    with db.transaction(database) as session:
        platform = founded_platform(session, now=START, creator_ids=("an",))
        revenues.record(
            session,
            platform,
            stream="ads",
            reference="r1",
            currency="VND",
            gross_minor=1_000_000,
            period_id="2026-10",
            actor=OPERATOR,
            now=START,
        )
        payees.declare(
            session,
            "sen",
            "an",
            provider=made.provider,
            destination={"account_number": "970415008888", "holder": "AN"},
            vault=made.vault,
            actor=OPERATOR,
            now=START,
        )
    assert isinstance(made.provider, Sandbox)
    made.provider.fund("sen", "VND", 5_000_000, "f1")
    send(database, platform, [event("1", "like", START + _HOUR, "an", actor="f1")], now=START + 2 * _HOUR)
    return made


def _tick(system: System, instant: datetime) -> ticker.Ticked:
    return ticker.tick(system, owner="test", now_of=_at(instant))


def _state(system: System) -> str:
    with db.transaction(system.database) as session:
        return periods.get(session, "sen", "2026-10").state


def _runs(system: System, job: str) -> list[Run]:
    with db.transaction(system.database) as session:
        return [run for run in queue.listing(session, "sen", limit=1_000) if run.job == job]


def test_a_period_is_closed_when_its_grace_has_ended_and_not_before(system: System) -> None:
    """A microsecond earlier nothing is closed; at that instant the service closes by itself."""
    _tick(system, CLOSE - timedelta(microseconds=1))
    before = _state(system)
    _tick(system, CLOSE)

    assert ("open", "published") == (before, _state(system))
    with db.transaction(system.database) as session:
        sealed = periods.steps(session, "sen", "2026-10")[1]
    assert str(SYSTEM) == sealed.actor


def test_a_void_after_posting_is_taken_back_by_the_next_tick(system: System) -> None:
    """Once: the run is there after the void, and no tick after it makes another."""
    _tick(system, CLOSE)
    with db.transaction(system.database) as session:
        stages.approve(session, "sen", "2026-10", actor=MINH, now=CLOSE)
    _tick(system, POST)
    with db.transaction(system.database) as session:
        (batch,) = batches.listing(session, "sen")
        batches.cancel(session, "sen", batch.id, actor=LAN, now=POST)
        asked = [Asked(source="app", event_id="1", reason="a robot")]
        platform = platforms.get(session, "sen")
        corrections.record(session, system.lake, platform, asked, actor=OPERATOR, now=POST + _HOUR)
    _tick(system, POST + _HOUR - timedelta(microseconds=1))
    early = _runs(system, "claw_back")
    _tick(system, POST + _HOUR)
    _tick(system, POST + 2 * _HOUR)

    (run,) = _runs(system, "claw_back")
    assert ([], "done", 700_000) == (early, run.state, run.result and run.result["amount_minor"])
    with db.transaction(system.database) as session:
        assert 700_000 == books(session, "sen")["unallocated"]


def test_after_approval_ticks_carry_the_money_to_the_creator(system: System) -> None:
    """Post after the window, batch at once, send after a second person approved, see it arrive."""
    _tick(system, CLOSE)
    with db.transaction(system.database) as session:
        stages.approve(session, "sen", "2026-10", actor=MINH, now=CLOSE)
    _tick(system, POST - timedelta(microseconds=1))
    early = _state(system)
    _tick(system, POST)
    with db.transaction(system.database) as session:
        (batch,) = batches.listing(session, "sen")
        batches.approve(session, "sen", batch.id, actor=MINH, now=POST)
    _tick(system, POST + _HOUR)
    _tick(system, POST + 4 * _HOUR)

    with db.transaction(system.database) as session:
        (paid,) = payout_acts.listing(session, "sen")
        found = books(session, "sen")
    assert ("approved", "posted", "paid", 700_000) == (early, _state(system), paid.state, paid.amount_minor)
    assert {"clearing": 1_000_000, "platform_revenue": 300_000, "provider_balance/sandbox": -700_000} == found


def test_ticking_again_does_nothing_again(system: System) -> None:
    """Everything that was done stays done once."""
    _tick(system, CLOSE)
    first = len(_runs(system, "close"))
    _tick(system, CLOSE + timedelta(seconds=1))
    _tick(system, CLOSE + _HOUR)

    assert (1, 1) == (first, len(_runs(system, "close")))


def test_quarantine_is_watched_at_every_tick_and_purged_once_a_day(system: System) -> None:
    """How many wait and since when is a metric; the seal says how many of its period did."""
    rejected = event("2", "teleport", START + _HOUR, "an")
    with db.transaction(system.database) as session:
        platform = platforms.get(session, "sen")
    send(system.database, platform, [rejected], now=START + 2 * _HOUR)

    _tick(system, CLOSE)
    shown = Asker(metrics.application()).get("/metrics").text.splitlines()
    found = {name: float(value) for name, value in (line.split() for line in shown if line[:4] == "quar")}
    age_s = (CLOSE - START - 2 * _HOUR) // timedelta(seconds=1)
    assert {"quarantine_open": 1, "quarantine_oldest_seconds": age_s} == found
    with db.transaction(system.database) as session:
        (sealed,) = (one for one in periods.steps(session, "sen", "2026-10") if one.state == "sealed")
    assert 1 == sealed.detail["quarantine_open"]
    assert [] == _runs(system, "purge_quarantine")

    late = START + 2 * _HOUR + OPEN_KEPT + timedelta(days=1)
    _tick(system, late)
    _tick(system, late + _HOUR)

    (run,) = _runs(system, "purge_quarantine")
    assert ("done", {"event_count": 1}) == (run.state, run.result)


def test_a_long_downtime_is_made_up_for_oldest_first(system: System) -> None:
    """Two periods are over; the later one waits for the earlier one, and both are closed."""
    later = datetime(2026, 12, 20, tzinfo=UTC)
    _tick(system, later)

    with db.transaction(system.database) as session:
        states = {one.id: one.state for one in periods.listing(session, "sen")}
    assert {"2026-10": "published", "2026-11": "published", "2026-12": "open"} == states


def test_four_schedulers_at_once_have_one_effect(system: System) -> None:
    """Replicas that tick at the same instant close the period once."""
    threads = [
        threading.Thread(
            target=ticker.tick, args=(system,), kwargs={"owner": f"replica-{number}", "now_of": _at(CLOSE)}
        )
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.transaction(system.database) as session:
        states = [step.state for step in periods.steps(session, "sen", "2026-10")]
    assert ["open", "sealed", "scored", "split", "published"] == states
    assert ["done"] == [run.state for run in _runs(system, "close")]


def test_a_run_whose_process_died_is_taken_over(system: System) -> None:
    """Its lease runs out; the next tick does the work."""
    _tick(system, CLOSE - _HOUR)
    with db.transaction(system.database) as session:
        stages.request_close(session, _platform(session), "2026-10", actor=OPERATOR, now=CLOSE)
        dead = queue.claim(session, owner="dead", now=CLOSE)
    _tick(system, CLOSE + timedelta(seconds=queue.LEASE_S - 1))
    _tick(system, CLOSE + timedelta(seconds=queue.LEASE_S))

    assert dead is not None
    assert {"done"} == {run.state for run in _runs(system, "close") if run.id == dead.id}


def _platform(session: Session) -> Platform:
    from service.parties import platforms

    return platforms.get(session, "sen")


def test_the_estimate_is_refreshed_when_something_arrived(system: System) -> None:
    """And left alone when nothing did."""
    _tick(system, START + 3 * _HOUR)
    with db.transaction(system.database) as session:
        first = estimates.latest(session, "sen")
    _tick(system, START + 5 * _HOUR)

    with db.transaction(system.database) as session:
        assert first == estimates.latest(session, "sen")
        found = estimates.of_creator(session, "sen", "an")
    assert ("2026-10", 1_000_000, 700_000) == (first.period_id, first.pool_minor, found.amount_minor)


def test_history_is_left_to_people(system: System) -> None:
    """A historic period that is long over is not closed by the clock."""
    with db.transaction(system.database) as session:
        periods.open_from(session, _platform(session), START - timedelta(days=60), actor=OPERATOR, now=CLOSE)
    _tick(system, CLOSE)

    with db.transaction(system.database) as session:
        states = {one.id: one.state for one in periods.listing(session, "sen") if one.is_historic}
    assert {"2026-08": "open", "2026-09": "open"} == states
