"""Plays flows at places: in this process, or in a child that is forked from it and may die.

A flow is played here before any child plays it, so that children compile and load nothing; a child inherits
no connection and opens its own.
"""

import json
import os
import signal
import tempfile
import traceback
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import event

from service import wiring
from service.payouts.providers.sandbox import Sandbox
from service.runtime import db, logs, settings
from service.runtime.db import Database
from service.wiring import System
from tests.crash import flows, state, world
from tests.crash.dice import Dice
from tests.crash.flows import Stage
from tests.crash.points import Fuse, WatchedBank, WatchedLake, watch
from tests.crash.world import Clock

BANK_DELAY_S = 30
"""From an accepted order to its arrival: less than until the first look-up."""

PATIENCE_S = 120
"""A child that takes longer is stuck."""


@dataclass
class Place:
    """Where the present run works: its database, and its folder."""

    database: str = ""
    folder: Path = Path("/nonexistent")

    @property
    def var_dir(self) -> Path:
        """Its VAR_DIR: the lake and the keys."""
        return self.folder / "var"


@dataclass(frozen=True, slots=True)
class Player:
    """The things that all runs share: one pool, turned to the present run's database, and one fuse."""

    database: Database
    dice: Dice
    place: Place = field(default_factory=Place)
    fuse: Fuse = field(default_factory=Fuse)

    def turn(self, name: str, folder: Path) -> None:
        """Go to work at another place."""
        db.close(self.database)
        self.place.database, self.place.folder = name, folder

    def play(self, flow: str, starts_at: datetime, dies_at: int | None) -> None:
        """Play a flow, or make a world, at the present place: to its end, or to the death that is set."""
        clock = Clock(starts_at)
        self.dice.throw(starts_at.isoformat())
        scratch = self.place.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        tempfile.tempdir = str(scratch)
        with (
            (self.place.folder / "words").open("w", encoding="utf-8", buffering=1) as words,
            (self.place.folder / "acknowledged").open("a", encoding="utf-8", buffering=1) as acknowledged,
        ):
            logs.configure("warning", words)
            system = self._system(clock)
            self.fuse.light(dies_at, lambda: self._end(clock, {}))
            try:
                if flow in world.WORLDS:
                    world.WORLDS[flow](system)
                else:
                    flows.FLOWS[flow].play(self._stage(system, clock, acknowledged))
            except BaseException:
                traceback.print_exc(file=words)
                raise
        points = list(self.fuse.seen)
        self.fuse.light(None, lambda: None)
        found = state.read(system)
        self.fuse.seen[:] = points
        self._end(clock, found)
        db.close(self.database)

    def play_apart(self, flow: str, starts_at: datetime, dies_at: int | None) -> int:
        """Play a flow in a child; return what it ended with."""
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.alarm(PATIENCE_S)
        try:
            self.play(flow, starts_at, dies_at)
        except BaseException:
            os._exit(1)
        os._exit(0)

    def _stage(self, system: System, clock: Clock, acknowledged: IO[str]) -> Stage:
        def acknowledge(name: str, value: Any) -> None:
            acknowledged.write(json.dumps([name, value]) + "\n")

        return Stage(
            system=system,
            clock=clock,
            folder=self.place.folder,
            owner=f"process-{os.getpid()}",
            acknowledge=acknowledge,
        )

    def _system(self, clock: Clock) -> System:
        known = settings.read({"VAR_DIR": str(self.place.var_dir)})
        system = wiring.assemble(known, self.database)
        assert isinstance(system.provider, Sandbox), (
            "the pretend bank is the provider of the embedded default"
        )
        bank = replace(system.provider, clock=clock, delay_s=BANK_DELAY_S)
        return replace(
            system,
            lake=WatchedLake(url=system.lake.url, fuse=self.fuse),
            provider=WatchedBank(bank=bank, fuse=self.fuse),
        )

    def _end(self, clock: Clock, found: state.State) -> None:
        points = [[one.moment, one.what] for one in self.fuse.seen]
        ended = {"at": clock.now.isoformat(), "points": points, "state": found}
        (self.place.folder / "ended").write_text(json.dumps(ended), encoding="utf-8")


def opened(url: str, dice: Dice) -> Player:
    """Make a player over a server; the address names some database of it."""
    database = db.connect(url, application_name="crash tests")
    player = Player(database, dice)

    def turn(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["dbname"] = player.place.database

    event.listen(database.engine, "do_connect", turn)
    watch(player.fuse, database, lambda: player.place.var_dir / "lake")
    return player
