"""Rows: what of an event is in the lake, on which day, in which order."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.spans import local_day
from service.events import rows, wire
from service.events.identities import fingerprint_of, identity_of
from service.events.rows import Days
from service.events.types import Attribute, EventType
from tests.events.worlds import TYPES, event, lines

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


def table(*events: object, seq: int = 7, types: Mapping[str, EventType] = TYPES) -> "rows.pa.Table":
    """Make the rows of a batch of valid events."""
    decoded = wire.decode(lines(*events), wire.LINES, types)
    times = [one.time for one in decoded.events.values()]
    return rows.table_of(seq, decoded.events, Days(HANOI, min(times), max(times)))


def test_a_row_holds_the_event_normalised() -> None:
    """The instant in UTC, the day in the platform's zone, nothing where nothing was said."""
    made = table({}, event("e-1", time="2026-11-20T17:30:00.5+00:00", content=None, quantity=-3))

    at = datetime(2026, 11, 20, 17, 30, 0, 500_000)  # noqa: DTZ001 — the column is UTC without saying so.
    at_us = (at.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    expected = {
        "seq": 7,
        "position": 1,
        "source": "app",
        "id": "e-1",
        "type": "view",
        "at": at,
        "day_on": date(2026, 11, 21),
        "creator": "c-1",
        "content": None,
        "actor": "u-1",
        "quantity": -3,
        "identity": identity_of("app", "e-1"),
        "fingerprint": fingerprint_of("app", "e-1", "view", at_us, "c-1", None, "u-1", -3),
        "attributes": None,
    }
    assert [expected] == made.to_pylist()


def test_attributes_are_a_column_of_canonical_json() -> None:
    """In one order, and null where there are none."""
    declared = {"topic": Attribute("string"), "is_live": Attribute("boolean"), "rank": Attribute("integer")}
    types = {**TYPES, "view": replace(TYPES["view"], attributes=declared)}
    items = [
        event("e-1", attributes={"topic": "nhạc", "rank": 3, "is_live": True}),
        event("e-1", attributes={"is_live": True, "topic": "nhạc", "rank": 3}),
        event("e-1", attributes={}),
        event("e-1"),
    ]

    made = table(*items, types=types)

    text = '{"is_live":true,"rank":3,"topic":"nhạc"}'
    assert [text, text, None, None] == made["attributes"].to_pylist()
    fingerprints = made["fingerprint"].to_pylist()
    assert fingerprints[0] == fingerprints[1] != fingerprints[2] == fingerprints[3]


def test_how_an_event_was_written_does_not_change_its_fingerprint() -> None:
    """Zone, order of keys, attributes without meaning: the same event."""
    one = event("e-1", time="2026-11-20T04:00:00Z")
    same = dict(reversed(event("e-1", time="2026-11-20T11:00:00.000+07:00", traceparent="x").items()))

    made = table(one, same)

    assert 1 == len(set(made["fingerprint"].to_pylist()))


def test_tables_are_cut_by_day_and_each_day_is_in_order_of_creator_and_log() -> None:
    """What the files of the lake look like, whatever the order of arrival."""
    late, early = "2026-11-20T17:00:00Z", "2026-11-20T16:59:59.999999Z"
    second = table(event("e-1", creator="b", time=late), event("e-2", creator="a", time=late), seq=2)
    first = table(event("e-3", creator="b", time=late), event("e-4", creator="z", time=early), seq=1)

    cut = {day: made["id"].to_pylist() for day, made in rows.by_day([second, first])}

    assert {date(2026, 11, 20): ["e-4"], date(2026, 11, 21): ["e-2", "e-3", "e-1"]} == cut


def test_equal_rows_make_equal_files(tmp_path: Path) -> None:
    """A file's name is the digest of its bytes, so they may not depend on when it was written."""
    made = table(*(event(f"e-{number}") for number in range(100)))

    rows.write(made, tmp_path / "one.parquet")
    rows.write(made, tmp_path / "two.parquet")

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.parametrize(
    "zone", ["Asia/Ho_Chi_Minh", "America/St_Johns", "Pacific/Apia", "UTC", "America/Santiago"]
)
@given(data=st.data())
def test_days_found_by_bisection_are_the_local_days(zone: str, data: st.DataObject) -> None:
    """Law: as `spans.local_day`, with clocks that jump at midnight and dates that never were."""
    instants = st.datetimes(datetime(2009, 1, 1), datetime(2012, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
    first_at, at, last_at = sorted(data.draw(st.tuples(instants, instants, instants)))

    number = Days(ZoneInfo(zone), first_at, last_at).number_of((at - EPOCH) // timedelta(microseconds=1))

    assert local_day(at, ZoneInfo(zone)) == date(1970, 1, 1) + timedelta(days=number)
