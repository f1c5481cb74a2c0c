"""What an intake costs: so many statements, and so many rows read, however long the history is."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from service.events import intake, wire
from service.parties import creators
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.events import worlds
from tests.events.worlds import NOW, batch, event

HISTORY = 20_000
"""Batches, receipts, creators and quarantined events that are there before."""

HISTORY_PERIODS = 3_650
SENDS = 6

_FILL = (
    """
    INSERT INTO period (platform_id, id, start_at, end_at, time_zone, state, is_historic, opened_at, cut_seq)
    SELECT :p, 'day-' || n, earliest - (n || ' days')::interval, earliest - (n - 1 || ' days')::interval,
        'Asia/Ho_Chi_Minh', 'posted', false, earliest, 1
    FROM generate_series(1, :periods) AS n,
        (SELECT min(start_at) AS earliest FROM period WHERE platform_id = :p) AS first
    """,
    """
    INSERT INTO creator (platform_id, id, created_at)
    SELECT :p, 'old-' || n, :now FROM generate_series(1, :n) AS n
    """,
    """
    INSERT INTO event_batch (platform_id, id, received_at, channel, media_type, item_count, accepted_count,
        body_sha256, body_zstd, rejections)
    SELECT :p, gen_random_uuid(), :now, 'http', 'x', 0, 0, sha256(n::text::bytea), '', '[]'
    FROM generate_series(1, :n) AS n
    """,
    """
    INSERT INTO event_receipt (platform_id, body_sha256, batch_id, created_at, receipt)
    SELECT platform_id, body_sha256, id, received_at, '{}' FROM event_batch
    WHERE platform_id = :p AND media_type = 'x'
    """,
    """
    INSERT INTO quarantine (platform_id, id, state, code, errors, position, happened_at, received_at, raw,
        size_bytes, is_whole)
    SELECT :p, gen_random_uuid(), 'open', 'invalid', '[]', 0, :now, :now, '', 0, true
    FROM generate_series(1, :n) AS n
    """,
)


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """Collect the statements that are sent."""
    seen: list[str] = []
    stop = db.on_statement(database, lambda moment, text: seen.append(text) if moment == "before" else None)
    yield seen
    stop()


def sent(database: Database, platform: Platform, *events: Any) -> Callable[[], None]:
    """Prepare the sending of a batch."""
    body = batch(*events)

    def send() -> None:
        with db.transaction(database) as session:
            intake.receive(session, platform, body, wire.BATCH, channel="http", now=NOW)

    return send


def test_a_batch_takes_five_statements_whatever_it_holds(database: Database, statements: list[str]) -> None:
    """Two more for what is rejected, one for a replay, none for the calendar where nothing is left to take.

    The first use of a type, and new creators, take one more each, once.
    """
    platform = worlds.founded(database)
    sent(database, platform, event("first"))()
    counts = []
    for events in (
        [event("e-1")],
        [event(f"e-{number}") for number in range(500)],
        [event("e-2", quantity=1.5)],
        [event("e-3"), *(event(f"e-{number}", quantity=1.5) for number in range(500))],
    ):
        send = sent(database, platform, *events)
        for _ in range(2):
            statements.clear()
            send()
            counts.append(len(statements))

    assert [5, 1, 5, 1, 6, 1, 7, 1] == counts


def test_an_intake_reads_no_more_rows_after_a_long_history(
    database: Database, database_urls: Endpoint
) -> None:
    """Of batches, receipts, creators and quarantined events, and ten years of days."""
    platform = worlds.founded(database, period_unit="day", unknown_creators="reject")
    with db.transaction(database) as session:
        creators.ensure(session, platform.id, ["c-1", "c-2"], now=NOW)
    sent(database, platform, event("warm"), event("bad", quantity=1.5))()
    before = rows_read(database, platform, "a")
    fill(database_urls, platform)

    after = rows_read(database, platform, "b")

    assert before > SENDS, "the figures are of intakes"
    # The window has two sealed days more than at first, and the totals of quarantine are on several rows.
    assert after < before + SENDS * 20


def fill(urls: Endpoint, platform: Platform) -> None:
    """Give a platform a history, and the planner its figures."""
    values = {"p": platform.id, "n": HISTORY, "periods": HISTORY_PERIODS, "now": NOW}
    engine = create_engine(urls.owner_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in _FILL:
            wanted = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), wanted)
        # Not ANALYZE alone: what is read while pages are new is looked up twice.
        connection.execute(text("VACUUM (ANALYZE)"))
    engine.dispose()


def rows_read(database: Database, platform: Platform, name: str) -> int:
    """Send batches with good, bad and unknown items, each twice; count the rows that were looked at."""
    start = figure_of(database)
    for number in range(SENDS // 2):
        good = [event(f"{name}-{number}-{n}", creator=f"c-{1 + n % 2}") for n in range(20)]
        bad = event(f"{name}-{number}-bad", quantity=1.5)
        send = sent(database, platform, *good, bad, event(f"{name}-{number}-new", creator="unknown"))
        send()
        send()
    return figure_of(database) - start


def figure_of(database: Database) -> int:
    """Read how many rows of tables and entries of indexes were ever looked at."""
    with db.transaction(database) as session:
        session.execute(text("SELECT pg_stat_force_next_flush()"))
    with db.transaction(database) as session:
        query = (
            "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)"
            " + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)"
        )
        return int(session.scalar(text(query)) or 0)
