"""Intake over HTTP on the shipped server, beside the bare decode of the same bytes and one row an event.

The baselines know nothing of ours: a typed decode by msgspec, item by item, with the plainest types; and a
table with a row an event under its platform, source and id, filled by as many callers with ON CONFLICT.
"""

import itertools
import statistics
import threading
import uuid
from collections.abc import Iterator
from datetime import datetime

import msgspec
import zstandard
from msgspec import Struct
from sqlalchemy import Table, text

from bench import batches, load
from bench.figures import Figure, rate
from bench.load import Sent
from bench.stage import Stage, built, platform, served
from service.calendar import periods
from service.events import partitions
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import clock, db, postgres

CLIENTS = 4
RUN_S = 6.0
HISTORY_EVENTS = 100_000_000
HISTORY_MONTHS = 24
HISTORY_FILES_A_MILLION = 20
ROUNDS = 4

_RUNS = itertools.count()


class Data(Struct):
    """What a plain service would decode."""

    creator: str
    content: str | None = None
    actor: str | None = None
    quantity: int = 1


class Event(Struct):
    """An event, decoded plainly."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    data: Data


def measure_intake(stage: Stage) -> list[Figure]:
    """Send batches of 1,000 events for some seconds, from a process of clients on the same cores."""
    made, key = platform(stage, batches.CREATORS)
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
    for_s = _for_s(stage)
    with served(stage) as address:
        _send(address, key, now, for_s / 4)
        sent = _send(address, key, now, for_s)
    note = f"{sent}; {batches.SHARES}; {_state(stage, made.id)}; {durability(stage)}"
    return [
        Figure("intake", "events/s (bar: bare decode)", sent.rate, _decode_rate(now, for_s / 2), 0.40, note),
        Figure(
            "intake", "events/s (bar: one row an event)", sent.rate, _rows_rate(stage, now, for_s / 2), 5.0
        ),
    ]


def measure_history(stage: Stage) -> list[Figure]:
    """Send in turns to a service with 100 million events of history and to one that is empty."""
    with built(stage.scale) as other:
        keys = {}
        for one in (stage, other):
            made, key = platform(one, batches.CREATORS)
            keys[one.folder] = key
            if one is other:
                seeded = _seed(one, made, one.size(HISTORY_EVENTS // batches.EVENTS))
        with db.transaction(stage.system.database) as session:
            now = clock.now(session)
        rates: dict[bool, list[float]] = {False: [], True: []}
        with served(stage) as empty, served(other) as full:
            for turn in range(-1, ROUNDS):
                for has_history, address, key in (
                    (False, empty, keys[stage.folder]),
                    (True, full, keys[other.folder]),
                ):
                    sent = _send(address, key, now, _for_s(stage) / 2)
                    if turn >= 0:  # The first turn warms both.
                        rates[has_history].append(sent.rate)
    ours, bare = statistics.median(rates[True]), statistics.median(rates[False])
    return [Figure("intake-history", "events/s (bar: empty database)", ours, bare, 0.90, seeded)]


def _send(address: str, key: str, now: datetime, for_s: float) -> Sent:
    name = f"r{next(_RUNS)}-{uuid.uuid4().hex[:8]}"
    return load.run(address, key, name=name, now=now, clients=CLIENTS, for_s=for_s)


def _for_s(stage: Stage) -> float:
    return RUN_S * min(1.0, stage.scale * 4)


def _decode_rate(now: datetime, for_s: float) -> float:
    """Decode the same bytes: cut into items, each decoded by itself, so that one cannot spoil another."""
    bodies = itertools.cycle(list(itertools.islice(batches.stream("decode", now), 10)))
    cut = msgspec.json.Decoder(list[msgspec.Raw]).decode
    read = msgspec.json.Decoder(Event).decode

    def decode() -> int:
        events = [read(item) for item in cut(next(bodies))]
        return len(events)

    return rate(decode, for_s)


def _rows_rate(stage: Stage, now: datetime, for_s: float) -> float:
    """Decode and store one row an event with ON CONFLICT, as services commonly do, in the same database."""
    owner = db.connect(owner_url(stage), application_name="bench")
    with db.transaction(owner) as session:
        session.execute(
            text(
                "CREATE TABLE bench_event (platform_id text, source text, id text, type text NOT NULL,"
                " time timestamptz NOT NULL, creator text NOT NULL, content text, actor text,"
                " quantity bigint NOT NULL, PRIMARY KEY (platform_id, source, id))"
            )
        )
    names = ("source", "id", "type", "time", "creator", "content", "actor", "quantity")
    insert = text(
        f"INSERT INTO bench_event (platform_id, {', '.join(names)}) SELECT 'bench', * FROM unnest("
        "CAST(:source AS text[]), CAST(:id AS text[]), CAST(:type AS text[]), CAST(:time AS timestamptz[]),"
        " CAST(:creator AS text[]), CAST(:content AS text[]), CAST(:actor AS text[]),"
        " CAST(:quantity AS bigint[])) ON CONFLICT DO NOTHING"
    )
    decode = msgspec.json.Decoder(list[Event]).decode

    def store(bodies: Iterator[bytes]) -> int:
        # In the order of the key, or callers would lock each other out.
        events = sorted(decode(next(bodies)), key=lambda one: (one.source, one.id))
        plain = [{**msgspec.structs.asdict(one), **msgspec.structs.asdict(one.data)} for one in events]
        with db.transaction(owner) as session:
            session.execute(insert, {name: [one[name] for one in plain] for name in names})
        return len(events)

    found: list[float] = []

    def call(number: int) -> None:
        bodies = batches.stream(f"rows{number}", now)
        found.append(rate(lambda: store(bodies), for_s))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CLIENTS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with db.transaction(owner) as session:
        session.execute(text("DROP TABLE bench_event"))
    db.close(owner)
    return sum(found)


def _state(stage: Stage, platform_id: str) -> str:
    """Say how large the log is for each accepted event."""
    query = """
        SELECT sum(accepted_count), sum(pg_column_size(body_zstd)),
            sum(pg_column_size(event_batch.*)), count(*) FROM event_batch WHERE platform_id = :id
    """
    receipts = "SELECT sum(pg_column_size(event_receipt.*)) FROM event_receipt WHERE platform_id = :id"
    with db.transaction(stage.system.database) as session:
        events, packed, whole, count = session.execute(text(query), {"id": platform_id}).one()
        receipt_bytes = session.scalar(text(receipts), {"id": platform_id})
    return (
        f"{(whole + receipt_bytes) / events:.1f} bytes of state an event ({packed / events:.1f} the packed"
        f" body), {count} batches"
    )


def durability(stage: Stage) -> str:
    """Say how the database keeps what it commits."""
    with db.transaction(stage.system.database) as session:
        shown = {
            name: session.scalar(text(f"SHOW {name}"))
            for name in ("fsync", "synchronous_commit", "wal_sync_method", "full_page_writes")
        }
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _seed(stage: Stage, made: Platform, batch_count: int) -> str:
    """Write a history as rows: batches with a real body each, receipts, compaction, files and periods."""
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
        year, month = divmod(now.year * 12 + now.month - 1 - HISTORY_MONTHS, 12)
        history_at = now.replace(year=year, month=month + 1, day=2)
        periods.open_from(session, made, history_at, actor=OPERATOR, now=now)
        partitions.ensure_ahead(session, now)
    body = zstandard.ZstdCompressor(level=3).compress(next(batches.stream("history", now)))
    file_count = max(1, batch_count * batches.EVENTS * HISTORY_FILES_A_MILLION // 1_000_000)
    owner = db.connect(owner_url(stage), application_name="bench")
    with db.transaction(owner) as session:
        given = {"id": made.id, "now": now, "body": body, "count": batch_count, "files": file_count}
        for table, source in (
            ("event_batch", "generate_series(1, CAST(:count AS bigint)) AS made(n)"),
            ("event_receipt", "event_batch AS made WHERE platform_id = :id"),
            ("compacted", "event_batch AS made WHERE platform_id = :id"),
            ("lake_file", "generate_series(1, CAST(:files AS bigint)) AS made(n)"),
        ):
            columns = _expressions(db.metadata.tables[table], _SEEDS[table])
            statement = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
            used = {
                name: value for name, value in given.items() if f":{name}" in f"{statement} FROM {source}"
            }
            session.execute(text(f"{statement} FROM {source}"), used)
    with owner.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE event_batch, event_receipt, compacted, lake_file"))
    db.close(owner)
    return f"{batch_count} batches of {len(body)} packed bytes, {file_count} files, {HISTORY_MONTHS} periods"


def _expressions(table: Table, known: dict[str, str]) -> dict[str, str]:
    """Choose the expressions of the columns that the table has; those of a batch are its own by name."""
    return {
        column.name: known.get(column.name, column.name)
        for column in table.columns
        if column.name in known or (table.name == "compacted" and column.name not in known)
    }


_RECEIPT = """
    jsonb_build_object('batch_id', made.id, 'sha256', encode(body_sha256, 'hex'), 'received_at',
    '2026-01-01T00:00:00Z', 'counts', jsonb_build_object('accepted', 1000, 'rejected', 0), 'items', '[]',
    'replayed', false, 'media_type', media_type)
"""

_SEEDS: dict[str, dict[str, str]] = {
    "event_batch": {
        "platform_id": ":id",
        "id": "gen_random_uuid()",
        "received_at": "CAST(:now AS timestamptz)",
        "channel": "'http'",
        "media_type": f"'{batches.MEDIA_TYPE}'",
        "item_count": "1000",
        "accepted_count": "1000",
        "first_at": "CAST(:now AS timestamptz)",
        "last_at": "CAST(:now AS timestamptz)",
        "body_sha256": "sha256(int8send(n))",
        "body_zstd": "CAST(:body AS bytea)",
        "rejections": "CAST('[]' AS jsonb)",
    },
    "event_receipt": {
        "platform_id": "platform_id",
        "body_sha256": "body_sha256",
        "batch_id": "made.id",
        "created_at": "received_at",
        "receipt": _RECEIPT,
    },
    "compacted": {"run_id": "made.id", "batch_id": "made.id", "compacted_at": "received_at"},
    "lake_file": {
        "platform_id": ":id",
        "path": "'history/' || n",
        "kind": "'raw'",
        "day_on": "CAST(CAST(:now AS timestamptz) AS date) - CAST(n % 700 AS integer)",
        "row_count": "50000",
        "size_bytes": "2000000",
        "sha256": "sha256(int8send(n))",
        "seq_first": "n",
        "seq_last": "n",
        "created_at": "CAST(:now AS timestamptz)",
    },
}


def owner_url(stage: Stage) -> str:
    endpoint = postgres.running(stage.system.settings.var_dir)
    assert endpoint is not None, "the stage's database runs"
    return endpoint.owner_url
