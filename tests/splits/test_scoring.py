"""Scoring: the SQL agrees with a person's arithmetic on every world, in any order, on any threads."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.core import digests
from service.events.lake import Stored
from service.events.manifest import LakeFile
from service.parties.contributions import Contribution
from service.rules.rulebook import Rulebook
from service.splits import scoring
from service.splits.scoring import Origin, Score
from tests.splits import lakes, model
from tests.splits.model import DAY, PERIOD, START, Event, contribution, rulebook
from tests.splits.worlds import EVENTS, declarations, rulebooks


def score(
    rule: Rulebook,
    files: Sequence[Sequence[Event]],
    contributions: Sequence[Contribution] = (),
    *,
    threads: int = 2,
) -> list[Score]:
    """Write each list of events as a file and score the period."""
    with tempfile.TemporaryDirectory() as folder:
        locations = [
            lakes.write(events, Path(folder) / f"{number}.parquet") for number, events in enumerate(files)
        ]
        origin = Origin(
            period_id=PERIOD, rulebook=rule, contributions=contributions, locations=tuple(locations)
        )
        return scoring.score(lakes.engine(Path(folder), threads=threads), [origin])


def points_of(scores: Sequence[Score]) -> dict[str, Fraction]:
    return {one.creator_id: Fraction(one.points_e4, 10_000) for one in scores}


def excluded_of(one: Score) -> dict[str, int]:
    return {
        clause: sum(line["events"] for line in lines.values())
        for clause, lines in one.walk["excluded"].items()
    }


@settings(max_examples=80)
@given(rulebooks(), EVENTS, declarations())
@example(rulebook(), [Event(creator="an", quantity=2**63 - 1, actor="u1")], [])
@example(rulebook(), [Event(creator="an", quantity=-(2**63), type="like")], [])
def test_the_sql_agrees_with_arithmetic_by_hand(
    rule: Rulebook, events: list[Event], contributions: list[Contribution]
) -> None:
    """Points and the number of events that each clause leaves out are those of the model, in fractions."""
    expected = model.points(rule, events, contributions)

    actual = score(rule, [events], contributions)

    assert {maker: one.points for maker, one in expected.items()} == points_of(actual)
    assert {maker: one.excluded for maker, one in expected.items()} == {
        one.creator_id: excluded_of(one) for one in actual
    }


@settings(max_examples=25)
@given(rulebooks(), EVENTS, declarations(), st.sets(st.integers(0, 25)))
def test_what_is_void_is_as_if_it_had_not_been_counted(
    rule: Rulebook, events: list[Event], contributions: list[Contribution], places: set[int]
) -> None:
    """Rows from before a correction are left out, with every cap as it would be; later rows stay."""
    standing = [one for place, one in enumerate(events) if place not in places]
    with tempfile.TemporaryDirectory() as folder:
        origin = Origin(
            period_id=PERIOD,
            rulebook=rule,
            contributions=contributions,
            locations=[lakes.write(events, Path(folder) / "all.parquet")],
        )
        engine = lakes.engine(Path(folder))

        # The rows are of batch 1: a correction of batch 2 comes after them, one of batch 1 does not.
        voided = replace(origin, voided=[(lakes.identity(place), 2) for place in sorted(places)])
        too_early = replace(origin, voided=[(lakes.identity(place), 1) for place in sorted(places)])
        assert score(rule, [standing], contributions) == scoring.score(engine, [voided])
        assert scoring.score(engine, [origin]) == scoring.score(engine, [too_early])


@settings(max_examples=25)
@given(rulebooks(), EVENTS, declarations(), st.randoms(use_true_random=False), st.integers(0, 25))
def test_the_order_of_the_rows_the_files_and_the_threads_change_nothing(
    rule: Rulebook, events: list[Event], contributions: list[Contribution], random: object, cut: int
) -> None:
    """The same events in another order, in two files, on one thread: the same scores and walks."""
    shuffled, declared = list(events), list(contributions)
    random.shuffle(shuffled)
    random.shuffle(declared)

    expected = score(rule, [events], contributions)

    assert expected == score(rule, [shuffled[:cut], shuffled[cut:]], declared, threads=1)


@settings(max_examples=25)
@given(rulebooks(), EVENTS, declarations())
def test_a_walk_adds_up_to_the_points(
    rule: Rulebook, events: list[Event], contributions: list[Contribution]
) -> None:
    """Counted points and what the clauses changed make the total; what caps change is a loss, zero a gain."""
    for one in score(rule, [events], contributions):
        counted = sum(int(line["points_e4"]) for line in one.walk["counted"].values())
        changed = {clause: int(moved_e4) for clause, moved_e4 in one.walk["changed"].items()}

        assert one.points_e4 == counted + sum(changed.values())
        assert changed.get("caps", -1) < 0 < changed.get("below_zero", 1)
        assert one.points_e4 >= 0


def test_a_walk_tells_events_quantity_and_points_by_type() -> None:
    """One creator's story: two types counted, the cap, self-engagement and an unnamed type left out."""
    rule = rulebook(caps={"actor_creator_day_points": 5})
    events = [
        Event(creator="an", actor="u1", quantity=4),
        Event(creator="an", actor="u1", type="like"),
        Event(creator="an", actor="an", type="like"),
        Event(creator="an", actor="u1", type="poke"),
    ]
    like = {"events": 1, "quantity": "1", "points_e4": "30000"}

    (actual,) = score(rule, [events])

    expected = {
        "counted": {"view": {"events": 1, "quantity": "4", "points_e4": "40000"}, "like": like},
        "excluded": {
            "self_engagement": {"like": like},
            "weights": {"poke": {"events": 1, "quantity": "1", "points_e4": "0"}},
        },
        "changed": {"caps": "-20000"},
    }
    assert Score("an", PERIOD, 50_000, expected) == actual


@pytest.mark.parametrize(("day", "expected"), [(0, 5), (1, 8)])
def test_the_cap_is_for_one_day(day: int, expected: int) -> None:
    """Four and four from one actor are five on one day, and all eight on two days."""
    rule = rulebook(caps={"actor_creator_day_points": 5})
    events = [
        Event(creator="an", actor="u1", quantity=4),
        Event(creator="an", actor="u1", quantity=4, at=START + DAY * day),
    ]

    assert {"an": expected} == points_of(score(rule, [events]))


def test_the_cap_is_for_one_creator_of_a_content() -> None:
    """Eight points shared by two contributors are four for each, and under a cap of five."""
    rule = rulebook(caps={"actor_creator_day_points": 5})
    events = [Event(creator="an", content="c1", actor="u1", quantity=8)]
    contributions = [contribution("c1", "bình", 5_000), contribution("c1", "chi", 5_000)]

    assert {"bình": 4, "chi": 4} == points_of(score(rule, [events], contributions))


@pytest.mark.parametrize(
    ("taken_back", "actor", "content", "expected"),
    [(3, "u1", "c1", 3), (9, "u1", "c1", 1), (9, None, "c1", 5), (9, None, "c2", 1)],
)
def test_corrections_stop_at_zero_for_each_giver(
    taken_back: int, actor: str | None, content: str, expected: int
) -> None:
    """u1 gave five and the nameless viewers of c2 one: nobody's correction takes another's points."""
    events = [
        Event(creator="an", actor="u1", content="c1", quantity=5),
        Event(creator="an", content="c2", quantity=1),
        Event(creator="an", actor=actor, content=content, quantity=-taken_back, at=START + DAY),
    ]
    expected = {"u1": max(5 - taken_back, 0) + 1, None: 5 + (0 if content == "c2" else 1)}[actor]

    assert {"an": expected} == points_of(score(rulebook(), [events]))


@pytest.mark.parametrize(("offset", "expected"), [(-1, {"an": 1}), (0, {"bình": 1}), (1, {"chi": 1})])
def test_contributors_are_those_of_the_instant(offset: int, expected: dict[str, int]) -> None:
    """A declaration holds from its instant on, up to and without the next one's."""
    noon = START + timedelta(hours=12)
    contributions = [
        contribution("c1", "bình", 10_000, noon, noon + timedelta(microseconds=1)),
        contribution("c1", "chi", 10_000, noon + timedelta(microseconds=1)),
    ]
    events = [Event(creator="an", content="c1", at=noon + timedelta(microseconds=offset))]

    assert expected == points_of(score(rulebook(), [events], contributions))


@pytest.mark.parametrize(("quantity", "expected"), [(10**9, 10**9), (10**9 + 1, 0), (-(2**63), 0)])
def test_an_event_beyond_the_limit_is_left_out(quantity: int, expected: int) -> None:
    """A thousand million points count; one more, or what no product could hold, does not block the others."""
    events = [Event(creator="an", quantity=quantity)]

    (actual,) = score(rulebook(), [events])

    assert expected == Fraction(actual.points_e4, 10_000)
    assert ({} if expected else {"event_limit": 1}) == excluded_of(actual)


@pytest.mark.parametrize("event_count", [9_000, 9_001])
def test_an_actor_beyond_the_limit_is_left_out(event_count: int) -> None:
    """Nine thousand events of a thousand million points are the limit; with one more, none of them counts."""
    events = [Event(creator="an", actor="u1", quantity=10**9)] * event_count + [
        Event(creator="an", actor="u2")
    ]
    is_within = event_count == 9_000

    (actual,) = score(rulebook(), [events])

    assert (event_count * 10**9 if is_within else 0) + 1 == Fraction(actual.points_e4, 10_000)
    assert ({} if is_within else {"actor_limit": event_count}) == excluded_of(actual)


def test_sums_beyond_64_bits_stay_exact(tmp_path: Path) -> None:
    """Events without an actor have no limit together: a million of the greatest are more than 2**63 e4."""
    greatest = lakes.write([Event(creator="an", quantity=10**9)] * 10_000, tmp_path / "greatest.parquet")
    one = lakes.write([Event(creator="an")], tmp_path / "one.parquet")
    origin = Origin(
        period_id=PERIOD, rulebook=rulebook(), contributions=(), locations=(*[greatest] * 100, one)
    )

    (actual,) = scoring.score(lakes.engine(tmp_path), [origin])

    assert (10**6 * 10**9 + 1) * 10_000 == actual.points_e4
    assert actual.points_e4 > 2**63


@pytest.mark.parametrize(("quantity", "expected"), [(999, 0), (1_000, 1_000)])
def test_fewer_than_the_minimum_points_are_none(quantity: int, expected: int) -> None:
    """999 of 1,000 are nothing, and the walk says which clause took them; 1,000 are all."""
    (actual,) = score(rulebook(minimum_points=1_000), [[Event(creator="an", quantity=quantity)]])

    assert expected == Fraction(actual.points_e4, 10_000)
    assert ({} if expected else {"minimum_points": "-9990000"}) == actual.walk["changed"]


def test_a_period_without_events_has_no_scores(tmp_path: Path) -> None:
    """No files, and a file with events of another period only, give nothing."""
    other = [Event(creator="an", origin_period_id="2026-09")]
    empty = Origin(period_id=PERIOD, rulebook=rulebook(), contributions=(), locations=())

    assert [] == scoring.score(lakes.engine(tmp_path), [empty])
    assert [] == score(rulebook(), [other])


def test_contributions_that_make_no_whole_are_refused() -> None:
    """A content whose shares make 9,999 basis points would lose points on the way."""
    with pytest.raises(AssertionError, match="whole"):
        score(rulebook(), [[Event(creator="an")]], [contribution("c1", "an", 9_999)])


def late(rule: Rulebook, settled: Sequence[Event], added: Sequence[Event]) -> list[Score]:
    """Score the late events of a period of which others are settled."""
    with tempfile.TemporaryDirectory() as folder:
        before = lakes.write(settled, Path(folder) / "before.parquet")
        after = lakes.write(added, Path(folder) / "after.parquet")
        origin = Origin(
            period_id=PERIOD,
            rulebook=rule,
            contributions=(),
            locations=(before, after),
            settled_locations=(before,),
        )
        return scoring.score(lakes.engine(Path(folder)), [origin])


@settings(max_examples=25)
@given(rulebooks(), EVENTS, EVENTS)
def test_late_events_count_for_what_they_add(
    rule: Rulebook, settled: list[Event], added: list[Event]
) -> None:
    """Points of all events of the period, less those of the settled ones; who did not change is not there."""
    before, after = model.points(rule, settled), model.points(rule, [*settled, *added])
    deltas = {
        maker: one.points - (before[maker].points if maker in before else 0) for maker, one in after.items()
    }
    touched = {one.creator for one in added if one.origin_period_id == PERIOD}

    actual = late(rule, settled, added)

    assert {maker: deltas[maker] for maker in sorted(touched)} == points_of(actual)


def test_late_events_are_capped_with_the_settled_ones_of_their_day() -> None:
    """Four of a cap of five are settled: of four late ones, one counts, and the walk shows all of them."""
    rule = rulebook(caps={"actor_creator_day_points": 5})
    event = Event(creator="an", actor="u1", quantity=4)

    actual = late(rule, [event], [event])

    view = {"events": 1, "quantity": "4", "points_e4": "40000"}
    walk = {"counted": {"view": view}, "excluded": {}, "changed": {"caps": "-30000"}}
    assert [Score("an", PERIOD, 10_000, walk)] == actual


def test_a_late_correction_takes_points_back() -> None:
    """Five are settled and two are taken back late: the score is two below zero."""
    event = Event(creator="an", actor="u1", quantity=5)

    (actual,) = late(rulebook(), [event], [replace(event, quantity=-2)])

    assert -20_000 == actual.points_e4


def test_late_events_can_lift_a_creator_over_the_minimum() -> None:
    """With 900 of 1,000 nothing was earned; 200 late ones earn all 1,100."""
    event = Event(creator="an", actor="u1", quantity=900)

    (actual,) = late(rulebook(minimum_points=1_000), [event], [replace(event, quantity=200)])

    assert 1_100 == Fraction(actual.points_e4, 10_000)


def test_the_inputs_name_what_recomputes_the_points(tmp_path: Path) -> None:
    """Engine, statement, rulebook, contributions and files, each with its digest, as JSON."""
    rule = rulebook()
    stored = Stored("sen/counted/2026-10/ab.parquet", 10, b"\xab" * 32)
    file = LakeFile(
        platform_id="sen",
        stored=stored,
        kind="counted",
        day_on=None,
        period_id=PERIOD,
        run_id=None,
        row_count=7,
        seq_first=0,
        seq_last=1,
    )
    origin = Origin(
        period_id=PERIOD,
        rulebook=rule,
        contributions=[contribution("c1", "an", 10_000)],
        locations=("/lake/x",),
    )

    actual = scoring.inputs(lakes.engine(tmp_path), [origin], {"/lake/x": file})

    (one,) = actual["origins"]
    assert actual["engine"].startswith("duckdb ")
    assert [{"path": stored.path, "sha256": "ab" * 32, "row_count": 7, "is_settled": False}] == one["files"]
    assert digests.sha256_hex(scoring.statement("pro_rata").encode()) == one["statement_sha256"]
    assert actual == json.loads(digests.canonical_json(actual))


def test_the_inputs_name_what_was_left_out_as_void(tmp_path: Path) -> None:
    """How many identities, and their digest; nothing where there are none."""
    origin = Origin(period_id=PERIOD, rulebook=rulebook(), contributions=[], locations=())
    voided = [replace(origin, voided=[(lakes.identity(place), 2)]) for place in (1, 2)]

    none, one, other = (
        scoring.inputs(lakes.engine(tmp_path), [each], {})["origins"][0] for each in (origin, *voided)
    )

    assert "voided_count" not in none
    assert 1 == one["voided_count"] == other["voided_count"]
    assert one["voided_sha256"] != other["voided_sha256"]


def test_other_contributions_have_another_digest(tmp_path: Path) -> None:
    """The digest covers every field, and not the order of the declarations."""
    both = [contribution("c1", "an", 4_000), contribution("c1", "chi", 6_000)]
    changed = [both[0], replace(both[1], until_at=START + DAY)]

    def digest(rows: Sequence[Contribution]) -> str:
        origin = Origin(period_id=PERIOD, rulebook=rulebook(), contributions=rows, locations=())
        return scoring.inputs(lakes.engine(tmp_path), [origin], {})["origins"][0]["contributions_sha256"]

    assert digest(both) == digest(both[::-1])
    assert digest(both) != digest(changed)
