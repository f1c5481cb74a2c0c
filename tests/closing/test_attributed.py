"""Attributed revenue adds up to what was recorded of its stream, or the period is not sealed."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from service.calendar import periods
from service.closing import attributed, revenues, stages
from service.closing.attributed import AttributedRevenueDiffers, Difference
from service.closing.readiness import LOOKS_MAX, SealContended
from service.closing.tools import Tools
from service.core import ids
from service.core.currencies import EXPONENTS
from service.events import intake, partitions, types, wire
from service.events.tables import event_type
from service.parties import platforms
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.world import LAN, event, founded_platform, send, tools_in

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
"""October in Ho Chi Minh City."""
END = datetime(2026, 10, 31, 17, tzinfo=UTC)
GRACE = timedelta(hours=72)
CLOSE = END + GRACE
NOVEMBER_END = datetime(2026, 11, 30, 17, tzinfo=UTC)
MICRO = 1_000_000
"""Micro-units of one dong."""


@pytest.fixture
def tools(database: Database, tmp_path: Path) -> Tools:
    """Give a database, a lake and an engine of this test's own."""
    return tools_in(database, tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Give a platform with two types that attribute the stream of ads, and one creator."""
    with db.transaction(database) as session:
        made = founded_platform(session, now=START, creator_ids=("an",))
        for name in ("ad_shown", "ad_clicked"):
            attribute(session, name)
        return made


def attribute(session: Any, name: str, stream: str = "ads") -> None:
    """Register a type of attributed revenue."""
    session.execute(
        insert(event_type).values(
            platform_id="sen",
            name=name,
            actor="optional",
            quantity_min=-(10**12),
            quantity_max=10**12,
            kind="attributed_revenue",
            stream=stream,
            unit=types.MICRO,
            currency="VND",
        )
    )


def fund(
    tools: Tools,
    platform: Platform,
    net_minor: int,
    *,
    reference: str = "r1",
    now: datetime = START,
    **of: str,
) -> None:
    """Record revenue of a stream."""
    with db.transaction(tools.database) as session:
        revenues.record(
            session,
            platform,
            stream=of.get("stream", "ads"),
            reference=reference,
            currency="VND",
            gross_minor=net_minor,
            period_id=of.get("period_id", "2026-10"),
            actor=OPERATOR,
            now=now,
        )


def shown(event_id: str, micro: int, *, kind: str = "ad_shown", at: datetime = START) -> dict[str, Any]:
    """Make an event that attributes so many micro-units to a video of An's."""
    return event(event_id, kind, at, "an", content="video", quantity=micro)


def close(tools: Tools, period_id: str = "2026-10", now: datetime = CLOSE) -> periods.Period:
    """Close a period."""
    return stages.close(tools, "sen", period_id, actor=LAN, now=now)


def state(tools: Tools, period_id: str = "2026-10") -> str:
    """Read a period's state."""
    with db.transaction(tools.database) as session:
        return periods.get(session, "sen", period_id).state


def sealed_with(tools: Tools, period_id: str = "2026-10") -> dict[str, Any]:
    """Read what the step of the seal remembers."""
    with db.transaction(tools.database) as session:
        steps = periods.steps(session, "sen", period_id)
    return next(dict(one.detail) for one in steps if one.state == "sealed")


def test_a_period_is_sealed_when_events_attribute_exactly_what_was_recorded(
    tools: Tools, platform: Platform
) -> None:
    """5 dong over two types, one below zero and a repeat included; another stream does not matter."""
    fund(tools, platform, 5)
    fund(tools, platform, 99, reference="r2", stream="gifts")
    events = [
        shown("1", 3 * MICRO + 1),
        shown("2", 2 * MICRO, kind="ad_clicked"),
        shown("3", -1, kind="ad_clicked"),
        shown("1", 3 * MICRO + 1),
    ]
    send(tools.database, platform, events, now=START)

    assert "published" == close(tools).state
    assert [{"stream": "ads", "origin_period": "2026-10", "micro": "5000000"}] == sealed_with(tools)[
        "attributed"
    ]


@pytest.mark.parametrize(
    ("micro", "gap", "remedy"),
    [
        (5 * MICRO - 1, "-1", "send the events that are missing"),
        (5 * MICRO + 1, "1", "record the revenue that is missing"),
        (0, "-5000000", "send the events that are missing"),
    ],
)
def test_a_millionth_of_a_dong_holds_the_seal_back(
    tools: Tools, platform: Platform, micro: int, gap: str, remedy: str
) -> None:
    """The fault names stream, sums, difference and remedy; the period stays open."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", micro)], now=START)
    with pytest.raises(AttributedRevenueDiffers, match=f"Stream ads of 2026-10.*{remedy}") as refusal:
        close(tools)

    assert [
        {
            "stream": "ads",
            "origin_period": "2026-10",
            "recorded_micro": "5000000",
            "attributed_micro": str(micro),
            "difference_micro": gap,
        }
    ] == refusal.value.extra["differences"]
    assert "open" == state(tools)


def test_a_difference_is_resolved_by_events_or_by_revenue(tools: Tools, platform: Platform) -> None:
    """First too little is attributed, then too much, then a correction of revenue meets it."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 4 * MICRO)], now=START)
    with pytest.raises(AttributedRevenueDiffers):
        close(tools)
    send(tools.database, platform, [shown("2", 2 * MICRO)], now=CLOSE)
    with pytest.raises(AttributedRevenueDiffers):
        close(tools)
    fund(tools, platform, 1, reference="r2")

    assert "published" == close(tools).state


def test_revenue_that_nobody_attributed_and_events_without_revenue_differ(
    tools: Tools, platform: Platform
) -> None:
    """Each stream by itself: what one has too much does not make up for another."""
    with db.transaction(tools.database) as session:
        attribute(session, "gift_given", "gifts")
    fund(tools, platform, 1)
    send(tools.database, platform, [shown("1", MICRO, kind="gift_given")], now=START)
    with pytest.raises(AttributedRevenueDiffers, match=r"\(1 more are listed in differences\)") as refusal:
        close(tools)

    assert [("ads", "-1000000"), ("gifts", "1000000")] == [
        (one["stream"], one["difference_micro"]) for one in refusal.value.extra["differences"]
    ]


def test_late_events_and_late_revenue_meet_under_the_period_that_they_are_of(
    tools: Tools, platform: Platform
) -> None:
    """October's late dong is recorded in November's pool, and attributed by October's late events."""
    close(tools)
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, NOVEMBER_END)
    fund(tools, platform, 1, reference="late", now=CLOSE)
    fund(tools, platform, 2, reference="november", now=CLOSE, period_id="2026-11")
    send(tools.database, platform, [shown("1", 3 * MICRO, at=END)], now=CLOSE)
    with pytest.raises(AttributedRevenueDiffers) as refusal:
        close(tools, "2026-11", NOVEMBER_END + GRACE)
    send(tools.database, platform, [shown("2", MICRO), shown("3", -MICRO, at=END)], now=CLOSE)
    close(tools, "2026-11", NOVEMBER_END + GRACE)

    assert [("2026-10", "-1000000"), ("2026-11", "1000000")] == [
        (one["origin_period"], one["difference_micro"]) for one in refusal.value.extra["differences"]
    ]
    assert [("2026-10", "1000000"), ("2026-11", "2000000")] == [
        (one["origin_period"], one["micro"]) for one in sealed_with(tools, "2026-11")["attributed"]
    ]


def test_without_attributed_types_a_seal_looks_at_nothing(tools: Tools) -> None:
    """One transaction, no files."""
    with db.transaction(tools.database) as session:
        founded_platform(session, now=START)
    looked: list[str] = []
    stop = db.on_statement(tools.database, lambda moment, what: looked.append(f"{moment} {what}"))
    close(tools)
    stop()
    sealed = next(n for n, one in enumerate(looked) if one.startswith("before INSERT INTO period_step"))

    assert {"cut_seq": 0, "quarantine_open": 0} == sealed_with(tools)
    # The staff's role is checked before; then one transaction seals.
    assert 1 == sum(one.startswith("before-commit") for one in looked[:sealed])


class _Interference:
    """Lets something happen whenever a close has looked and is about to seal."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self._act, self.count = act, 0

    def __call__(self, moment: str, statement: str) -> None:
        # The lock that a seal holds alone, asked for a second time and later: a look lies behind it.
        if (
            moment == "before"
            and "pg_advisory_xact_lock(" in statement
            and threading.current_thread() is MAIN
        ):
            self.count += 1
            if self.count > 1:
                with ThreadPoolExecutor(1) as other:
                    other.submit(self._act, self.count - 1).result()


MAIN = threading.main_thread()


def _close_amid(tools: Tools, act: Callable[[int], None]) -> int:
    """Close October while `act` happens between each look and the seal after it; count the looks."""
    interference = _Interference(act)
    stop = db.on_statement(tools.database, interference)
    try:
        period = stages._seal(tools, _platform(tools), "2026-10", actor=LAN, now=CLOSE)
    finally:
        stop()
    assert period.state == "sealed"
    return interference.count - 1


def _platform(tools: Tools) -> Platform:
    with db.transaction(tools.database) as session:
        return platforms.get(session, "sen")


def test_events_that_arrive_between_look_and_seal_are_looked_at_too(tools: Tools, platform: Platform) -> None:
    """A pair that adds up to zero arrives after the first look: the second look finds that, and is sealed."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 5 * MICRO)], now=START)

    def act(number: int) -> None:
        if number == 1:
            send(tools.database, platform, [shown("2", 7), shown("3", -7)], now=CLOSE)

    assert 2 == _close_amid(tools, act)
    assert sealed_with(tools)["cut_seq"] > 1


def test_an_event_that_breaks_the_sum_between_look_and_seal_holds_it_back(
    tools: Tools, platform: Platform
) -> None:
    """Nothing is sealed that was not looked at."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 5 * MICRO)], now=START)

    def act(number: int) -> None:
        if number == 1:
            send(tools.database, platform, [shown("2", 7)], now=CLOSE)

    with pytest.raises(AttributedRevenueDiffers):
        _close_amid(tools, act)
    assert "open" == state(tools)


def test_events_of_another_time_between_look_and_seal_change_nothing(
    tools: Tools, platform: Platform
) -> None:
    """A platform sends all the time: one look is enough, and the seal takes those batches as well."""
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, CLOSE)
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 5 * MICRO)], now=START)

    def act(number: int) -> None:
        send(tools.database, platform, [shown(f"n{number}", 7, at=END)], now=CLOSE)

    assert 1 == _close_amid(tools, act)
    assert 2 == sealed_with(tools)["cut_seq"]


def test_revenue_that_is_recorded_between_look_and_seal_holds_it_back(
    tools: Tools, platform: Platform
) -> None:
    """Of the stream; of another one it changes nothing."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 5 * MICRO)], now=START)
    with pytest.raises(AttributedRevenueDiffers):
        _close_amid(tools, lambda number: fund(tools, platform, 1, reference=f"more-{number}"))
    fund(tools, platform, -1, reference="back")

    assert 1 == _close_amid(
        tools, lambda number: fund(tools, platform, 1, reference=f"gift-{number}", stream="gifts")
    )


def test_a_batch_that_is_no_events_between_look_and_seal_is_looked_at_too(
    tools: Tools, platform: Platform
) -> None:
    """It may change what counts without a time of its own."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 5 * MICRO)], now=START)

    def act(number: int) -> None:
        if number == 1:
            with db.transaction(tools.database) as session:
                values = {
                    "platform_id": "sen",
                    "id": ids.new(CLOSE),
                    "received_at": CLOSE,
                    "channel": "correction",
                    "media_type": "application/json",
                    "item_count": 0,
                    "accepted_count": 0,
                    "first_at": None,
                    "last_at": None,
                    "body_sha256": b"",
                    "body_zstd": b"",
                    "rejections": [],
                }
                partitions.append(session, values)

    assert 2 == _close_amid(tools, act)


def test_a_period_that_never_comes_to_rest_is_given_up_clearly(tools: Tools, platform: Platform) -> None:
    """After a bounded number of looks; closing it later works."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 5 * MICRO)], now=START)

    def act(number: int) -> None:
        send(tools.database, platform, [shown(f"x{number}", 0)], now=CLOSE)

    with pytest.raises(SealContended, match=f"changed {LOOKS_MAX} times"):
        _close_amid(tools, act)
    assert "open" == state(tools)
    assert "published" == close(tools).state


def test_an_intake_in_flight_is_waited_for_before_the_look(tools: Tools, platform: Platform) -> None:
    """The mark is read when nobody is at work, so that no batch below it is missed."""
    fund(tools, platform, 5)
    send(tools.database, platform, [shown("1", 4 * MICRO)], now=START)
    has_received, may_commit = threading.Event(), threading.Event()

    def slow_intake() -> None:
        with db.transaction(tools.database) as session:
            body = json.dumps([shown("2", MICRO)]).encode()
            intake.receive(session, platform, body, wire.BATCH, channel="http", now=CLOSE)
            has_received.set()
            may_commit.wait(20)

    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(slow_intake)
        assert has_received.wait(20)
        closing = pool.submit(close, tools)
        may_commit.set()
        taking.result()

    assert "published" == closing.result().state


SUMS = st.dictionaries(
    st.tuples(st.sampled_from(["ads", "gifts"]), st.sampled_from(["2026-10", "2026-11"])),
    st.integers(-(10**15), 10**15),
)


@given(recorded=SUMS, currency=st.sampled_from(sorted(EXPONENTS)))
def test_what_is_attributed_exactly_differs_nowhere_and_one_millionth_more_does(
    recorded: dict[tuple[str, str], int], currency: str
) -> None:
    """In every currency, whatever its decimals."""
    per_minor = types.micro_per_minor(currency)
    exact = {place: minor * per_minor for place, minor in recorded.items()}
    more = {("ads", "2026-10"): exact.get(("ads", "2026-10"), 0) + 1}

    assert [] == attributed.differences(recorded, exact, micro_per_minor=per_minor)
    assert [Difference("ads", "2026-10", more["ads", "2026-10"] - 1, more["ads", "2026-10"])] == (
        attributed.differences(recorded, exact | more, micro_per_minor=per_minor)
    )
    assert 10**6 == per_minor * 10 ** EXPONENTS[currency]
