"""Posting and reading the books, beside bare COPY and a bare look-up."""

import threading
import time

from sqlalchemy import text

from bench.events import owner_url
from bench.figures import Figure, rate
from bench.stage import HISTORY, Stage, creator, platform
from service.core import ids
from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.entries import Entry, Line
from service.ledger.tables import line as line_table
from service.parties.platforms import Platform
from service.runtime import clock, db

LINES = 100_000
HOT_S = 4.0


def measure_post(stage: Stage) -> list[Figure]:
    """Post one entry of 100,000 lines to as many accounts; the baseline copies the same lines."""
    count = stage.size(LINES)
    made, _ = platform(stage, 10)
    entry = _entry(made, count)
    with db.transaction(stage.system.database) as session:
        journal.post(session, _entry(made, count), now=clock.now(session))
    begin = time.perf_counter()
    with db.transaction(stage.system.database) as session:
        journal.post(session, entry, now=clock.now(session))
    ours_s = time.perf_counter() - begin
    return [
        Figure("post-100k", "lines/s (bar: COPY)", count / ours_s, count / _copy_s(stage, made, count), 0.40)
    ]


def measure_hot(stage: Stage) -> list[Figure]:
    """Post single lines on one busy account from eight callers, and from one."""
    made, _ = platform(stage, 10)
    for_s = HOT_S * min(1.0, stage.scale * 4)
    return [
        Figure(
            "post-hot",
            "entries/s (bar: 1 caller)",
            _hot(stage, made, 8, for_s),
            _hot(stage, made, 1, for_s),
            1.0,
        )
    ]


def measure_balance(stage: Stage) -> list[Figure]:
    """Read a balance with a long history, and one with a short one."""
    made, _ = platform(stage, 10)
    for _ in range(5):
        with db.transaction(stage.system.database) as session:
            journal.post(
                session, _entry(made, stage.size(LINES), is_one_creator=True), now=clock.now(session)
            )
    with db.transaction(stage.system.database) as session:
        journal.post(session, _entry(made, 10), now=clock.now(session))

    def read(owner: str) -> int:
        with db.transaction(stage.system.database) as session:
            balances.of(session, made.id, AccountRef(Role.CREATOR_PAYABLE, owner), "VND")
        return 1

    long_rate, short_rate = rate(lambda: read("one")), rate(lambda: read(creator(3)))
    return [Figure("balance-read", "reads/s (bar: short history)", long_rate, short_rate, 0.9)]


def _entry(made: Platform, count: int, *, is_one_creator: bool = False) -> Entry:
    pool = AccountRef(Role.REVENUE_POOL, "bench")
    return Entry(
        platform_id=made.id,
        kind="bench",
        cause_kind="bench",
        cause_id="bench",
        currency="VND",
        effective_at=HISTORY,
        key=ids.derived(made.id, str(time.perf_counter_ns())).hex,
        lines=tuple(
            Line(
                pool,
                AccountRef(Role.CREATOR_PAYABLE, "one" if is_one_creator else creator(number)),
                number + 1,
            )
            for number in range(count)
        ),
    )


def _copy_s(stage: Stage, made: Platform, count: int) -> float:
    """Copy lines into a table with the same keys, indexes and checks, as a role without row security."""
    owner = db.connect(owner_url(stage), application_name="bench")
    with db.transaction(owner) as session:
        session.execute(text("CREATE TABLE bench_line (LIKE line INCLUDING ALL)"))
        session.execute(
            text("ALTER TABLE bench_line ADD FOREIGN KEY (platform_id, entry_id) REFERENCES entry")
        )
        for side in ("debit", "credit"):
            columns = f"platform_id, {side}_account_id, currency"
            reference = "account (platform_id, id, currency)"
            session.execute(
                text(f"ALTER TABLE bench_line ADD FOREIGN KEY ({columns}) REFERENCES {reference}")
            )
        query = "SELECT * FROM line WHERE platform_id = :id ORDER BY entry_id DESC, position LIMIT :count"
        rows = [tuple(row) for row in session.execute(text(query), {"id": made.id, "count": count})]
    columns = [column.name for column in line_table.columns]
    target = line_table.to_metadata(db.MetaData(), name="bench_line")
    begin = time.perf_counter()
    with db.transaction(owner) as session:
        db.copy_rows(session, target, columns, rows)
    taken_s = time.perf_counter() - begin
    with db.transaction(owner) as session:
        session.execute(text("DROP TABLE bench_line"))
    db.close(owner)
    return taken_s


def _hot(stage: Stage, made: Platform, callers: int, for_s: float) -> float:
    counts = [0] * callers
    end_at_s = time.perf_counter() + for_s

    def call(number: int) -> None:
        while time.perf_counter() < end_at_s:
            line = Line(AccountRef(Role.CLEARING), AccountRef(Role.PLATFORM_REVENUE), 1)
            entry = Entry(
                platform_id=made.id,
                kind="bench",
                cause_kind="bench",
                cause_id="bench",
                currency="VND",
                effective_at=HISTORY,
                key=f"{number}-{time.perf_counter_ns()}",
                lines=(line,),
            )
            with db.transaction(stage.system.database) as session:
                journal.post(session, entry, now=HISTORY)
            counts[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / for_s
