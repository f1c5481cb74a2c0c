"""The equation: whatever was sent has one verdict, the verdicts add up, and what counts is what should.

Random batches, repeats, conflicts, late events, rejected items, compactions and closes, beside a small model
in plain Python. After each close: counted + filtered + late + duplicate + conflict + rejected = sent, as the
periods, the batches and the look-ups of single events tell it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from service.calendar import periods
from service.closing import stages
from service.closing.tools import Tools
from service.events import batch_verdicts, compaction, intake, verdicts
from service.events.verdicts import EventUnknown
from service.parties.platforms import Platform
from service.rules import registry
from service.runtime import db
from service.runtime.db import Database
from tests.world import LAN, event, founded_platform, tools_in

FIRST = datetime(2026, 11, 16, 1, tzinfo=UTC)
SENT_AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
CLOSED_AT = datetime(2026, 11, 22, tzinfo=UTC)
DAYS = range(16, 19)
CREATORS = ("an", "binh")
NUMBERS = count()


@dataclass(frozen=True)
class Sent:
    """An event as the model sees it."""

    day: int
    name: str
    kind: str = "view"
    creator: str = "an"
    actor: str = "u-1"

    def as_event(self) -> dict[str, Any]:
        at = datetime(2026, 11, self.day, 5, tzinfo=UTC)
        return event(self.name, self.kind, at, self.creator, actor=self.actor)

    @property
    def is_known(self) -> bool:
        """Whether the platform knows its type and its creator."""
        return self.kind != "poke" and self.creator in CREATORS

    @property
    def is_left_out(self) -> bool:
        """Whether the rulebook leaves it out: it names no comments, and nobody counts for themselves."""
        return self.kind == "comment" or self.actor == self.creator


@dataclass
class Model:
    """What was sent, and the verdict of every item, by batch and position."""

    sent: dict[tuple[int, int], Sent] = field(default_factory=dict)
    told: dict[tuple[int, int], str] = field(default_factory=dict)
    bodies: set[tuple[Sent, ...]] = field(default_factory=set)
    batches: list[UUID] = field(default_factory=list)
    cuts: dict[int, int] = field(default_factory=dict)

    def send(self, events: tuple[Sent, ...], batch_id: UUID) -> None:
        self.bodies.add(events)
        self.batches.append(batch_id)
        oldest_open = next(day for day in (*DAYS, 19) if day not in self.cuts)
        for position, one in enumerate(events):
            place = (len(self.batches), position)
            self.sent[place] = one
            self.told[place] = "accepted" if one.is_known and one.day >= oldest_open - 2 else "rejected"

    def close(self, day: int) -> Counter[str]:
        """Settle a day and what came late for the two days before it; count the verdicts."""
        self.cuts[day] = len(self.batches)
        cut_before = self.cuts.get(day - 1)
        taken = sorted(place for place, verdict in self.told.items() if verdict != "rejected")
        reach = [place for place in taken if self.sent[place].day >= day - 2]
        first: dict[str, tuple[int, int]] = {}
        for place in reach:
            first.setdefault(self.sent[place].name, place)
        counts: Counter[str] = Counter()
        for place in reach:
            one = self.sent[place]
            is_late = cut_before is not None and day - 2 <= one.day < day and place[0] > cut_before
            if one.day == day or is_late:
                self.told[place] = self._verdict(
                    one, place, first[one.name], "late" if is_late else "counted"
                )
                counts[self.told[place]] += 1
        return counts

    def _verdict(self, one: Sent, place: tuple[int, int], first: tuple[int, int], plain: str) -> str:
        if place != first:
            return "duplicate" if self.sent[first] == one else "conflict"
        return "filtered" if one.is_left_out else plain


def world(database: Database, folder: Path) -> tuple[Tools, Platform]:
    """Found a platform with daily periods, whose rule counts views and likes and waits for nobody."""
    document = registry.founding_document() | {"grace_h": 0}
    document["weights"] = {"view": 1, "like": 3}
    name = f"world-{next(NUMBERS)}"
    with db.transaction(database) as session:
        platform = founded_platform(
            session, name, now=FIRST, creator_ids=CREATORS, period_unit="day", document=document
        )
        periods.ensure_current(session, platform, SENT_AT)
    return tools_in(database, folder / name), platform


def send(tools: Tools, platform: Platform, model: Model, events: Sequence[Sent]) -> None:
    """Send a batch; the same bytes again append nothing."""
    body = json.dumps([one.as_event() for one in events]).encode()
    kind = "application/cloudevents-batch+json"
    with db.transaction(tools.database) as session:
        receipt = intake.receive(session, platform, body, kind, channel="http", now=SENT_AT)
    assert receipt.is_replay == (tuple(events) in model.bodies)
    if not receipt.is_replay:
        model.send(tuple(events), receipt.batch_id)


def close(tools: Tools, platform: Platform, model: Model, day: int) -> None:
    """Close a day; the period says how many events its seal settled, by verdict."""
    period_id = f"2026-11-{day}"
    stages.close(tools, platform.id, period_id, actor=LAN, now=CLOSED_AT)

    expected = model.close(day)
    with db.transaction(tools.database) as session:
        steps = {one.state: one for one in periods.steps(session, platform.id, period_id)}
    told = steps["scored"].detail["verdicts"]
    assert expected == Counter({verdict: number for verdict, number in told.items() if number})


def check_batches(tools: Tools, platform: Platform, model: Model) -> Counter[str]:
    """Hold the verdict of every item of every batch to the model; add them up."""
    totals: Counter[str] = Counter()
    for number, batch_id in enumerate(model.batches, start=1):
        found = batch_verdicts.look_up(tools.database, tools.lake, platform, batch_id)
        assert [one.index for one in found.items] == list(range(found.head.item_count))
        actual = {(number, one.index): one.standing.verdict for one in found.items}
        assert actual == {place: verdict for place, verdict in model.told.items() if place[0] == number}
        assert Counter(actual.values()) == found.counts
        totals.update(found.counts)
    return totals


def check_events(tools: Tools, platform: Platform, model: Model) -> None:
    """Hold every occurrence of every event to the model, day by day, in the order of the log."""
    numbers = {batch_id: number for number, batch_id in enumerate(model.batches, start=1)}
    for name in sorted({one.name for one in model.sent.values()}):
        for day in DAYS:
            expected = [
                (*place, model.told[place])
                for place, one in sorted(model.sent.items())
                if (one.name, one.day) == (name, day) and model.told[place] != "rejected"
            ]
            rejected = [
                place
                for place, one in sorted(model.sent.items())
                if (one.name, one.day) == (name, day) and model.told[place] == "rejected"
            ]
            on = date(2026, 11, day)
            if not expected and not rejected:
                with pytest.raises(EventUnknown):
                    verdicts.look_up(tools.database, tools.lake, platform, "app", name, day=on)
                continue
            found = verdicts.look_up(tools.database, tools.lake, platform, "app", name, day=on)
            assert rejected == sorted(
                (numbers[one.batch_id], one.position) for one in found.rejections if one.batch_id
            )
            assert expected == [
                (numbers[one.place.batch_id], one.place.index, one.standing.verdict)
                for one in found.occurrences
            ]
            assert all(
                one.sent is not None and (one.sent.creator, one.sent.actor) == (it.creator, it.actor)
                for one, it in (
                    (one, model.sent[numbers[one.place.batch_id], one.place.index])
                    for one in found.occurrences
                )
            )


EVENTS = st.builds(
    Sent,
    day=st.sampled_from(DAYS),
    name=st.sampled_from("abcd"),
    kind=st.sampled_from(["view", "view", "view", "like", "comment", "poke"]),
    creator=st.sampled_from(["an", "an", "binh", "nobody"]),
    actor=st.sampled_from(["u-1", "u-1", "u-2", "an"]),
)
STEPS = st.lists(
    st.lists(EVENTS, min_size=1, max_size=7) | st.sampled_from(["close", "compact"]), min_size=3, max_size=9
)


@settings(
    max_examples=4,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
@example(
    steps=[
        [
            Sent(16, "a"),
            Sent(16, "a"),
            Sent(16, "b", actor="an"),
            Sent(17, "a"),
            Sent(18, "c", kind="comment"),
        ],
        "close",
        [Sent(16, "d"), Sent(16, "b"), Sent(16, "c", kind="comment"), Sent(17, "d", kind="poke")],
        "compact",
        "close",
        [Sent(16, "d"), Sent(16, "e"), Sent(17, "f"), Sent(18, "g")],
    ]
)
def test_every_event_has_one_verdict_and_they_add_up(
    database: Database, tmp_path: Path, steps: list[list[Sent] | str]
) -> None:
    """As the periods, the batches and the look-ups tell it, whatever happened in which order."""
    (tools, platform), model, days = world(database, tmp_path), Model(), iter(DAYS[:-1])
    for step in steps:
        if isinstance(step, list):
            send(tools, platform, model, step)
        elif step == "compact":
            compaction.run(database, tools.lake, platform.id, now=SENT_AT)
        elif (day := next(days, None)) is not None:
            close(tools, platform, model, day)
    check_batches(tools, platform, model)
    check_events(tools, platform, model)

    for day in DAYS[len(model.cuts) :]:
        close(tools, platform, model, day)

    totals = check_batches(tools, platform, model)
    assert totals == Counter(model.told.values())
    assert "accepted" not in totals, "every period is settled"
    assert sum(totals.values()) == len(model.sent), "the replayed batches count once"
    check_events(tools, platform, model)
    assert counted_rows(tools, platform) == counted_of(model)


def counted_rows(tools: Tools, platform: Platform) -> Counter[tuple[str, str, int]]:
    """Add up from the splits how many events counted, by creator, type and day."""
    from service.splits import shares

    found: Counter[tuple[str, str, int]] = Counter()
    for day in DAYS:
        with db.transaction(tools.database) as session:
            made = shares.of_period(session, platform.id, f"2026-11-{day}")
        for one in made:
            lines: Mapping[str, Any] = one.walk.get("counted", {})
            for kind, line in lines.items():
                if line["events"]:
                    found[one.party_id, kind, int(one.origin_period_id[-2:])] += line["events"]
    return found


def counted_of(model: Model) -> Counter[tuple[str, str, int]]:
    """Add up the same from the model."""
    return Counter(
        (one.creator, one.kind, one.day)
        for place, one in model.sent.items()
        if model.told[place] in {"counted", "late"}
    )


def test_a_look_up_across_a_zone_s_midnight_is_of_the_local_day(database: Database, tmp_path: Path) -> None:
    """An event of 23:59:59.999999 is one of that day, and of no other."""
    tools, platform = world(database, tmp_path)
    last = datetime(2026, 11, 16, 17, tzinfo=UTC) - timedelta(microseconds=1)
    with db.transaction(database) as session:
        body = json.dumps([event("e-1", "view", last, "an")]).encode()
        intake.receive(
            session, platform, body, "application/cloudevents-batch+json", channel="http", now=SENT_AT
        )

    for is_compacted in (False, True):
        if is_compacted:
            compaction.run(database, tools.lake, platform.id, now=SENT_AT)
        found = verdicts.look_up(database, tools.lake, platform, "app", "e-1", day=date(2026, 11, 16))
        assert ("lake" if is_compacted else "log") == found.occurrences[0].standing.waits_in
        for other in (15, 17):
            with pytest.raises(EventUnknown):
                verdicts.look_up(database, tools.lake, platform, "app", "e-1", day=date(2026, 11, other))
