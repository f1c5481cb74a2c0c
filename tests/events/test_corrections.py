"""Corrections: what is recorded, what is refused, what a seal makes of it; beside a model in plain Python."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.calendar import periods, seal_lock
from service.events import compaction, corrections, sealing
from service.events.corrections import Asked, CorrectionRefused, Outcome
from service.events.lake import Lake
from service.events.sealing import Settled
from service.events.wire import Event
from service.parties import trail
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.test_sealing import FIRST, close, counted, daily, name_of, on
from tests.events.worlds import DAY, NOW

KEY = Actor("key", "k-1")
NUMBERS = count()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Give an empty lake."""
    return worlds.lake_in(tmp_path / "lake")


@pytest.fixture
def platform(database: Database) -> Platform:
    """Found a platform with daily periods, all of them open."""
    return daily(database)


def void(event_id: str = "e-1", **changes: Any) -> Asked:
    """Ask for an event to be voided."""
    return Asked(**{"source": "app", "event_id": event_id, "reason": "a robot", **changes})


def replace(day: int, event_id: str = "e-1", *, asked_id: str | None = None, **changes: Any) -> Asked:
    """Ask for an event of a day to be replaced."""
    event = msgspec.convert(on(day, event_id, **changes), Event)
    return Asked(source="app", event_id=asked_id or event_id, reason="counted wrongly", event=event)


def correct(
    database: Database, lake: Lake, platform: Platform, *asked: Asked, now: datetime = NOW
) -> list[Outcome]:
    """Record corrections and commit."""
    with db.transaction(database) as session:
        return corrections.record(session, lake, platform, asked, actor=KEY, now=now)


def verdicts(lake: Lake, settled: Settled) -> list[tuple[Any, ...]]:
    """Read what a seal made of each row: verdict, and whether it names a correction."""
    return sorted(
        worlds.rows(
            lake,
            [file.stored.path for file in settled.verdicts],
            "verdict, origin_period_id, correction_seq IS NOT NULL",
        )
    )


def codes(fault: CorrectionRefused) -> list[tuple[str, str]]:
    """Give the place and the code of each refusal."""
    refusals: Any = fault.extra["refusals"]
    return [(error.pointer, refusal["code"]) for error, refusal in zip(fault.errors, refusals, strict=True)]


def test_a_voided_event_does_not_count(database: Database, lake: Lake, platform: Platform) -> None:
    """Its neighbour does; the verdict names the correction."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    (outcome,) = correct(database, lake, platform, void())

    settled = close(database, lake, platform, 16)

    assert [("e-2", 1, "2026-11-16")] == counted(lake, settled)
    assert {"counted": 1, "late": 0, "duplicate": 0, "conflict": 0, "voided": 1} == settled.counts
    rows = worlds.rows(
        lake, [file.stored.path for file in settled.verdicts], "verdict, correction_seq, correction_position"
    )
    assert outcome.correction is not None
    assert ("voided", outcome.correction.seq, 0) in rows


def test_a_replaced_event_counts_with_its_replacements_values(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Once: the original is voided, the replacement counted in its own period."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    correct(database, lake, platform, replace(16, quantity=7, type="like", content="v-2", actor="u-9"))

    settled = close(database, lake, platform, 16)

    assert [("e-1", 7, "2026-11-16"), ("e-2", 1, "2026-11-16")] == counted(lake, settled)
    columns = "type, creator, content, actor, quantity, CAST(day_on AS VARCHAR)"
    rows = worlds.rows(lake, [file.stored.path for file in settled.counted], columns)
    assert ("like", "c-1", "v-2", "u-9", 7, "2026-11-16") in rows
    assert [
        ("counted", "2026-11-16", False),
        ("counted", "2026-11-16", False),
        ("voided", "2026-11-16", True),
    ] == verdicts(lake, settled)
    assert {"2026-11-16": 2} == settled.origins


def test_repeats_of_a_voided_event_are_what_they_were(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Sent before the void or after it, equal or not: none of them counts; those after it name the void."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-1"), on(16, "e-1", quantity=2))
    correct(database, lake, platform, void())
    worlds.send(database, platform, on(16, "e-1"), on(17, "e-1"), on(16, "e-3"))

    first, second = close(database, lake, platform, 16), close(database, lake, platform, 17)

    assert {"counted": 1, "late": 0, "duplicate": 2, "conflict": 1, "voided": 1} == first.counts
    assert {"counted": 0, "late": 0, "duplicate": 0, "conflict": 1, "voided": 0} == second.counts
    assert [
        ("conflict", "2026-11-16", False),
        ("counted", "2026-11-16", False),
        ("duplicate", "2026-11-16", False),
        ("duplicate", "2026-11-16", True),
        ("voided", "2026-11-16", True),
    ] == verdicts(lake, first)
    assert [("conflict", "2026-11-17", True)] == verdicts(lake, second)


def test_an_id_that_was_voided_never_counts_again(database: Database, lake: Lake, platform: Platform) -> None:
    """Not even where its own event is out of reach; another id of that day does."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    correct(database, lake, platform, void())
    worlds.send(database, platform, on(19, "e-1"), on(19, "e-2"))

    settled = [close(database, lake, platform, day) for day in (16, 17, 18, 19)][-1]

    assert [("e-2", 1, "2026-11-19")] == counted(lake, settled)
    assert [("conflict", "2026-11-19", True), ("counted", "2026-11-19", False)] == verdicts(lake, settled)


def test_the_last_replacement_holds_and_a_void_after_it(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Also where both are asked for in one request."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"), on(16, "e-3"))
    correct(database, lake, platform, replace(16, "e-1", quantity=5), replace(16, "e-1", quantity=6))
    correct(database, lake, platform, replace(16, "e-2", quantity=5), void("e-2"))
    correct(database, lake, platform, replace(16, "e-3", quantity=5))
    correct(database, lake, platform, replace(16, "e-3", quantity=8))

    settled = close(database, lake, platform, 16)

    assert [("e-1", 6, "2026-11-16"), ("e-3", 8, "2026-11-16")] == counted(lake, settled)
    assert {"counted": 2, "late": 0, "duplicate": 0, "conflict": 0, "voided": 3} == settled.counts


def test_a_correction_after_the_seal_is_left_to_the_next_one(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """The seal's files stay; a replacement is late, under the name of its period, and once."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    first = close(database, lake, platform, 16)
    correct(database, lake, platform, replace(16, "e-1", quantity=3), void("e-2"))
    second = close(database, lake, platform, 17)
    third = close(database, lake, platform, 18)

    assert [("e-1", 1, "2026-11-16"), ("e-2", 1, "2026-11-16")] == counted(lake, first)
    assert [("e-1", 3, "2026-11-16")] == counted(lake, second)
    assert ({"2026-11-16": 1}, 1) == (second.origins, second.counts["late"])
    assert [] == counted(lake, third)


def test_a_late_event_that_was_not_settled_is_replaced_in_place(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """It came after the seal of its period, and its correction too."""
    close(database, lake, platform, 16)
    worlds.send(database, platform, on(16, "late-1"), on(16, "late-2"))
    correct(database, lake, platform, replace(16, "late-1", quantity=4), void("late-2"))

    settled = close(database, lake, platform, 17)

    assert [("late-1", 4, "2026-11-16")] == counted(lake, settled)
    assert {"counted": 0, "late": 1, "duplicate": 0, "conflict": 0, "voided": 2} == settled.counts


def test_a_repeat_names_the_event_that_it_repeats(database: Database, lake: Lake, platform: Platform) -> None:
    """The conflicting event of the 17th stands for the one of the 16th; a day that has none names none."""
    worlds.send(database, platform, on(16, "e-1"), on(17, "e-1"))
    asked = void(day_on=date(2026, 11, 17))
    (outcome,) = correct(database, lake, platform, asked)

    assert outcome.correction is not None
    assert "2026-11-16" == outcome.correction.period_id
    with pytest.raises(CorrectionRefused) as refused:
        correct(database, lake, platform, void(day_on=date(2026, 11, 18)))
    assert [("/corrections/0/id", "unknown_event")] == codes(refused.value)


def test_a_day_tells_apart_events_that_share_an_id(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Beyond each other's reach both count; without the day the later one is meant."""
    worlds.send(database, platform, on(16, "e-1"), on(19, "e-1"))
    with_day = replace(16, "e-1", quantity=2)
    with_day = Asked(
        source="app", event_id="e-1", reason="x", day_on=date(2026, 11, 16), event=with_day.event
    )

    (earlier,) = correct(database, lake, platform, with_day)
    (later,) = correct(database, lake, platform, replace(19, "e-1", quantity=3))

    assert earlier.correction is not None
    assert later.correction is not None
    assert ("2026-11-16", "2026-11-19") == (earlier.correction.period_id, later.correction.period_id)
    settled = [close(database, lake, platform, day) for day in (16, 17, 18, 19)]
    assert [("e-1", 2, "2026-11-16")] == counted(lake, settled[0])
    assert [("e-1", 3, "2026-11-19")] == counted(lake, settled[3])


@pytest.mark.parametrize("is_compacted", [False, True])
def test_an_event_is_found_in_the_log_and_in_the_lake(
    database: Database, lake: Lake, platform: Platform, *, is_compacted: bool
) -> None:
    """By source and id; the other source's is another one."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-1", source="web"))
    if is_compacted:
        compaction.run(database, lake, platform.id, now=NOW)

    correct(database, lake, platform, void())

    settled = close(database, lake, platform, 16)
    assert {"counted": 1, "late": 0, "duplicate": 0, "conflict": 0, "voided": 1} == settled.counts


@pytest.mark.parametrize(
    ("asked", "place", "code"),
    [
        (void("e-9"), "/id", "unknown_event"),
        (void(source="web"), "/id", "unknown_event"),
        (void("old"), "/id", "too_old"),
        (replace(17, creator="c-2"), "/event/data/creator", "other_creator"),
        (replace(18), "/event/time", "other_period"),
        (replace(17, time="2026-11-17T17:00:00Z"), "/event/time", "other_period"),
        (replace(17, "e-2", asked_id="e-1"), "/event/id", "other_name"),
        (replace(17, source="web"), "/event/source", "other_name"),
        (replace(20, "new", time="2026-11-20T05:05:00.000001Z"), "/event/time", "in_future"),
    ],
)
def test_what_cannot_be_corrected_is_refused_and_nothing_is_recorded(
    database: Database, lake: Lake, platform: Platform, asked: Asked, place: str, code: str
) -> None:
    """Each with its place, whatever stands beside it in the request."""
    worlds.send(database, platform, on(16, "old"), on(17, "e-1"), on(20, "new"), on(20, "fine"))
    for day in (16, 17, 18):
        close(database, lake, platform, day)

    with pytest.raises(CorrectionRefused) as refused:
        correct(database, lake, platform, void("fine"), asked)

    assert [(f"/corrections/1{place}", code)] == codes(refused.value)
    with db.transaction(database) as session:
        assert [] == corrections.listing(session, platform.id)
    near = void("e-1") if code != "in_future" else replace(20, "new", time="2026-11-20T05:05:00Z")
    assert correct(database, lake, platform, near)[0].is_new


def test_a_replacement_of_a_voided_event_is_refused(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A void is final."""
    worlds.send(database, platform, on(16))
    correct(database, lake, platform, void())

    with pytest.raises(CorrectionRefused, match="final") as refused:
        correct(database, lake, platform, replace(16, quantity=3))
    assert [("/corrections/0/id", "id_voided")] == codes(refused.value)


def test_what_would_change_nothing_is_said_and_not_recorded(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A second void; a replacement by equal values, of the event and of its last replacement."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    (first,) = correct(database, lake, platform, void("e-1"))
    (replaced,) = correct(database, lake, platform, replace(16, "e-2", quantity=9))

    again = correct(database, lake, platform, void("e-1"), replace(16, "e-2", quantity=9))
    worlds.send(database, platform, on(16, "e-3"))
    (equal,) = correct(database, lake, platform, replace(16, "e-3"))

    assert [Outcome(first.correction, is_new=False), Outcome(replaced.correction, is_new=False)] == again
    assert Outcome(None, is_new=False) == equal
    with db.transaction(database) as session:
        assert 2 == len(corrections.listing(session, platform.id))


def test_back_to_the_first_values_is_a_change(database: Database, lake: Lake, platform: Platform) -> None:
    """What counts is compared with what holds now."""
    worlds.send(database, platform, on(16))
    correct(database, lake, platform, replace(16, quantity=9))

    (back,) = correct(database, lake, platform, replace(16))

    assert back.is_new
    assert [("e-1", 1, "2026-11-16")] == counted(lake, close(database, lake, platform, 16))


def test_history_that_is_open_is_corrected_and_sealed_history_is_not(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """A historic period carries nothing late, so that what is sealed needs a backfill."""
    with db.transaction(database) as session:
        periods.open_from(session, platform, FIRST - 3 * DAY, actor=OPERATOR, now=NOW)
    worlds.send(database, platform, on(14, "e-1"), on(14, "e-2"))
    correct(database, lake, platform, void("e-1"))

    settled = close(database, lake, platform, 14)

    assert [("e-2", 1, "2026-11-14")] == counted(lake, settled)
    with pytest.raises(CorrectionRefused, match="backfill") as refused:
        correct(database, lake, platform, void("e-2"))
    assert [("/corrections/0/id", "too_old")] == codes(refused.value)


def test_corrections_are_listed_in_the_order_in_which_they_were_recorded(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Page by page, of one period or of all; one is read by its id, and the trail names who."""
    worlds.send(database, platform, on(16, "e-1"), on(17, "e-2"))
    correct(database, lake, platform, replace(16, quantity=2), void("e-2"))
    correct(database, lake, platform, void("e-1"))

    with db.transaction(database) as session:
        known = corrections.listing(session, platform.id)
        page = corrections.listing(session, platform.id, after=(known[0].seq, known[0].position), limit=1)
        of_day = corrections.listing(session, platform.id, period_id="2026-11-17")
        read = corrections.get(session, platform.id, known[2].id)
        of_event = corrections.of_event(session, platform.id, "app", "e-1")
        acts = [one for one in trail.listing(session, platform.id, limit=500) if one.actor_id == "k-1"]
    assert [("replace", "e-1"), ("void", "e-2"), ("void", "e-1")] == [
        (one.kind, one.event_id) for one in known
    ]
    assert ([known[1]], [known[1]], known[2]) == (page, of_day, read)
    assert [known[0], known[2]] == of_event
    assert [{"void": 1, "replace": 1}, {"void": 1, "replace": 0}] == [one.after for one in acts]


def test_a_correction_waits_for_a_seal_and_comes_after_its_cut(
    database: Database, lake: Lake, platform: Platform
) -> None:
    """Whoever gets the lock first decides: here the seal."""
    worlds.send(database, platform, on(16, "e-1"))
    made: list[Outcome] = []
    thread = threading.Thread(target=lambda: made.extend(correct(database, lake, platform, void())))
    with db.transaction(database) as session:
        seal_lock.exclude(session, platform.id)
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive()
        period = periods.get(session, platform.id, name_of(16), lock=True)
        cut_seq = compaction.newest_seq(session, platform.id)
        period = periods.advance(session, period, "sealed", actor=OPERATOR, now=NOW, cut_seq=cut_seq)
    thread.join()

    settled = sealing.settle(database, lake, platform, period, now=NOW)

    assert [("e-1", 1, "2026-11-16")] == counted(lake, settled)
    assert made[0].correction is not None
    assert made[0].correction.seq > cut_seq


def test_a_seal_waits_for_a_correction_in_flight(database: Database, lake: Lake, platform: Platform) -> None:
    """And then knows of it."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    sealed: list[periods.Period] = []
    thread = threading.Thread(target=lambda: sealed.append(worlds.seal(database, platform, name_of(16))))
    with db.transaction(database) as session:
        corrections.record(session, lake, platform, [void()], actor=KEY, now=NOW)
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive()
    thread.join()

    settled = sealing.settle(database, lake, platform, sealed[0], now=NOW)

    assert [("e-2", 1, "2026-11-16")] == counted(lake, settled)


def test_a_preview_knows_of_corrections(database: Database, lake: Lake, platform: Platform) -> None:
    """As the seal would; the correction is in the log as a batch without events."""
    worlds.send(database, platform, on(16, "e-1"), on(16, "e-2"))
    correct(database, lake, platform, void("e-1"), replace(16, "e-2", quantity=4))
    compaction.run(database, lake, platform.id, now=NOW)
    with db.transaction(database) as session:
        period = periods.get(session, platform.id, name_of(16))

    with sealing.preview(database, lake, platform, period) as seen:
        assert {"counted": 1, "late": 0, "duplicate": 0, "conflict": 0, "voided": 2} == seen.counts


# A model of the whole: events and corrections in any order, and which rows each seal counts.


@dataclass(frozen=True)
class Sent:
    """An event as the model sees it: what was sent, or what a correction put in its place."""

    day: int
    name: str
    quantity: int


@dataclass(frozen=True)
class Wish:
    """A correction: of a name, on a day or on any; a void where there is no quantity."""

    name: str
    day: int | None
    quantity: int | None


@dataclass
class Model:
    """Periods are days 16 to 21; the log holds events and corrections in one order."""

    log: list[tuple[int, Sent]] = field(default_factory=list)
    voids: dict[str, int] = field(default_factory=dict)
    replaced: dict[tuple[str, int], list[tuple[int, int]]] = field(default_factory=dict)
    """By name and day: the numbers and quantities of the replacements."""
    cuts: dict[int, int] = field(default_factory=dict)
    number: int = 0

    @property
    def window(self) -> range:
        oldest_open = next(day for day in range(16, 22) if day not in self.cuts)
        return range(oldest_open - 2, 22)

    def send(self, events: Sequence[Sent]) -> None:
        self.number += 1
        self.log += [(self.number, one) for one in events if one.day in self.window]

    def meant(self, wish: Wish) -> Sent | None:
        """Find the event that a wish is about."""
        rows = [one for _, one in self.log if one.name == wish.name]
        firsts = [
            next(other for other in rows if other.day >= one.day - 2)
            for one in rows
            if wish.day is None or one.day == wish.day
        ]
        return max(firsts, key=lambda one: one.day, default=None)

    def correct(self, wish: Wish) -> str:
        """Record a wish: `new`, `same` or `refused`."""
        meant = self.meant(wish)
        if meant is None or meant.day not in self.window:
            return "refused"
        if wish.quantity is None:
            if wish.name in self.voids:
                return "same"
            self.number += 1
            self.voids[wish.name] = self.number
            return "new"
        if wish.name in self.voids:
            return "refused"
        known = self.replaced.setdefault((wish.name, meant.day), [])
        if wish.quantity == (known[-1][1] if known else meant.quantity):
            return "same"
        self.number += 1
        known.append((self.number, wish.quantity))
        return "new"

    def settle(self, day: int) -> list[tuple[str, int, int]]:
        """Give name, quantity and day of each row that the seal of a day counts."""
        cut, cut_before = self.cuts[day], self.cuts.get(day - 1)
        reach = [row for row in self.log if row[1].day >= max(day - 2, 16) and row[0] <= cut]

        def is_own(one_day: int, number: int) -> bool:
            is_late = cut_before is not None and one_day in (day - 1, day - 2) and number > cut_before
            return one_day == day or is_late

        voided = {name for name, number in self.voids.items() if number <= cut}
        made, seen = [], set()
        for number, one in reach:
            if one.name in seen:
                continue
            seen.add(one.name)
            if not is_own(one.day, number) or one.name in voided:
                continue
            if not [n for n, _ in self.replaced.get((one.name, one.day), ()) if n <= cut]:
                made.append((one.name, one.quantity, one.day))
        for (name, its_day), known in self.replaced.items():
            holding = [(number, quantity) for number, quantity in known if number <= cut]
            if holding and name not in voided and is_own(its_day, holding[-1][0]):
                made.append((name, holding[-1][1], its_day))
        return sorted(made)


DAYS = st.integers(16, 20)
NAMES = st.sampled_from("abc")
EVENTS = st.builds(Sent, day=DAYS, name=NAMES, quantity=st.sampled_from([1, 1, -2]))
WISHES = st.builds(Wish, name=NAMES, day=st.none() | DAYS, quantity=st.none() | st.sampled_from([1, 3, 4]))
STEPS = st.lists(
    st.lists(EVENTS, min_size=1, max_size=5) | WISHES | WISHES | st.just("seal") | st.just("compact"),
    min_size=3,
    max_size=10,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
@example(steps=[[Sent(16, "a", 1)], "seal", Wish("a", None, 3), "seal", Wish("a", None, None), "seal"])
@example(steps=[[Sent(16, "a", 1)], Wish("a", None, None), [Sent(19, "a", 1)], "seal", "seal", "seal"])
@example(steps=[[Sent(16, "a", 1)], Wish("a", None, 3), "seal", Wish("a", 16, 4), Wish("a", 16, 1), "seal"])
def test_what_counts_is_what_the_model_says(
    database: Database, tmp_path: Path, steps: list[list[Sent] | Wish | str]
) -> None:
    """Any order of events, repeats, corrections, compactions and seals."""
    number = next(NUMBERS)
    platform, lake = daily(database, f"world-{number}"), worlds.lake_in(tmp_path / str(number))
    model, unsettled = Model(), iter(range(16, 21))
    for turn, step in enumerate([*steps, "seal", "seal", "seal", "seal", "seal"]):
        if step == "compact":
            compaction.run(database, lake, platform.id, now=NOW)
        elif step == "seal":
            day = next(unsettled, None)
            if day is not None:
                model.cuts[day] = model.number
                made = [(name, quantity, name_of(at)) for name, quantity, at in model.settle(day)]
                assert made == counted(lake, close(database, lake, platform, day))
        elif isinstance(step, Wish):
            assert model.correct(step) == wish(database, lake, platform, model, step)
        else:
            # A member that does not count keeps equal batches from being one and the same.
            events = [on(one.day, one.name, quantity=one.quantity, sequence=str(turn)) for one in step]
            worlds.send(database, platform, *events)
            model.send(step)


def wish(database: Database, lake: Lake, platform: Platform, model: Model, step: Wish) -> str:
    """Record a wish and say what became of it."""
    day_on = None if step.day is None else date(2026, 11, step.day)
    event = None
    if step.quantity is not None:
        meant = model.meant(step)
        day = meant.day if meant else 16
        event = msgspec.convert(on(day, step.name, quantity=step.quantity), Event)
    asked = Asked(source="app", event_id=step.name, reason="x", day_on=day_on, event=event)
    try:
        (outcome,) = correct(database, lake, platform, asked)
    except CorrectionRefused:
        return "refused"
    return "new" if outcome.is_new else "same"
