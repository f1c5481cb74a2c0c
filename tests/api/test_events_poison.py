"""Poison at the edge: each wrong batch is refused by name beside its nearest good neighbour, which is not."""

import itertools
import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.events import wire
from tests.api.client import Client
from tests.api.world import World
from tests.world import event

NUMBERS = itertools.count()


def send(client: Client, content: bytes, media_type: str | None = wire.BATCH, **options: Any) -> TestResponse:
    """Send bytes as they are."""
    headers = {} if media_type is None else {"Content-Type": media_type}
    return client.send("POST", "/v1/events", data=content, headers=headers, **options)


def one(world: World) -> bytes:
    """Write an event that nobody sent before."""
    return json.dumps(event(f"poison-{next(NUMBERS)}", "view", world.now(), "linh")).encode()


def body(response: TestResponse) -> dict[str, Any]:
    """Read an answer."""
    found: dict[str, Any] = json.loads(response.data)
    return found


def codes(response: TestResponse) -> list[str]:
    """Give the verdict of each item: its code where it is rejected."""
    return [item.get("code", item["verdict"]) for item in body(response)["items"]]


@pytest.mark.parametrize("charset", ['charset="UTF-8"', "charset=utf-8", "Charset=UTF8", "profile=x"])
@pytest.mark.parametrize("media_type", [wire.BATCH, wire.LINES])
def test_utf_8_is_taken_by_any_of_its_names(
    client: Client, world: World, charset: str, media_type: str
) -> None:
    """Quoted or not."""
    content = b"[" + one(world) + b"]" if media_type == wire.BATCH else one(world)

    assert 200 == send(client, content, f"{media_type}; {charset}").status_code


@pytest.mark.parametrize(
    "media_type",
    [
        f"{wire.BATCH}; charset=utf-16",
        f'{wire.BATCH}; charset="iso-8859-1"',
        "application/json",
        "text/plain",
        "application/cloudevents",
        "",
        None,
    ],
)
def test_another_kind_or_another_charset_is_refused(
    client: Client, world: World, media_type: str | None
) -> None:
    """415 with the kinds that are taken."""
    response = send(client, b"[" + one(world) + b"]", media_type)

    assert 415 == response.status_code
    assert {wire.BATCH, wire.SINGLE, wire.LINES} == set(body(response)["media_types"])


def test_bytes_of_another_charset_are_refused_whatever_they_claim(client: Client, world: World) -> None:
    """UTF-16 named as UTF-8 is no JSON."""
    content = (b"[" + one(world) + b"]").decode()

    assert 400 == send(client, content.encode("utf-16")).status_code
    assert 200 == send(client, content.encode("utf-8")).status_code


@pytest.mark.parametrize("media_type", [wire.BATCH, wire.SINGLE, wire.LINES])
def test_an_empty_body_is_refused(client: Client, media_type: str) -> None:
    """A batch of nothing is one, and is taken."""
    assert 400 == send(client, b"", media_type).status_code
    assert 200 == send(client, b"[]").status_code


def test_a_byte_order_mark_is_refused_and_in_lines_costs_one_line(client: Client, world: World) -> None:
    """RFC 8259 section 8.1."""
    mark = b"\xef\xbb\xbf"
    batch, lines = b"[" + one(world) + b"]", one(world) + b"\n" + one(world)

    assert 400 == send(client, mark + batch).status_code
    assert ["unreadable", "accepted"] == codes(send(client, mark + lines, wire.LINES))
    assert 200 == send(client, batch).status_code


@pytest.mark.parametrize("rubbish", [b"\x00", b"\xff", b"\xc3\x28", b"{", b"]", b"\xed\xa0\x80", b"NaN"])
def test_a_byte_of_rubbish_costs_its_line_and_no_other(client: Client, world: World, rubbish: bytes) -> None:
    """In lines; in a batch it costs the batch."""
    first, last = one(world), one(world)
    lines = send(client, b"\n".join([first, rubbish, last]), wire.LINES)
    batch = send(client, b"[" + b",".join([one(world), rubbish, one(world)]) + b"]")

    found = codes(lines)
    assert (207, "accepted", "accepted") == (lines.status_code, found[0], found[2])
    assert found[1] in {"unreadable", "invalid"}
    assert batch.status_code in {400, 207}
    assert 200 == send(client, b"[" + b",".join([one(world), one(world)]) + b"]").status_code


def test_a_member_that_stands_twice_counts_as_it_stands_last(client: Client, world: World) -> None:
    """As the contract says: the sender sees it in the receipt."""
    content = one(world)
    twice = content.replace(b'"creator": "linh"', b'"creator": "nobody", "creator": "linh"')
    wrong = content.replace(b'"creator": "linh"', b'"creator": "linh", "creator": "nobody"')

    assert twice != content
    assert ["accepted"] == codes(send(client, twice, wire.SINGLE))
    assert ["unknown_creator"] == codes(send(client, wrong, wire.SINGLE))


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_bounded_in_the_envelope_and_in_an_item(
    client: Client, world: World, opening: bytes
) -> None:
    """A body that nests too deep is refused; an item that does harms no neighbour."""
    deep = opening * 200_000
    good = one(world)

    assert 400 == send(client, deep).status_code
    bomb = opening * 9_000 + b"1" + {b"[": b"]", b'{"a":': b"}"}[opening] * 9_000
    found = codes(send(client, bomb + b"\n" + good, wire.LINES))
    assert (True, "accepted") == (found[0] in {"unreadable", "invalid"}, found[1])
    shallow = one(world)[:-1] + b', "subject": "' + b"[" * 900 + b'"}'
    assert 200 == send(client, shallow, wire.SINGLE).status_code


@pytest.mark.parametrize("media_type", [wire.BATCH, wire.LINES])
def test_one_event_more_than_are_taken_is_refused_with_the_limits(
    client: Client, world: World, media_type: str
) -> None:
    """10,000 are judged, 10,001 are not."""
    edges = {wire.BATCH: (b"[", b",", b"]"), wire.LINES: (b"", b"\n", b"")}[media_type]
    full = edges[0] + edges[1].join([b"1"] * wire.ITEMS_MAX) + edges[2]
    over = edges[0] + edges[1].join([b"1"] * (wire.ITEMS_MAX + 1)) + edges[2]
    taken, refused = send(client, full, media_type), send(client, over, media_type)
    problem = body(refused)

    assert ({"accepted": 0, "rejected": wire.ITEMS_MAX}, 413) == (body(taken)["counts"], refused.status_code)
    assert {**wire.LIMITS, "limits": "/v1/limits"} == {
        name: problem[name] for name in (*wire.LIMITS, "limits")
    }


@pytest.mark.parametrize("media_type", [wire.BATCH, wire.SINGLE, wire.LINES])
def test_an_item_of_a_byte_too_many_is_rejected_alone(client: Client, world: World, media_type: str) -> None:
    """64 KiB are taken."""
    full = one(world)[:-1].ljust(wire.ITEM_BYTES_MAX - 1) + b"}"
    over = one(world)[:-1].ljust(wire.ITEM_BYTES_MAX) + b"}"
    edges = (b"[", b"]") if media_type == wire.BATCH else (b"", b"")

    assert ["accepted"] == codes(send(client, edges[0] + full + edges[1], media_type))
    assert ["too_large"] == codes(send(client, edges[0] + over + edges[1], media_type))


def test_a_body_of_a_byte_too_many_is_refused_with_and_without_its_length(client: Client) -> None:
    """Announced, or in chunks of which nobody knows the end."""
    full = b"[]".ljust(wire.BODY_BYTES_MAX)
    unannounced = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    answers = [
        send(client, content, environ_overrides=environ)
        for content in (full, full + b" ")
        for environ in ({}, unannounced)
    ]

    assert [200, 200, 413, 413] == [one.status_code for one in answers]
    assert [wire.BODY_BYTES_MAX] * 2 == [body(one)["body_bytes_max"] for one in answers[2:]]


@pytest.mark.parametrize(
    ("member", "code"),
    [
        (b'"quantity": 1180591620717411303424', "type_mismatch"),
        (b'"quantity": NaN', "unreadable"),
        (b'"quantity": 1.0', "invalid"),
        (b'"content": "\\u0000"', "invalid"),
        (b'"content": "\\ud800"', "unreadable"),
        (b'"content": "a\\u2028b"', "invalid"),
        (b'"content": "\\ud83d\\ude00"', "accepted"),
        (b'"quantity": 1', "accepted"),
    ],
)
def test_values_that_no_database_should_see_cost_their_item(
    client: Client, world: World, member: bytes, code: str
) -> None:
    """Its neighbours are taken; what is read as text of its own line has no effect on others."""
    content = one(world).replace(b'"creator": "linh"', b'"creator": "linh", ' + member)
    response = send(client, b"\n".join([one(world), content, one(world)]), wire.LINES)

    assert ["accepted", code, "accepted"] == codes(response)
