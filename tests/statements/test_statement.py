"""The values of a statement: they tie, and their digest covers them but for names."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.statements import statement
from service.statements.statement import Balance, Kind, Statement
from tests.statements.examples import OCTOBER, statements


def test_a_statement_that_does_not_tie_cannot_be() -> None:
    """One dong more at the end than was there and moved is refused."""
    closing = replace(OCTOBER.closing, payable_minor=OCTOBER.closing.payable_minor + 1)

    with pytest.raises(AssertionError, match="ties"):
        replace(OCTOBER, closing=closing)


@given(statements())
def test_opening_and_lines_make_the_closing(one: Statement) -> None:
    """The law, over the values that are written."""
    written = statement.values(one)

    moved = sum(line["amount_minor"] for line in written["lines"])
    assert written["closing"]["total_minor"] == written["opening"]["total_minor"] + moved


def test_earned_is_what_the_split_gave() -> None:
    """Payouts and adjustments are no earnings."""
    assert OCTOBER.lines[0].amount_minor + OCTOBER.lines[1].amount_minor == OCTOBER.earned_minor


@pytest.mark.parametrize(
    "changes",
    [
        {"platform_id": "chim-lac.b"},
        {"creator_id": "c-2"},
        {"period_id": "2026-11"},
        {"time_zone": "Asia/Bangkok"},
        {"posted_at": OCTOBER.posted_at + timedelta(microseconds=1)},
        {"currency": "USD"},
        {"opening": Balance(payable_minor=69_999, held_minor=1, reserved_minor=30_000)},
        {"closing": Balance(payable_minor=1_304_566, held_minor=1, reserved_minor=0)},
        {"lines": OCTOBER.lines[::-1]},
        {"lines": (replace(OCTOBER.lines[0], kind=Kind.ADJUSTMENT), *OCTOBER.lines[1:])},
        {"lines": (replace(OCTOBER.lines[0], points_e4=98_765_001), *OCTOBER.lines[1:])},
        {"lines": (replace(OCTOBER.lines[0], entry_id=43), *OCTOBER.lines[1:])},
        {"lines": (replace(OCTOBER.lines[0], reference="2026-10/2"), *OCTOBER.lines[1:])},
        {"split_version": 2},
        {"shares_sha256": "6" * 64},
        {"rulebook_sha256": "8" * 64},
    ],
)
def test_a_changed_value_changes_the_digest(changes: dict[str, Any]) -> None:
    """Whatever decides an amount, or says where it comes from, is covered."""
    assert OCTOBER.values_sha256 != replace(OCTOBER, **changes).values_sha256


@pytest.mark.parametrize("changes", [{"creator_name": None}, {"creator_name": "Hoa"}, {"issuer_name": "X"}])
def test_a_name_that_changes_or_is_erased_keeps_the_digest(changes: dict[str, Any]) -> None:
    """Names live apart from the books."""
    assert OCTOBER.values_sha256 == replace(OCTOBER, **changes).values_sha256


@pytest.mark.parametrize(
    ("points_e4", "text"),
    [(0, "0"), (10_000, "1"), (1, "0.0001"), (-1, "-0.0001"), (125_000, "12.5"), (1_000_000, "100")],
)
def test_points_are_written_without_needless_decimals(points_e4: int, text: str) -> None:
    """Whole points look whole."""
    assert text == statement.points_text(points_e4)


@given(st.integers(-(10**38), 10**38))
def test_points_keep_all_their_digits(points_e4: int) -> None:
    """38 digits are more than a float or a default decimal keeps."""
    whole, _, fraction = statement.points_text(points_e4).partition(".")

    assert points_e4 == int(whole + fraction.ljust(4, "0"))
