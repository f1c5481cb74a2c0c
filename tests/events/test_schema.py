"""The served JSON Schema: a sender who checks by it is not surprised by intake."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.events import schema, wire
from service.events.types import ATTRIBUTED_MAX, DEFAULTS, Attribute, EventType
from tests.events.worlds import event, lines

AD = EventType("ad", "none", 0, ATTRIBUTED_MAX, "micro", "attributed_revenue", "Video ads", "VND")
GIFT = EventType(
    "gift",
    "required",
    2,
    1_000,
    "gift",
    attributes={
        "topic": Attribute("string", ("music", "sport"), is_required=True),
        "note": Attribute("string"),
        "rank": Attribute("integer"),
        "tier": Attribute("integer", (1, 2)),
        "is_live": Attribute("boolean"),
    },
)
KINDS = {one.name: one for one in (*DEFAULTS, AD, GIFT)}

NAMES = st.sampled_from(["topic", "note", "rank", "tier", "is_live", "Topic", "other"])
ATTRIBUTE_VALUES = st.sampled_from(
    [
        "music",
        "sport",
        "news",
        "",
        "x" * 64,
        "x" * 65,
        "a\nb",
        0,
        1,
        3,
        2**53 - 1,
        2**53,
        True,
        None,
        1.5,
        [],
        {},
    ]
)
TEXTS = st.sampled_from(
    ["a", "", "x" * 64, "x" * 65, "x" * 129, "việt nam", "a\x00b", "a\u2028b", "a\x7f", "\u0085"]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "specversion": st.sampled_from(["1.0", "1.1", 1]),
    "id": TEXTS,
    "source": TEXTS,
    "time": st.sampled_from(
        [
            "2026-11-20T04:00:00Z",
            "2026-11-20t04:00:00.123456z",
            "2026-11-20T04:00:00.1234567Z",
            "2026-11-20T11:00:00+07:00",
            "2026-11-20T11:00:00-23:59",
            "2026-11-20T11:00:00+24:00",
            "2026-11-20T04:00:00",
            "2026-11-20 04:00:00",
            "2026-11-20",
            "20261120T040000Z",
            "2026-02-29T04:00:00Z",
            "2028-02-29T04:00:00Z",
            "2026-11-31T04:00:00Z",
            "2026-13-01T04:00:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T23:59:60Z",
            "1969-06-01T00:00:00Z",
            "1970-06-01T00:00:00Z",
            "2199-06-01T00:00:00Z",
            "2200-06-01T00:00:00Z",
            "0001-01-01T00:00:00+07:00",
            "9999-12-31T23:59:59-07:00",
            "2026-11-20T04:00:00.Z",
            "２026-11-20T04:00:00Z",
            "2026-11-20T04:00:00Z\n",
            7,
        ]
    ),
    "creator": TEXTS,
    "content": TEXTS | st.none(),
    "actor": TEXTS | st.none(),
    "quantity": st.sampled_from(
        [
            0,
            1,
            2,
            -1,
            1_000,
            1_001,
            10**8,
            10**8 + 1,
            ATTRIBUTED_MAX,
            ATTRIBUTED_MAX + 1,
            2**70,
            1.5,
            "1",
            True,
            None,
        ]
    ),
    "attributes": st.dictionaries(NAMES, ATTRIBUTE_VALUES, max_size=3) | st.sampled_from([None, [], "x"]),
    "data": st.sampled_from([None, [], {}, {"creator": "c", "more": 1}]),
    "datacontenttype": st.sampled_from(
        ["application/json", "text/xml", "application/x+json; a=b", "application/jsonl", None, 7, ""]
    ),
    "extension": st.sampled_from(["x", "x" * 1_024, "x" * 1_025, 7, True, None, 1.5, [], {}]),
    "Extension": st.just("x"),
    "data_base64": st.just("eyJ9"),
    "subject": st.sampled_from(["x", None, 7, {}]),
}


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a few members and what they become; LEFT_OUT is a member that is taken away."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True))
    return {name: draw(VALUES[name] | st.just(LEFT_OUT)) for name in names}


LEFT_OUT = object()


def made(one: EventType, changed: dict[str, Any]) -> dict[str, Any]:
    """Make a sound event of a type and change it."""
    sound: dict[str, Any] = {"type": one.name, "quantity": one.quantity_max}
    if one.actor == "none":
        sound["actor"] = None
    if one.attributes:
        sound["attributes"] = {"topic": "music"}
    document = event("e-1", **sound)
    for name, value in changed.items():
        is_inner = name in {"creator", "content", "actor", "quantity", "attributes"}
        place = document.get("data") if is_inner else document
        if isinstance(place, dict):
            place[name] = value
            if value is LEFT_OUT:
                del place[name]
    return document


@pytest.fixture(scope="module")
def validators() -> dict[str, Any]:
    """Compile the schema of every type, with formats asserted."""
    return {
        name: jsonschema_rs.Draft202012Validator(schema.of_type(one), validate_formats=True)
        for name, one in KINDS.items()
    }


@pytest.mark.parametrize("name", ["view", "ad", "gift"])
def test_a_schema_is_one_and_takes_a_sound_event(name: str, validators: dict[str, Any]) -> None:
    """Its own words are those of the standard, and it refuses the event of another type."""
    jsonschema_rs.meta.validate(schema.of_type(KINDS[name]))

    assert validators[name].is_valid(made(KINDS[name], {}))
    assert not validators[name].is_valid(made(KINDS[name], {}) | {"type": "like"})


@given(name=st.sampled_from(["view", "ad", "gift"]), changed=changes())
def test_the_schema_and_the_decoder_take_the_same_events(
    validators: dict[str, Any], name: str, changed: dict[str, Any]
) -> None:
    """Law: in both directions; values that JSON Schema cannot tell apart are not among those drawn."""
    document = made(KINDS[name], changed)

    decoded = wire.decode(lines(json.dumps(document).encode()), wire.LINES, KINDS)

    is_taken = bool(decoded.events)
    errors = [] if is_taken else decoded.rejected[0].errors
    assert is_taken == validators[name].is_valid(document), (document, errors)


def test_the_schema_says_what_a_micro_unit_is() -> None:
    """A dong has no smaller unit than itself."""
    quantity = schema.of_type(AD)["properties"]["data"]["properties"]["quantity"]

    assert "1000000 of them are one minor unit" in quantity["description"]
