"""A close from sealed files to posted, beside the bare aggregation and a bare COPY of the same rows."""

import time

from sqlalchemy import text

from bench.events import owner_url
from bench.figures import Figure
from bench.stage import CHECKER, HISTORY, MAKER, Stage, platform
from service.calendar import periods
from service.closing import revenues, stages
from service.events.lake import Lake
from service.events.manifest import LakeFile, register
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import clock, db, duck
from service.splits.tables import share as share_table
from service.wiring import tools

EVENTS = 20_000_000
CREATORS = 100_000
PERIOD = "2026-01"


def measure_close(stage: Stage) -> list[Figure]:
    """Close a historic month of 20 million events of 100,000 creators, from its files to its entry."""
    event_count, creator_count = stage.size(EVENTS), stage.size(CREATORS)
    made, _ = platform(stage, creator_count)
    counted = _fill(stage, made, event_count, creator_count)
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
        revenues.record(
            session,
            made,
            stream="ads",
            reference="bench",
            currency="VND",
            gross_minor=10**12,
            period_id=PERIOD,
            actor=OPERATOR,
            now=now,
        )
    begin = time.perf_counter()
    stages.close(tools(stage.system), made.id, PERIOD, actor=MAKER, now=now)
    with db.transaction(stage.system.database) as session:
        stages.approve(session, made.id, PERIOD, actor=CHECKER, now=now)
    with db.transaction(stage.system.database) as session:
        stages.post(session, made.id, PERIOD, actor=MAKER, now=now)
    ours_s = time.perf_counter() - begin
    bare_s = _aggregate_s(stage, counted) + _copy_s(stage, made)
    unit = "events/s (bar: aggregation and COPY)"
    return [Figure("close-pro-rata", unit, event_count / ours_s, event_count / bare_s, 0.5)]


def _fill(stage: Stage, made: Platform, event_count: int, creator_count: int) -> str:
    """Write the month's counted events into the lake, and its seal's files into the manifest."""
    lake = Lake(stage.system.settings.event_lake_url)
    file = stage.folder / "counted.parquet"
    statement = f"""
        COPY (
            SELECT CAST(1 AS BIGINT) AS seq, CAST(i % 16384 AS INTEGER) AS position, 'bench' AS source,
                CAST(i AS VARCHAR) AS id, ['view', 'like', 'comment', 'share'][1 + i % 4] AS type,
                TIMESTAMP '2026-01-02' + INTERVAL (i % 2000000) SECOND AS "at",
                CAST(TIMESTAMP '2026-01-02' + INTERVAL (i % 2000000) SECOND AS DATE) AS day_on,
                'c' || lpad(CAST((i * 7919) % {creator_count} AS VARCHAR), 7, '0') AS creator,
                CAST(NULL AS VARCHAR) AS content, 'a' || CAST((i * 104729) % 1000000 AS VARCHAR) AS actor,
                CAST(1 AS BIGINT) AS quantity, CAST('' AS BLOB) AS identity, CAST('' AS BLOB) AS fingerprint,
                '{PERIOD}' AS origin_period_id
            FROM range({event_count}) AS events(i) ORDER BY creator
        ) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
    """
    with duck.connect(temp_dir=stage.folder) as connection:
        connection.execute(statement)
    verdicts = stage.folder / "verdicts.parquet"
    with duck.connect(temp_dir=stage.folder) as connection:
        connection.execute(
            f"COPY (SELECT 'counted' AS verdict, '{PERIOD}' AS origin_period_id FROM range({event_count}))"
            f" TO '{verdicts}' (FORMAT parquet)"
        )
    written = (("counted", file), ("verdicts", verdicts))
    stored = [(kind, lake.add(f"{made.id}/{kind}/{PERIOD}", path)) for kind, path in written]
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
        periods.open_from(session, made, HISTORY, actor=OPERATOR, now=now)
        register(
            session,
            [
                LakeFile(
                    platform_id=made.id,
                    stored=one,
                    kind=kind,  # type: ignore[arg-type]
                    day_on=None,
                    period_id=PERIOD,
                    run_id=None,
                    row_count=event_count,
                    seq_first=0,
                    seq_last=0,
                )
                for kind, one in stored
            ],
            now=now,
        )
    return lake.location(stored[0][1].path)


def _aggregate_s(stage: Stage, counted: str) -> float:
    """Sum the events at the finest grain that the rulebook needs: creator, actor, day and type."""
    begin = time.perf_counter()
    with duck.connect(temp_dir=stage.folder) as connection:
        connection.execute(
            "SELECT count(*), sum(quantity) FROM"
            " (SELECT creator, actor, day_on, type, sum(quantity) AS quantity"
            f" FROM read_parquet('{counted}') GROUP BY ALL)"
        ).fetchall()
    return time.perf_counter() - begin


def _copy_s(stage: Stage, made: Platform) -> float:
    """Copy the split's shares and its entry's lines into tables with the same keys."""
    owner = db.connect(owner_url(stage), application_name="bench")
    taken_s = 0.0
    with db.transaction(owner) as session:
        for table in (share_table, db.metadata.tables["line"]):
            name = f"bench_{table.name}"
            session.execute(text(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)"))
            found = session.execute(
                text(f"SELECT * FROM {table.name} WHERE platform_id = :id"), {"id": made.id}
            )
            values = [tuple(_plain(cell) for cell in row) for row in found]
            target = table.to_metadata(db.MetaData(), name=name)
            begin = time.perf_counter()
            db.copy_rows(session, target, [column.name for column in table.columns], values)
            taken_s += time.perf_counter() - begin
            session.execute(text(f"DROP TABLE {name}"))
    db.close(owner)
    return taken_s


def _plain(cell: object) -> object:
    import json

    return json.dumps(cell) if isinstance(cell, dict) else cell
