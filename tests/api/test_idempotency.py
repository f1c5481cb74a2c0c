"""Idempotency keys: sent again, answered again, done once."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from service.api import idempotency
from service.api.tables import idempotency_record
from service.core.errors import Conflict
from service.parties.tables import api_key, creator
from service.runtime import db
from tests.api.client import Client
from tests.api.world import CHILD, PLATFORM, World


def count(world: World, table: Any) -> int:
    """Count the rows of a table."""
    with db.transaction(world.system.database) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_request_that_is_sent_again_is_answered_again(client: Client, world: World) -> None:
    """The same bytes, the same status, the same headers, and a header that says so."""
    first = client.post("/v1/creators", {"id": "one", "display_name": "One"}, idempotency_key="k-1")
    before = count(world, creator)
    again = client.post("/v1/creators", {"id": "one", "display_name": "One"}, idempotency_key="k-1")

    assert (201, first.data) == (again.status_code, again.data)
    assert first.headers["Location"] == again.headers["Location"]
    assert (None, "true") == (
        first.headers.get("Idempotent-Replay"),
        again.headers.get("Idempotent-Replay"),
    )
    assert before == count(world, creator)


@pytest.mark.parametrize(
    ("path", "document", "query"),
    [
        ("/v1/creators", {"id": "two", "display_name": "Another"}, {}),
        ("/v1/partners", {"id": "two", "name": "Two"}, {}),
    ],
)
def test_a_key_that_stands_for_another_request_is_refused(
    client: Client, path: str, document: dict[str, Any], query: dict[str, str]
) -> None:
    """Another body or another address is another act."""
    client.post("/v1/creators", {"id": "two", "display_name": "Two"}, idempotency_key="k-2")

    response = client.post(path, document, idempotency_key="k-2", **query)

    assert (422, "/problems/idempotency-key-reused") == (
        response.status_code,
        json.loads(response.data)["type"],
    )


def test_each_platform_has_keys_of_its_own(client: Client) -> None:
    """What a sub-platform called its act does not stand in its parent's way."""
    above = client.post("/v1/creators", {"id": "three"}, idempotency_key="k-3")
    below = client.post("/v1/creators", {"id": "three"}, idempotency_key="k-3", platform=CHILD)

    assert (201, 201) == (above.status_code, below.status_code)
    assert "Idempotent-Replay" not in below.headers


def test_a_refusal_is_not_kept(client: Client) -> None:
    """What was wrong is put right and sent again with the same key."""
    refused = client.post("/v1/creators", {"id": "no spaces"}, idempotency_key="k-4")
    mended = client.post("/v1/creators", {"id": "no-spaces"}, idempotency_key="k-4")

    assert (422, 201) == (refused.status_code, mended.status_code)


def test_a_request_whose_key_is_at_work_is_refused(client: Client, world: World) -> None:
    """The first one decides; the second learns its outcome by asking again."""
    with db.transaction(world.system.database) as session:
        assert db.try_lock(session, "idempotency", PLATFORM, "k-5")
        during = client.post("/v1/creators", {"id": "five"}, idempotency_key="k-5")
    after = client.post("/v1/creators", {"id": "five"}, idempotency_key="k-5")

    assert (409, "/problems/idempotency-key-in-flight") == (
        during.status_code,
        json.loads(during.data)["type"],
    )
    assert during.headers["Retry-After"].isdecimal()
    assert 201 == after.status_code


def test_of_many_at_once_one_is_done(client: Client, world: World) -> None:
    """The others are told to ask again, or get its answer; nothing is done twice."""
    before = count(world, creator)

    def send(_number: int) -> tuple[int, bool]:
        response = client.post("/v1/creators", {"id": "crowd"}, idempotency_key="k-crowd")
        return response.status_code, "Idempotent-Replay" in response.headers

    with ThreadPoolExecutor(max_workers=6) as pool:
        answers = list(pool.map(send, range(12)))

    assert 1 == answers.count((201, False))
    assert set(answers) <= {(201, False), (201, True), (409, False)}
    assert before + 1 == count(world, creator)


def test_an_act_that_fails_leaves_no_answer(world: World) -> None:
    """The record is part of the act's transaction: both, or neither."""

    def act() -> Any:
        msg = "This cannot be done."
        raise Conflict(msg)

    before = count(world, idempotency_record)
    with pytest.raises(Conflict), db.transaction(world.system.database) as session:
        idempotency.once(session, PLATFORM, "k-6", b"digest", act, vault=world.system.vault, now=world.now())

    assert before == count(world, idempotency_record)


def test_a_secret_is_shown_once(client: Client, world: World) -> None:
    """The replay says that the key was made; the secret is nowhere to be shown from."""
    document = {"label": "sender", "scopes": ["events:write"]}
    first = json.loads(client.post("/v1/keys", document, idempotency_key="k-7").data)
    made = count(world, api_key)
    again = json.loads(client.post("/v1/keys", document, idempotency_key="k-7").data)

    assert first["secret"].startswith("bl_live_")
    assert {**first, "secret": None} == again
    assert made == count(world, api_key)
    assert 200 == client.of(first["secret"]).get("/v1/limits").status_code


def test_kept_answers_are_sealed(client: Client, world: World) -> None:
    """They name people, and names are never stored in the open."""
    client.post("/v1/creators", {"id": "seven", "display_name": "Sealed Name"}, idempotency_key="k-8")

    with db.transaction(world.system.database) as session:
        bodies = [bytes(body) for body in session.scalars(select(idempotency_record.c.body))]
    assert bodies
    assert not any(b"Sealed Name" in body or b"seven" in body for body in bodies)


def test_answers_are_forgotten_when_they_are_old(client: Client, world: World) -> None:
    """Each new answer makes room; those that are younger than promised stay."""
    for number in range(4):
        client.post("/v1/creators", {"id": f"old-{number}"}, idempotency_key=f"old-{number}")
    age = text("UPDATE idempotency_record SET created_at = created_at - :age WHERE key = :key")
    with db.transaction(world.system.database) as session:
        for number, days in enumerate([60, 31, 29, 0]):
            session.execute(age, {"age": timedelta(days=days), "key": f"old-{number}"})

    client.post("/v1/creators", {"id": "new"}, idempotency_key="new")

    again = [
        client.post("/v1/creators", {"id": f"old-{number}"}, idempotency_key=f"old-{number}")
        for number in range(4)
    ]
    assert [None, None, "true", "true"] == [one.headers.get("Idempotent-Replay") for one in again]
