"""Money: a whole number of minor units in one currency.

Owns the value and its reading and writing as decimal text. Refuses floats and booleans, amounts that a signed
64-bit column cannot hold, and any arithmetic across currencies. There is no multiplication or division: to
divide money, call apportion. Law: reading what was written gives the same money back.
"""

import re
from dataclasses import dataclass
from typing import Final

from service.core.currencies import exponent_of
from service.core.errors import Invalid

MINOR_LIMIT: Final = 2**63
"""Amounts lie strictly between minus this and this, so that each fits a BIGINT and so does its negative."""

_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,19})(?:\.([0-9]{1,19}))?")


class BadAmount(Invalid):
    """This is not an amount of money."""

    slug = "bad-amount"
    title = "The amount is not valid"


class CurrencyMismatch(Invalid):
    """Two currencies meet where there can be only one."""

    slug = "currency-mismatch"
    title = "The currencies differ"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency: Money(123450, "USD") is 1,234.50 dollars.

    Equal only if amount and currency are equal. Adding, subtracting and ordering raise CurrencyMismatch
    across currencies, and BadAmount beyond 64 bits.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:  # A bool is an int to isinstance, and a float is never money.
            raise BadAmount("An amount is a whole number of minor units; give an integer.")
        if not -MINOR_LIMIT < self.minor < MINOR_LIMIT:
            raise BadAmount("The amount is beyond what a 64-bit integer holds; give a smaller one.")
        exponent_of(self.currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._same(other)

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(
                f"An amount in {self.currency} met one in {other.currency}; keep one sum for each currency."
            )
        return other.minor


def parse(text: str, currency: str) -> Money:
    """Read decimal text such as "1234.50" exactly.

    Args: text: ASCII digits with an optional leading minus and an optional decimal point, no thousands
        separators, no exponent, no blanks; currency: ISO 4217 code, which sets how many decimals may follow.
    Raises: UnknownCurrency, BadAmount.
    """
    exponent = exponent_of(currency)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise BadAmount(
            "The amount is not a plain decimal number; write digits and one decimal point, such as 1234.50."
        )
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > exponent:
        raise BadAmount(f"The amount has {len(fraction)} decimals, but {currency} allows at most {exponent}.")
    return Money(int(sign + whole + fraction.ljust(exponent, "0")), currency)


def to_decimal_text(money: Money) -> str:
    """Write money as plain decimal text with all decimals of its currency: "1234.50" (USD), "1234" (VND)."""
    exponent = exponent_of(money.currency)
    digits = str(abs(money.minor)).rjust(exponent + 1, "0")
    cut = len(digits) - exponent
    sign = "-" if money.minor < 0 else ""
    return f"{sign}{digits[:cut]}.{digits[cut:]}" if exponent else f"{sign}{digits}"
