"""The composition root: what settings describe, made once, and examined."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from service import wiring
from service.closing.tools import Tools
from service.runtime import db, settings
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.api import world as world_module
from tests.api.world import World


def test_a_database_that_is_named_is_used(database_urls: Endpoint, tmp_path: Path) -> None:
    """No PostgreSQL of our own is started beside it."""
    known = settings.read(
        {
            "VAR_DIR": str(tmp_path),
            "DATABASE_URL": database_urls.app_url,
            "SECRET_KEY": "s" * 32,
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        }
    )

    system = wiring.wire(known, name="a name of its own")

    with db.transaction(system.database) as session:
        name = session.scalar(text("SELECT current_setting('application_name')"))
    wiring.unwire(system)
    assert "a name of its own" == name
    assert [] == list(tmp_path.iterdir())


def test_a_system_shows_no_secret(database: Database, tmp_path: Path) -> None:
    """Neither by its repr nor by that of a part."""
    system = world_module.wire(database, tmp_path)

    assert "s" * 32 not in repr(system)
    assert not any(key in repr(system) for key in system.vault.keys)


def test_what_closing_works_with_has_an_engine(database: Database, tmp_path: Path) -> None:
    """Jobs get it; it spills into a folder that is there."""
    tools = wiring.tools(world_module.wire(database, tmp_path))

    assert isinstance(tools, Tools)
    assert tools.engine.label.startswith("duckdb ")
    assert (tmp_path / "duckdb").is_dir()


def test_a_sign_in_link_begins_with_the_public_address(database: Database, tmp_path: Path) -> None:
    """People reach it from where they are."""
    system = world_module.wire(database, tmp_path, PUBLIC_URL="https://shares.example.org/app/")

    assert "https://shares.example.org/app/sign-in/token" == wiring.link_url(system, "token")


def test_a_sound_system_has_nothing_to_report(world: World) -> None:
    """Database, schema, lake and keys are looked at."""
    checks = wiring.doctor(world.system)

    assert ["database", "schema", "event log", "lake", "encryption keys"] == [one.name for one in checks]
    assert all(one.is_good for one in checks), checks


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"ENCRYPTION_KEYS": Fernet.generate_key().decode()}, ["encryption keys"]),
        ({"EVENT_LAKE_URL": "/proc/nowhere"}, ["lake"]),
    ],
    ids=["a key that is missing", "a lake that cannot be written"],
)
def test_what_is_wrong_is_reported(
    world: World, tmp_path: Path, changes: dict[str, str], wrong: list[str]
) -> None:
    """By name, with a sentence, and the rest is looked at all the same."""
    sound = {"ENCRYPTION_KEYS": world.system.vault.keys[0]}
    system = world_module.wire(world.system.database, tmp_path, **(sound | changes))

    checks = wiring.doctor(system)

    assert wrong == [one.name for one in checks if not one.is_good]
    assert all(one.detail.endswith(".") for one in checks)


def test_a_database_that_is_gone_is_reported(world: World) -> None:
    """And so is what stands on it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        gone = db.connect(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none", application_name="tests")

        checks = wiring.doctor(replace(world.system, database=gone))

    assert ["lake"] == [one.name for one in checks if one.is_good]
