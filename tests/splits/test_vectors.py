"""Published examples, from events to amounts: scored by the engine, divided once.

Sources: TV-01 AfterDawn, March 2021 (inputs); TV-03 somerandomnerd.net, 2015; TV-04 T. Hesse, 2021; TV-06
K. Soni, 2024; TV-12 and TV-13 the engine of Minds (its rule before and after 17 September 2021); TV-17
Spotify's threshold; TV-23 the beneficiaries of Steem. Where they print rounded numbers, the exact ones stand
here.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from service.parties.contributions import Contribution
from service.rules.rulebook import Rulebook
from service.splits import methods, scoring
from service.splits.methods import Share
from service.splits.scoring import Origin
from tests.splits import lakes
from tests.splits.model import PERIOD, Event, contribution, rulebook


def split(
    folder: Path,
    pool_minor: int,
    events: Sequence[Event],
    rule: Rulebook | None = None,
    contributions: Sequence[Contribution] = (),
) -> dict[str, int]:
    """Score events, divide a pool, and give the amounts by party, as far as they are not zero."""
    rule = rule or rulebook()
    location = lakes.write(events, folder / "counted.parquet")
    origin = Origin(period_id=PERIOD, rulebook=rule, contributions=contributions, locations=(location,))
    shares: list[Share] = methods.divide(
        platform_id="platform",
        period_id=PERIOD,
        pool_minor=pool_minor,
        points=scoring.score(lakes.engine(folder), [origin]),
        rulebook=rule,
        seed=methods.seed_of("platform", PERIOD),
        has_parent=None,
    )
    return {one.party_id: one.amount_minor for one in shares if one.amount_minor}


def plays(matrix: Mapping[str, Mapping[str, int]]) -> list[Event]:
    """One event for each listener and creator: {listener: {creator: plays}}."""
    return [
        Event(creator=creator, actor=listener, quantity=count)
        for listener, counts in matrix.items()
        for creator, count in counts.items()
    ]


AFTERDAWN = {"A": {"X": 100}, "B": {"Z": 50}, "C": {"X": 50, "Y": 50, "Z": 50}}
SEPARATING = {"1": {"a": 90, "b": 10}, "2": {"a": 5, "b": 5, "c": 10}, "3": {"b": 1, "c": 9}}


def test_tv_01_three_users_and_three_artists(tmp_path: Path) -> None:
    """30 euros by pro-rata: 15, 5 and 10."""
    assert {"X": 1_500, "Y": 500, "Z": 1_000} == split(tmp_path, 3_000, plays(AFTERDAWN))


def test_tv_01_with_seven_tenths_for_the_artists(tmp_path: Path) -> None:
    """The platform keeps 9 of 30 euros: 10.50, 3.50 and 7 remain."""
    rule = rulebook(shares_bp={"platform": 3_000, "parent": 0, "partners": {}, "creators": 7_000})

    actual = split(tmp_path, 3_000, plays(AFTERDAWN), rule)

    assert {"X": 1_050, "Y": 350, "Z": 700, "platform": 900} == actual


def test_tv_02_the_separating_matrix(tmp_path: Path) -> None:
    """285/13, 48/13 and 57/13 of a currency with cents: the largest fraction gets the cent that is left."""
    actual = split(tmp_path, 3_000, plays(SEPARATING))

    assert {"a": 2_192, "b": 369, "c": 439} == actual
    assert [math.floor(Fraction(100 * part, 13)) for part in (285, 48, 57)] == [2_192, 369, 438]


def test_tv_03_a_tie_does_not_make_a_penny(tmp_path: Path) -> None:
    """One play and 31 of 20 pounds, published as 20.01 in all: one of the two gets the penny, not both."""
    actual = split(tmp_path, 2_000, plays({"1": {"a": 1}, "2": {"b": 31}}))

    assert actual in ({"a": 63, "b": 1_937}, {"a": 62, "b": 1_938})


def test_tv_04_ten_plays_beside_three_thousand(tmp_path: Path) -> None:
    """12 dollars: 12/301 is 4 cents, and the rest is the rest."""
    assert {"a": 4, "b": 1_196} == split(tmp_path, 1_200, plays({"1": {"a": 10}, "2": {"b": 3_000}}))


def test_tv_06_fake_streams(tmp_path: Path) -> None:
    """Nine thousand fake streams beside ten thousand: the honest artist's 10 dollars become 100/19."""
    honest = {"1": {"honest": 1_000, "others": 9_000}}

    before = split(tmp_path, 10_000, plays(honest))
    after = split(tmp_path, 10_000, plays({**honest, "2": {"fraud": 9_000}}))

    assert {"honest": 1_000, "others": 9_000} == before
    assert {"honest": 526, "others": 4_737, "fraud": 4_737} == after


@pytest.mark.parametrize("count", [3, 7])
def test_tv_12_nothing_leaks(tmp_path: Path, count: int) -> None:
    """4,000 tokens with 8 decimals among 3 or 7 equals: parts differ by a unit, and their sum is the pool."""
    pool_minor = 4_000 * 10**8

    amounts = split(tmp_path, pool_minor, plays({"1": {f"u{index}": 1 for index in range(count)}})).values()

    assert pool_minor == sum(amounts)
    assert {pool_minor // count, pool_minor // count + 1} == set(amounts)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"vote": 1, "comment": 2, "remind": 4, "subscription": 4}, {"P": 2_064_516_129, "Q": 1_935_483_871}),
        ({"vote": 1}, {"P": 1_000_000_000, "Q": 3_000_000_000}),
    ],
)
def test_tv_13_a_change_of_rule(tmp_path: Path, weights: dict[str, int], expected: dict[str, int]) -> None:
    """Q has votes only: 64000/31 and 60000/31 by the old rule, 1,000 and 3,000 by the new one."""
    events = [
        Event(creator="P", type=name, quantity=quantity, actor="u")
        for name, quantity in (("vote", 10), ("comment", 5), ("remind", 2), ("subscription", 1))
    ] + [Event(creator="Q", type="vote", quantity=30, actor="u")]

    assert expected == split(tmp_path, 4_000_000_000, events, rulebook(weights=weights))


@pytest.mark.parametrize(
    ("minimum_points", "expected"),
    [
        (0, {"a": 2_997_000, "b": 3_000_000, "c": 294_003_000}),
        (1_000, {"b": 3_030_272, "c": 296_969_728}),
    ],
)
def test_tv_17_a_threshold(tmp_path: Path, minimum_points: int, expected: dict[str, int]) -> None:
    """300 dollars in millionths: who is below 1,000 streams gets nothing, and the others divide it."""
    events = plays({"1": {"a": 999, "b": 1_000, "c": 98_001}})

    assert expected == split(tmp_path, 300_000_000, events, rulebook(minimum_points=minimum_points))


def test_tv_23_beneficiaries(tmp_path: Path) -> None:
    """1,000 of a content with three contributors at a quarter each: the author's is a quarter too."""
    contributions = [contribution("c", name, 2_500) for name in ("author", "x", "y", "z")]

    actual = split(tmp_path, 1_000, [Event(creator="author", content="c")], contributions=contributions)

    assert {"author": 250, "x": 250, "y": 250, "z": 250} == actual
