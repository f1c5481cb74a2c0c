"""Points at which a process may die, and the things of the service that burn a fuse at them.

Points lie before and after every SQL statement, every commit, every call of the provider and every file that
is added to the lake, and between the writing of such a file and its renaming. Rows that are sent by COPY lie
between two statements of their transaction. The bank's own transactions have points as ours do.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.events.lake import Lake, Stored
from service.payouts.providers.base import Destination, Outcome, TransferRequest, TransferView
from service.payouts.providers.sandbox import Sandbox
from service.runtime import db
from service.runtime.db import Database

INNER = frozenset({"before", "after"})
"""Moments of statements; all of one transaction's are alike in what is stored."""

KILLED = 9
"""What a process that died at a point ends with."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a run: the moment (before, after, before-commit, ...) and of what."""

    moment: str
    what: str

    @property
    def is_inner(self) -> bool:
        """Whether it lies within a transaction."""
        return self.moment in INNER

    def __str__(self) -> str:
        """Name it."""
        return f"{self.moment} {self.what}"


@dataclass
class Fuse:
    """Counts the points of a run; ends the process at the one it is set to, the first being number 0."""

    at: int | None = None
    last_words: Callable[[], None] = lambda: None
    seen: list[Point] = field(default_factory=list)

    def __call__(self, moment: str, what: str) -> None:
        """Pass a point, or die there."""
        self.seen.append(Point(moment, " ".join(what.split())[:80]))
        if self.at == len(self.seen) - 1:
            self.last_words()
            # As kill -9 does: nothing is flushed, nothing is rolled back, no `finally` runs.
            os._exit(KILLED)

    def light(self, at: int | None, last_words: Callable[[], None]) -> None:
        """Begin to count a run."""
        self.at, self.last_words = at, last_words
        self.seen.clear()


def watch(fuse: Fuse, database: Database, lake_root: Callable[[], Path]) -> None:
    """Burn a fuse at statements, commits and renamings below the lake, until the process ends."""
    db.on_statement(database, fuse)

    def rename(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "os.rename" and Path(os.fsdecode(arguments[1])).is_relative_to(lake_root()):
            fuse("before-rename", Path(os.fsdecode(arguments[1])).parent.name)

    # Files are written by the standard library; its audit events are how anybody may watch it.
    sys.addaudithook(rename)


@dataclass(frozen=True, slots=True)
class WatchedLake(Lake):
    """A lake; adding a file has a point before and one after it."""

    fuse: Fuse

    def add(self, folder: str, file: Path) -> Stored:
        """Add a file."""
        self.fuse("before-add", folder)
        stored = Lake.add(self, folder, file)
        self.fuse("after-add", folder)
        return stored


@dataclass(frozen=True, slots=True)
class WatchedBank:
    """The pretend bank as a provider; every call has a point before and one after it."""

    bank: Sandbox
    fuse: Fuse

    @property
    def name(self) -> str:
        """The bank's name."""
        return self.bank.name

    def admit(self, destination: Mapping[str, object]) -> Destination:
        """Check as the bank does; nobody is called."""
        return self.bank.admit(destination)

    def send(self, request: TransferRequest, key: str) -> Outcome:
        """Pass an order on."""
        return self._called("send", lambda: self.bank.send(request, key))

    def look_up(self, group: str) -> Sequence[TransferView]:
        """Ask for the transfers of a payout."""
        return self._called("look_up", lambda: self.bank.look_up(group))

    def balance(self, platform_id: str, currency: str) -> int:
        """Ask for a balance."""
        return self._called("balance", lambda: self.bank.balance(platform_id, currency))

    def fund(self, platform_id: str, currency: str, amount_minor: int, reference: str) -> None:
        """Move a platform's money to the bank."""
        self._called("fund", lambda: self.bank.fund(platform_id, currency, amount_minor, reference))

    def _called(self, name: str, call: Callable[[], Any]) -> Any:
        self.fuse("before-call", name)
        try:
            return call()
        finally:
            self.fuse("after-call", name)
