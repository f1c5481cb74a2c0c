"""The quota: what a line of a split would get if money could be divided without end. Pure.

Law: an amount of a split is the floor or the ceiling of its quota, never more than one minor unit away.
"""

from dataclasses import dataclass
from typing import Final, Literal

WHOLE_BP: Final = 10_000

Rounding = Literal["exact", "down", "up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """pool x creators' basis points x points / (10,000 x all points), and the amount that it became.

    Amounts in minor units, points in ten-thousandths. Where nobody has a point, nobody has a quota: it is
    zero.
    """

    pool_minor: int
    creators_bp: int
    points_e4: int
    points_total_e4: int
    amount_minor: int

    def __post_init__(self) -> None:
        remainder = self.numerator % self.denominator
        assert self.amount_minor - self.floor_minor in ({0, 1} if remainder else {0}), "floor or ceiling"

    @property
    def numerator(self) -> int:
        """Of the exact fraction, as it comes from the product, not reduced."""
        return self.pool_minor * self.creators_bp * self.points_e4

    @property
    def denominator(self) -> int:
        """Of the exact fraction; above zero."""
        return WHOLE_BP * self.points_total_e4 or 1

    @property
    def floor_minor(self) -> int:
        """The whole minor units of the quota."""
        return self.numerator // self.denominator

    @property
    def rounding(self) -> Rounding:
        """Which way the fraction of a minor unit went, by largest remainder."""
        if self.numerator % self.denominator == 0:
            return "exact"
        return "up" if self.amount_minor > self.floor_minor else "down"
