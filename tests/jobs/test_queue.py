"""Runs are asked for once, claimed by one, and finished by the one who holds them."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from service.core.errors import NotFound, Unavailable
from service.jobs import queue
from service.jobs.queue import LostLease, Run
from service.runtime import db
from service.runtime.db import Database
from tests.world import NOW

_SECOND = timedelta(seconds=1)


def _request(session: Session, scope: str = "2026-10", **fields: object) -> object:
    wanted = {
        "platform_id": "sen",
        "job": "close",
        "scope": scope,
        "due_at": NOW,
        "requested_by": "staff:lan",
        "now": NOW,
        **fields,
    }
    return queue.request(session, **wanted)


def _claimed(session: Session, owner: str = "one", seconds: int = 0) -> Run:
    run = queue.claim(session, owner=owner, now=NOW + seconds * _SECOND, lease_s=60)
    assert run is not None
    return run


def test_asking_twice_makes_one_run(session: Session) -> None:
    """Same platform, job, scope and due instant: the same run."""
    assert _request(session) == _request(session)
    assert 1 == len(queue.listing(session, "sen"))


def test_a_run_is_claimed_when_it_is_due_and_not_before(session: Session) -> None:
    """Due is inclusive."""
    run_id = _request(session)
    early = queue.claim(session, owner="one", now=NOW - _SECOND)

    assert (None, run_id) == (early, _claimed(session).id)


def test_the_oldest_run_comes_first(session: Session) -> None:
    """What was missed longest is done first."""
    _request(session, "2026-10", due_at=NOW)
    _request(session, "2026-09", due_at=NOW - 30 * _SECOND)

    assert ["2026-09", "2026-10"] == [_claimed(session).scope, _claimed(session).scope]


def test_a_held_run_is_nobody_elses_until_its_lease_passes(session: Session) -> None:
    """Then it is taken over, and the first holder's completion is refused."""
    _request(session)
    first = _claimed(session)
    assert queue.claim(session, owner="two", now=NOW + 59 * _SECOND) is None
    second = _claimed(session, "two", seconds=60)

    with pytest.raises(LostLease):
        queue.finish(session, first, result={}, now=NOW)
    queue.finish(session, second, result={"period": "2026-10"}, now=NOW)
    assert ("done", 2) == (queue.get(session, "sen", first.id).state, second.attempt)


def test_a_renewed_lease_holds_longer_and_shows_progress(session: Session) -> None:
    """Long work reports while it goes on."""
    _request(session)
    run = _claimed(session)
    queue.renew(session, run, now=NOW + 50 * _SECOND, done=3, total=9, lease_s=60)

    assert queue.claim(session, owner="two", now=NOW + 100 * _SECOND) is None
    found = queue.get(session, "sen", run.id)
    assert (3, 9) == (found.progress_done, found.progress_total)


def test_a_failed_attempt_is_tried_again_later(session: Session) -> None:
    """After a wait that doubles, with the reason kept."""
    _request(session)
    run = _claimed(session)
    queue.give_up(session, run, Unavailable("The lake is away."), now=NOW)
    waits_s = queue.BACKOFF_FIRST_S

    assert queue.claim(session, owner="one", now=NOW + (waits_s - 1) * _SECOND) is None
    again = _claimed(session, seconds=waits_s)
    assert (2, "The lake is away.") == (again.attempt, again.fault["detail"])


def test_a_run_that_always_fails_ends(session: Session) -> None:
    """After the last attempt it is failed, and stays so."""
    _request(session)
    later = 0
    for _ in range(queue.ATTEMPTS_MAX):
        later += queue.BACKOFF_MAX_S
        queue.give_up(
            session, _claimed(session, seconds=later), Unavailable("Away."), now=NOW + later * _SECOND
        )

    (run,) = queue.listing(session, "sen", states=["failed"])
    assert queue.ATTEMPTS_MAX == run.attempt
    assert queue.claim(session, owner="one", now=NOW + timedelta(days=9)) is None


def test_a_fault_that_will_not_change_ends_the_run_at_once(session: Session) -> None:
    """There is no use in trying again."""
    _request(session)
    queue.give_up(session, _claimed(session), Unavailable("Never."), now=NOW, is_final=True)

    assert ["failed"] == [run.state for run in queue.listing(session, "sen")]


def test_another_platforms_run_is_not_found(session: Session) -> None:
    """Runs are read by the platform that they belong to."""
    run_id = _request(session)

    with pytest.raises(NotFound):
        queue.get(session, "hoa", run_id)


def test_overdue_counts_from_the_oldest_unfinished_run(session: Session) -> None:
    """Nothing due: zero."""
    before_s = queue.overdue_s(session, NOW)
    _request(session, due_at=NOW - 30 * _SECOND)
    _request(session, "later", due_at=NOW + 30 * _SECOND)

    assert (0, 30) == (before_s, queue.overdue_s(session, NOW))


def test_of_many_workers_each_run_has_one(database: Database) -> None:
    """Eight threads, forty runs, every run claimed once."""
    with db.transaction(database) as session:
        for number in range(40):
            _request(session, str(number))
    claimed: list[str] = []

    def work(owner: str) -> None:
        while True:
            with db.transaction(database) as session:
                run = queue.claim(session, owner=owner, now=NOW)
            if run is None:
                return
            claimed.append(run.scope)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(str(number) for number in range(40)) == sorted(claimed)
