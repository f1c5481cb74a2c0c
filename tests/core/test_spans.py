"""Spans: half-open time, periods that tile it in every zone, and one text for an instant."""

import io
import struct
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.core.spans import (
    BadInstant,
    BadPeriodName,
    BadSpan,
    Period,
    Span,
    day_span,
    local_day,
    names_between,
    next_name,
    parse_instant,
    period_of,
    previous_name,
    span_of,
    to_text,
)

SAIGON = ZoneInfo("Asia/Ho_Chi_Minh")
BERLIN = ZoneInfo("Europe/Berlin")
APIA = ZoneInfo("Pacific/Apia")
ST_JOHNS = ZoneInfo("America/St_Johns")

# Zones that skip midnight, repeat it, skip a date, shift by half an hour, or sit at an end of the world.
ZONES = st.sampled_from(
    [
        "Africa/Cairo",
        "America/Havana",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Asia/Beirut",
        "Asia/Ho_Chi_Minh",
        "Asia/Kathmandu",
        "Asia/Tehran",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "UTC",
    ]
).map(ZoneInfo)
UNITS = st.sampled_from(["month", "week", "day"])
INSTANTS = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 — hypothesis takes bare bounds and a zone.
    datetime(2199, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    timezones=st.just(UTC),
)
NAMES = st.dates(date(1970, 2, 1), date(2199, 11, 30)).flatmap(
    lambda day: st.sampled_from(
        [f"{day:%Y-%m}", day.isoformat(), f"{day.isocalendar().year}-W{day.isocalendar().week:02}"]
    )
)


def utc(*numbers):
    """An instant in UTC."""
    return datetime(*numbers, tzinfo=UTC)


def zone_of(rule):
    """A time zone, five hours behind in winter, that always followed a POSIX TZ rule (TZif, RFC 9636)."""
    block = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb", -5 * 3600, 0, 0)
    return ZoneInfo.from_file(io.BytesIO((block + b"-05\0") * 2 + f"\n{rule}\n".encode()), key="Test/Zone")


def test_a_span_holds_its_start_and_not_its_end():
    """Half-open: the next span takes over exactly where this one ends."""
    span = Span(utc(2026, 11, 1), utc(2026, 12, 1))
    instants = [
        utc(2026, 10, 31, 23, 59, 59, 999999),
        span.start_at,
        utc(2026, 11, 30, 23, 59, 59, 999999),
        span.end_at,
    ]

    assert [False, True, True, False] == [span.contains(instant) for instant in instants]


@pytest.mark.parametrize(
    ("start_h", "end_h", "shares"),
    [(0, 2, False), (0, 3, True), (3, 4, True), (2, 5, True), (0, 9, True), (4, 9, True), (5, 9, False)],
)
def test_spans_overlap_only_if_they_share_an_instant(start_h, end_h, shares):
    """Touching is not sharing; the other span lasts from 2 to 5."""
    span, other = (
        Span(utc(2026, 1, 1, start_h), utc(2026, 1, 1, end_h)),
        Span(utc(2026, 1, 1, 2), utc(2026, 1, 1, 5)),
    )

    assert (shares, shares) == (span.overlaps(other), other.overlaps(span))


def test_a_span_is_kept_in_utc_whatever_zone_it_was_given_in():
    """One stretch of time is one value, and its arithmetic knows no clock changes."""
    local = Span(datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 3, 30, tzinfo=BERLIN))

    assert (UTC, UTC) == (local.start_at.tzinfo, local.end_at.tzinfo)
    assert Span(utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)) == local
    assert timedelta(hours=23) == local.length


def test_spans_and_periods_do_not_change():
    """Bounds are frozen once a period is opened."""
    period = period_of(utc(2026, 11, 21), SAIGON, "month")

    with pytest.raises(FrozenInstanceError):
        period.name = "2026-12"
    with pytest.raises(FrozenInstanceError):
        period.span.end_at = utc(2026, 12, 1)


@pytest.mark.parametrize("end_at", [utc(2026, 1, 1), utc(2025, 12, 31)])
def test_an_empty_or_backward_span_is_refused(end_at):
    """The shortest span is a microsecond."""
    with pytest.raises(BadSpan, match="ends at or before its start"):
        Span(utc(2026, 1, 1), end_at)

    assert timedelta(microseconds=1) == Span(utc(2026, 1, 1), utc(2026, 1, 1, 0, 0, 0, 1)).length


def test_a_repeated_hour_is_no_empty_span():
    """02:30 comes twice when Berlin leaves summer time: the first is an hour before the second."""
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN) for fold in (0, 1))

    assert timedelta(hours=1) == Span(first, second).length


@pytest.mark.parametrize("naive", ["start", "end"])
def test_a_naive_bound_is_refused(naive):
    """Nobody knows which instant it means."""
    start_at, end_at = utc(2026, 1, 1), utc(2026, 1, 2)

    with pytest.raises(BadSpan, match="no time zone"):
        Span(start_at.replace(tzinfo=None), end_at) if naive == "start" else Span(
            start_at, end_at.replace(tzinfo=None)
        )


@pytest.mark.parametrize(
    ("instant", "unit", "period"),
    [
        (
            utc(2026, 11, 30, 17),
            "month",
            Period("2026-12", Span(utc(2026, 11, 30, 17), utc(2026, 12, 31, 17))),
        ),
        (
            utc(2026, 11, 30, 16, 59, 59, 999999),
            "month",
            Period("2026-11", Span(utc(2026, 10, 31, 17), utc(2026, 11, 30, 17))),
        ),
        (
            utc(2026, 11, 21, 13),
            "week",
            Period("2026-W47", Span(utc(2026, 11, 15, 17), utc(2026, 11, 22, 17))),
        ),
        (
            utc(2026, 11, 20, 17),
            "day",
            Period("2026-11-21", Span(utc(2026, 11, 20, 17), utc(2026, 11, 21, 17))),
        ),
        (
            utc(2027, 1, 1),
            "week",
            Period("2026-W53", Span(utc(2026, 12, 27, 17), utc(2027, 1, 3, 17))),
        ),
    ],
)
def test_an_instant_falls_into_the_period_of_its_local_date(instant, unit, period):
    """Ho Chi Minh City is seven hours ahead: its December begins at 17:00 UTC on 30 November."""
    assert period == period_of(instant, SAIGON, unit)


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("2026-02", 28 * 24),
        ("2026-03", 31 * 24 - 1),
        ("2026-10", 31 * 24 + 1),
        ("2026-03-29", 23),
        ("2026-W43", 169),
    ],
)
def test_a_period_is_as_long_as_its_local_days(name, hours):
    """Berlin's March loses an hour and its October gains one."""
    assert timedelta(hours=hours) == span_of(name, BERLIN).length


@pytest.mark.parametrize(
    ("zone", "day", "start_at", "length"),
    [
        ("America/Sao_Paulo", date(2018, 11, 4), utc(2018, 11, 4, 3), timedelta(hours=23)),
        ("Africa/Cairo", date(2024, 4, 26), utc(2024, 4, 25, 22), timedelta(hours=23)),
        ("Asia/Beirut", date(2024, 3, 31), utc(2024, 3, 30, 22), timedelta(hours=23)),
        ("Africa/Monrovia", date(1972, 1, 7), utc(1972, 1, 7, 0, 44, 30), timedelta(seconds=83_730)),
        ("Pacific/Apia", date(2011, 12, 31), utc(2011, 12, 30, 10), timedelta(hours=24)),
        ("America/Havana", date(2026, 11, 1), utc(2026, 11, 1, 4), timedelta(hours=25)),
        ("America/St_Johns", date(2010, 11, 7), utc(2010, 11, 7, 2, 30), timedelta(hours=25)),
    ],
)
def test_a_day_starts_at_its_first_existing_or_first_of_two_midnights(zone, day, start_at, length):
    """The first four skip midnight, Apia the whole day before; Havana and St. John's see midnight twice."""
    span = day_span(day, ZoneInfo(zone))

    assert (start_at, length) == (span.start_at, span.length)


@pytest.mark.parametrize(
    ("skips_at", "start_at"),
    [
        ("23:30", utc(2026, 4, 26, 4, 30)),
        ("23:29:59", utc(2026, 4, 26, 4, 29, 59)),
        ("24", utc(2026, 4, 26, 5)),
    ],
)
def test_a_skip_across_midnight_ends_within_the_day(skips_at, start_at):
    """Toronto went from 23:30 on 30 March 1919 straight to 00:30; the zone here does so each April."""
    zone = zone_of(f"<-05>5<-04>,M4.4.6/{skips_at},M10.4.0/2")

    assert Span(start_at, utc(2026, 4, 27, 4)) == day_span(date(2026, 4, 26), zone)
    assert start_at == day_span(date(2026, 4, 25), zone).end_at
    assert date(2026, 4, 26) == local_day(start_at, zone)


def test_a_day_that_has_begun_does_not_end_when_the_clock_shows_the_old_date_again():
    """St. John's, 2010-11-07: at 00:01 the clock went back to 23:01 of the sixth; the day had begun."""
    again = utc(2010, 11, 7, 3, 0)

    assert date(2010, 11, 6) == again.astimezone(ST_JOHNS).date()
    assert date(2010, 11, 7) == local_day(again, ST_JOHNS)
    assert date(2010, 11, 6) == local_day(utc(2010, 11, 7, 2, 29, 59), ST_JOHNS)


def test_a_date_that_a_zone_left_out_is_no_period():
    """Apia went from 29 to 31 December 2011."""
    with pytest.raises(BadPeriodName, match=r"2011-12-30 never was in Pacific/Apia"):
        span_of("2011-12-30", APIA)

    assert ["2011-12-29", "2011-12-31", "2012-01-01"] == names_between(
        utc(2011, 12, 30, 9), utc(2011, 12, 31, 11), APIA, "day"
    )


@pytest.mark.parametrize(
    ("name", "following"),
    [
        ("2026-11", "2026-12"),
        ("2026-12", "2027-01"),
        ("2026-01", "2026-02"),
        ("2026-W52", "2026-W53"),
        ("2026-W53", "2027-W01"),
        ("2025-W52", "2026-W01"),
        ("2026-11-30", "2026-12-01"),
        ("2028-02-28", "2028-02-29"),
        ("2026-12-31", "2027-01-01"),
    ],
)
def test_the_next_name_follows_the_calendar_and_the_previous_one_goes_back(name, following):
    """Years of 53 weeks and leap years included."""
    assert following == next_name(name)
    assert name == previous_name(following)


@pytest.mark.parametrize("name", ["2200-12", "2200-W52", "2200-12-31"])
def test_the_calendar_ends(name):
    """No name is given that could not be read."""
    with pytest.raises(BadPeriodName):
        next_name(name)


@pytest.mark.parametrize("name", ["1969-01", "1969-W01", "1969-01-01"])
def test_the_calendar_begins(name):
    """One year before 1970, which is still going on west of Greenwich when 1970 begins."""
    with pytest.raises(BadPeriodName):
        previous_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "2026",
        "2026-1",
        "2026-00",
        "2026-13",
        "2026-W00",
        "2025-W53",
        "2026-W54",
        "2026W47",
        "2026-w47",
        "2026-W47-1",
        "2026-02-29",
        "2026-11-31",
        "20261121",
        " 2026-11",
        "2026-11\n",
        "２０２６-11",
        "1968-12",
        "2201-01",
    ],
)
def test_a_name_that_no_period_has_is_refused(name):
    """Neither another form nor a date that is not."""
    with pytest.raises(BadPeriodName, match="No period has this name"):
        span_of(name, SAIGON)


@pytest.mark.parametrize("day", [date(1, 1, 1), date(9999, 12, 31)])
def test_a_day_outside_the_calendar_is_refused(day):
    """A report may ask for any date."""
    with pytest.raises(BadPeriodName):
        day_span(day, SAIGON)


def test_periods_between_are_those_that_share_an_instant():
    """A span that ends where a month begins does not reach it."""
    december = span_of("2026-12", SAIGON)

    assert ["2026-12"] == names_between(december.start_at, december.end_at, SAIGON, "month")
    assert ["2026-11", "2026-12", "2027-01"] == names_between(
        december.start_at - timedelta(microseconds=1),
        december.end_at + timedelta(microseconds=1),
        SAIGON,
        "month",
    )


def test_periods_beyond_the_calendar_are_refused():
    """No name is given that could not be read."""
    with pytest.raises(BadPeriodName):
        names_between(utc(2200, 12, 30), utc(2201, 1, 2), SAIGON, "day")
    with pytest.raises(BadPeriodName):
        names_between(utc(1968, 12, 30), utc(1969, 1, 2), SAIGON, "day")


def test_there_are_no_periods_between_an_instant_and_itself():
    """An empty span is a mistake of whoever asks."""
    with pytest.raises(BadSpan):
        names_between(utc(2026, 1, 1), utc(2026, 1, 1), SAIGON, "day")


def test_a_naive_instant_has_no_local_day_and_no_text():
    """Guessing its zone would be a mistake of ours."""
    naive = datetime(2026, 11, 21)  # noqa: DTZ001 — that is the point.

    with pytest.raises(AssertionError):
        local_day(naive, SAIGON)
    with pytest.raises(AssertionError):
        to_text(naive)


@settings(max_examples=500, deadline=None)
@given(INSTANTS, ZONES, UNITS)
@example(utc(1970, 1, 1), ZoneInfo("Pacific/Pago_Pago"), "month")
@example(utc(2199, 12, 31, 23, 59, 59, 999999), ZoneInfo("Pacific/Kiritimati"), "month")
@example(utc(2010, 11, 7, 3), ST_JOHNS, "day")
@example(utc(2011, 12, 30, 10), APIA, "day")
def test_the_period_of_an_instant_holds_it(instant, zone, unit):
    """Law: and its name leads back to its bounds."""
    period = period_of(instant, zone, unit)

    assert period.span.contains(instant)
    assert span_of(period.name, zone) == period.span


@settings(max_examples=500, deadline=None)
@given(INSTANTS, st.timedeltas(timedelta(microseconds=1), timedelta(days=70)), ZONES, UNITS)
@example(utc(2011, 12, 28), timedelta(days=7), APIA, "day")
@example(utc(2010, 11, 5), timedelta(days=7), ST_JOHNS, "day")
@example(utc(2024, 4, 20), timedelta(days=40), ZoneInfo("Africa/Cairo"), "day")
@example(utc(2018, 10, 20), timedelta(days=140), ZoneInfo("America/Sao_Paulo"), "day")
def test_periods_tile_time_without_gap_or_overlap(start_at, length, zone, unit):
    """Law: each period ends where the next begins, and together they cover the span that was asked for."""
    end_at = start_at + length

    spans = [span_of(name, zone) for name in names_between(start_at, end_at, zone, unit)]

    assert [span.end_at for span in spans[:-1]] == [span.start_at for span in spans[1:]]
    assert spans[0].contains(start_at)
    assert spans[-1].contains(end_at - timedelta(microseconds=1))


@settings(max_examples=300, deadline=None)
@given(INSTANTS, ZONES)
@example(utc(2010, 11, 7, 3), ST_JOHNS)
def test_the_local_day_of_an_instant_holds_it(instant, zone):
    """Law: the two ways to speak of a day agree."""
    assert day_span(local_day(instant, zone), zone).contains(instant)


@given(NAMES)
def test_going_forth_and_back_leads_to_the_same_name(name):
    """Law: next and previous undo each other."""
    assert name == previous_name(next_name(name)) == next_name(previous_name(name))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T13:00:00Z", utc(2026, 11, 21, 13)),
        ("2026-11-21t13:00:00z", utc(2026, 11, 21, 13)),
        ("2026-11-21T20:00:00+07:00", utc(2026, 11, 21, 13)),
        ("2026-11-21T09:30:00-03:30", utc(2026, 11, 21, 13)),
        ("2026-11-21T13:00:00-00:00", utc(2026, 11, 21, 13)),
        ("2026-11-21T13:00:00.5Z", utc(2026, 11, 21, 13, 0, 0, 500000)),
        ("2026-11-21T13:00:00.000001Z", utc(2026, 11, 21, 13, 0, 0, 1)),
        ("2028-02-29T00:00:00Z", utc(2028, 2, 29)),
        ("1970-01-01T00:00:00Z", utc(1970, 1, 1)),
        ("1969-12-31T23:00:00-01:00", utc(1970, 1, 1)),
        ("2199-12-31T23:59:59.999999Z", utc(2199, 12, 31, 23, 59, 59, 999999)),
    ],
)
def test_an_instant_is_read_into_utc(text, instant):
    """Every offset that RFC 3339 allows, and either case of its letters."""
    read = parse_instant(text)

    assert (instant, UTC) == (read, read.tzinfo)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-11-21T13:00:00", "no time zone"),
        ("2026-11-21T13:00:00.0000001Z", "at most 6 fractional digits"),
        ("2026-11-21T13:00:00.0000000Z", "at most 6 fractional digits"),
        ("2026-02-29T13:00:00Z", "no such date or time"),
        ("2026-13-01T13:00:00Z", "no such date or time"),
        ("2016-12-31T23:59:60Z", "no such date or time"),
        ("0000-01-01T00:00:00Z", "no such date or time"),
        ("9999-12-31T23:59:59-23:00", "no such date or time"),
        ("1969-12-31T23:59:59.999999Z", "outside the years 1970 to 2199"),
        ("1970-01-01T00:00:00+00:01", "outside the years 1970 to 2199"),
        ("2200-01-01T00:00:00Z", "outside the years 1970 to 2199"),
        ("2026-11-21", "RFC 3339"),
        ("2026-11-21 13:00:00Z", "RFC 3339"),
        ("2026-11-21T13:00Z", "RFC 3339"),
        ("2026-11-21T24:00:00Z", "RFC 3339"),
        ("2026-11-21T13:60:00Z", "RFC 3339"),
        ("2026-11-21T13:00:00,5Z", "RFC 3339"),
        ("2026-11-21T13:00:00.Z", "RFC 3339"),
        ("2026-11-21T13:00:00+0700", "RFC 3339"),
        ("2026-11-21T13:00:00+07", "RFC 3339"),
        ("2026-11-21T13:00:00+24:00", "RFC 3339"),
        ("2026-11-21T13:00:00+07:60", "RFC 3339"),
        ("2026-W47-6T13:00:00Z", "RFC 3339"),
        ("20261121T130000Z", "RFC 3339"),
        ("２026-11-21T13:00:00Z", "RFC 3339"),
        ("2026-11-21T13:00:00Z\n", "RFC 3339"),
        (" 2026-11-21T13:00:00Z", "RFC 3339"),
        ("", "RFC 3339"),
    ],
)
def test_text_that_is_no_instant_is_refused_with_the_reason(text, reason):
    """Nothing is guessed, truncated or moved."""
    with pytest.raises(BadInstant, match=reason):
        parse_instant(text)


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (utc(2026, 11, 21, 13), "2026-11-21T13:00:00Z"),
        (utc(2026, 11, 21, 13, 0, 0, 120), "2026-11-21T13:00:00.000120Z"),
        (datetime(2026, 11, 21, 20, tzinfo=SAIGON), "2026-11-21T13:00:00Z"),
        (datetime(2026, 11, 21, 20, tzinfo=timezone(timedelta(hours=7))), "2026-11-21T13:00:00Z"),
    ],
)
def test_an_instant_is_written_in_utc(instant, text):
    """One instant has one text, whatever zone it was held in."""
    assert text == to_text(instant)


@given(INSTANTS)
def test_an_instant_that_was_written_reads_back_the_same(instant):
    """Law: reading undoes writing, to the microsecond."""
    assert instant == parse_instant(to_text(instant))
