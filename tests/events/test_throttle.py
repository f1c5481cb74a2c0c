"""The throttle: what all processes spend in a minute never passes the limit, and nobody else notices."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.core.errors import Invalid, NotFound
from service.events import throttle, wire
from service.events.tables import event_quota
from service.events.throttle import PER_MINUTE_MAX, Quota, QuotaExceeded, Throttle
from service.parties import trail
from service.parties.actors import OPERATOR
from service.runtime import db
from service.runtime.db import Database
from tests.world import NOW, bare_platform

LIMIT = Quota(100_000, 64 * 1_048_576)


@pytest.fixture
def platforms(database: Database) -> Database:
    """Give a database with two platforms."""
    with db.transaction(database) as session:
        bare_platform(session, "sen")
        bare_platform(session, "lotus")
    return database


def processes(database: Database, count: int, limit: Quota = LIMIT) -> list[Throttle]:
    """Make the throttles of some processes."""
    return [Throttle(database, limit) for _ in range(count)]


def spent(one: Throttle, *, events: int = 0, size_bytes: int = 0, now=NOW, platform_id: str = "sen") -> bool:
    """Tell whether it could be spent."""
    try:
        throttle.spend(one, platform_id, events=events, size_bytes=size_bytes, now=now)
    except QuotaExceeded:
        return False
    return True


def test_a_whole_minute_can_be_spent_and_no_more(platforms: Database) -> None:
    """One process spends to the last event; the next event is refused, and the next minute begins anew."""
    (one,) = processes(platforms, 1)

    assert [True] * 100 == [spent(one, events=1_000) for _ in range(100)]
    assert not spent(one, events=1)
    assert not spent(one, events=1, now=NOW + timedelta(seconds=59, microseconds=999_999))
    assert spent(one, events=100_000, now=NOW + timedelta(seconds=60))


def test_bytes_are_counted_by_themselves(platforms: Database) -> None:
    """Either limit refuses; the refusal names it and what it is."""
    (one,) = processes(platforms, 1)
    assert spent(one, size_bytes=LIMIT.size_bytes)

    with pytest.raises(QuotaExceeded) as fault:
        throttle.spend(one, "sen", size_bytes=1, now=NOW + timedelta(seconds=40))

    assert {
        "violated-policies": ["bytes"],
        "events_per_minute": 100_000,
        "bytes_per_minute": 64 * 1_048_576,
        "limits": "/v1/limits",
    } == fault.value.extra
    assert 20 == fault.value.standing.renews_in_s


def test_a_platform_over_its_quota_is_refused_before_anything_is_read(platforms: Database) -> None:
    """And only then, only that one, and only for the rest of the minute."""
    (one,) = processes(platforms, 1)
    throttle.check(one, "sen", NOW)
    spent(one, events=100_000)
    throttle.check(one, "sen", NOW)
    spent(one, events=1)

    with pytest.raises(QuotaExceeded):
        throttle.check(one, "sen", NOW)
    throttle.check(one, "lotus", NOW)
    throttle.check(one, "sen", NOW + timedelta(minutes=1))
    assert spent(one, events=100_000, platform_id="lotus")


def test_what_does_not_fit_costs_nothing(platforms: Database) -> None:
    """A batch that is too large leaves what is left to the others of its process."""
    (one,) = processes(platforms, 1)
    spent(one, events=99_000)

    assert [False, True] == [spent(one, events=1_001), spent(one, events=1_000)]


@settings(max_examples=25)
@given(
    turns=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30_000)), min_size=10, max_size=60),
    seconds=st.lists(st.integers(0, 90), min_size=60, max_size=60),
)
def test_all_processes_together_spend_the_limit_at_most(module_database: Database, turns, seconds) -> None:
    """Law: in every minute; and what is refused would have passed it, but for what others have leased."""
    with db.transaction(module_database) as session:
        name = f"p{session.scalar(select(db.func.count()).select_from(event_quota)) or 0}-{id(turns)}"
        bare_platform(session, name)
    made = processes(module_database, 4)
    sums: dict[object, int] = {}
    for (number, count), after_s in zip(turns, sorted(seconds), strict=False):
        now = NOW + timedelta(seconds=after_s)
        window = throttle.window_of(now)
        if spent(made[number], events=count, now=now, platform_id=name):
            sums[window] = sums.get(window, 0) + count
        else:
            # Each of the others has leased a part of 1/32 of what was left, or a batch's worth.
            assert sums.get(window, 0) + count > LIMIT.events - 3 * (LIMIT.events // 32 + 30_000)

    assert all(count <= LIMIT.events for count in sums.values())


def test_processes_that_ask_at_once_spend_the_limit_exactly(platforms: Database) -> None:
    """Four processes, eight threads, batches of 1,000: as many as fit are taken."""
    made = processes(platforms, 4)
    taken: list[bool] = []

    def send(number: int) -> None:
        taken.extend(spent(made[number % 4], events=1_000) for _ in range(30))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 92 <= sum(taken) <= 100


def test_a_process_asks_once_for_many_requests(platforms: Database) -> None:
    """It leases a part of what is left, not each batch."""
    asked: list[str] = []
    (one,) = processes(platforms, 1, Quota(60_000_000, 2**34))
    stop = db.on_statement(platforms, lambda moment, text: asked.append(text) if moment == "before" else None)
    for _ in range(1_000):
        throttle.spend(one, "sen", events=1_000, size_bytes=200_000, now=NOW)
    stop()

    assert len([text for text in asked if text.startswith("UPDATE")]) <= 2


def test_time_does_not_go_back(platforms: Database) -> None:
    """A request that began before the minute turned spends of the new minute, in any process."""
    first, second = processes(platforms, 2)
    later = NOW + timedelta(minutes=1)
    spent(first, events=60_000, now=later)

    assert spent(first, events=30_000)
    assert not spent(second, events=20_000)
    assert spent(second, events=10_000, now=later)


def test_a_limit_of_its_own_holds_from_the_next_minute_on(platforms: Database) -> None:
    """It is on the audit trail, with what it was before."""
    (one,) = processes(platforms, 1)
    limit = Quota(10_000, 8 * 1_048_576)
    with db.transaction(platforms) as session:
        throttle.set_limit(session, "sen", limit, default=LIMIT, actor=OPERATOR, now=NOW)
        records = [one for one in trail.listing(session, "sen") if one.act == "platform.limit"]
        known = [throttle.limit_of(session, name, LIMIT) for name in ("sen", "lotus")]

    assert [limit, LIMIT] == known
    assert [True, False] == [spent(one, events=10_000), spent(one, events=1)]
    assert [({"events_per_minute": 100_000, "bytes_per_minute": 64 * 1_048_576}, 10_000)] == [
        (record.before, record.after["events_per_minute"]) for record in records
    ]


@pytest.mark.parametrize(
    ("limit", "pointers"),
    [
        (Quota(wire.ITEMS_MAX, wire.BODY_BYTES_MAX), []),
        (Quota(wire.ITEMS_MAX - 1, wire.BODY_BYTES_MAX), ["/events_per_minute"]),
        (Quota(wire.ITEMS_MAX, wire.BODY_BYTES_MAX - 1), ["/bytes_per_minute"]),
        (Quota(PER_MINUTE_MAX, PER_MINUTE_MAX), []),
        (Quota(PER_MINUTE_MAX + 1, -1), ["/events_per_minute", "/bytes_per_minute"]),
    ],
)
def test_a_limit_lets_every_batch_through_some_time(session, limit: Quota, pointers: list[str]) -> None:
    """Waiting always helps."""
    bare_platform(session)
    found: list[str] = []
    try:
        throttle.set_limit(session, "sen", limit, default=LIMIT, actor=OPERATOR, now=NOW)
    except Invalid as fault:
        found = [one.pointer for one in fault.errors]

    assert pointers == found


def test_a_platform_that_is_not_there_has_no_limit(session) -> None:
    """It is not found."""
    with pytest.raises(NotFound):
        throttle.set_limit(session, "none", LIMIT, default=LIMIT, actor=OPERATOR, now=NOW)
