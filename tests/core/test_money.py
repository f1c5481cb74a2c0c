"""Money: whole minor units of one currency, read and written exactly."""

import operator
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.core.currencies import EXPONENTS, UnknownCurrency, exponent_of
from service.core.money import MINOR_LIMIT, BadAmount, CurrencyMismatch, Money, parse, to_decimal_text

MINORS = st.integers(-MINOR_LIMIT + 1, MINOR_LIMIT - 1)
CURRENCIES = st.sampled_from(sorted(EXPONENTS))


@pytest.mark.parametrize(
    ("currency", "exponent"), [("VND", 0), ("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4)]
)
def test_a_currency_has_the_decimals_of_the_standard(currency, exponent):
    """ISO 4217 sets them, not the habit of two."""
    assert exponent == exponent_of(currency)


def test_the_table_is_the_one_that_was_published():
    """List One of 2026-01-01 has 165 codes with a minor unit; by decimals 17, 139, 7 and 2."""
    decimals = list(EXPONENTS.values())

    assert {0: 17, 2: 139, 3: 7, 4: 2} == {exponent: decimals.count(exponent) for exponent in set(decimals)}


@pytest.mark.parametrize("currency", ["XXX", "XTS", "XAU", "vnd", "VN", "VNDD", "", "BTC", "ＶＮＤ"])
def test_a_code_that_is_no_currency_is_refused(currency):
    """Metals and test codes have no minor unit; small letters are not the code."""
    with pytest.raises(UnknownCurrency):
        Money(1, currency)


@pytest.mark.parametrize("minor", [True, False, 1.0, 0.5, float("nan"), "1", None])
def test_an_amount_that_is_no_integer_is_refused(minor):
    """A float is never money, and True is not one dong."""
    with pytest.raises(BadAmount):
        Money(minor, "VND")


@pytest.mark.parametrize("minor", [2**63 - 1, -(2**63) + 1])
def test_the_widest_amounts_are_held(minor):
    """Each fits a BIGINT and so does its negative."""
    assert -minor == (-Money(minor, "VND")).minor


@pytest.mark.parametrize("minor", [2**63, -(2**63)])
def test_an_amount_beyond_64_bits_is_refused(minor):
    """No column could hold it."""
    with pytest.raises(BadAmount, match="64-bit"):
        Money(minor, "VND")


def test_a_sum_beyond_64_bits_is_refused():
    """Nothing wraps round."""
    with pytest.raises(BadAmount, match="64-bit"):
        Money(2**63 - 1, "VND") + Money(1, "VND")


def test_amounts_of_one_currency_add_and_subtract():
    """The plain case."""
    assert Money(30, "USD") == Money(10, "USD") + Money(20, "USD")
    assert Money(-10, "USD") == Money(10, "USD") - Money(20, "USD")


@pytest.mark.parametrize(
    "act", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge]
)
def test_two_currencies_never_meet(act):
    """Neither sums nor orders exist across currencies."""
    with pytest.raises(CurrencyMismatch, match="USD met one in VND"):
        act(Money(1, "USD"), Money(1, "VND"))


def test_the_same_number_in_two_currencies_is_not_equal():
    """Nothing of one is not nothing of the other."""
    assert Money(0, "USD") != Money(0, "VND")


def test_an_amount_does_not_change():
    """Another amount is another value, so money can be shared and hashed."""
    money = Money(1, "VND")

    with pytest.raises(FrozenInstanceError):
        money.minor = 2
    assert 1 == len({money, Money(1, "VND")})


@pytest.mark.parametrize("act", [operator.mul, operator.truediv, operator.floordiv, operator.mod])
def test_money_is_not_multiplied_or_divided(act):
    """Dividing money is apportioning it."""
    with pytest.raises(TypeError):
        act(Money(10, "USD"), 3)


@given(st.integers(-(2**61), 2**61), st.integers(-(2**61), 2**61))
def test_money_is_ordered_and_added_as_its_minor_units_are(left, right):
    """Within a currency, money keeps the laws of the integers."""
    one, other = Money(left, "USD"), Money(right, "USD")

    assert (left < right, left <= right, left > right, left >= right) == (
        one < other,
        one <= other,
        one > other,
        one >= other,
    )
    assert left + right == (one + other).minor
    assert one == one + other - other
    assert Money(0, "USD") == one + -one


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("1234.50", Money(123450, "USD")),
        ("1234.5", Money(123450, "USD")),
        ("1234", Money(123400, "USD")),
        ("-0.05", Money(-5, "USD")),
        ("-0", Money(0, "USD")),
        ("007", Money(700, "USD")),
        ("1234", Money(1234, "VND")),
        ("0.001", Money(1, "KWD")),
        ("9223372036854775807", Money(2**63 - 1, "VND")),
    ],
)
def test_decimal_text_is_read_exactly(text, money):
    """Missing decimals are zeros."""
    assert money == parse(text, money.currency)


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("1234.505", "USD", "has 3 decimals, but USD allows at most 2"),
        ("1234.0", "VND", "has 1 decimals, but VND allows at most 0"),
        ("0.0001", "KWD", "has 4 decimals, but KWD allows at most 3"),
        ("9223372036854775808", "VND", "64-bit"),
        ("92233720368547758.08", "USD", "64-bit"),
    ],
)
def test_text_that_the_currency_cannot_hold_is_refused_with_the_reason(text, currency, reason):
    """Nothing is rounded on the way in."""
    with pytest.raises(BadAmount, match=reason):
        parse(text, currency)


@pytest.mark.parametrize(
    "text",
    ["", "-", "--1", "+1", " 1", "1 ", "1\n", "1,234.50", "1.234,50", "1_000", "1.", ".5", "1e3", "0x10"],
)
def test_text_that_is_no_plain_decimal_is_refused(text):
    """Separators, signs, exponents and other digits leave room for doubt."""
    with pytest.raises(BadAmount, match="plain decimal"):
        parse(text, "USD")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "١٢", "１２", "9" * 20, "9" * 5000, "0." + "0" * 5000])
def test_text_of_other_digits_or_endless_digits_is_refused(text):
    """What Python's own readers would take, or choke on."""
    with pytest.raises(BadAmount, match="plain decimal"):
        parse(text, "USD")


def test_text_in_an_unknown_currency_is_refused():
    """Without the currency the decimals mean nothing."""
    with pytest.raises(UnknownCurrency):
        parse("1.00", "XXX")


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(123450, "USD"), "1234.50"),
        (Money(5, "USD"), "0.05"),
        (Money(-5, "USD"), "-0.05"),
        (Money(0, "USD"), "0.00"),
        (Money(1234, "VND"), "1234"),
        (Money(-1, "VND"), "-1"),
        (Money(1, "KWD"), "0.001"),
    ],
)
def test_money_is_written_with_all_decimals_of_its_currency(money, text):
    """Columns of figures line up."""
    assert text == to_decimal_text(money)


@settings(deadline=None)
@given(MINORS, CURRENCIES)
@example(-(2**63) + 1, "CLF")
@example(2**63 - 1, "VND")
def test_what_was_written_reads_back_the_same(minor, currency):
    """Law: reading undoes writing, in every currency."""
    money = Money(minor, currency)

    assert money == parse(to_decimal_text(money), currency)
