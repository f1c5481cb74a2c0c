"""Control totals: what a sender says it sent is held against what was settled, and may hold a seal back."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import WrongState
from service.closing import control_totals, estimates, stages
from service.closing.control_totals import (
    COUNT_MAX,
    QUANTITY_MAX,
    TOTALS_MAX,
    ControlTotal,
    Given,
    SenderTotalsDiffer,
)
from service.closing.revenues import SpanCrossesPeriods
from service.closing.tools import Tools
from service.core.errors import Invalid
from service.core.spans import Span
from service.events import corrections
from service.events.corrections import Asked
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from service.splits import shares
from tests.world import LAN, event, founded_platform, send, tools_in

START = datetime(2026, 9, 30, 17, tzinfo=UTC)
"""October in Ho Chi Minh City."""
END = datetime(2026, 10, 31, 17, tzinfo=UTC)
CLOSE = END + timedelta(hours=72)
HOUR = timedelta(hours=1)
OCTOBER = Span(START, END)


@pytest.fixture
def tools(database: Database, tmp_path: Path) -> Tools:
    """Give a database, a lake and an engine of this test's own."""
    return tools_in(database, tmp_path)


@pytest.fixture
def platform(database: Database) -> Platform:
    """Give a platform founded at the start of October, with two creators."""
    with db.transaction(database) as session:
        return founded_platform(session, now=START, creator_ids=("an", "binh"))


def total(
    count: int,
    quantity: int,
    *,
    kind: str = "view",
    source: str = "app",
    span: Span = OCTOBER,
    is_blocking: bool = False,
) -> Given:
    """Write a total as a sender does."""
    return Given(
        source=source, type=kind, span=span, event_count=count, quantity=quantity, is_blocking=is_blocking
    )


def give(tools: Tools, platform: Platform, *totals: Given, now: datetime = START) -> list[ControlTotal]:
    """Record totals and commit."""
    with db.transaction(tools.database) as session:
        return control_totals.record(session, platform, totals, actor=OPERATOR, now=now)


def views(
    *quantities: int, at: datetime = START, source: str = "app", name: str = "v"
) -> list[dict[str, Any]]:
    """Make views of An's, one for each quantity."""
    return [
        event(f"{name}{number}", "view", at, "an", quantity=quantity, source=source)
        for number, quantity in enumerate(quantities)
    ]


def close(tools: Tools, now: datetime = CLOSE) -> periods.Period:
    """Close October."""
    return stages.close(tools, "sen", "2026-10", actor=LAN, now=now)


def compared(tools: Tools, period_id: str = "2026-10") -> list[tuple[str | None, int, int]]:
    """Read verdict, count and quantity that were found, total by total."""
    with db.transaction(tools.database) as session:
        return [
            (one.verdict, *((one.found.event_count, one.found.quantity) if one.found else (0, 0)))
            for one in control_totals.listing(session, "sen", period_id)
        ]


def test_a_close_compares_each_total_with_what_was_settled(tools: Tools, platform: Platform) -> None:
    """Each identity once: a repeat and a conflict count for nothing, other sources and types neither."""
    send(tools.database, platform, views(3, 4), now=START)
    send(tools.database, platform, [*views(3), *views(3, 5)], now=START)
    send(tools.database, platform, views(7, source="web"), now=START)
    send(tools.database, platform, [event("l", "like", START, "an", actor="f1")], now=START)
    give(
        tools,
        platform,
        total(2, 7),
        total(3, 12),
        total(1, 7, source="web"),
        total(5, 5, kind="comment"),
        total(0, 0, kind="share"),
        total(1, 2, kind="like"),
    )
    before = compared(tools)
    with db.transaction(tools.database) as session:
        assert {None: 5} == control_totals.tallies(session, "sen", "2026-10")
    close(tools)

    assert {(None, 0, 0)} == set(before)
    # The second total of the same source, type and span goes before the first.
    assert [
        ("differs", 2, 7),
        ("matches", 1, 7),
        ("missing", 0, 0),
        ("matches", 0, 0),
        ("differs", 1, 1),
    ] == compared(tools)
    with db.transaction(tools.database) as session:
        tallies = control_totals.tallies(session, "sen", "2026-10")
        first = [one.verdict for one in control_totals.first(session, "sen", "2026-10", limit=4)]
    assert {"matches": 2, "differs": 2, "missing": 1} == tallies
    assert ["missing", "differs", "differs", "matches"] == first


def test_an_event_that_was_voided_was_sent(tools: Tools, platform: Platform) -> None:
    """The sender's own count holds: what is void counts for nobody, and arrived all the same."""
    send(tools.database, platform, views(3, 4), now=START)
    with db.transaction(tools.database) as session:
        asked = [Asked(source="app", event_id="v1", reason="a robot")]
        corrections.record(session, tools.lake, platform, asked, actor=OPERATOR, now=START)
    give(tools, platform, total(2, 7, is_blocking=True))
    close(tools)

    assert [("matches", 2, 7)] == compared(tools)
    with db.transaction(tools.database) as session:
        split = shares.latest(session, "sen", "2026-10")
    assert split is not None
    assert (1, 1) == (split.inputs["verdicts"]["counted"], split.inputs["verdicts"]["voided"])


def test_spans_of_totals_may_lie_within_one_another(tools: Tools, platform: Platform) -> None:
    """An event is of every total whose span holds its time; the start does, the end does not."""
    tick = timedelta(microseconds=1)
    times = [START, START + HOUR - tick, START + HOUR, END - tick]
    events = [event(str(n), "view", at, "an", quantity=10**n) for n, at in enumerate(times)]
    send(tools.database, platform, events[:3], now=START + 2 * HOUR)
    send(tools.database, platform, events[3:], now=END)
    give(
        tools,
        platform,
        total(4, 1_111),
        total(2, 11, span=Span(START, START + HOUR)),
        total(1, 100, span=Span(START + HOUR, START + 2 * HOUR)),
        total(2, 110, span=Span(START + HOUR - tick, START + 2 * HOUR)),
        total(1, 1_000, span=Span(START + 2 * HOUR, END)),
    )
    close(tools)

    assert ["matches"] * 5 == [verdict for verdict, *_ in compared(tools)]


def test_an_estimate_says_what_arrived_so_far(tools: Tools, platform: Platform) -> None:
    """As the close would count it, each time anew, until the close has the last word."""
    send(tools.database, platform, views(3), now=START)
    give(tools, platform, total(2, 7))
    found = []
    for events in ([], views(3), views(3, 4)):
        if events:
            send(tools.database, platform, events, now=START)
        estimates.refresh(tools, "sen", now=START + HOUR)
        found += _so_far(tools)
    superseding = give(tools, platform, total(9, 9))
    found += _so_far(tools)
    close(tools)

    assert [(1, 3), (1, 3), (2, 7), None] == found
    assert ([None], [("differs", 2, 7)]) == (_so_far(tools), compared(tools))
    assert [None] == [one.found for one in superseding]


def _so_far(tools: Tools) -> list[tuple[int, int] | None]:
    with db.transaction(tools.database) as session:
        return [
            (one.so_far.event_count, one.so_far.quantity) if one.so_far else None
            for one in control_totals.listing(session, "sen", "2026-10")
        ]


def test_what_came_after_the_seal_is_not_compared(tools: Tools, platform: Platform) -> None:
    """The comparison is of what the close settled, and stays."""
    send(tools.database, platform, views(1), now=START)
    give(tools, platform, total(2, 2))
    close(tools)
    send(tools.database, platform, views(1, name="late"), now=CLOSE)
    november_end = datetime(2026, 11, 30, 17, tzinfo=UTC)
    with db.transaction(tools.database) as session:
        periods.ensure_current(session, platform, november_end)
    give(tools, platform, total(0, 0, span=Span(END, november_end)), now=CLOSE)
    stages.close(tools, "sen", "2026-11", actor=LAN, now=november_end + timedelta(hours=72))

    assert [("differs", 1, 1)] == compared(tools)
    assert [("matches", 0, 0)] == compared(tools, "2026-11")


def test_a_blocking_total_holds_the_seal_back_until_it_matches(tools: Tools, platform: Platform) -> None:
    """The fault names it; the period stays open, so that what is missing still counts."""
    send(tools.database, platform, views(1), now=START)
    give(tools, platform, total(2, 3, is_blocking=True), total(9, 9, kind="like"))
    with pytest.raises(SenderTotalsDiffer, match="app sent 2 events of type view with a sum of 3") as refusal:
        close(tools)
    with db.transaction(tools.database) as session:
        state = periods.get(session, "sen", "2026-10").state
    send(tools.database, platform, views(1, 2), now=CLOSE)
    close(tools)

    assert [
        {
            "source": "app",
            "type": "view",
            "span": {"start_at": "2026-09-30T17:00:00Z", "end_at": "2026-10-31T17:00:00Z"},
            "count": 2,
            "quantity": "3",
            "settled_count": 1,
            "settled_quantity": "1",
        }
    ] == refusal.value.extra["differences"]
    assert "open" == state
    assert [("matches", 2, 3), ("missing", 0, 0)] == compared(tools)


def test_a_total_that_supersedes_a_blocking_one_lets_the_seal_go(tools: Tools, platform: Platform) -> None:
    """The sender had miscounted, or blocks no longer."""
    give(tools, platform, total(1, 1, is_blocking=True), total(1, 1, kind="like", is_blocking=True))
    with pytest.raises(SenderTotalsDiffer, match=r"\(1 more are listed in differences\)"):
        close(tools)
    give(tools, platform, total(0, 0, is_blocking=True), total(1, 1, kind="like"), now=CLOSE)
    close(tools)

    assert [("matches", 0, 0), ("missing", 0, 0)] == compared(tools)


def test_a_close_that_was_interrupted_compares_once(tools: Tools, platform: Platform) -> None:
    """Cut after the seal, then run again: the comparison is there, once."""
    send(tools.database, platform, views(1), now=START)
    give(tools, platform, total(1, 1, is_blocking=True))
    steps = iter(range(3))

    def report(_done: int, _total: int | None) -> None:
        if next(steps) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        stages.close(tools, "sen", "2026-10", actor=LAN, now=CLOSE, report=report)
    with db.transaction(tools.database) as session:
        state = periods.get(session, "sen", "2026-10").state
    assert ("sealed", [(None, 0, 0)]) == (state, compared(tools))
    close(tools)

    assert [("matches", 1, 1)] == compared(tools)


def test_totals_of_a_sealed_period_are_refused(tools: Tools, platform: Platform) -> None:
    """Nothing would compare them."""
    close(tools)
    with pytest.raises(WrongState, match="period 2026-10 is published; its totals were compared") as refusal:
        give(tools, platform, total(1, 1), now=CLOSE)

    assert ["/totals/0/start_at"] == [one.pointer for one in refusal.value.errors]


def test_totals_of_history_may_come_before_its_period(tools: Tools, platform: Platform) -> None:
    """They wait for it under its name."""
    start = datetime(2025, 2, 28, 17, tzinfo=UTC)
    (made,) = give(tools, platform, total(1, 1, span=Span(start, start + HOUR)))

    assert "2025-03" == made.period_id


NEAREST: dict[str, tuple[Given, Given, type[Exception], str]] = {
    "a span past its period": (
        total(1, 1),
        total(1, 1, span=Span(START, END + timedelta(microseconds=1))),
        SpanCrossesPeriods,
        "end_at",
    ),
    "history past its period": (
        total(1, 1, span=Span(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 31, 17, tzinfo=UTC))),
        total(1, 1, span=Span(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 31, 18, tzinfo=UTC))),
        SpanCrossesPeriods,
        "end_at",
    ),
    "a type that is none": (total(1, 1, kind="like"), total(1, 1, kind="lick"), Invalid, "type"),
    "no source": (total(1, 1, source="a"), total(1, 1, source=""), Invalid, "source"),
    "a source with a control character": (
        total(1, 1, source="a b"),
        total(1, 1, source="a\tb"),
        Invalid,
        "source",
    ),
    "a long source": (total(1, 1, source="a" * 200), total(1, 1, source="a" * 201), Invalid, "source"),
    "a count below zero": (total(0, 0), total(-1, 0), Invalid, "count"),
    "a count too great": (total(COUNT_MAX, 0), total(COUNT_MAX + 1, 0), Invalid, "count"),
    "a sum too great": (total(1, QUANTITY_MAX), total(1, QUANTITY_MAX + 1), Invalid, "quantity"),
    "a sum too far below": (total(1, -QUANTITY_MAX), total(1, -QUANTITY_MAX - 1), Invalid, "quantity"),
}


@pytest.mark.parametrize(("good", "bad", "fault", "name"), NEAREST.values(), ids=NEAREST.keys())
def test_a_total_that_cannot_be_is_refused_and_its_neighbour_taken(
    session: Session, good: Given, bad: Given, fault: type[Exception], name: str
) -> None:
    """All or none of a request; the pointer names the place."""
    platform = founded_platform(session, now=START)
    (made,) = control_totals.record(session, platform, [good], actor=OPERATOR, now=START)
    with pytest.raises(fault) as refusal:
        control_totals.record(session, platform, [good, bad], actor=OPERATOR, now=START)

    assert good == made.given
    assert [f"/totals/1/{name}"] == [one.pointer for one in refusal.value.errors]
    assert 1 == len(control_totals.listing(session, "sen", made.period_id))


@pytest.mark.parametrize("count", [0, TOTALS_MAX + 1])
def test_a_request_has_a_bounded_number_of_totals(session: Session, count: int) -> None:
    """One to a thousand."""
    platform = founded_platform(session, now=START)
    with pytest.raises(Invalid, match="give 1 to 1000 totals"):
        control_totals.record(session, platform, [total(1, 1)] * count, actor=OPERATOR, now=START)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["app", "web"]),
        st.sampled_from(["view", "watch_second"]),
        st.integers(0, 5),
        st.integers(-3, 9),
    ),
    max_size=20,
)
SPANS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=5, unique=True)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(EVENTS, max_size=3), spans=SPANS)
def test_what_a_close_finds_is_what_a_model_counts(
    module_database: Database,
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[Any],
    spans: list[tuple[int, int]],
) -> None:
    """Random batches with repeats, random overlapping spans: the first of each identity counts."""
    platform_id = f"p{next(_numbers)}"
    tools = tools_in(module_database, tmp_path_factory.mktemp("lake"))
    with db.transaction(module_database) as session:
        platform = founded_platform(session, platform_id, now=START, creator_ids=("an",))
    first: dict[tuple[str, str], tuple[str, int, int]] = {}
    for batch in batches:
        for event_id, source, kind, hour, quantity in batch:
            first.setdefault((source, event_id), (kind, hour, quantity))
        events = [
            event(event_id, kind, START + hour * HOUR, "an", quantity=quantity, source=source)
            for event_id, source, kind, hour, quantity in batch
        ]
        if events:
            send(module_database, platform, events, now=START + 9 * HOUR)
    wanted = [
        total(0, 0, kind=kind, source=source, span=Span(START + a * HOUR, START + (a + b) * HOUR))
        for a, b in spans
        for source in ("app", "web")
        for kind in ("view", "watch_second")
    ]
    give(tools, platform, *wanted)
    stages.close(tools, platform_id, "2026-10", actor=LAN, now=CLOSE)

    expected: Counter[Given] = Counter()
    sums: Counter[Given] = Counter()
    for one in wanted:
        for (source, _), (kind, hour, quantity) in first.items():
            if (source, kind) == (one.source, one.type) and one.span.contains(START + hour * HOUR):
                expected[one] += 1
                sums[one] += quantity
    with db.transaction(module_database) as session:
        found = control_totals.listing(session, platform_id, "2026-10")
        tallies = control_totals.tallies(session, platform_id, "2026-10")
    assert Counter(one.verdict for one in found) == tallies
    assert {one: (expected[one], sums[one]) for one in wanted} == {
        one.given: (one.found.event_count, one.found.quantity) for one in found if one.found is not None
    }


_numbers = iter(range(1_000_000))
