"""`platform limit`: how much a platform may send, set and shown."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from service.runtime import db
from service.runtime.db import Database
from tests.cli.conftest import Run


def test_a_limit_is_set_and_shown_and_written_down(
    ask: Callable[..., Any], network: str, database: Database
) -> None:
    """What is left out stays as it is; showing writes nothing."""
    del network
    before = ask("platform", "limit", "sen")
    ask("platform", "limit", "sen", "--events-per-minute", "20000")
    after = ask("platform", "limit", "sen", "--bytes-per-minute", "9000000")
    shown = ask("platform", "limit", "sen")
    with db.transaction(database) as session:
        trail = session.scalars(text("SELECT act FROM audit_trail WHERE act = 'platform.limit'")).all()

    assert {"platform": "sen", "events_per_minute": 60_000_000, "bytes_per_minute": 2**34} == before
    assert {"platform": "sen", "events_per_minute": 20_000, "bytes_per_minute": 9_000_000} == after == shown
    assert 2 == len(trail)


def test_a_limit_that_no_batch_fits_into_is_refused(run: Run, network: str) -> None:
    """As is one of a platform that is not there."""
    del network
    small = run("platform", "limit", "sen", "--events-per-minute", "9999")
    unknown = run("platform", "limit", "nobody")

    assert (2, True) == (small.exit_code, "events_per_minute" in small.stderr)
    assert (2, True) == (unknown.exit_code, "nobody" in unknown.stderr)
