"""Health: what a load balancer asks, without a key."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from service.app import create
from service.runtime import db
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from service.wiring import System
from tests.api import world as world_module
from tests.api.client import Client, Rules
from tests.api.world import World


@pytest.fixture
def silent() -> Iterator[int]:
    """Give a port that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def over(database: Database, system: System, rules: Rules) -> Client:
    """Give a client of an application over another database."""
    return Client(create(replace(system, database=database)), rules, None)


def test_a_process_that_answers_is_alive(client: Client) -> None:
    """It needs no key and looks at nothing else."""
    assert {"live": True} == json.loads(client.of(None).get("/livez").data)


def test_a_service_with_a_migrated_database_is_ready(client: Client) -> None:
    """Each check says for itself."""
    answer = json.loads(client.of(None).get("/readyz").data)

    assert {"ready": True, "checks": {"database": True, "migrations": True}} == answer


def test_a_service_that_is_alive_need_not_be_ready(world: World, rules: Rules) -> None:
    """Without a database it lives on, and asks to be left out."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        gone = db.connect(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none", application_name="tests")
        client = over(gone, world.system, rules)

        live, ready = client.get("/livez"), client.get("/readyz")

    problem = json.loads(ready.data)
    assert (200, 503) == (live.status_code, ready.status_code)
    assert {"database": False, "migrations": False} == problem["checks"]
    assert "Retry-After" in ready.headers


def test_a_database_that_says_nothing_is_not_waited_for(world: World, rules: Rules, silent: int) -> None:
    """A check that takes too long has failed."""
    mute = db.connect(f"postgresql+psycopg://nobody@127.0.0.1:{silent}/none", application_name="tests")

    assert 503 == over(mute, world.system, rules).get("/readyz").status_code


def test_a_request_without_a_database_is_to_be_sent_again(world: World, rules: Rules) -> None:
    """Nothing was stored, and the answer says when to come back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        gone = db.connect(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none", application_name="tests")
        client = over(gone, world.system, rules).of("bl_live_" + "0" * 58)

        response = client.get("/v1/limits")

    assert (503, "/problems/unavailable") == (response.status_code, json.loads(response.data)["type"])
    assert "Retry-After" in response.headers


def test_a_schema_that_is_not_the_newest_is_not_ready(
    database: Database, database_urls: Endpoint, rules: Rules, tmp_path: Path
) -> None:
    """A replica beside a database that was not migrated takes no requests."""
    client = over(database, world_module.wire(database, tmp_path), rules)
    before = client.get("/readyz")
    owner = db.connect(database_urls.owner_url, application_name="tests")
    with db.transaction(owner) as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'another'"))
    db.close(owner)

    after = client.get("/readyz")

    assert (200, 503) == (before.status_code, after.status_code)
    assert {"database": True, "migrations": False} == json.loads(after.data)["checks"]
