"""What people read: messages, money, numbers, instants and names of periods, in their language.

Owns the catalogues and the forms of a locale. The message id is the English text, so English needs no
catalogue; every other locale has `locale/<locale>/LC_MESSAGES/messages.po`, compiled in memory at its first
use. Refuses floats: amounts and points become text through exact decimals. Laws: every message that the
service uses has a translation in every catalogue, and no catalogue holds another one (a test extracts them);
a currency shows all decimals of ISO 4217, and no more.

A message is marked by the call that looks it up: `translator.gettext("Opening balance")`. One that is chosen
from a constant is marked where the constant stands: `msgid("Opening balance")`.
"""

import gettext as standard
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from functools import cache
from importlib.resources import files
from io import BytesIO
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import NumberPattern, parse_pattern

from service.core import spans
from service.core.currencies import exponent_of

SOURCE_LOCALE: Final = "en"
"""The language of the message ids."""

POINT_DECIMALS: Final = 4
"""Points are counted in ten-thousandths (contributors share in basis points)."""

_DIGITS_MAX: Final = 60
"""Decimal digits kept while formatting: sums of points have 38, and nothing may be rounded away."""


@dataclass(frozen=True, slots=True)
class _Forms:
    """The patterns of one locale, in the language of Unicode's CLDR (UTS 35)."""

    money: str
    day: str
    instant: str
    month_name: str
    day_name: str


_FORMS: Final[Mapping[str, _Forms]] = MappingProxyType(
    {
        # Finance staff in Vietnam expect dd/MM/yyyy; CLDR's short form has two digits of the year.
        "vi": _Forms(
            money="#,##0{decimals}\u00a0¤",
            day="dd/MM/yyyy",
            instant="dd/MM/yyyy HH:mm ZZZZ",
            month_name="MMMM 'năm' y",
            day_name="'ngày' d MMMM 'năm' y",
        ),
        # The code, not the symbol: many currencies share the dollar sign.
        "en": _Forms(
            money="¤¤\u00a0#,##0{decimals}",
            day="d MMM y",
            instant="d MMM y, HH:mm ZZZZ",
            month_name="MMMM y",
            day_name="d MMMM y",
        ),
    }
)

LOCALES: Final = tuple(_FORMS)
"""The languages that people can choose."""


@dataclass(frozen=True, slots=True)
class Translator:
    """Looks messages up in one language. `values` fill `%(name)s` places; without any, it stays as it is."""

    locale: str
    _catalogue: standard.NullTranslations = field(repr=False)

    def gettext(self, message: str, **values: object) -> str:
        """Translate a message."""
        found = self._catalogue.gettext(message)
        return found % values if values else found

    def ngettext(self, singular: str, plural: str, number: int, **values: object) -> str:
        """Translate a message whose form depends on a number."""
        found = self._catalogue.ngettext(singular, plural, number)
        return found % values if values else found


def msgid(message: str) -> str:
    """Mark a message that is translated later, where it is shown; return it unchanged."""
    return message


@cache
def translator(locale: str) -> Translator:
    """Give the translator of one of LOCALES; its catalogue is read and compiled once."""
    assert locale in _FORMS, f"{locale!r} is none of {', '.join(LOCALES)}"
    if locale == SOURCE_LOCALE:
        return Translator(locale, standard.NullTranslations())
    source = files(__package__) / "locale" / locale / "LC_MESSAGES" / "messages.po"
    compiled = BytesIO()
    with source.open("rb") as text:
        write_mo(compiled, read_po(text, locale=locale, abort_invalid=True))
    compiled.seek(0)
    return Translator(locale, standard.GNUTranslations(compiled))


def money(amount_minor: int, currency: str, locale: str) -> str:
    """Write an amount: "1.234.567 ₫" in Vietnamese, "VND 1,234,567" in English, with no-break spaces.

    Args: amount_minor: minor units; currency: ISO 4217 code, which sets the decimals.
    """
    exponent = exponent_of(currency)
    return _number(_money_pattern(locale, exponent), _decimal(amount_minor, exponent), locale, currency)


def number(value: int, locale: str) -> str:
    """Write a whole number with the locale's group separator."""
    return _number(_pattern("#,##0"), Decimal(value), locale)


def points(points_e4: int, locale: str) -> str:
    """Write points, given in ten-thousandths, with as many of their 4 decimals as are not zero."""
    return _number(_pattern("#,##0.####"), _decimal(points_e4, POINT_DECIMALS), locale)


def rate_bp(rate: int, locale: str) -> str:
    """Write a rate, given in basis points, as a percentage: 750 is "7.5%"."""
    return _number(_pattern("#,##0.##%"), _decimal(rate, 4), locale)


def instant(at: datetime, zone: ZoneInfo, locale: str) -> str:
    """Write an aware instant to the minute as the clocks of a zone show it, and the zone's offset."""
    assert at.utcoffset() is not None, "an instant is aware"
    # Babel takes a naive datetime for UTC and an aware one as it is; UTC makes both readings one.
    return format_datetime(at.astimezone(UTC), _FORMS[locale].instant, tzinfo=zone, locale=_locale(locale))


def day(on: date, locale: str) -> str:
    """Write a date: "21/11/2026" in Vietnamese, "21 Nov 2026" in English."""
    return format_date(on, _FORMS[locale].day, locale=_locale(locale))


def period_name(period_id: str, locale: str) -> str:
    """Write a period's name in words: "tháng 10 năm 2026", "October 2026", "week 47 of 2026".

    Raises: BadPeriodName (service.core.spans).
    """
    span = spans.span_of(period_id, ZoneInfo("UTC"))
    first = span.start_at.date()
    if "W" in period_id:
        # CLDR counts weeks from Sunday in some places; a period is an ISO week wherever it is read.
        year, week = period_id.split("-W")
        return translator(locale).gettext("week %(week)s of %(year)s", week=str(int(week)), year=year)
    forms = _FORMS[locale]
    pattern = forms.month_name if len(period_id) == len("2026-11") else forms.day_name
    return format_date(first, pattern, locale=_locale(locale))


def _decimal(value: int, decimals: int) -> Decimal:
    """Shift the decimal point exactly, whatever the number of digits."""
    assert type(value) is int, "a number of minor units or points is a whole number"
    with localcontext(prec=_DIGITS_MAX):
        return Decimal(value).scaleb(-decimals)


def _number(pattern: NumberPattern, value: Decimal, locale: str, currency: str | None = None) -> str:
    with localcontext(prec=_DIGITS_MAX):
        text: str = pattern.apply(value, _locale(locale), currency=currency, currency_digits=False)
    return text


@cache
def _locale(locale: str) -> Locale:
    return Locale.parse(locale)


@cache
def _pattern(pattern: str) -> NumberPattern:
    return parse_pattern(pattern)


@cache
def _money_pattern(locale: str, exponent: int) -> NumberPattern:
    # Not Babel's own decimals: CLDR cuts currencies down to the coins in use, ISO 4217 does not.
    decimals = f".{'0' * exponent}" if exponent else ""
    return parse_pattern(_FORMS[locale].money.format(decimals=decimals))
