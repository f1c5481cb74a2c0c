"""The sender: nothing it took is lost, whatever the service, the network and the processes do."""

import json
import logging
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benefit_ledger_client import (
    Closed,
    EventsRejected,
    Problem,
    Rejected,
    Sender,
    SpoolFull,
    Undelivered,
)
from tests.client import ledger as ledgers
from tests.client.ledger import Ledger, says
from tests.client.test_client import ROOT, an_event, ids, some_events

Open = Callable[..., Sender]


@pytest.fixture
def opened(ledger: Ledger, tmp_path: Path) -> Iterator[Open]:
    """Give senders on one folder; they are closed at the end."""
    made: list[Sender] = []

    def open_one(**options: Any) -> Sender:
        made.append(Sender(ledger.client(), tmp_path / "spool", **{"age_s": 0.02, **options}))
        return made[-1]

    yield open_one
    ledger.always = None
    for one in made:
        try:
            one.close(0.2)
        except EventsRejected as fault:
            logging.getLogger(__name__).info("%s", fault)


def batches_in(folder: Path) -> list[Path]:
    """List what waits in a spool."""
    return sorted(path for path in folder.rglob("*") if path.suffix in {".open", ".ndjson"})


def test_events_arrive_and_the_spool_is_empty_afterwards(
    ledger: Ledger, opened: Open, tmp_path: Path
) -> None:
    """In order, without a flush."""
    sender = opened()
    for one in some_events(5):
        sender.send(one)
    sender.flush()

    assert ids(5) == ledger.events
    assert [] == batches_in(tmp_path)


def test_an_old_batch_is_sent_by_itself(ledger: Ledger, opened: Open) -> None:
    """Nobody has to flush."""
    arrived = threading.Event()

    def tell(_: ledgers.Handler, __: bytes) -> bool:
        arrived.set()
        return True

    ledger.always = tell
    opened().send(an_event())

    assert arrived.wait(20)


def test_batches_are_full_before_they_are_old(ledger: Ledger, opened: Open) -> None:
    """By count; what is left goes with the flush."""
    sender = opened(events_max=3, age_s=3600)

    sender.send_all(some_events(8))
    sender.flush()

    assert [3, 3, 2] == [ledgers.inflate("zstd", body).count(b"\n") for body in ledger.bodies]


@pytest.mark.parametrize(
    "deed",
    [ledgers.drops, ledgers.drops_afterwards, ledgers.cuts_its_answer, says(503, Retry_After="0")],
)
def test_a_batch_is_removed_only_after_its_receipt(
    ledger: Ledger, opened: Open, tmp_path: Path, deed: ledgers.Deed
) -> None:
    """Until then it is on disk, and sent again as the same bytes."""
    seen: list[int] = []

    def look(handler: ledgers.Handler, body: bytes) -> bool:
        seen.append(len(batches_in(tmp_path)))
        return deed(handler, body)

    ledger.deeds += [look, look]
    sender = opened()
    sender.send_all(some_events(3))
    sender.flush()

    assert [1, 1] == seen
    assert ids(3) == ledger.events
    assert (3, 1) == (len(ledger.bodies), len(set(ledger.bodies)))


def test_what_the_service_missed_while_it_was_away_arrives_in_order(
    ledger: Ledger, opened: Open, tmp_path: Path
) -> None:
    """Also what another sender took over from one that was closed in vain."""
    ledger.always = says(503)
    first = opened(events_max=2)
    first.send_all(some_events(5))
    with pytest.raises(Undelivered):
        first.flush(0.05)
    first.close(0.05)
    left = batches_in(tmp_path)

    ledger.always = None
    second = opened(events_max=2)
    second.send(an_event("e-5"))
    second.flush()

    assert 3 == len(left)
    assert ids(6) == ledger.events
    # What the first one left is not the second's to wait for, but comes before what it sends.
    assert [] == batches_in(tmp_path)


def test_a_batch_that_is_too_large_is_cut_on_disk(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    """In order; one event that is too large is put aside and raised."""
    ledger.always = ledgers.limits_to(2)
    sender = opened()
    sender.send_all(some_events(7))
    sender.flush()

    assert ids(7) == ledger.events
    ledger.always = ledgers.limits_to(0)
    sender.send(an_event("e-8"))
    with pytest.raises(EventsRejected, match="Send fewer"):
        sender.flush()


def test_rejected_events_are_raised_once_and_kept_until_somebody_removes_them(
    ledger: Ledger, opened: Open, tmp_path: Path
) -> None:
    """With the events themselves; the others are received."""
    ledger.is_bad = lambda one: one["data"]["creator"] == "nobody"
    sender = opened(events_max=2)
    sender.send_all([an_event("e-1"), an_event("e-2", "nobody"), an_event("e-3", "nobody"), an_event("e-4")])

    with pytest.raises(EventsRejected) as caught:
        sender.flush()
    sender.flush()
    sender.close()

    assert ["e-1", "e-4"] == ledger.events
    found = [(one.index, one.id, one.code, one.event["id"]) for one in caught.value.rejected]
    assert [(1, "e-2", "unknown_creator", "e-2"), (0, "e-3", "unknown_creator", "e-3")] == found
    assert [str(path) for path in batches_in(tmp_path)] == list(caught.value.files)
    assert 2 == len(caught.value.files)


def test_leaving_the_context_raises_what_was_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """Nobody who forgets to flush misses it."""
    ledger.is_bad = lambda _: True

    with pytest.raises(EventsRejected), Sender(ledger.client(), tmp_path / "spool") as sender:
        sender.send(an_event())


def test_rejected_events_can_be_given_to_a_function(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    """Then nothing is put aside; if it fails, that is done after all."""
    told: list[Rejected] = []

    def take(rejected: tuple[Rejected, ...]) -> None:
        told.extend(rejected)
        if len(told) > 1:
            raise RuntimeError("The function is broken.")

    ledger.is_bad = lambda _: True
    sender = opened(on_rejected=take)
    sender.send(an_event("e-1"))
    sender.flush()

    assert ["e-1"] == [one.id for one in told]
    assert [] == batches_in(tmp_path)
    sender.send(an_event("e-2"))
    with pytest.raises(EventsRejected):
        sender.flush()
    assert ["e-1", "e-2"] == [one.id for one in told]


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_a_refused_key_or_address_stops_the_sending_and_keeps_the_events(
    ledger: Ledger, opened: Open, tmp_path: Path, status: int
) -> None:
    """It is not tried again until somebody asks; then all arrives."""
    ledger.always = says(status, b'{"detail": "Not with this key."}')
    sender = opened()
    sender.send(an_event("e-0"))

    with pytest.raises(Problem, match="Not with this key"):
        sender.flush()
    tries = len(ledger.bodies)
    sender.send(an_event("e-1"))
    assert sender.problem is not None
    assert status == sender.problem.status
    assert 2 == len(batches_in(tmp_path))
    assert tries == len(ledger.bodies) == 1
    ledger.always = None
    sender.flush()

    assert None is sender.problem
    assert ids(2) == ledger.events


def test_a_full_spool_takes_nothing_and_empties_once_the_service_is_back(
    ledger: Ledger, opened: Open
) -> None:
    """The sender is told at once, and decides what to do."""
    ledger.always = says(503, Retry_After="0")
    sender = opened(spool_bytes_max=1000)
    taken = 0

    def fill() -> None:
        nonlocal taken
        for one in some_events(1000):
            sender.send(one)
            taken += 1

    with pytest.raises(SpoolFull):
        fill()
    ledger.always = None
    sender.flush()

    assert 0 < taken < 20
    assert ids(taken) == ledger.events


def test_a_closed_sender_takes_nothing(opened: Open) -> None:
    """And is closed twice without harm."""
    sender = opened()
    sender.close()
    sender.close()

    with pytest.raises(Closed):
        sender.send(an_event())


def test_closing_does_not_wait_for_a_service_that_is_away(
    ledger: Ledger, opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is left is said, and stays."""
    ledger.always = says(503, Retry_After="3000")
    sender = opened()
    sender.send(an_event())

    with caplog.at_level("WARNING", logger="benefit_ledger_client"):
        sender.close(0.05)

    assert 1 == len(batches_in(tmp_path))
    assert "in the spool yet" in caplog.text


def test_a_disk_that_fails_for_a_while_stops_nothing_for_good(
    ledger: Ledger, opened: Open, tmp_path: Path
) -> None:
    """The folder is gone and comes back: the sender goes on."""
    sender = opened()
    sender.send(an_event("e-0"))
    sender.flush()
    (tmp_path / "spool").rename(tmp_path / "away")
    with pytest.raises(OSError, match="spool"):
        sender.send(an_event("e-1"))
    (tmp_path / "away").rename(tmp_path / "spool")
    sender.send(an_event("e-1"))
    sender.flush()

    assert ids(2) == ledger.events


def test_threads_and_senders_share_a_folder(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    """Each event arrives once, and each thread's in its order, while answers get lost now and then."""
    chance = random.Random(7)

    def now_and_then(handler: ledgers.Handler, body: bytes) -> bool:
        deed = chance.choice(
            [ledgers.drops, ledgers.drops_afterwards, says(503, Retry_After="0"), None, None]
        )
        return True if deed is None else deed(handler, body)

    ledger.always = now_and_then
    senders = [opened(events_max=5), opened(events_max=7)]

    def send(name: str, sender: Sender) -> None:
        for number in range(30):
            sender.send(an_event(f"{name}-{number}"))

    threads = [threading.Thread(target=send, args=(f"t{number}", senders[number % 2])) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for sender in senders:
        sender.flush()

    assert {1} == set(Counter(ledger.events).values())
    for number in range(4):
        mine = [one for one in ledger.events if one.startswith(f"t{number}-")]
        assert [f"t{number}-{place}" for place in range(30)] == mine
    assert [] == batches_in(tmp_path)


def test_a_forked_process_sends_by_itself(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    """As behind a pre-forking server: with a thread, files and connections of its own."""
    sender = opened(age_s=3600)
    sender.send(an_event("parent-0"))
    child = os.fork()
    if not child:
        try:
            sender.send(an_event("child-0"))
            sender.flush(20)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    sender.send(an_event("parent-1"))
    sender.flush()

    assert 0 == status
    assert ["child-0", "parent-0", "parent-1"] == ledger.events
    assert [] == batches_in(tmp_path)


def sending(url: str, folder: Path, name: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that sends."""
    arguments = {
        "url": url,
        "key": "key",
        "folder": str(folder),
        "name": name,
        "events_max": 7,
        "age_s": 0.02,
        "count": 1_000_000,
        **options,
    }
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "client"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.client.sending", json.dumps(arguments)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, cwd=ROOT)


def killed_after(process: subprocess.Popen[bytes], count: int) -> int:
    """Kill a process, as kill -9 does, once it has said so often that an event was taken; count that."""
    assert process.stdout is not None
    said = 0
    for _ in process.stdout:
        said += 1
        if said == count:
            process.kill()
    process.wait()
    process.stdout.close()
    return said


@pytest.mark.parametrize("seed", range(3))
def test_what_a_killed_process_had_taken_is_sent_by_the_next_one(
    ledger: Ledger, opened: Open, tmp_path: Path, seed: int
) -> None:
    """kill -9 in the midst of it, three processes on one folder: each event arrives, once, in order."""
    chance = random.Random(seed)

    def now_and_then(handler: ledgers.Handler, body: bytes) -> bool:
        deed = chance.choice([ledgers.drops_afterwards, ledgers.cuts_its_answer, None, None])
        return True if deed is None else deed(handler, body)

    ledger.always = now_and_then if seed else says(503)
    names = [f"p{number}" for number in range(3)]
    started = [sending(ledger.url, tmp_path / "spool", name) for name in names]
    taken = [killed_after(one, chance.randrange(20, 120)) for one in started]

    ledger.always = None
    sender = opened()
    sender.send(an_event("last"))
    sender.flush()

    assert {1} == set(Counter(ledger.events).values())
    for name, count in zip(names, taken, strict=True):
        mine = [one for one in ledger.events if one.startswith(f"{name}-")]
        # The last event may have been taken without a word of it: the process was killed between the two.
        assert count <= len(mine) <= count + 1
        assert [f"{name}-{number}" for number in range(len(mine))] == mine
    assert [] == batches_in(tmp_path)


def test_a_sender_can_be_closed_by_the_function_that_is_given_rejected_events(
    ledger: Ledger, tmp_path: Path
) -> None:
    """In the sender's own thread, which does not wait for itself."""
    ledger.is_bad = lambda _: True
    told: list[str | None] = []
    over = threading.Event()

    def take(rejected: tuple[Rejected, ...]) -> None:
        told.extend(one.id for one in rejected)
        sender.close(0)
        over.set()

    sender = Sender(ledger.client(), tmp_path, age_s=0.02, on_rejected=take)
    sender.send(an_event("e-1"))

    assert over.wait(20)
    assert ["e-1"] == told
    with pytest.raises(Closed):
        sender.send(an_event("e-2"))
