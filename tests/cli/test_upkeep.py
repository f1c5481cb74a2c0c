"""The upkeep of events from the command line: prune the log, set the policy, compute after a removal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from service.events import manifest
from service.runtime import db
from service.runtime.postgres import Endpoint
from tests.cli.conftest import Run


def test_a_prune_makes_the_days_to_come(ask: Callable[..., Any], network: str) -> None:
    """And says what it dropped."""
    assert {"dropped": [], "is_blocked": False} == ask("events", "prune")
    checks = {one["name"]: one for one in ask("doctor")}
    assert (True, "15 partitions, one a day.") == (
        checks["event log"]["is_good"],
        checks["event log"]["detail"],
    )


def test_without_the_owner_nobody_prunes(run: Run, network: str) -> None:
    """It says which setting is missing."""
    result = run("events", "prune", DATABASE_OWNER_URL="")

    assert 2 == result.exit_code
    assert "DATABASE_OWNER_URL" in result.stderr


def test_the_doctor_tells_of_days_that_could_be_dropped(
    run: Run, ask: Callable[..., Any], network: str, database_urls: Endpoint
) -> None:
    """Until somebody prunes."""
    old_on = datetime.now(UTC).date() - timedelta(days=9)
    database = db.connect(database_urls.app_url, application_name="test")
    with db.transaction(database) as session:
        session.execute(text("SELECT open_event_partition(:on)"), {"on": old_on})
    db.close(database)

    ill = run("doctor")
    pruned = ask("events", "prune")

    assert 1 == ill.exit_code
    assert "events prune" in ill.stdout
    assert [f"event_batch_{old_on:%Y%m%d}"] == pruned["dropped"]
    assert 0 == run("doctor").exit_code


def test_the_policy_is_shown_set_and_taken_back(run: Run, ask: Callable[..., Any], network: str) -> None:
    """Both at once is refused."""
    found = [
        ask("platform", "retention", "sen", *arguments)["days"]
        for arguments in ((), ("--days", "400"), (), ("--keep",))
    ]
    refused = run("platform", "retention", "sen", "--days", "1", "--keep")

    assert [None, 400, 400, None] == found
    assert 2 == refused.exit_code


@pytest.mark.parametrize("arguments", [("sen", "--days", "-1"), ("nobody", "--days", "1")])
def test_a_policy_that_cannot_be_is_refused(run: Run, network: str, arguments: tuple[str, ...]) -> None:
    """Nothing is set."""
    assert 2 == run("platform", "retention", *arguments).exit_code


def test_a_period_whose_events_were_removed_is_not_computed_again(
    ask: Callable[..., Any], network: str, database_urls: Endpoint
) -> None:
    """It is said when they went, and nothing differs; the audit says the same."""
    period = ("--platform", "sen", "--period", "2026-09")
    ask("period", "close", *period, "--as", "lan")
    assert [] == ask("recompute", *period)["differences"]
    database = db.connect(database_urls.app_url, application_name="test")
    with db.transaction(database) as session:
        files = manifest.files_of_period(session, "sen", "2026-09", "counted")
        manifest.remove(session, files, "retention", now=datetime(2027, 1, 2, tzinfo=UTC))
    db.close(database)

    assert "removed by policy on 2027-01-02" in ask("recompute", *period)["removed"]
    assert ["sen: 1 files of events were removed by policy on 2027-01-02"] == ask("audit")["remarks"]
