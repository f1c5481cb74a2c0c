"""The stand on which flows are killed: a prepared world, a copy of it for each death, processes that die.

Every process is forked from a warm one that has imported everything and holds no connection.
"""

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from service import wiring
from service.payouts.providers.sandbox import Sandbox
from service.runtime import db, logs, postgres, settings
from service.runtime.postgres import Endpoint
from service.wiring import System
from tests.crash import flows, state, world
from tests.crash.flows import Stage
from tests.crash.points import Fuse, Point, WatchedLake, WatchedProvider, watch
from tests.crash.state import State
from tests.crash.world import STARTS_AT, Clock

LEASES_END = timedelta(minutes=10)
"""After so long nobody holds anything that a dead process had claimed."""

KILLED = 9
"""What a process that died at a point ends with."""

BANK_DELAY_S = 1_800
GONE_WITHIN_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where one process of a run works: addresses that it makes its own things of."""

    url: str
    folder: Path

    @property
    def var_dir(self) -> Path:
        """Its VAR_DIR: lake and keys."""
        return self.folder / "var"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is left of a process: how it ended, what it acknowledged, where its clock stood."""

    code: int
    points: list[Point]
    acknowledged: Mapping[str, Any]
    ended_at: datetime
    found: State
    words: str


def play(flow: str, site: Site, *, starts_at: datetime, dies_at: int | None = None) -> Played:
    """Play a flow in a process of its own.

    Args:
        starts_at: what its clock shows at first.
        dies_at: the number of the point at which it dies, the first being 0.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    for name in ("points", "ended", "state"):
        (site.folder / name).unlink(missing_ok=True)
    process = context.Process(target=_work, args=(flow, site, starts_at, dies_at))
    process.start()
    process.join()
    assert process.exitcode is not None, "it was waited for"
    ended = json.loads(_text(site.folder / "ended") or "{}")
    return Played(
        code=process.exitcode,
        points=[Point(*one) for one in ended.get("points", [])],
        acknowledged=_acknowledged(site.folder / "acknowledged"),
        ended_at=datetime.fromisoformat(ended.get("at", starts_at.isoformat())),
        found=ended.get("state", {}),
        words=_text(site.folder / "words"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A server and a prepared world on it."""

    endpoint: Endpoint
    template: str
    folder: Path

    @contextmanager
    def site(self, name: str) -> Iterator[Site]:
        """Give a copy of the world: of its database, and of its lake."""
        folder = self.folder / name
        shutil.copytree(self.folder / "world", folder)
        postgres.create_database(self.endpoint.superuser_url, name, template=self.template)
        try:
            yield Site(url=_at(self.endpoint.app_url, name), folder=folder)
        finally:
            with superuser(self.endpoint) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            shutil.rmtree(folder)

    def await_gone(self, name: str) -> None:
        """Wait until the server has noticed that a process is dead, and taken back what it did not commit."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        ends = time.monotonic() + GONE_WITHIN_S
        with superuser(self.endpoint) as connection:
            while connection.execute(query, [name]).fetchone() != (0,):
                assert time.monotonic() < ends, "a session outlived its process"
                time.sleep(0.005)


def prepare(endpoint: Endpoint, template: str, name: str, folder: Path) -> Stand:
    """Make the world in a database of its own, which becomes a template; nobody is connected to it."""
    postgres.create_database(endpoint.superuser_url, name, template=template)
    site = Site(url=_at(endpoint.app_url, name), folder=folder / "world")
    site.var_dir.mkdir(parents=True)
    played = play("prepare", site, starts_at=STARTS_AT)
    assert played.code == 0, played.words
    stand = Stand(endpoint=endpoint, template=name, folder=folder)
    stand.await_gone(name)
    return stand


@contextmanager
def superuser(endpoint: Endpoint) -> Iterator[psycopg.Connection[Any]]:
    """Connect as the superuser."""
    url = make_url(_at(endpoint.superuser_url, "postgres")).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


def _at(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _acknowledged(path: Path) -> Mapping[str, Any]:
    """Read what was acknowledged; the last line may be cut off by a death."""
    lines = _text(path).splitlines(keepends=True)
    return {name: value for name, value in (json.loads(line) for line in lines if line.endswith("\n"))}


def _work(flow: str, site: Site, starts_at: datetime, dies_at: int | None) -> None:
    """Be a process of the service: make everything anew, play the flow, say what came of it."""
    try:
        with (site.folder / "words").open("w", encoding="utf-8", buffering=1) as words:
            logs.configure("warning", words)
            try:
                _play(flow, site, starts_at, dies_at)
            except BaseException:
                traceback.print_exc(file=words)
                raise
    finally:
        with suppress(ValueError):
            signal.alarm(0)


def _play(flow: str, site: Site, starts_at: datetime, dies_at: int | None) -> None:
    clock = Clock(starts_at)
    fuse = Fuse()
    system = _system(site, clock, fuse)
    scratch = site.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    tempfile.tempdir = str(scratch)
    if flow == "prepare":
        world.prepare(system)
        _end(site, clock, fuse, {})
        return
    fuse.at = dies_at
    fuse.last_words = lambda: _end(site, clock, fuse, {})
    watch(fuse, system.database, system.lake)
    with (site.folder / "acknowledged").open("a", encoding="utf-8", buffering=1) as file:

        def acknowledge(name: str, value: Any) -> None:
            file.write(json.dumps([name, value], default=str) + "\n")

        stage = Stage(
            system=system,
            clock=clock,
            folder=site.folder,
            owner=f"process-{os.getpid()}",
            acknowledge=acknowledge,
        )
        flows.FLOWS[flow](stage)
    points = list(fuse.seen)
    fuse.at = None
    found = state.read(system)
    fuse.seen[:] = points
    _end(site, clock, fuse, found)
    db.close(system.database)


def _system(site: Site, clock: Clock, fuse: Fuse) -> System:
    known = settings.read({"VAR_DIR": str(site.var_dir)})
    system = wiring.assemble(known, db.connect(site.url, application_name="crash"))
    assert isinstance(system.provider, Sandbox), "the pretend bank is the provider of the embedded default"
    bank = replace(system.provider, clock=clock, delay_s=BANK_DELAY_S)
    return replace(
        system,
        lake=WatchedLake(url=system.lake.url, fuse=fuse),
        provider=WatchedProvider(bank=bank, fuse=fuse),
    )


def _end(site: Site, clock: Clock, fuse: Fuse, found: State) -> None:
    ended = {
        "at": clock.now.isoformat(),
        "points": [[one.moment, one.what] for one in fuse.seen],
        "state": found,
    }
    (site.folder / "ended").write_text(json.dumps(ended), encoding="utf-8")


__all__ = ["KILLED", "LEASES_END", "Callable", "Played", "Site", "Stand", "play", "prepare", "superuser"]
