"""A platform whose money went all the way, made once; each test gets a copy of its database and its lake."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.audit import replay
from service.audit.replay import Report
from service.events.lake import Lake
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.audit.story import play
from tests.conftest import _connected, _copy


@dataclass(frozen=True)
class Books:
    """A database and a lake that a test may spoil."""

    database: Database
    lake: Lake
    root: Path
    superuser_url: str

    def spoil(self, *statements: str) -> None:
        """Go around the guards, as only a superuser can: no trigger, no foreign key."""
        engine = create_engine(self.superuser_url)
        try:
            with engine.begin() as connection:
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                for statement in statements:
                    assert connection.execute(text(statement)).rowcount, "a canary changes something"
        finally:
            engine.dispose()

    def audit(self) -> Report:
        """Replay it."""
        return replay.run(self.database, self.lake)


@pytest.fixture(scope="session")
def played(
    postgres_endpoint: Endpoint,
    migrated_template: str,
    database_names: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Path]]:
    """Give the name of the database that the story was played in, and the folder of its lake."""
    folder = tmp_path_factory.mktemp("audit")
    name = next(database_names)
    with _copy(postgres_endpoint, migrated_template, name) as urls:
        with _connected(urls.app_url) as opened:
            play(opened, folder)
        yield name, folder / "lake"


@pytest.fixture
def played_books(
    postgres_endpoint: Endpoint, played: tuple[str, Path], database_names: Iterator[str], tmp_path: Path
) -> Iterator[Books]:
    """Give a copy of the played books."""
    name, lake = played
    shutil.copytree(lake, tmp_path / "lake")
    with (
        _copy(postgres_endpoint, name, next(database_names)) as urls,
        _connected(urls.app_url) as opened,
    ):
        yield Books(opened, Lake(str(tmp_path / "lake")), tmp_path / "lake", urls.superuser_url)
