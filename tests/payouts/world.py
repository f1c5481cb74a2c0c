"""A small world for the tests: a platform with creators who earned, a pretend bank, a clock that tests set."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """The clock of the bank and of the workers; it stands still until a test moves it."""

    now: datetime = NOON

    def __call__(self, session: Session) -> datetime:
        """Read it, as service.runtime.clock.now is read."""
        return self.now

    def move(self, **units: int) -> datetime:
        """Let time pass."""
        self.now += timedelta(**units)
        return self.now
