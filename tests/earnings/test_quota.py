"""The quota: an exact fraction, and the amount that it became."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.apportion import apportion
from service.earnings.quota import Quota


def quota(points_e4: int, amount_minor: int, *, pool_minor: int = 1_000, total_e4: int = 30_000) -> Quota:
    return Quota(
        pool_minor=pool_minor,
        creators_bp=7_000,
        points_e4=points_e4,
        points_total_e4=total_e4,
        amount_minor=amount_minor,
    )


@pytest.mark.parametrize(
    ("points_e4", "amount_minor", "floor_minor", "rounding"),
    [
        (30_000, 700, 700, "exact"),
        (0, 0, 0, "exact"),
        (10_000, 233, 233, "down"),
        (10_000, 234, 233, "up"),
        (20_000, 467, 466, "up"),
    ],
)
def test_the_fraction_of_a_minor_unit_goes_up_or_down(
    points_e4: int, amount_minor: int, floor_minor: int, rounding: str
) -> None:
    """700 of 1,000 are for creators: a third of it is 233 and a third."""
    one = quota(points_e4, amount_minor)

    assert (floor_minor, rounding) == (one.floor_minor, one.rounding)
    assert Fraction(1_000 * 7_000 * points_e4, 10_000 * 30_000) == Fraction(one.numerator, one.denominator)


@pytest.mark.parametrize(("points_e4", "amount_minor"), [(10_000, 232), (10_000, 235), (30_000, 701)])
def test_an_amount_that_is_not_next_to_its_quota_cannot_be(points_e4: int, amount_minor: int) -> None:
    """One minor unit further than the floor or the ceiling is no division of this pool."""
    with pytest.raises(AssertionError, match="floor or ceiling"):
        quota(points_e4, amount_minor)


def test_nobody_has_a_quota_where_nobody_has_a_point() -> None:
    """A division by nothing is nothing."""
    one = quota(0, 0, total_e4=0)

    assert (0, "exact") == (one.floor_minor, one.rounding)


@given(
    pool_minor=st.integers(0, 10**15),
    creators_bp=st.integers(0, 10_000),
    points=st.lists(st.integers(0, 10**20), min_size=1, max_size=8).filter(any),
)
def test_every_part_of_a_division_has_its_quota(pool_minor: int, creators_bp: int, points: list[int]) -> None:
    """What the one exact division gives is next to the fraction that the page shows."""
    total_e4 = sum(points)
    weights = [(f"c{index}", creators_bp * own_e4) for index, own_e4 in enumerate(points)]
    weights.append(("platform", (10_000 - creators_bp) * total_e4))

    parts = apportion(pool_minor, weights, seed=b"2026-10")

    for own_e4, amount_minor in zip(points, parts, strict=False):
        one = Quota(
            pool_minor=pool_minor,
            creators_bp=creators_bp,
            points_e4=own_e4,
            points_total_e4=total_e4,
            amount_minor=amount_minor,
        )
        assert abs(Fraction(one.numerator, one.denominator) - amount_minor) < 1
