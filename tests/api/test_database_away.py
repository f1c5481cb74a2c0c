"""The database is really stopped: every operation says so at once, and goes on by itself when it is back."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from service.api.contract import Operation
from service.app import create
from service.runtime import cluster, db, migrations, postgres
from tests.api import test_bad_input
from tests.api import world as world_module
from tests.api.client import Client, Rules
from tests.api.operations import CHANGING, READING
from tests.api.world import World
from tests.conftest import FAST


@pytest.fixture(scope="module")
def var_dir() -> Iterator[Path]:
    """Give the folder of a PostgreSQL of this module's own, which is running."""
    folder = Path(tempfile.mkdtemp(prefix="bl-away-"))
    # The database's own user has to reach the folder.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        postgres.stop(folder)
        shutil.rmtree(cluster.home(folder), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def world(var_dir: Path) -> Iterator[World]:
    """Give a world in that database."""
    endpoint = postgres.start(var_dir, options=FAST)
    migrations.upgrade(endpoint.owner_url)
    database = db.connect(endpoint.app_url, application_name="tests")
    yield world_module.build(database, var_dir / "var")
    db.close(database)


@pytest.fixture(scope="module")
def client(world: World, rules: Rules) -> Client:
    """Give a client that has asked before, so that connections are open."""
    app: Flask = create(world.system)
    made = Client(app, rules, world.key())
    assert 200 == made.get("/v1/limits").status_code
    return made


@contextmanager
def away(var_dir: Path) -> Iterator[None]:
    """Stop the database meanwhile."""
    postgres.stop(var_dir)
    try:
        yield
    finally:
        postgres.start(var_dir, options=FAST)


def test_every_operation_says_that_it_cannot_be_done_now(client: Client, world: World, var_dir: Path) -> None:
    """503 as a problem with the seconds to wait; and afterwards it is served again, on the same pool."""
    operations: list[Operation] = [*READING, *CHANGING]
    with away(var_dir):
        found = {one.id: test_bad_input.send(client, one, world) for one in operations}
        ready, live = client.get("/readyz"), client.get("/livez")
    again = client.get("/v1/limits")

    assert {503} == {response.status_code for response in found.values()}
    assert [] == [name for name, response in found.items() if not response.headers["Retry-After"].isdecimal()]
    assert {"events.receive", "limits.get", "revenues.record"} < found.keys()
    assert (503, 200, 200) == (ready.status_code, live.status_code, again.status_code)
