"""What cannot be done is said in a clear line on stderr, with exit code 2, and nothing is stored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.runtime import db
from service.runtime.postgres import Endpoint
from tests.cli.conftest import Run

_OF = ("--platform", "sen", "--period", "2026-09")
_REVENUE = ("revenue", "record", "--platform", "sen", "--stream", "ads", "--reference", "r1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*_REVENUE, "--period", "2026-09", "--gross", "10.5"), "VND"),
        ((*_REVENUE, "--period", "2026-09", "--gross", "ten"), "--gross"),
        ((*_REVENUE, "--period", "2026-09", "--gross", "10", "--currency", "USD"), "currency"),
        ((*_REVENUE, "--period", "2026-09", "--gross", "10", "--deduction", "fee"), "NAME=AMOUNT"),
        ((*_REVENUE, "--period", "1999-01", "--gross", "10"), "1999-01"),
        ((*_REVENUE, "--gross", "10"), "period"),
        (
            (*_REVENUE, "--gross", "10", "--from", "2026-09-01T00:00:00", "--until", "2026-09-02T00:00:00Z"),
            "zone",
        ),
        (
            (*_REVENUE, "--gross", "10", "--from", "2026-09-20T00:00:00Z", "--until", "2026-10-02T00:00:00Z"),
            "crosses",
        ),
        (("period", "close", "--platform", "sen", "--period", "2099-01", "--as", "lan"), "2099-01"),
        (("period", "close", *_OF, "--as", "minh"), "finance_maker"),
        (("period", "close", *_OF, "--as", "nobody"), "nobody"),
        (("period", "approve", *_OF, "--as", "minh"), "published"),
        (("period", "post", *_OF, "--as", "lan"), "approved"),
        (("period", "open", "--platform", "sen", "--from", "2199-01-01"), "is over"),
        (("period", "open", "--platform", "sen", "--from", "last year"), "--from"),
        (("platform", "create", "Sen!", "--name", "x"), "lower-case"),
        (("platform", "create", "sen", "--name", "x"), "sen"),
        (("platform", "create", "hoa", "--name", "x", "--currency", "XYZ"), "ISO 4217"),
        (("platform", "create", "hoa", "--name", "x", "--time-zone", "Mars"), "IANA"),
        (("key", "create", "--platform", "sen", "--label", "x", "--scope", "everything"), "everything"),
        (("key", "create", "--platform", "nobody", "--label", "x"), "nobody"),
        (("staff", "add", "x", "--platform", "sen", "--name", "X", "--role", "king"), "king"),
        (("staff", "link", "x", "--platform", "sen"), "x"),
        (("creator", "link", "x", "--platform", "sen"), "x"),
        (("payouts", "approve", "--platform", "sen", "--batch", "7", "--as", "minh"), "batch"),
        (("payouts", "payee", "x", "--platform", "sen", "--account", "970415008888", "--holder", "X"), "x"),
        (("statement", *_OF, "--creator", "nobody"), "nobody"),
        (("recompute", *_OF), "2026-09"),
        (("audit", "--platform", "nobody"), "nobody"),
    ],
)
def test_a_refusal_names_its_reason(
    run: Run, network: str, database_urls: Endpoint, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2, the reason on stderr, nothing on stdout, not a row more than before."""
    before = _row_counts(database_urls)
    result = run(*arguments)

    assert (2, "", before) == (result.exit_code, result.stdout, _row_counts(database_urls))
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def _row_counts(urls: Endpoint) -> dict[str, int]:
    database = db.connect(urls.superuser_url, application_name="count")
    with db.transaction(database) as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        counts = {table: session.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables}
    db.close(database)
    return counts


def test_a_period_that_is_not_over_is_not_closed(ask: Callable[..., Any], run: Run, network: str) -> None:
    """The present month says when it ends."""
    present = ask("period", "list", "--platform", "sen")[-1]["id"]
    result = run("period", "close", "--platform", "sen", "--period", present, "--as", "lan")

    assert (2, True) == (result.exit_code, "ends at" in result.stderr)


def test_closing_and_approving_twice_and_by_one_person_are_refused(
    ask: Callable[..., Any], run: Run, network: str
) -> None:
    """Each second time, and each wrong person, is told so."""
    ask(
        "staff",
        "add",
        "lan",
        "--platform",
        "sen",
        "--name",
        "Lan",
        "--role",
        "finance_maker",
        "--role",
        "finance_checker",
    )
    ask("period", "close", *_OF, "--as", "lan")
    closed_twice = run("period", "close", *_OF, "--as", "lan")
    by_herself = run("period", "approve", *_OF, "--as", "lan")
    ask("period", "approve", *_OF, "--as", "minh")
    approved_twice = run("period", "approve", *_OF, "--as", "minh")

    assert [2, 2, 2] == [closed_twice.exit_code, by_herself.exit_code, approved_twice.exit_code]
    assert "another person" in by_herself.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("period",),
        ("period", "close", "--platform", "sen"),
        ("events", "import", "/nowhere.csv", "--platform", "sen", "--mapping", "klout_twitter"),
    ],
)
def test_wrong_usage_ends_with_two(run: Run, arguments: tuple[str, ...]) -> None:
    """As bad input does."""
    assert 2 == run(*arguments).exit_code


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("BIND", "somewhere"),
        ("DATABASE_URL", "mysql://x"),
        ("ENCRYPTION_KEYS", "short"),
        ("WEB_WORKERS", "many"),
        ("PAYOUT_PROVIDER", "cash"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_setting_stops_the_start_and_says_which(run: Run, setting: str, value: str) -> None:
    """The name of the setting and the reason, never a secret's value."""
    result = run("doctor", **{setting: value})

    assert (2, True) == (result.exit_code, setting in result.stderr)


def test_a_database_that_is_away_ends_with_three(run: Run, environment: dict[str, str]) -> None:
    """Unavailable is another end than wrong."""
    away = environment["DATABASE_URL"].rsplit(":", 1)[0] + ":1/nothing"

    assert 3 == run("platform", "list", DATABASE_URL=away).exit_code


def test_an_unknown_mapping_names_those_that_ship(run: Run, network: str, tmp_path: Path) -> None:
    """The remedy is in the message."""
    file = tmp_path / "x.csv"
    file.write_text("a,b\n", encoding="utf-8")
    result = run("events", "import", str(file), "--platform", "sen", "--mapping", "nothing")

    assert (2, True) == (result.exit_code, "klout_twitter" in result.stderr)
