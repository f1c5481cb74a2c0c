"""Division: the laws of shares, on random pools, rules and scores."""

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rules import registry
from service.rules import rulebook as rulebooks
from service.rules.rulebook import Rulebook
from service.splits import methods
from service.splits.methods import Share
from service.splits.scoring import Score

FOUNDING = rulebooks.load(registry.founding_document())
PERIOD = "2026-10"
ORIGINS = ("2026-08", "2026-09", PERIOD)
WALK: Mapping[str, object] = {"changed": {}, "counted": {}, "excluded": {}}
a_thousand_times = settings(max_examples=1000)

POOLS = st.integers(0, 40) | st.integers(0, 10**15)
POINTS = st.integers(-3, 5) | st.integers(-(10**6), 10**24)
SCORES = st.dictionaries(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(ORIGINS)), POINTS, max_size=8
).map(lambda points: [Score(name, origin, e4, WALK) for (name, origin), e4 in points.items()])


def rule(
    creators: int = 7_000,
    platform: int = 3_000,
    parent: int = 0,
    partners: Mapping[str, int] | None = None,
    unearned_to: str = "unallocated",
) -> Rulebook:
    return replace(
        FOUNDING,
        creators_bp=creators,
        platform_bp=platform,
        parent_bp=parent,
        partners_bp=partners or {},
        unearned_to=unearned_to,
    )


@st.composite
def rules(draw: st.DrawFn) -> Rulebook:
    """Any division of 10,000 basis points among creators, platform, parent and two partners."""
    cuts = sorted(draw(st.lists(st.integers(0, 10_000) | st.just(0), min_size=4, max_size=4)))
    bounds = [0, *cuts, 10_000]
    creators, platform, parent, red, green = (bounds[index + 1] - bounds[index] for index in range(5))
    partners = {name: share_bp for name, share_bp in (("red", red), ("green", green)) if share_bp}
    return rule(creators, platform, parent, partners, draw(st.sampled_from(rulebooks.UNEARNED_TO)))


def divide(pool_minor: int, points: Sequence[Score], by: Rulebook, period_id: str = PERIOD) -> list[Share]:
    return methods.divide(
        platform_id="sen",
        period_id=period_id,
        pool_minor=pool_minor,
        points=points,
        rulebook=by,
        seed=methods.seed_of("sen", period_id),
        has_parent="hoa",
    )


def quotas(pool_minor: int, shares: Sequence[Share], by: Rulebook) -> list[Fraction]:
    """Compute the exact part of each share from its points, in fractions."""
    bp = {"platform": by.platform_bp, "parent": by.parent_bp, "unearned": by.creators_bp}
    total = sum(one.points_e4 for one in shares)
    parts = []
    for one in shares:
        if one.party_kind == "creator":
            part = Fraction(by.creators_bp * one.points_e4, 10_000 * total) if total else Fraction(0)
        else:
            part = Fraction(bp.get(one.party_kind) or by.partners_bp.get(one.party_id, 0), 10_000)
        parts.append(pool_minor * part)
    return parts


@a_thousand_times
@given(POOLS, SCORES, rules())
def test_the_shares_sum_exactly_to_the_pool(pool_minor: int, points: list[Score], by: Rulebook) -> None:
    """Law: no minor unit is created, and none is lost."""
    assert pool_minor == sum(one.amount_minor for one in divide(pool_minor, points, by))


@a_thousand_times
@given(POOLS, SCORES, rules())
def test_each_share_is_the_floor_or_the_ceiling_of_its_quota(
    pool_minor: int, points: list[Score], by: Rulebook
) -> None:
    """Law: nobody is a whole unit from the exact part, so none is below zero; no points, no money."""
    shares = divide(pool_minor, points, by)

    for one, quota in zip(shares, quotas(pool_minor, shares, by), strict=True):
        assert one.amount_minor in {math.floor(quota), math.ceil(quota)}


@a_thousand_times
@given(POOLS, SCORES, rules(), st.randoms(use_true_random=False))
def test_the_order_of_the_scores_changes_nothing(
    pool_minor: int, points: list[Score], by: Rulebook, random: object
) -> None:
    """Law: the same scores in another order, the same shares."""
    shuffled = list(points)
    random.shuffle(shuffled)

    assert divide(pool_minor, points, by) == divide(pool_minor, shuffled, by)


@a_thousand_times
@given(POOLS, SCORES, rules())
def test_dividing_again_by_the_shares_own_points_changes_nothing(
    pool_minor: int, points: list[Score], by: Rulebook
) -> None:
    """Law: whoever reads the shares can divide the pool anew and finds the same."""
    shares = divide(pool_minor, points, by)

    assert shares == divide(pool_minor, methods.scores_of(shares), by)


@a_thousand_times
@given(SCORES, rules())
def test_what_is_taken_back_stays_with_its_creator_and_stops_at_zero(
    points: list[Score], by: Rulebook
) -> None:
    """Law: a creator takes part with the sum of its scores, or with none if that is below zero."""
    shares = divide(1_000, points, by)

    for creator_id in {one.creator_id for one in points}:
        scored_e4 = sum(one.points_e4 for one in points if one.creator_id == creator_id)
        lines = [one for one in shares if one.party_kind == "creator" and one.party_id == creator_id]
        assert max(scored_e4, 0) == sum(one.points_e4 for one in lines)
        assert all(one.points_e4 >= 0 for one in lines)


@a_thousand_times
@given(POOLS, SCORES, rules())
def test_where_nobody_has_points_the_creators_part_has_a_line(
    pool_minor: int, points: list[Score], by: Rulebook
) -> None:
    """Law: there is an unearned line exactly if there is something for creators and nobody earned."""
    shares = divide(pool_minor, points, by)
    unearned = [one.party_id for one in shares if one.party_kind == "unearned"]
    is_earned = any(one.points_e4 for one in shares)

    assert ([by.unearned_to] if by.creators_bp and not is_earned else []) == unearned


def test_a_pool_is_divided_once_over_all_its_parties() -> None:
    """1,001 of 60, 20, 10 and 10 percent: the two creators, the platform, its parent and a partner."""
    by = rule(creators=6_000, platform=2_000, parent=1_000, partners={"red": 1_000})
    points = [Score("a", PERIOD, 10_000, WALK), Score("b", PERIOD, 30_000, WALK)]

    actual = divide(1_001, points, by)

    # 200.2, 100.1, 100.1, 150.15 and 450.45: the unit left goes to b, whose fraction is the largest.
    assert [
        Share("platform", "sen", PERIOD, 0, 200, {"share_bp": 2_000}),
        Share("parent", "hoa", PERIOD, 0, 100, {"share_bp": 1_000}),
        Share("partner", "red", PERIOD, 0, 100, {"share_bp": 1_000}),
        Share("creator", "a", PERIOD, 10_000, 150, WALK),
        Share("creator", "b", PERIOD, 30_000, 451, WALK),
    ] == actual


def test_late_points_have_a_line_that_names_their_period() -> None:
    """A creator with points of two periods has two lines, each with its own amount."""
    points = [Score("a", "2026-09", 10_000, WALK), Score("a", PERIOD, 30_000, WALK)]

    actual = divide(400, points, rule(creators=10_000, platform=0))

    assert [("a", "2026-09", 100), ("a", PERIOD, 300)] == [
        (one.party_id, one.origin_period_id, one.amount_minor) for one in actual[1:]
    ]


def test_a_late_correction_takes_from_the_pools_own_period_first_and_then_from_the_latest() -> None:
    """Of seven points taken back, three come from October's, two from September's, and two are let go."""
    points = [
        Score("a", "2026-07", -70_000, WALK),
        Score("a", "2026-08", 0, WALK),
        Score("a", "2026-09", 20_000, WALK),
        Score("a", PERIOD, 30_000, WALK),
        Score("b", PERIOD, 10_000, WALK),
    ]

    actual = divide(1_000, points, rule(creators=10_000, platform=0))

    assert [
        Share("creator", "a", "2026-07", 0, 0, {**WALK, "scored_e4": "-70000"}),
        Share("creator", "a", "2026-08", 0, 0, WALK),
        Share("creator", "a", "2026-09", 0, 0, {**WALK, "scored_e4": "20000"}),
        Share("creator", "a", PERIOD, 0, 0, {**WALK, "scored_e4": "30000"}),
        Share("creator", "b", PERIOD, 10_000, 1_000, WALK),
    ] == actual[1:]


def test_a_correction_that_leaves_points_lowers_them() -> None:
    """Of three points, one taken back leaves two, and the walk keeps what was scored."""
    points = [Score("a", "2026-09", -10_000, WALK), Score("a", PERIOD, 30_000, WALK)]

    actual = divide(1_000, points, rule())

    assert Share("creator", "a", PERIOD, 20_000, 700, {**WALK, "scored_e4": "30000"}) == actual[-1]


@pytest.mark.parametrize("unearned_to", rulebooks.UNEARNED_TO)
def test_what_nobody_earned_goes_where_the_rulebook_says(unearned_to: str) -> None:
    """700 of 1,000 are a line of their own, for the account that is unallocated or for the platform."""
    actual = divide(1_000, [Score("a", PERIOD, 0, WALK)], rule(unearned_to=unearned_to))

    assert [
        Share("platform", "sen", PERIOD, 0, 300, {"share_bp": 3_000}),
        Share("creator", "a", PERIOD, 0, 0, WALK),
        Share("unearned", unearned_to, PERIOD, 0, 700, {"share_bp": 7_000}),
    ] == actual


def test_an_empty_pool_gives_everybody_nothing() -> None:
    """The lines are there, so that everybody sees the zero."""
    actual = divide(0, [Score("a", PERIOD, 10_000, WALK)], rule())

    assert [("platform", 0), ("creator", 0)] == [(one.party_kind, one.amount_minor) for one in actual]


def test_a_deficit_is_not_divided() -> None:
    """A pool below zero is carried; dividing it is a mistake of the caller."""
    with pytest.raises(AssertionError, match="not negative"):
        divide(-1, [], rule())


def test_a_parents_part_needs_a_parent() -> None:
    """A rulebook that gives to a parent cannot divide where there is none."""
    with pytest.raises(AssertionError, match="parent"):
        methods.divide(
            platform_id="sen",
            period_id=PERIOD,
            pool_minor=10,
            points=[],
            rulebook=rule(platform=2_000, parent=1_000),
            seed=b"",
            has_parent=None,
        )


def test_ties_are_drawn_anew_each_period() -> None:
    """One unit among two equal creators does not go to the same one in every period."""
    points = [Score(name, PERIOD, 10_000, WALK) for name in "ab"]
    by = rule(creators=10_000, platform=0)

    winners = {
        next(one.party_id for one in divide(1, points, by, period_id) if one.amount_minor)
        for period_id in (f"2026-{month:02}" for month in range(1, 13))
    }

    assert {"a", "b"} == winners


def test_the_seed_is_the_digest_of_platform_and_period() -> None:
    """Anyone can recompute it: SHA-256 over both names, each after its length."""
    frame = b"".join(struct.pack(">Q", len(part)) + part for part in (b"sen", b"2026-10"))

    assert hashlib.sha256(frame).digest() == methods.seed_of("sen", "2026-10")
