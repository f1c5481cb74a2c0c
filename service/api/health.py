"""Whether the process lives and whether it can serve: for load balancers, without a key."""

import threading
from collections.abc import Callable
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.api.answers import Answer
from service.core.errors import Unavailable
from service.runtime import migrations
from service.wiring import System

CHECK_LIMIT_S: Final = 1.0
"""How long a readiness check may take before it counts as failed."""


def live(_system: System) -> Answer:
    """Say that the process answers; nothing else is looked at."""
    return Answer(value={"live": True})


def ready(system: System) -> Answer:
    """Say whether requests can be served: the database answers, and its schema is the one this code knows.

    Raises:
        Unavailable: with each check's result.
    """

    def answers() -> bool:
        with system.database.engine.connect() as connection:
            return bool(connection.execute(text("SELECT 1")).scalar_one() == 1)

    is_answering = _within(answers)
    checks = {
        "database": is_answering,
        "migrations": is_answering and _within(lambda: migrations.is_current(system.database)),
    }
    if not all(checks.values()):
        failed = ", ".join(name for name, is_good in checks.items() if not is_good)
        raise Unavailable(f"Not ready to serve: {failed}.", checks=checks)
    return Answer(value={"ready": True, "checks": checks})


def _within(check: Callable[[], bool]) -> bool:
    """Run a check in a thread of its own, since a connection that hangs cannot be told to stop."""
    results: list[bool] = []

    def run() -> None:
        try:
            results.append(check())
        except SQLAlchemyError:
            results.append(False)

    thread = threading.Thread(target=run, daemon=True, name="readiness")
    thread.start()
    thread.join(CHECK_LIMIT_S)
    return bool(results) and results[0]
