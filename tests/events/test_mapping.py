"""Mappings: what a row becomes, and what a mapping may not say."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.events import mapping as mappings
from service.events.mapping import BadMapping, Made, Mapping, Row

COLUMNS = ("day", "who", "what", "amount")

TEMPLATE: dict[str, Any] = {
    "source": "test",
    "id": "{day}:{what}",
    "type": "view",
    "time": {"column": "day", "as": "local_day", "zone": "Asia/Ho_Chi_Minh", "hour": 12},
    "creator": "c-{who}",
    "content": "{what}",
    "quantity_column": "amount",
}

DOCUMENT: dict[str, Any] = {"title": "A test", "format": "csv", "events": [TEMPLATE]}


def mapping_of(**changes: Any) -> Mapping:
    """Parse the test's mapping with changes of its one template; None removes a member."""
    template = {name: value for name, value in {**TEMPLATE, **changes}.items() if value is not None}
    return mappings.parse(yaml.safe_dump({**DOCUMENT, "events": [template]}))


def made(values: tuple[str, ...] = ("2026-11-20", "ann", "v-1", "3"), **changes: Any) -> Made:
    """Make the event of one row."""
    (one,) = mappings.maker(mapping_of(**changes), COLUMNS)(Row(1, 2, values))
    return one


def test_a_row_becomes_an_event() -> None:
    """Texts filled, the time in UTC, the quantity a number."""
    expected = {
        "specversion": "1.0",
        "source": "test",
        "id": "2026-11-20:v-1",
        "type": "view",
        "time": "2026-11-20T05:00:00Z",
        "data": {"creator": "c-ann", "content": "v-1", "quantity": 3},
    }

    assert Made("view", event=expected) == made()


def test_the_digest_of_a_row_tells_rows_apart_by_their_values() -> None:
    """Values that only look alike when joined have other digests; the same values have the same one."""
    maker = mappings.maker(mapping_of(id="{@digest}"), COLUMNS)

    def id_of(*values: str) -> str:
        (one,) = maker(Row(1, 1, values))
        assert one.event is not None
        return str(one.event["id"])

    assert id_of("2026-11-20", "a", "bc", "1") != id_of("2026-11-20", "ab", "c", "1")
    assert id_of("2026-11-20", "a", "bc", "1") == id_of("2026-11-20", "a", "bc", "1")
    assert 32 == len(id_of("2026-11-20", "a", "bc", "1"))


@pytest.mark.parametrize(
    ("rule", "text", "time"),
    [
        ({"as": "epoch_ms"}, "1413331280999", "2014-10-15T00:01:20.999000Z"),
        ({"as": "epoch_ms"}, "-1", "1969-12-31T23:59:59.999000Z"),
        ({"as": "rfc3339"}, "2026-11-20T12:00:00+07:00", "2026-11-20T05:00:00Z"),
        ({"as": "local_day", "zone": "UTC"}, "2026-11-20", "2026-11-20T12:00:00Z"),
        ({"as": "local_day", "zone": "America/New_York", "hour": 0}, "2026-07-01", "2026-07-01T04:00:00Z"),
    ],
)
def test_times_are_read_in_their_form(rule: dict[str, Any], text: str, time: str) -> None:
    """Each form gives an instant in UTC."""
    one = made((text, "ann", "v-1", "3"), time={"column": "day", **rule})

    assert one.event is not None
    assert time == one.event["time"]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"as": "epoch_ms"}, ""),
        ({"as": "epoch_ms"}, "1413331280.5"),
        ({"as": "epoch_ms"}, "١٤١٣"),
        ({"as": "epoch_ms"}, "9" * 15),
        ({"as": "rfc3339"}, "2026-11-20T12:00:00"),
        ({"as": "local_day", "zone": "UTC"}, "2026-02-30"),
        ({"as": "local_day", "zone": "UTC"}, "20261120"),
        ({"as": "local_day", "zone": "UTC"}, "0001-01-01T"),
    ],
)
def test_what_is_no_time_of_its_form_is_a_fault_of_the_row(rule: dict[str, Any], text: str) -> None:
    """It is named, and nothing is guessed."""
    one = made((text, "ann", "v-1", "3"), time={"column": "day", **rule})

    assert one.error is not None
    assert ("/time", None) == (one.error.pointer, one.event)


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "two", " 1", "٣", "9" * 19])
def test_what_is_no_whole_number_is_a_fault_of_the_row(text: str) -> None:
    """As on the wire."""
    one = made(("2026-11-20", "ann", "v-1", text))

    assert one.error is not None
    assert "/data/quantity" == one.error.pointer


@pytest.mark.parametrize(("text", "quantity"), [("-5", -5), ("+5", 5), ("007", 7), ("0", 0)])
def test_whole_numbers_are_read_with_their_sign(text: str, quantity: int) -> None:
    """A change may go down."""
    one = made(("2026-11-20", "ann", "v-1", text))

    assert one.event is not None
    assert quantity == one.event["data"]["quantity"]


def test_a_change_of_zero_can_be_skipped() -> None:
    """Where the mapping says so, and only there."""
    values = ("2026-11-20", "ann", "v-1", "0")

    assert Made("view") == made(values, skip_when_zero=True)
    assert made(values).event is not None


def test_a_text_whose_values_are_all_empty_is_absent() -> None:
    """No content, rather than an empty one; a required text is left to the wire to refuse."""
    one = made(("2026-11-20", "", "", "1"), id="x")

    assert one.event is not None
    assert {"creator": "", "quantity": 1} == one.event["data"]


def test_the_times_alone_can_be_read_ahead() -> None:
    """Those that cannot be read are left out."""
    read = mappings.times(mapping_of(), COLUMNS)

    assert [datetime(2026, 11, 20, 5, tzinfo=UTC)] == list(read(Row(1, 1, ("2026-11-20", "", "", ""))))
    assert [] == list(read(Row(1, 1, ("soon", "", "", ""))))


def test_the_digest_of_a_mapping_is_that_of_its_values() -> None:
    """Not of how its document is written."""
    as_json = mappings.parse(json.dumps(DOCUMENT))

    assert mapping_of().sha256 == as_json.sha256
    assert mapping_of().sha256 != mapping_of(type="like").sha256


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"extra": 1}, "/events/0"),
        ({"source": None}, "/events/0"),
        ({"source": 7}, "/events/0/source"),
        ({"id": "{}"}, "/events/0/id"),
        ({"id": "{day"}, "/events/0/id"),
        ({"id": "day}"}, "/events/0/id"),
        ({"creator": "x" * 257}, "/events/0/creator"),
        ({"time": {"column": "day", "as": "stardate"}}, "/events/0/time/as"),
        ({"time": {"column": "day", "as": "local_day"}}, "/events/0/time/zone"),
        ({"time": {"column": "day", "as": "local_day", "zone": "Mars/Base"}}, "/events/0/time/zone"),
        ({"time": {"column": "day", "as": "local_day", "zone": "UTC", "hour": 24}}, "/events/0/time/hour"),
        ({"time": {"column": "day", "as": "epoch_ms", "zone": "UTC"}}, "/events/0/time/zone"),
        ({"skip_when_zero": True, "quantity_column": None}, "/events/0/skip_when_zero"),
    ],
)
def test_a_bad_template_is_named_by_its_place(changes: dict[str, Any], pointer: str) -> None:
    """With its number, since a mapping may have several."""
    with pytest.raises(BadMapping) as refused:
        mapping_of(**changes)

    assert [pointer] == [error.pointer for error in refused.value.errors]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("[]", ""),
        ("just text", ""),
        ("{unclosed", ""),
        ("title: x\nformat: csv\nevents: []", "/events"),
        ("title: x\nformat: xls\nevents: [{}]", "/events/0"),
        (yaml.safe_dump({**DOCUMENT, "format": "xls"}), "/format"),
        (yaml.safe_dump({**DOCUMENT, "more": 1}), ""),
        (yaml.safe_dump({**DOCUMENT, "columns": ["a", "a"]}), "/columns"),
        (yaml.safe_dump({**DOCUMENT, "format": "ndjson", "columns": ["a"]}), "/columns"),
    ],
)
def test_a_bad_document_is_refused(text: str, pointer: str) -> None:
    """Before any file is opened."""
    with pytest.raises(BadMapping) as refused:
        mappings.parse(text)

    assert [pointer] == [error.pointer for error in refused.value.errors]


def test_a_column_that_the_file_lacks_is_named_with_those_it_has() -> None:
    """And with the place in the mapping that wants it."""
    with pytest.raises(BadMapping, match="day, who, amount") as refused:
        mappings.maker(mapping_of(), ("day", "who", "amount"))

    assert ["/events/0/id"] == [error.pointer for error in refused.value.errors]


def test_the_shipped_mappings_can_be_loaded_by_name() -> None:
    """Each has a title to choose it by."""
    shipped = dict(mappings.shipped_mappings())

    assert {"klout_facebook", "klout_twitter", "vn_video_daily"} == set(shipped)
    assert all(mappings.load(name).title == title for name, title in shipped.items())


def test_a_mapping_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    """By its path, in YAML or JSON."""
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT), encoding="utf-8")

    assert mappings.parse(yaml.safe_dump(DOCUMENT)) == mappings.load(str(path))


@pytest.mark.parametrize("content", [None, b"\xff", b"#" * (mappings.DOCUMENT_BYTES_MAX + 1)])
def test_a_mapping_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Missing (the shipped names are told), not text, or far too long."""
    path = tmp_path / "mapping.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BadMapping):
        mappings.load(str(path))


ATTRIBUTES = {
    "topic": "t-{what}",
    "amount": {"column": "amount", "as": "integer"},
    "is_new": {"column": "who", "as": "boolean"},
    "name": {"column": "who", "as": "string"},
}


def test_attributes_are_set_from_columns_by_kind() -> None:
    """Texts with columns in them, and columns as kinds; what is empty is left out."""
    one = made(("2026-11-20", "true", "v-1", "3"), attributes=ATTRIBUTES)
    empty = made(("2026-11-20", "", "v-1", "3"), attributes={**ATTRIBUTES, "topic": "{who}"}, creator="linh")

    assert one.event is not None
    assert {"topic": "t-v-1", "amount": 3, "is_new": True, "name": "true"} == one.event["data"]["attributes"]
    assert empty.event is not None
    assert {"amount": 3} == empty.event["data"]["attributes"]
    plain = made().event
    assert plain is not None
    assert "attributes" not in plain["data"]


@pytest.mark.parametrize(
    ("who", "kind", "value"),
    [
        ("7", "integer", 7),
        ("7.0", "integer", None),
        ("seven", "integer", None),
        ("FALSE", "boolean", False),
        ("0", "boolean", False),
        ("no", "boolean", None),
        ("7", "string", "7"),
    ],
)
def test_an_attribute_that_is_not_of_its_kind_is_a_fault_of_its_row(
    who: str, kind: str, value: object
) -> None:
    """The pointer names it, escaped."""
    one = made(("2026-11-20", who, "v-1", "3"), attributes={"a/b": {"column": "who", "as": kind}})

    if value is None:
        assert one.error is not None
        assert "/data/attributes/a~1b" == one.error.pointer
    else:
        assert one.event is not None
        assert {"a/b": value} == one.event["data"]["attributes"]


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"topic": "{nothing}"}, "/events/0/attributes/topic"),
        ({"topic": {"column": "nothing", "as": "string"}}, "/events/0/attributes/topic/column"),
        ({"topic": "{"}, "/events/0/attributes/topic"),
        ({"topic": {"column": "who", "as": "float"}}, "/events/0/attributes"),
        ({f"a{number}": "x" for number in range(21)}, "/events/0/attributes"),
    ],
)
def test_attributes_that_cannot_be_set_are_refused_before_anything_is_imported(
    attributes: dict[str, Any], pointer: str
) -> None:
    """Unknown columns and kinds, broken braces, too many."""
    with pytest.raises(BadMapping) as caught:
        mappings.maker(mapping_of(attributes=attributes), COLUMNS)

    assert pointer == caught.value.errors[0].pointer


def test_a_mapping_without_attributes_has_the_digest_it_always_had() -> None:
    """So that an import that was begun is taken up, and one that was finished is known."""
    expected = "c7aead6d156d38e5db72dbd6bd8c91efb3920bba69913b95b697d0f8dca6c1b3"

    assert expected == mappings.load("klout_twitter").sha256.hex()
    assert mapping_of().sha256 != mapping_of(attributes=ATTRIBUTES).sha256


@pytest.mark.parametrize(
    ("zone", "text", "time"),
    [
        ("Asia/Ho_Chi_Minh", "2026-11-20T12:00:00", "2026-11-20T05:00:00Z"),
        ("Asia/Ho_Chi_Minh", "2026-11-20 12:00:00.000001", "2026-11-20T05:00:00.000001Z"),
        # Clocks in New York show 01:30 twice on 1 November 2026, and never 02:30 on 8 March.
        ("America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:30:00Z"),
        ("America/New_York", "2026-03-08 01:59:59", "2026-03-08T06:59:59Z"),
        ("America/New_York", "2026-03-08 02:30:00", None),
        ("America/New_York", "2026-03-08 03:00:00", "2026-03-08T07:00:00Z"),
        ("UTC", "2026-11-20T12:00:00Z", None),
        ("UTC", "2026-11-20T12:00:00.0000001", None),
        ("UTC", "2026-11-20 24:00:00", None),
        ("UTC", "2026-02-29 12:00:00", None),
        ("UTC", "9999-12-31 23:59:59", "9999-12-31T23:59:59Z"),
        ("America/New_York", "9999-12-31 23:59:59", None),
    ],
)
def test_local_times_are_read_by_the_clock_of_their_zone(zone: str, text: str, time: str | None) -> None:
    """What it never shows is no time; of two instants it is the first."""
    one = made(
        (text, "ann", "v-1", "3"), time={"column": "day", "as": "local_time", "zone": zone}, id="{what}"
    )

    assert time == (one.event and one.event["time"])


def test_the_mapping_of_the_page_can_be_used() -> None:
    """As it is written there."""
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    mapping = mappings.parse(example)

    columns = ("event.id", "event.creator", "happened_at", "video", "viewer", "seconds", "category", "length")
    row = Row(1, 1, ("e-1", "linh", "2026-11-20T12:00:00+07:00", "", "", "7", "music", "90"))
    (one,) = mappings.maker(mapping, columns)(row)
    assert one.event is not None
    expected = {"creator": "linh", "quantity": 7, "attributes": {"topic": "music", "length_s": 90}}
    assert expected == one.event["data"]
