"""Receipts: every item in its place; what a client prefers; all or nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from werkzeug.test import TestResponse

from service.api import preferences
from service.api.preferences import Preferences
from service.events import wire
from service.parties import creators
from service.parties.actors import OPERATOR
from service.runtime import db
from tests.api.client import Client
from tests.api.world import PLATFORM, World
from tests.world import event

MINIMAL = Preferences(is_minimal=True, applied="return=minimal")


def send(
    client: Client, content: bytes, prefer: str | None = None, media_type: str = wire.BATCH
) -> TestResponse:
    """Send a batch with a preference."""
    headers = {"Content-Type": media_type} | ({} if prefer is None else {"Prefer": prefer})
    return client.send("POST", "/v1/events", data=content, headers=headers)


def batch(world: World, name: str, *creator_ids: str) -> bytes:
    """Write a batch of an event for each creator; nobody is none."""
    at = world.now()
    return json.dumps(
        [event(f"{name}-{number}", "view", at, one) for number, one in enumerate(creator_ids)]
    ).encode()


def body(response: TestResponse) -> dict[str, Any]:
    """Read an answer."""
    found: dict[str, Any] = json.loads(response.data)
    return found


def verdicts(response: TestResponse) -> list[tuple[int, str | None, str]]:
    """Give what the answer says of each item."""
    return [(one["index"], one["id"], one["verdict"]) for one in body(response)["items"]]


def stored_bytes(world: World) -> int:
    """Measure the stored receipts."""
    with db.transaction(world.system.database) as session:
        query = "SELECT coalesce(sum(length(receipt::text)), 0) FROM event_receipt"
        return int(session.execute(text(query)).scalar_one())


def test_every_item_is_listed_in_its_place_also_when_the_batch_is_sent_again(
    client: Client, world: World
) -> None:
    """A replay says the same of each."""
    content = batch(world, "r", "linh", "nobody", "minh")
    expected = [(0, "r-0", "accepted"), (1, "r-1", "rejected"), (2, "r-2", "accepted")]
    first, again = send(client, content), send(client, content)

    assert (207, 207) == (first.status_code, again.status_code)
    assert (False, True) == (body(first)["replayed"], body(again)["replayed"])
    assert expected == verdicts(first) == verdicts(again)
    assert ["unknown_creator"] == [one["code"] for one in body(first)["items"] if "code" in one]


@pytest.mark.parametrize("media_type", [wire.SINGLE, wire.LINES])
def test_other_kinds_of_bodies_list_their_items_too(client: Client, world: World, media_type: str) -> None:
    """A single event is a batch of one; lines count without the empty ones."""
    one = json.dumps(event(f"k-{media_type[-4:]}", "view", world.now(), "linh")).encode()
    content = one if media_type == wire.SINGLE else b"\n" + one + b"\n\n{\n"
    first, again = (send(client, content, media_type=media_type) for _ in range(2))

    expected = [(0, f"k-{media_type[-4:]}", "accepted"), (1, None, "rejected")]
    assert expected[: 1 if media_type == wire.SINGLE else 2] == verdicts(first) == verdicts(again)


def test_ids_that_need_escapes_are_given_back_as_they_are(client: Client, world: World) -> None:
    """Quotes, backslashes, other scripts."""
    ids = ['a"b', "a\\b", "sự-kiện-ạ", "\U0001f600", "</script>"]
    content = json.dumps([event(one, "view", world.now(), "linh") for one in ids]).encode()
    first, again = send(client, content), send(client, content)

    assert ids == [one["id"] for one in body(first)["items"]] == [one["id"] for one in body(again)["items"]]


def test_a_client_may_ask_for_the_rejected_ones_only(client: Client, world: World) -> None:
    """And is told that it was heard."""
    content = batch(world, "m", "linh", "nobody")
    first = send(client, content, 'wait=10, RETURN="minimal"; x=y')
    whole = send(client, content, "return=representation")
    other = send(client, content, "return=everything")

    assert [(1, "m-1", "rejected")] == verdicts(first)
    assert "return=minimal" == first.headers["Preference-Applied"]
    assert 2 == len(verdicts(whole)) == len(verdicts(other))
    assert "Preference-Applied" not in other.headers


def test_what_is_stored_of_a_receipt_does_not_grow_with_what_is_accepted(
    client: Client, world: World
) -> None:
    """The ids of the accepted items are in the body already."""
    send(client, batch(world, "s1", "linh"))
    before = stored_bytes(world)
    send(client, batch(world, "s2", "linh"))
    one = stored_bytes(world) - before
    send(client, batch(world, "s3", *["linh"] * 500))

    assert stored_bytes(world) - before - one <= one + 5


def test_all_or_nothing_stores_nothing_when_an_item_is_bad(client: Client, world: World) -> None:
    """422 with each item's place and reasons; the good ones are withheld."""
    content = batch(world, "a", "linh", "nobody", "minh")
    before = world.stored()
    response = send(client, content, "handling=strict")
    problem = body(response)

    assert (422, "/problems/batch-rejected") == (response.status_code, problem["type"])
    assert before == world.stored()
    assert [(0, "a-0", "withheld"), (1, "a-1", "rejected"), (2, "a-2", "withheld")] == verdicts(response)
    assert ["/1/data/creator"] == [one["pointer"] for one in problem["errors"]]
    assert "handling=strict" == response.headers["Preference-Applied"]


def test_all_or_nothing_takes_a_good_batch_as_usual(client: Client, world: World) -> None:
    """200, and a replay for either way of asking."""
    content = batch(world, "g", "linh", "minh")
    first = send(client, content, "handling=strict, return=minimal")
    again = [send(client, content, "handling=strict"), send(client, content)]

    assert (200, False, []) == (first.status_code, body(first)["replayed"], body(first)["items"])
    assert "handling=strict" in first.headers["Preference-Applied"]
    assert [(200, True)] * 2 == [(one.status_code, body(one)["replayed"]) for one in again]


def test_what_was_refused_as_a_whole_is_new_without_the_preference(client: Client, world: World) -> None:
    """Nothing was stored, so nothing is replayed."""
    content = batch(world, "n", "linh", "nobody")
    assert 422 == send(client, content, "handling=strict").status_code
    lenient = send(client, content)

    assert (207, False) == (lenient.status_code, body(lenient)["replayed"])
    assert {"accepted": 1, "rejected": 1} == body(lenient)["counts"]


def test_what_was_accepted_in_part_stays_so_when_all_or_nothing_is_asked_for(
    client: Client, world: World
) -> None:
    """The refusal tells what an earlier request brought; nothing of it is undone, nothing is added."""
    content = batch(world, "e", "linh", "nobody", "minh")
    send(client, content)
    before = world.stored()
    strict = send(client, content, "handling=strict")
    minimal = send(client, content, "return=minimal, handling=strict")

    assert [(0, "e-0", "accepted"), (1, "e-1", "rejected"), (2, "e-2", "accepted")] == verdicts(strict)
    assert [(1, "e-1", "rejected")] == verdicts(minimal)
    assert before == world.stored()
    assert 207 == send(client, content).status_code


def test_all_or_nothing_judges_anew_what_could_be_taken_now(client: Client, world: World) -> None:
    """One of two creators is registered meanwhile: its item is withheld as long as the other's is bad."""
    content = batch(world, "w", "linh", "late-one", "late-two")
    send(client, content)
    _register(world, "late-one")
    first = send(client, content, "handling=strict")
    _register(world, "late-two")
    second = send(client, content, "handling=strict")

    assert [(0, "w-0", "accepted"), (1, "w-1", "withheld"), (2, "w-2", "rejected")] == verdicts(first)
    assert (200, False, 3) == (
        second.status_code,
        body(second)["replayed"],
        body(second)["counts"]["accepted"],
    )
    assert [(0, "w-0", "accepted"), (1, "w-1", "accepted"), (2, "w-2", "accepted")] == verdicts(second)


def _register(world: World, creator_id: str) -> None:
    with db.transaction(world.system.database) as session:
        creators.register(
            session,
            PLATFORM,
            creator_id,
            display_name=creator_id,
            vault=world.system.vault,
            actor=OPERATOR,
            now=world.now(),
        )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preferences()),
        (["handling=strict"], Preferences(is_strict=True, applied="handling=strict")),
        (["foo, HANDLING=Strict;a=b"], Preferences(is_strict=True, applied="handling=strict")),
        (["handling=lenient", "handling=strict"], Preferences(applied="handling=lenient")),
        (["return=minimal", "return=representation"], MINIMAL),
        (
            ['foo="a, handling=strict", return = "minimal"'],
            Preferences(is_minimal=True, applied="return=minimal"),
        ),
        (["handling", "return=", "strict"], Preferences()),
    ],
)
def test_preferences_are_read_as_their_standard_says(headers: list[str], expected: Preferences) -> None:
    """RFC 7240: lists over several headers, parameters, quotes, case; the first of a name counts."""
    assert expected == preferences.read(headers)


@given(headers=st.lists(st.text(max_size=60), max_size=3))
def test_no_header_is_too_strange_to_be_ignored(headers: list[str]) -> None:
    """Law: reading never fails; only what is known is applied."""
    found = preferences.read(headers)

    assert set(filter(None, found.applied.split(", "))) <= {
        "return=minimal",
        "return=representation",
        "handling=strict",
        "handling=lenient",
    }
