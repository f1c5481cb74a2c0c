"""Spans: half-open stretches of time, and the calendar periods of a time zone.

Owns intervals of aware UTC instants, the names and bounds of periods (month, ISO week, day), and the one way
to read and write an instant. Refuses naive instants, empty spans and instants outside 1970 to 2199. Laws: a
span holds its start and not its end; in every zone the periods of one unit tile time without gap or overlap;
the period of an instant holds it.

Sources: RFC 3339, ISO 8601 (week dates), PEP 495 (gaps and folds), read 2026-11-21.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from service.core.errors import Invalid

PeriodUnit = Literal["month", "week", "day"]

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2199

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_SECOND: Final = timedelta(seconds=1)
_FORMS: Final[tuple[tuple[PeriodUnit, re.Pattern[str], str], ...]] = (
    ("month", re.compile(r"[0-9]{4}-[0-9]{2}"), "-01"),
    ("week", re.compile(r"[0-9]{4}-W[0-9]{2}"), "-1"),
    ("day", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), ""),
)
"""Each unit's form of name, and what turns such a name into the ISO 8601 date of its first day."""

_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-6][0-9])(\.[0-9]+)?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)


class BadSpan(Invalid):
    """This is not a span of time."""

    slug = "bad-span"
    title = "The span of time is not valid"


class BadInstant(Invalid):
    """This is not an instant that the service can hold."""

    slug = "bad-instant"
    title = "The instant is not valid"


class BadPeriodName(Invalid):
    """No period has this name."""

    slug = "bad-period-name"
    title = "The name of the period is not valid"


@dataclass(frozen=True, slots=True)
class Span:
    """The instants from start_at up to, and without, end_at; both are kept in UTC.

    Raises BadSpan if a bound is naive or the span is empty.
    """

    start_at: datetime
    end_at: datetime

    def __post_init__(self) -> None:
        if self.start_at.utcoffset() is None or self.end_at.utcoffset() is None:
            raise BadSpan("A bound of the span names no time zone; give both bounds with their zone.")
        if self.start_at.astimezone(UTC) >= self.end_at.astimezone(UTC):
            raise BadSpan("The span ends at or before its start; give an end that is later than the start.")
        object.__setattr__(self, "start_at", self.start_at.astimezone(UTC))
        object.__setattr__(self, "end_at", self.end_at.astimezone(UTC))

    @property
    def length(self) -> timedelta:
        """The time that passes from start to end."""
        return self.end_at - self.start_at

    def contains(self, instant: datetime) -> bool:
        """Tell whether an aware instant lies within; the start does and the end does not."""
        return self.start_at <= instant < self.end_at

    def overlaps(self, other: "Span") -> bool:
        """Tell whether the two spans share an instant; touching is not sharing."""
        return self.start_at < other.end_at and other.start_at < self.end_at


@dataclass(frozen=True, slots=True)
class Period:
    """A month, ISO week or day of a time zone: its name and its bounds."""

    name: str
    span: Span


def period_of(instant: datetime, zone: ZoneInfo, unit: PeriodUnit) -> Period:
    """Find the period that holds an aware instant of the years 1970 to 2199.

    Returns: named "2026-11" (month), "2026-W47" (ISO week) or "2026-11-21" (day).
    """
    name = _name_of(local_day(instant, zone), unit)
    return Period(name, span_of(name, zone))


def span_of(name: str, zone: ZoneInfo) -> Span:
    """Find the bounds of a named period: the local midnights of its first day and of the day after its last.

    A midnight that does not exist is the first instant that does on that date; of two midnights, the first.
    Raises: BadPeriodName, also for the rare date that a zone left out (Apia had no 30 December 2011).
    """
    unit, first = _read(name)
    start_at, end_at = _start_of(first, zone), _start_of(_after(first, unit), zone)
    if start_at == end_at:
        raise BadPeriodName(f"The date {name} never was in {zone.key}; name the date before or after it.")
    return Span(start_at, end_at)


def next_name(name: str) -> str:
    """Name the period that follows in the calendar.

    Raises: BadPeriodName, also after the last period.
    """
    unit, first = _read(name)
    return _checked(_name_of(_after(first, unit), unit))


def previous_name(name: str) -> str:
    """Name the period that precedes in the calendar.

    Raises: BadPeriodName, also before the first period.
    """
    unit, first = _read(name)
    # The day before the first day lies in the preceding period, whatever the unit.
    return _checked(_name_of(first - _DAY, unit))


def names_between(start_at: datetime, end_at: datetime, zone: ZoneInfo, unit: PeriodUnit) -> list[str]:
    """Name, in order, the periods that share an instant with the span from start_at to end_at.

    Dates that the zone left out are no periods. Raises: BadSpan, BadPeriodName.
    """
    span = Span(start_at, end_at)
    names = []
    first = _read(_name_of(local_day(span.start_at, zone), unit))[1]
    opens_at = _start_of(first, zone)
    while opens_at < span.end_at:
        following = _after(first, unit)
        closes_at = _start_of(following, zone)
        if opens_at < closes_at:
            names.append(_checked(_name_of(first, unit)))
        first, opens_at = following, closes_at
    return names


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Tell on which local day an aware instant falls; day_span of that day holds it.

    This is the date on the wall, but for one case: clocks set back across midnight show the old date again
    (St. John's, 2010-11-07), and a day that has begun does not end for that.
    """
    assert instant.utcoffset() is not None, "an instant is aware"
    day = instant.astimezone(zone).date()
    return day + _DAY if _start_of(day + _DAY, zone) <= instant else day


def day_span(day: date, zone: ZoneInfo) -> Span:
    """Find the bounds of a local day, as span_of does.

    Raises: BadPeriodName for a date outside the calendar or one that the zone left out.
    """
    return span_of(day.isoformat(), zone)


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant such as "2026-11-21T20:00:00+07:00".

    Returns: aware, UTC, of the years 1970 to 2199.
    Raises: BadInstant if the form is another, the zone is missing, there are more than 6 fractional digits,
        the date or time does not exist (leap seconds included), or the year is outside.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise BadInstant("The instant is not in the form of RFC 3339; write it as 2026-11-21T13:00:00Z.")
    day, time, fraction, offset = match.groups(default="")
    if not offset:
        raise BadInstant("The instant names no time zone; end it with Z or an offset such as +07:00.")
    if len(fraction) > len(".123456"):
        raise BadInstant("The instant is finer than a microsecond; give at most 6 fractional digits.")
    try:
        instant = datetime.fromisoformat(f"{day}T{time}{fraction}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInstant("There is no such date or time; check month, day and seconds.") from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise BadInstant(
            f"The instant lies outside the years {FIRST_YEAR} to {LAST_YEAR} (UTC); check the year."
        )
    return instant


def to_text(instant: datetime) -> str:
    """Write an aware instant in UTC: "2026-11-21T13:00:00Z", with 6 fractional digits unless they are zero.

    Law: parse_instant reads it back, and one instant has one text.
    """
    assert instant.utcoffset() is not None, "an instant is aware"
    return instant.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def _read(name: str) -> tuple[PeriodUnit, date]:
    """Find the unit and the first day of a named period."""
    for unit, form, suffix in _FORMS:
        # One year more on either side: 1970-01-01T00:00Z is still 1969 west of Greenwich.
        if form.fullmatch(name) and FIRST_YEAR - 1 <= int(name[:4]) <= LAST_YEAR + 1:
            try:
                return unit, date.fromisoformat(name + suffix)
            except ValueError:  # Month 13, week 53 of a year of 52, 30 February.
                break
    raise BadPeriodName(
        "No period has this name; name a month as 2026-11, an ISO week as 2026-W47, a day as 2026-11-21, "
        f"of the years {FIRST_YEAR} to {LAST_YEAR}."
    )


def _after(first: date, unit: PeriodUnit) -> date:
    """Find the first day of the following period."""
    if unit == "month":
        return (first + 31 * _DAY).replace(day=1)
    return first + (_WEEK if unit == "week" else _DAY)


def _name_of(day: date, unit: PeriodUnit) -> str:
    if unit == "month":
        return f"{day.year:04}-{day.month:02}"
    if unit == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04}-W{week:02}"
    return day.isoformat()


def _checked(name: str) -> str:
    _read(name)
    return name


def _start_of(day: date, zone: ZoneInfo) -> datetime:
    """Find the first instant, in UTC, at which the local date is that day or, if it was left out, later."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    start_at = midnight.astimezone(UTC)
    if start_at.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return start_at
    # The clock skipped midnight. Read with the offset before the skip it lies after it, and the other way
    # round; the skip is found between the two, to the second (no zone changes within one).
    before, after = midnight.replace(fold=1).astimezone(UTC), start_at
    while after - before > _SECOND:
        middle = before + (after - before) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone).date() < day:
            before = middle
        else:
            after = middle
    return after
