"""The walk from a pool to an amount, laid out so that a reader with a calculator can follow every step. Pure.

Laws: quantity x weight is each row's points; the rows, what belongs to others who contributed, and what each
clause changed add up to the points that count; the quotient shown is the exact one, cut after four decimals.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from service.core.currencies import exponent_of
from service.earnings.creator import OriginLine
from service.rules.rulebook import Rulebook
from service.rules.words import Clause

_POINT_E4 = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Events of one type: quantity x weight = points."""

    type: str
    event_count: int
    quantity: int
    weight: int
    points_e4: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One line of the creator's, step by step.

    Args:
        clauses: of the rulebook that scored it: its origin's, which may be older than the pool's.
        rows: what its counted events would be worth to one person alone.
        others_e4: points that belong to others who contributed to the same contents; zero or below.
        taken_back_e4: points that late corrections of other periods took; zero or below.
        quotient_e4: the share before it is rounded, in ten-thousandths of the currency's unit, rounded down.
        is_cut: whether the quotient has more decimals than are shown.
    """

    line: OriginLine
    clauses: Mapping[str, Clause]
    rows: tuple[Row, ...]
    others_e4: int
    taken_back_e4: int
    quotient_e4: int
    is_cut: bool


def of_line(line: OriginLine, rule: Rulebook, clauses: Mapping[str, Clause], currency: str) -> Walk:
    """Lay out one line.

    Args:
        rule: the rulebook that scored it; clauses: its clauses in words, by key.
        currency: ISO 4217 code of the pool.
    """
    rows = tuple(
        Row(
            type=one.type,
            event_count=one.event_count,
            quantity=one.quantity,
            weight=rule.weights.get(one.type, 0),
            points_e4=one.quantity * rule.weights.get(one.type, 0) * _POINT_E4,
        )
        for one in line.counted
    )
    denominator = line.quota.denominator * 10 ** exponent_of(currency)
    quotient_e4, remainder = divmod(line.quota.numerator * _POINT_E4, denominator)
    walk = Walk(
        line=line,
        clauses=clauses,
        rows=rows,
        others_e4=sum(one.points_e4 for one in line.counted) - sum(one.points_e4 for one in rows),
        taken_back_e4=line.quota.points_e4 - line.scored_e4,
        quotient_e4=quotient_e4,
        is_cut=remainder != 0,
    )
    assert points_of(walk) == line.quota.points_e4, "a walk adds up to its points"
    return walk


def points_of(walk: Walk) -> int:
    """Add the steps up, in ten-thousandths of a point."""
    changed_e4 = sum(walk.line.changed_e4.values())
    return sum(one.points_e4 for one in walk.rows) + walk.others_e4 + changed_e4 + walk.taken_back_e4
