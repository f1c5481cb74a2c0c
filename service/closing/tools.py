"""What the long acts of closing work with, handed in from outside."""

from collections.abc import Callable
from dataclasses import dataclass

from service.events.lake import Lake
from service.runtime.db import Database
from service.splits.engines.base import Engine

Report = Callable[[int, int | None], None]
"""Told how many steps are done, and of how many."""


def silent(_done: int, _total: int | None) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The database, the lake and the engine that scores."""

    database: Database
    lake: Lake
    engine: Engine
