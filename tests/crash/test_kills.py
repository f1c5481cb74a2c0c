"""kill -9 of real processes under load: what was acknowledged counts once, and the books are clean."""

import json
import os
import random
import threading
import time
from contextlib import contextmanager

import pytest

from service.wiring import unwire, wire
from tests.crash import deaths, processes, story
from tests.crash.load import Client, Record, until
from tests.crash.processes import Processes, await_that

CLIENTS = 2
KILLS_EACH = 40 if deaths.is_soaking() else 2
"""Kills of every kind."""

GOES_ON_WITHIN_S = 120
"""How long until clients are served again after a kill."""


# A cursor of a session that was killed is not closed but thrown away, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_kills_under_load_lose_nothing_and_count_nothing_twice(record_property):
    """Law: sent is acknowledged is settled, each event counted once; no creator is paid twice; a clean audit.

    Batches that were sent again count once: settled + rejected = sent.
    """
    seed = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
    chance = random.Random(seed)
    record = Record()
    with processes.running() as service:
        system = wire(service.settings)
        key = story.begin(system)
        with processes.tended(service), _people(system):
            with _load(service, key, record, chance):
                killed = _kill(service, record, chance)
            _deliver_the_rest(service, key, record, chance)
        days = story.end(system)

        counted, recorded = story.counted(system), story.recorded(system)
        events = {one for one in record.sent if one.count("-") == 2}
        revenues = record.sent - events
        words = f"CRASH_SEED={seed}, killed {killed}, {dict(record.seen)}, {service.restarts} restarts"
        record_property("told", f"kills: {words}")
        assert [] == record.broken, words
        assert record.acknowledged & events == events == counted.keys(), words
        assert record.item_count == story.settled_count(system) + record.rejected_count, words
        assert record.rejected_count, "there were events that nobody can take"
        assert record.acknowledged & revenues <= recorded.keys() <= revenues, words
        assert {1} == set(counted.values()) == set(recorded.values()), words
        assert [] == story.paid_twice_or_wrongly(system), words
        assert [] == story.audited(system), words
        complaints = service.complaints()
        assert not complaints, f"{words}: {json.dumps(complaints, indent=1)}"
        assert story.DAYS + 1 == len(days)
        assert set(service.victims) == killed.keys()
        assert record.seen["failed"], "nobody noticed: these were no kills under load"
        unwire(system)


@contextmanager
def _load(service: Processes, key: str, record: Record, chance: random.Random):
    """Let clients send meanwhile."""
    is_over = threading.Event()
    clients = [
        Client(
            name=f"client{number}",
            address=service.settings.bind,
            key=key,
            creators=story.PAID,
            record=record,
            is_over=is_over,
            chance=random.Random(chance.random()),
        )
        for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=one.run, name=one.name) for one in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _deliver_the_rest(service: Processes, key: str, record: Record, chance: random.Random) -> None:
    """Send whatever nobody acknowledged, by one client that does not give up."""
    client = Client(
        name="the rest",
        address=service.settings.bind,
        key=key,
        creators=story.PAID,
        record=record,
        is_over=threading.Event(),
        chance=chance,
        gives_up_at=0.0,
    )
    client.deliver_aside()


@contextmanager
def _people(system):
    """Let people approve meanwhile."""
    is_over = threading.Event()
    thread = until(is_over, lambda: story.approve(system), every_s=0.5)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _kill(service: Processes, record: Record, chance: random.Random) -> dict[str, int]:
    """Kill processes of every kind in a random order; each time wait until clients are served again."""
    order = [kind for kind in service.victims for _ in range(KILLS_EACH)]
    chance.shuffle(order)
    killed: dict[str, int] = {}
    for kind in order:
        time.sleep(chance.random())
        await_that(
            lambda kind=kind: service.kill(kind, chance), GOES_ON_WITHIN_S, f"there is a {kind} to kill"
        )
        killed[kind] = killed.get(kind, 0) + 1
        before = record.seen["acknowledged"]
        await_that(
            lambda before=before: record.seen["acknowledged"] > before + CLIENTS,
            GOES_ON_WITHIN_S,
            f"clients are served after the kill of a {kind}",
        )
    return killed
