"""The wire: every item is judged by itself, and nothing that would harm later gets through."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import FieldError, TooLarge, Unreadable
from service.events import wire
from service.events.types import Attribute, EventType
from service.events.wire import Decoded, Rejection, UnknownMediaType
from tests.events.worlds import TYPES, batch, event, lines


def decode(*items: object, types: dict[str, EventType] | None = None) -> Decoded:
    """Decode events sent as NDJSON."""
    return wire.decode(lines(*items), wire.LINES, TYPES if types is None else types)


def rejection_of(item: object) -> Rejection:
    """Decode an item between two good ones, which it must not harm, and give its rejection."""
    decoded = decode(event("before"), item, event("after"))

    assert [0, 2] == list(decoded.events)
    (rejection,) = decoded.rejected
    return rejection


def test_a_batch_a_single_event_and_lines_are_read_alike() -> None:
    """The three forms of one event make the same event."""
    one = event("e-1")

    from_batch = wire.decode(batch(one), wire.BATCH, TYPES)
    from_single = wire.decode(json.dumps(one).encode(), wire.SINGLE, TYPES)
    from_lines = wire.decode(lines(one), wire.LINES, TYPES)

    assert from_batch == from_single == from_lines
    assert [] == from_batch.rejected


def test_known_attributes_without_meaning_here_are_taken_and_left_aside() -> None:
    """What CloudEvents defines and senders add does not change the event."""
    known = {
        "datacontenttype": "application/json",
        "dataschema": "https://example.vn/schema",
        "subject": "s",
        "partitionkey": "p",
        "sequence": "17",
        "recordedtime": "2026-11-20T04:00:01Z",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b",
    }

    decoded = decode(event("e-1"), event("e-1", **known))

    assert [] == decoded.rejected
    assert decoded.events[0].data == decoded.events[1].data


@pytest.mark.parametrize(
    "extensions",
    [
        {"comexampleextension1": "value"},
        {"x": ""},
        {"a1": 7, "b2": True, "c3": None},
        {"x" * 64: "x" * 1024},
        {"knativearrivaltime": "2026-11-20T04:00:01.123456789Z"},
        {"datacontenttype": None},
        {"datacontenttype": "application/json; charset=utf-8"},
        {"datacontenttype": "Application/JSON"},
        {"datacontenttype": "application/vnd.tiktak.view+json"},
        {"datacontenttype": "text/json"},
    ],
    ids=str,
)
def test_extensions_that_the_standard_allows_are_taken_and_left_aside(extensions: dict[str, object]) -> None:
    """Gateways and brokers add their own to every event; compaction reads the same event again."""
    body = lines(event("e-1"), event("e-1", **extensions))

    decoded = wire.decode(body, wire.LINES, TYPES)

    assert [] == decoded.rejected
    assert decoded.events[0] == decoded.events[1]
    assert decoded.events == wire.read_again(body, wire.LINES, ())


def test_what_an_earlier_version_took_is_read_again() -> None:
    """It did not look at the media type of the data, and its batches may still wait in the log."""
    body = lines(event("e-1", datacontenttype="text/xml"))

    assert ["invalid"] == [one.code for one in wire.decode(body, wire.LINES, TYPES).rejected]
    assert ["e-1"] == [one.id for one in wire.read_again(body, wire.LINES, ()).values()]


def declared_types(**attributes: Attribute) -> dict[str, EventType]:
    """Let views carry attributes."""
    return {**TYPES, "view": replace(TYPES["view"], attributes=attributes)}


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        (Attribute("string"), "nhạc", 7),
        (Attribute("string"), "x" * 64, "x" * 65),
        (Attribute("string"), "x", ""),
        (Attribute("string", ("music", "sport")), "music", "news"),
        (Attribute("integer"), 2**53 - 1, 2**53),
        (Attribute("integer"), -(2**53) + 1, 2**70),
        (Attribute("integer"), 0, False),
        (Attribute("integer"), 7, "7"),
        (Attribute("integer", (1, 2)), 2, 3),
        (Attribute("boolean"), True, 1),
        (Attribute("boolean"), False, "false"),
    ],
    ids=str,
)
def test_an_attribute_is_held_to_its_type(declared: Attribute, good: object, bad: object) -> None:
    """And its nearest bad neighbour is named by its place."""
    decoded = decode(
        event("e-1", attributes={"one": good}),
        event("e-2", attributes={"one": bad}),
        types=declared_types(one=declared),
    )

    assert {"one": good} == decoded.events[0].data.attributes
    (rejection,) = decoded.rejected
    assert ("type_mismatch", ["/data/attributes/one"]) == (
        rejection.code,
        [error.pointer for error in rejection.errors],
    )


def test_an_attribute_that_is_not_declared_or_is_missing_is_named() -> None:
    """Nothing is taken that nobody will look at, and what a rule needs is there."""
    types = declared_types(topic=Attribute("string", is_required=True), is_live=Attribute("boolean"))

    decoded = decode(
        event("e-1", attributes={"topic": "music"}),
        event("e-2", attributes={"topic": "music", "to/pic": "x"}),
        event("e-3", attributes={"is_live": True}),
        event("e-4", attributes={}),
        event("e-5", attributes=None),
        types=types,
    )

    assert ["e-1"] == [one.id for one in decoded.events.values()]
    assert [
        ("e-2", "/data/attributes/to~1pic"),
        ("e-3", "/data/attributes/topic"),
        ("e-4", "/data/attributes/topic"),
        ("e-5", "/data/attributes/topic"),
    ] == [(one.id, one.errors[0].pointer) for one in decoded.rejected]
    assert {"type_mismatch"} == {one.code for one in decoded.rejected}


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\u2028b"])
def test_a_control_character_in_an_attribute_is_refused(text: str) -> None:
    """It would break the canonical form, and the database."""
    decoded = decode(event("e-1", attributes={"one": text}), types=declared_types(one=Attribute("string")))

    assert [("invalid", "/data/attributes/one")] == [
        (one.code, one.errors[0].pointer) for one in decoded.rejected
    ]


def test_the_last_of_two_equal_attributes_counts() -> None:
    """As everywhere in an item."""
    item = json.dumps(event("e-1", attributes={"one": "x"})).replace('"one": "x"', '"one": "x", "one": "y"')

    decoded = decode(item.encode(), types=declared_types(one=Attribute("string")))

    assert {"one": "y"} == decoded.events[0].data.attributes


def test_attributed_revenue_names_its_content() -> None:
    """It is of nobody otherwise."""
    ads = EventType("ad", "none", 0, 10**15, "micro", "attributed_revenue", "Video ads", "VND")
    item = {"type": "ad", "actor": None, "quantity": 10**15}

    decoded = decode(event("e-1", **item), event("e-2", **item, content=None), types={"ad": ads})

    assert [0] == list(decoded.events)
    assert [("type_mismatch", "/data/content")] == [
        (one.code, one.errors[0].pointer) for one in decoded.rejected
    ]


def test_source_id_and_time_of_a_rejected_item_are_read_where_they_are_usable() -> None:
    """For people who look for it; what cannot be stored is not read."""
    good = json.dumps(event("e-1", quantity=1.5)).encode()

    assert ("app", "e-1") == wire.name_of(good)
    assert (None, None) == wire.name_of(b"{")
    assert (None, "e-1") == wire.name_of(good.replace(b'"app"', b'"a\\u0000"'))
    assert ("app", None) == wire.name_of(good.replace(b'"e-1"', b"7"))
    assert (None, None) == wire.name_of(b"[" * 100_000)
    assert datetime(2026, 11, 20, 4, tzinfo=UTC) == wire.time_of(good)
    assert None is wire.time_of(good.replace(b"2026-11-20T04:00:00Z", b"0001-01-01T00:00:00+07:00"))
    assert None is wire.time_of(b"[" * 100_000)


def test_optional_members_have_defaults() -> None:
    """Without quantity it is 1; content and actor may be missing or null."""
    decoded = decode(
        event("e-1", content=None, actor=None, quantity=None),
        event("e-2") | {"data": {"creator": "c", "actor": None}},
    )

    assert [] == decoded.rejected
    data = decoded.events[0].data
    assert (1, None, None) == (data.quantity, data.content, data.actor)


def test_an_empty_batch_is_a_batch() -> None:
    """CloudEvents allows it."""
    assert Decoded(item_count=0, events={}, rejected=[]) == wire.decode(b"[]", wire.BATCH, TYPES)
    assert Decoded(item_count=0, events={}, rejected=[]) == wire.decode(b"\n\r\n", wire.LINES, TYPES)


@pytest.mark.parametrize(
    "header",
    [
        "application/cloudevents-batch+json; charset=utf-8",
        'Application/CloudEvents-Batch+JSON ; charset="UTF-8"',
        "application/cloudevents-batch+json; profile=x",
    ],
)
def test_a_media_type_is_read_with_its_parameters(header: str) -> None:
    """The specification's own examples carry a charset."""
    assert wire.BATCH == wire.media_type_of(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "application/json",
        "text/plain",
        "application/cloudevents-batch+json; charset=utf-16",
        "application/x-ndjson;charset=latin1",
    ],
)
def test_another_media_type_or_charset_is_refused(header: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(UnknownMediaType):
        wire.decode(b"[]", header, TYPES)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "1.1"}, "/specversion"),
        ({"specversion": None}, "/specversion"),
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": "x" * 65}, "/id"),
        ({"id": 7}, "/id"),
        ({"source": ""}, "/source"),
        ({"source": "x" * 129}, "/source"),
        ({"type": ""}, "/type"),
        ({"creator": None}, "/data/creator"),
        ({"creator": ""}, "/data/creator"),
        ({"creator": "x" * 65}, "/data/creator"),
        ({"content": ""}, "/data/content"),
        ({"actor": "x" * 65}, "/data/actor"),
        ({"quantity": 1.0}, "/data/quantity"),
        ({"quantity": 1.5}, "/data/quantity"),
        ({"quantity": "12"}, "/data/quantity"),
        ({"quantity": True}, "/data/quantity"),
        ({"quantity": [1]}, "/data/quantity"),
        ({"data": None}, "/data"),
        ({"data": []}, "/data"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"myExtension": "x"}, "/myExtension"),
        ({"my_extension": "x"}, "/my_extension"),
        ({"x" * 65: "x"}, f"/{'x' * 65}"),
        ({"": "x"}, "/"),
        ({"extension": 1.5}, "/extension"),
        ({"extension": {"deep": 1}}, "/extension"),
        ({"extension": [1]}, "/extension"),
        ({"extension": "x" * 1025}, "/extension"),
        ({"subject": {}}, "/subject"),
        ({"subject": "x" * 1025}, "/subject"),
        ({"data_base64": "eyJ9"}, "/data_base64"),
        ({"data_base64": "eyJ9", "data": None}, "/data"),
        ({"datacontenttype": "text/xml"}, "/datacontenttype"),
        ({"datacontenttype": "application/jsonlines"}, "/datacontenttype"),
        ({"datacontenttype": ""}, "/datacontenttype"),
        ({"datacontenttype": 7}, "/datacontenttype"),
        ({"data": {"creator": "c", "extension": "x"}}, "/data/extension"),
        ({"extension": "x", "quantity": 1.5}, "/data/quantity"),
        ({"attributes": []}, "/data/attributes"),
        ({"attributes": {"topic": None}}, "/data/attributes"),
        ({"attributes": {"topic": 1.0}}, "/data/attributes"),
        ({"attributes": {"topic": {"deep": 1}}}, "/data/attributes"),
        ({"attributes": {f"a{number}": 1 for number in range(17)}}, "/data/attributes"),
        ({"time": None}, "/time"),
        ({"time": "2026-11-20"}, "/time"),
        ({"time": "2026-11-20T04:00:00"}, "/time"),
        ({"time": 1795156800}, "/time"),
        ({"time": "20261120T040000Z"}, "/time"),
        ({"time": "2026-11-20T23:59:60Z"}, "/time"),
        ({"time": "2026-12-31T23:59:60.5Z"}, "/time"),
        ({"time": "2026-11-20 04:00:00"}, "/time"),
        ({"time": "2026-11-20T24:00:00Z"}, "/time"),
        ({"time": "2026-11-20T04:00:00+24:00"}, "/time"),
        ({"time": ""}, "/time"),
        ({"time": "2026-02-29T00:00:00Z"}, "/time"),
        ({"time": "2026-11-30T23:59:59.9999999Z"}, "/time"),
        ({"time": "2026-11-20T04:00:00.1234560Z"}, "/time"),
        ({"time": "0001-01-01T00:00:00+07:00"}, "/time"),
        ({"time": "9999-12-31T23:59:59-07:00"}, "/time"),
        ({"time": "1970-01-01T00:00:00+00:01"}, "/time"),
        ({"time": "2199-12-31T23:59:59-00:01"}, "/time"),
    ],
)
def test_a_bad_member_is_named_by_its_pointer(change: dict[str, object], pointer: str) -> None:
    """The item is rejected, its neighbours are not."""
    rejection = rejection_of(event("e-1", **change))

    assert ("invalid", [pointer]) == (rejection.code, [error.pointer for error in rejection.errors])


def test_a_required_member_of_data_is_named_when_several_are_missing() -> None:
    """An empty object names the first that it lacks."""
    assert "invalid" == rejection_of({}).code


@pytest.mark.parametrize(
    "time",
    [
        "1970-01-01T00:00:00Z",
        "2199-12-31T23:59:59.999999Z",
        "2026-11-30T23:59:59.999999Z",
        "2026-11-20T11:00:00+07:00",
        "2026-11-20t04:00:00z",
        "2026-11-20T23:59:59Z",
        "2026-11-20T04:00:00.123456Z",
        "1970-01-01T00:00:00-00:01",
        "2200-01-01T00:00:00+00:01",
    ],
)
def test_a_time_at_the_edge_is_taken(time: str) -> None:
    """The nearest valid times of the ones that are refused."""
    assert [] == decode(event(time=time)).rejected


@pytest.mark.parametrize("member", ["id", "source", "type", "creator", "content", "actor"])
@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\x7fb", "a\x9fb", "a\u2028b"])
def test_a_control_character_is_refused(member: str, text: str) -> None:
    """No database column, no file and no terminal gets one."""
    types = {**TYPES, text: TYPES["view"]}
    item = event("e-1", **{member: text})

    decoded = decode(item, types=types)

    pointer = f"/{member}" if member in {"id", "source", "type"} else f"/data/{member}"
    assert [pointer] == [error.pointer for error in decoded.rejected[0].errors]
    assert {} == decoded.events


def test_letters_of_any_script_and_escapes_of_plain_characters_are_taken() -> None:
    """Only control characters are refused, however the others are written."""
    escaped = (
        json.dumps(event("e-2", source="https://a.vn/x"), ensure_ascii=True).replace("/", "\\/").encode()
    )

    decoded = decode(event("việt-nam-\N{WOMAN}", actor="người dùng"), escaped)

    assert [] == decoded.rejected
    assert "https://a.vn/x" == decoded.events[1].source


def test_a_lone_surrogate_is_refused_and_harms_no_neighbour() -> None:
    """Escaped or as bytes."""
    escaped = json.dumps(event("e-1")).replace("c-1", "c\\ud800").encode()
    as_bytes = json.dumps(event("e-1")).encode().replace(b"c-1", b"c\xed\xa0\x80")

    assert ["unreadable", "unreadable"] == [rejection_of(escaped).code, rejection_of(as_bytes).code]


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "-NaN", "Infinity", "-Infinity", "1e400", "1e3", "1E3", "1.0", "-0.0", "01", "+1", "0x1"),
        *(".5", "1_0", "٣", "", "nul", "true", '"7"'),
    ],
)
def test_what_is_no_number_is_no_quantity(text: str) -> None:
    """Nor what only some readers of JSON know."""
    item = json.dumps(event("e-1", quantity=7)).replace("7", text).encode()

    assert rejection_of(item).code in {"unreadable", "invalid"}


@pytest.mark.parametrize(
    "quantity", [2**63, -(2**63) - 1, 2**70, -(2**70), 10**4000, 100_000_001, -100_000_001]
)
def test_a_quantity_beyond_its_type_is_refused(quantity: int) -> None:
    """Also one beyond 64 bits, which every reader of JSON takes and the database does not."""
    rejection = rejection_of(event(quantity=quantity))

    assert ["/data/quantity"] == [error.pointer for error in rejection.errors]


@pytest.mark.parametrize("quantity", [100_000_000, -100_000_000, 0, 13_802_404, -6_153])
def test_a_quantity_within_its_type_is_taken(quantity: int) -> None:
    """Negative ones are corrections and as welcome."""
    decoded = decode(event(quantity=quantity))

    assert quantity == decoded.events[0].data.quantity


def test_a_type_says_whether_an_actor_is_named() -> None:
    """Required, or not allowed, by type."""
    types = {"tip": EventType("tip", "required", 0, 10), "page": EventType("page", "none", 0, 10)}

    decoded = decode(
        event("e-1", type="tip", actor=None),
        event("e-2", type="tip"),
        event("e-3", type="page"),
        event("e-4", type="page", actor=None),
        types=types,
    )

    assert [1, 3] == list(decoded.events)
    assert [("type_mismatch", "/data/actor")] * 2 == [
        (one.code, one.errors[0].pointer) for one in decoded.rejected
    ]


def test_an_unknown_type_is_refused_by_name() -> None:
    """The platform's registry decides."""
    rejection = rejection_of(event("e-1", type="teleport"))

    assert ("e-1", "unknown_type", "/type") == (rejection.id, rejection.code, rejection.errors[0].pointer)


def test_the_last_of_two_equal_keys_counts() -> None:
    """As every reader of JSON does it; documented."""
    item = json.dumps(event("first")).replace('"id": "first"', '"id": "first", "id": "last"').encode()

    assert "last" == decode(item).events[0].id


def test_rubbish_in_a_line_is_confined_to_it() -> None:
    """A byte that is no JSON, or no UTF-8, or a truncated object."""
    whole = json.dumps(event("e-1")).encode()

    codes = {rejection_of(text).code for text in (b"\x00", b"\xff\xfe", whole[:-2], b"]", whole + b"x")}

    assert {"unreadable"} == codes


def test_rubbish_in_an_array_spoils_it_and_says_where() -> None:
    """An array with one malformed byte cannot be cut into items."""
    with pytest.raises(Unreadable, match="byte"):
        wire.decode(batch(event("e-1"))[:-1] + b",NaN]", wire.BATCH, TYPES)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", wire.BATCH),
        (b"{}", wire.BATCH),
        (b"[1,]", wire.BATCH),
        (b"\xef\xbb\xbf[]", wire.BATCH),
        (b"[] []", wire.BATCH),
        (b"", wire.SINGLE),
        (b"{", wire.SINGLE),
    ],
)
def test_a_body_of_another_shape_is_unreadable(body: bytes, media_type: str) -> None:
    """There is no item that could be rejected."""
    with pytest.raises(Unreadable):
        wire.decode(body, media_type, TYPES)


@pytest.mark.parametrize("item", [b"1", b"null", b'"text"', b"[]", b"[{}]"])
def test_an_item_that_is_no_object_is_rejected(item: bytes) -> None:
    """In an array and in a line alike."""
    in_array = wire.decode(b"[" + item + b"]", wire.BATCH, TYPES)

    assert ["invalid"] == [one.code for one in in_array.rejected]
    assert "invalid" == rejection_of(item).code


def test_a_depth_bomb_is_refused() -> None:
    """The whole array is unreadable; a line is rejected."""
    bomb = b"[" * 100_000 + b"]" * 100_000

    with pytest.raises(Unreadable):
        wire.decode(b"[" + bomb + b"]", wire.BATCH, TYPES)
    for member in (b"data", b"extension"):
        deep = json.dumps(event("e-1")).encode()[:-1]
        deep += b', "' + member + b'": ' + b"[" * 20_000 + b"]" * 20_000 + b"}"
        assert rejection_of(deep).code in {"invalid", "unreadable"}


def test_the_limits_hold_and_their_neighbours_pass() -> None:
    """Items, bytes of a body, bytes of an item."""
    most = [event(f"e-{number}") for number in range(wire.ITEMS_MAX)]
    assert wire.ITEMS_MAX == len(wire.decode(batch(*most), wire.BATCH, TYPES).events)
    with pytest.raises(TooLarge):
        wire.decode(batch(*most, event("more")), wire.BATCH, TYPES)

    padded = b"[" + b" " * (wire.BODY_BYTES_MAX - 2) + b"]"
    assert 0 == wire.decode(padded, wire.BATCH, TYPES).item_count
    with pytest.raises(TooLarge):
        wire.decode(padded + b" ", wire.BATCH, TYPES)

    text = json.dumps(event("e-1")).encode()
    large = text[:-1] + b" " * (wire.ITEM_BYTES_MAX - len(text)) + b"}"
    assert [] == decode(large).rejected
    assert "too_large" == rejection_of(large[:-1] + b" }").code
    assert "too_large" == rejection_of(b'"' + b"x" * wire.ITEM_BYTES_MAX + b'"').code


def test_a_body_of_endless_tiny_items_is_refused_before_it_is_cut() -> None:
    """Each would cost more memory than its bytes."""
    with pytest.raises(TooLarge):
        wire.decode(b"[" + b"1," * wire.SEPARATORS_MAX + b"1]", wire.BATCH, TYPES)
    with pytest.raises(TooLarge):
        wire.decode(b"1\n" * (wire.SEPARATORS_MAX + 1), wire.LINES, TYPES)


def test_lines_end_with_lf_or_crlf_only() -> None:
    """U+0085 and U+2028 are parts of a text, not ends of a line."""
    body = lines(event("e-1")).replace(b"\n", b"\r\n") + lines(event("e-2", actor="a\u00e9"))

    assert 2 == len(wire.decode(body, wire.LINES, TYPES).events)
    split_by_text = lines(event("e-3", content="a\u0085b"))
    assert 1 == wire.decode(split_by_text, wire.LINES, TYPES).item_count


def test_nothing_that_is_given_back_holds_what_a_database_cannot_store() -> None:
    """Ids and details of rejections are stored: they quote what a sender made up."""
    hostile = [
        event("a\x00b"),
        event("e-1") | {"x\x00y": 1},
        event("e-1", specversion="1\x00"),
        event("x" * 500),
        event("e-1") | {"k" * 5000: 1},
    ]

    decoded = decode(*hostile)

    assert len(hostile) == len(decoded.rejected)
    for one in decoded.rejected:
        for text in (one.id or "", *(error.pointer + error.detail for error in one.errors)):
            assert "\x00" not in text
            assert len(text) < 1000


def test_an_item_with_several_faults_names_each_that_can_be_told() -> None:
    """Faults of values are listed together."""
    rejection = rejection_of(event("e-1", source="a\nb", actor="a\tb", time="2026-11-20T04:00:00.1234567Z"))

    assert ["/source", "/data/actor", "/time"] == [error.pointer for error in rejection.errors]


def test_what_was_accepted_is_read_again_without_the_registry() -> None:
    """Compaction reads the stored body: the types may have changed since."""
    body = lines(event("e-1"), {}, event("e-2"))
    decoded = wire.decode(body, wire.LINES, TYPES)

    again = wire.read_again(body, wire.LINES, {one.index for one in decoded.rejected})

    assert decoded.events == again


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CHANGES = st.dictionaries(
    st.sampled_from(
        [
            *(
                "specversion",
                "id",
                "source",
                "type",
                "time",
                "data",
                "creator",
                "content",
                "actor",
                "quantity",
            ),
            *("attributes", "extension", "Extension", "datacontenttype"),
        ]
    ),
    JSON | st.sampled_from(["2026-11-20T04:00:00Z", "view", "\x00", 5, "2026-11-20T04:00:00.1234567+07:00"]),
    max_size=3,
)


@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_an_item_is_judged_the_same_among_any_neighbours(changes: list[dict[str, object]]) -> None:
    """Law: acceptance depends on the item's own bytes and the types only."""
    items = [event(f"e-{number}", **change) for number, change in enumerate(changes)]

    together = decode(*items)
    alone = [decode(item) for item in items]

    assert [index for index, one in enumerate(alone) if one.events] == list(together.events)
    verdicts = [(one.code, one.errors) for one in together.rejected]
    assert verdicts == [(one.rejected[0].code, one.rejected[0].errors) for one in alone if one.rejected]


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    """Law: a body is read, rejected by item, or refused as a whole; nothing else ever happens."""
    for media_type in (wire.BATCH, wire.SINGLE, wire.LINES):
        try:
            decoded = wire.decode(body, media_type, TYPES)
        except (Unreadable, TooLarge):
            continue
        assert decoded.item_count == len(decoded.events) + len(decoded.rejected)
        assert all(isinstance(error, FieldError) for one in decoded.rejected for error in one.errors)
