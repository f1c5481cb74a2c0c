"""Apportionment: the laws of the division, published examples, and an independent model in fractions."""

import hashlib
import math
import struct
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from service.core.apportion import NothingToShareBy, apportion

SEED = b"2026-11"

# Few distinct small weights make ties; huge ones make quotas that no float could hold.
SIZES = st.integers(0, 4) | st.integers(0, 1000) | st.integers(0, 10**30)
POOLS = st.integers(0, 50) | st.integers(0, 10**15)
PARTIES = (
    st.dictionaries(st.text(max_size=4), SIZES, min_size=1, max_size=12)
    .filter(lambda sizes: sum(sizes.values()) > 0)
    .map(lambda sizes: list(sizes.items()))
)
SEEDS = st.binary(max_size=4)
a_thousand_times = settings(max_examples=1000, deadline=None)


def by_fractions(pool, weights, seed):
    """Largest remainder as a textbook words it, in exact fractions; it shares nothing with the code."""

    def lot(key):
        parts = (seed, key.encode())
        return hashlib.sha256(b"".join(struct.pack(">Q", len(part)) + part for part in parts)).hexdigest()

    total = sum(size for _, size in weights)
    quotas = {key: Fraction(pool * size, total) for key, size in weights}
    parts = {key: math.floor(quota) for key, quota in quotas.items()}
    queue = sorted(quotas, key=lambda key: (parts[key] - quotas[key], lot(key)))
    for key in queue[: pool - sum(parts.values())]:
        parts[key] += 1
    return [parts[key] for key, _ in weights]


def named(*sizes):
    """Weights for parties a, b, c and so on."""
    return [(chr(ord("a") + index), size) for index, size in enumerate(sizes)]


@a_thousand_times
@given(POOLS, PARTIES, SEEDS)
def test_the_parts_sum_exactly_to_the_pool(pool, weights, seed):
    """Law: no unit is created or destroyed."""
    assert pool == sum(apportion(pool, weights, seed=seed))


@a_thousand_times
@given(POOLS, PARTIES, SEEDS)
def test_each_part_is_the_floor_or_the_ceiling_of_its_quota(pool, weights, seed):
    """Law: nobody is a whole unit away from the exact share; so no part is negative."""
    total = sum(size for _, size in weights)

    parts = apportion(pool, weights, seed=seed)

    for (_, size), part in zip(weights, parts, strict=True):
        quota = Fraction(pool * size, total)
        assert part in (math.floor(quota), math.ceil(quota))


@a_thousand_times
@given(POOLS, PARTIES, SEEDS, st.randoms(use_true_random=False))
def test_a_party_gets_the_same_in_whatever_order_parties_come(pool, weights, seed, random):
    """Law: the result is a mapping from party to part; order is no privilege."""
    shuffled = random.sample(weights, len(weights))

    parts = dict(zip(weights, apportion(pool, weights, seed=seed), strict=True))

    assert parts == dict(zip(shuffled, apportion(pool, shuffled, seed=seed), strict=True))


@a_thousand_times
@given(POOLS, PARTIES, SEEDS)
def test_no_weight_gets_nothing(pool, weights, seed):
    """Law: a unit that is left never falls to a party without weight."""
    parts = apportion(pool, weights, seed=seed)

    assert all(part == 0 for (_, size), part in zip(weights, parts, strict=True) if size == 0)


@a_thousand_times
@given(POOLS, PARTIES, SEEDS)
def test_a_greater_weight_never_gets_less_and_equal_weights_differ_by_one_at_most(pool, weights, seed):
    """Law: parts are monotone in weights."""
    sizes = [size for _, size in weights]
    ranked = sorted(zip(sizes, apportion(pool, weights, seed=seed), strict=True))

    for (size, part), (next_size, next_part) in pairwise(ranked):
        assert part <= next_part
        assert next_size > size or next_part - part <= 1


@a_thousand_times
@given(POOLS, PARTIES, SEEDS)
@example(4, named(2, 3, 3), b"")
@example(3, named(4, 6, 6, 6, 8), b"")
@example(1, named(10**40, 10**40 + 1), b"")
def test_the_division_agrees_with_the_model_in_fractions(pool, weights, seed):
    """Law: the fast way and the plain way give the same parts, ties included."""
    assert by_fractions(pool, weights, seed) == apportion(pool, weights, seed=seed)


@a_thousand_times
@given(POOLS, PARTIES, SEEDS, st.data())
def test_splitting_a_party_in_two_gains_at_most_one_unit_a_part(pool, weights, seed, data):
    """Law: pretending to be two does not pay, but for rounding."""
    index = data.draw(st.integers(0, len(weights) - 1))
    key, size = weights[index]
    first = data.draw(st.integers(0, size))
    assume(key + "'" not in dict(weights))
    split = [*weights[:index], (key, first), *weights[index + 1 :], (key + "'", size - first)]

    whole = apportion(pool, weights, seed=seed)[index]
    parts = apportion(pool, split, seed=seed)

    assert parts[index] + parts[-1] <= whole + 2


@a_thousand_times
@given(POOLS, PARTIES, SEEDS, st.integers(1, 10**12))
def test_only_the_proportion_of_the_weights_matters(pool, weights, seed, factor):
    """Law: counting in other units of weight changes nothing."""
    scaled = [(key, size * factor) for key, size in weights]

    assert apportion(pool, weights, seed=seed) == apportion(pool, scaled, seed=seed)


@pytest.mark.parametrize(
    ("pool", "sizes", "parts"),
    [
        (3000, (150, 50, 100), [1500, 500, 1000]),
        (2100, (150, 50, 100), [1050, 350, 700]),
        (1200, (10, 3000), [4, 1196]),
        (10_000, (1000, 9000), [1000, 9000]),
        (10_000, (1000, 9000, 9000), [526, 4737, 4737]),
        (30_000, (999, 1000, 98_001), [300, 300, 29_400]),
        (30_000, (0, 1000, 98_001), [0, 303, 29_697]),
        (1000, (2500, 2500, 2500, 2500), [250, 250, 250, 250]),
    ],
    ids=[
        "three artists by all streams",
        "three artists by all streams, 70 % to creators",
        "10 plays beside 3,000",
        "an honest artist",
        "an honest artist beside 9,000 fake streams",
        "three tracks",
        "three tracks, one below the threshold",
        "three beneficiaries at 2,500 bp and the author",
    ],
)
def test_published_examples_come_out_to_the_minor_unit(pool, sizes, parts):
    """Examples that were published with rounding errors, or with an order that mattered, done exactly."""
    assert parts == apportion(pool, named(*sizes), seed=SEED)


@pytest.mark.parametrize(
    ("pool", "sizes", "outcomes"),
    [
        (3000, (4, 1, 4), {(1334, 333, 1333), (1333, 334, 1333), (1333, 333, 1334)}),
        (2100, (4, 1, 4), {(934, 233, 933), (933, 234, 933), (933, 233, 934)}),
        (2000, (1, 31), {(63, 1937), (62, 1938)}),
        (4, (2, 3, 3), {(1, 2, 1), (1, 1, 2)}),
        (3, (4, 6, 6, 6, 8), {(0, 1, 1, 0, 1), (0, 1, 0, 1, 1), (0, 0, 1, 1, 1)}),
    ],
    ids=[
        "three artists by each user's fee",
        "three artists by each user's fee, 70 % to creators",
        "1 stream beside 31",
        "4 over 2:3:3",
        "3 over 4:6:6:6:8",
    ],
)
def test_a_tie_is_drawn_anew_for_each_seed(pool, sizes, outcomes):
    """Among equal remainders every outcome occurs for some seed, and no other outcome does."""
    drawn = {tuple(apportion(pool, named(*sizes), seed=b"%d" % number)) for number in range(200)}

    assert outcomes == drawn


@pytest.mark.parametrize(
    ("pool", "parties", "each"),
    [(1_000_000, 7, 142_857), (400_000_000, 3, 133_333_333), (400_000_000, 7, 57_142_857)],
    ids=["a million dong over 7", "4,000 tokens over 3 users", "4,000 tokens over 7 users"],
)
def test_what_equal_parties_leave_over_goes_to_one_of_them(pool, parties, each):
    """Nothing leaks: rounding every share down would have lost the unit."""
    parts = apportion(pool, named(*[1] * parties), seed=SEED)

    assert [*[each] * (parties - 1), each + 1] == sorted(parts)


def test_ties_go_to_the_smallest_published_digest():
    """Frozen: the SHA-256 of the frames starts with 44 for an, 7a for chi, b6 for binh (sha256sum)."""
    weights = [("an", 1), ("binh", 1), ("chi", 1)]

    drawn = [apportion(pool, weights, seed=SEED) for pool in (1, 2, 3)]

    assert [[1, 0, 0], [1, 0, 1], [1, 1, 1]] == drawn


def test_a_greater_pool_may_give_a_party_less():
    """No law forbids it: the Alabama paradox of this method. Of 10 the last gets 2, of 11 it gets 1."""
    assert [4, 4, 2] == apportion(10, named(6, 6, 2), seed=SEED)
    assert [5, 5, 1] == apportion(11, named(6, 6, 2), seed=SEED)


def test_an_empty_pool_is_divided_into_nothings():
    """Nothing to divide is still a division."""
    assert [0, 0] == apportion(0, named(1, 2), seed=SEED)


def test_a_sole_party_gets_the_whole_pool():
    """Beyond 64 bits, too."""
    assert [10**30] == apportion(10**30, named(7), seed=SEED)


@pytest.mark.parametrize("weights", [[], named(0), named(0, 0)])
def test_without_any_weight_there_is_nothing_to_share_by(weights):
    """The caller decides where such money goes; it is not divided evenly behind its back."""
    with pytest.raises(NothingToShareBy):
        apportion(100, weights, seed=SEED)


@pytest.mark.parametrize(
    ("pool", "weights"),
    [
        (-1, named(1)),
        (1.0, named(1)),
        (True, named(1)),
        (1, named(1.0)),
        (1, named(True)),
        (1, named(2, -1)),
        (1, named(1, -1)),
        (1, [("a", 1), ("a", 1)]),
    ],
    ids=[
        "pool < 0",
        "float pool",
        "bool pool",
        "float weight",
        "bool weight",
        "weight < 0",
        "no weight in sum",
        "party twice",
    ],
)
def test_what_the_callers_vouch_for_is_asserted(pool, weights):
    """Each of these is a mistake of ours, never an input."""
    with pytest.raises(AssertionError):
        apportion(pool, weights, seed=SEED)
