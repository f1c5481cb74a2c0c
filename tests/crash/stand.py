"""The stand on which flows are killed: a prepared world, and for each death a copy of it."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from service.runtime import postgres
from service.runtime.postgres import Endpoint
from tests.crash.flows import FLOWS
from tests.crash.points import KILLED, Point
from tests.crash.state import State
from tests.crash.world import STARTS_AT

LEASES_END = timedelta(minutes=10)
"""After so long nobody holds anything that a dead process had claimed."""

GONE_WITHIN_S = 30
"""How long the server may take to notice that a process is dead."""

_ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is left of a process: how it ended and at which points it was, what it had acknowledged by then,
    where its clock stood, what is stored, and what it wrote to its log."""

    code: int
    points: list[Point]
    acknowledged: Mapping[str, Any]
    ended_at: datetime
    state: State
    words: str

    @property
    def is_killed(self) -> bool:
        """Whether it died at a point."""
        return self.code == KILLED


@dataclass(frozen=True, slots=True)
class Site:
    """A copy of the world that one run, and those that go on with it, work on."""

    database: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Stand:
    """A server, and the process that plays on it; worlds and undisturbed runs are kept.

    Args:
        template: a database that is migrated and empty.
        name: what names of databases begin with.
    """

    endpoint: Endpoint
    template: str
    name: str
    folder: Path
    forge: subprocess.Popen[str]
    worlds: dict[str, Site] = field(default_factory=dict)
    undisturbed: dict[str, Played] = field(default_factory=dict)

    @contextmanager
    def site(self, flow: str) -> Iterator[Site]:
        """Give a copy of the world that a flow starts in: of its database, of its lake and of its keys."""
        world = self._world(FLOWS[flow].world)
        site = Site(f"{self.name}_site", self.folder / "site")
        shutil.copytree(world.folder, site.folder)
        postgres.create_database(self.endpoint.superuser_url, site.database, template=world.database)
        try:
            yield site
        finally:
            drop(self.endpoint, site.database)
            shutil.rmtree(site.folder)

    def play_whole(self, flow: str) -> Played:
        """Play a flow undisturbed, once; later calls give the same."""
        if flow not in self.undisturbed:
            with self.site(flow) as site:
                self.undisturbed[flow] = self.play(flow, site, is_apart=False)
        return self.undisturbed[flow]

    def play(
        self,
        flow: str,
        site: Site,
        *,
        starts_at: datetime = STARTS_AT,
        dies_at: int | None = None,
        is_apart: bool = True,
    ) -> Played:
        """Play a flow and wait until no session of its process is left.

        Args:
            starts_at: what its clock shows at first.
            dies_at: the number of the point at which it dies, the first being 0.
            is_apart: in a process of its own.
        """
        (site.folder / "ended").unlink(missing_ok=True)
        asked = {
            "flow": flow,
            "database": site.database,
            "folder": str(site.folder),
            "starts_at": starts_at.isoformat(),
            "dies_at": dies_at,
            "is_apart": is_apart,
        }
        _write(self.forge.stdin, asked)
        assert self.forge.stdout is not None, "it was started with a pipe"
        answer = self.forge.stdout.readline()
        words = _text(site.folder / "words")
        assert answer, f"the forge is broken: {words}"
        self._await_gone(site)
        ended = json.loads(_text(site.folder / "ended") or "{}")
        return Played(
            code=json.loads(answer),
            points=[Point(*one) for one in ended.get("points", [])],
            acknowledged=_acknowledged(site.folder / "acknowledged"),
            ended_at=datetime.fromisoformat(ended.get("at", starts_at.isoformat())),
            state=ended.get("state", {}),
            words=words,
        )

    def _world(self, name: str) -> Site:
        """Make a world at its first use, in a database that nobody is connected to afterwards."""
        if name not in self.worlds:
            world = Site(f"{self.name}_{name}", self.folder / name)
            world.folder.mkdir()
            self.worlds[name] = world
            postgres.create_database(self.endpoint.superuser_url, world.database, template=self.template)
            made = self.play(name, world, is_apart=False)
            assert made.code == 0, made.words
        return self.worlds[name]

    def _await_gone(self, site: Site) -> None:
        """Wait until the server has taken back what a dead process did not commit."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        ends = time.monotonic() + GONE_WITHIN_S
        with superuser(self.endpoint) as connection:
            while connection.execute(query, [site.database]).fetchone() != (0,):
                assert time.monotonic() < ends, "a session outlived its process"
                time.sleep(0.005)


@contextmanager
def opened(endpoint: Endpoint, template: str, name: str, folder: Path) -> Iterator[Stand]:
    """Start the process that plays; at the end, end it and remove the worlds that were made."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.forge"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as forge:
        stand = Stand(endpoint, template, name, folder, forge)
        try:
            _write(forge.stdin, endpoint.app_url)
            yield stand
        finally:
            assert forge.stdin is not None, "it was started with a pipe"
            forge.stdin.close()
            forge.wait()
            for world in stand.worlds.values():
                drop(endpoint, world.database)


def drop(endpoint: Endpoint, database: str) -> None:
    """Remove a database."""
    with superuser(endpoint) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


@contextmanager
def superuser(endpoint: Endpoint) -> Iterator[psycopg.Connection[Any]]:
    """Connect as the superuser, to no database of the service."""
    url = make_url(endpoint.superuser_url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


def _write(stream: IO[str] | None, value: object) -> None:
    assert stream is not None, "it was started with a pipe"
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _acknowledged(path: Path) -> Mapping[str, Any]:
    """Read what was last acknowledged under each name; a death may have cut off the last line."""
    lines = _text(path).splitlines(keepends=True)
    return dict(json.loads(line) for line in lines if line.endswith("\n"))
