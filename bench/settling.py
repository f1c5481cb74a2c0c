"""Compaction beside the intake that it has to keep up with, and the seal beside a bare deduplication."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench import batches, load
from bench.events import CLIENTS, RUN_S, durability
from bench.figures import Figure
from bench.stage import HISTORY, Stage, platform, served
from service.calendar import periods, seal_lock
from service.core.spans import local_day
from service.events import intake, rows, sealing
from service.events.lake import Lake
from service.events.manifest import LakeFile, register
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import clock, db, duck

COMPACTED = 4_000_000
SEALED = 20_000_000
FILE_EVENTS = 250_000
REPEATS_EVERY = 50
PERIOD = "2026-01"
FILL_BATCHES = 20


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a process of ours took: wall time, time of a core, and the most memory that it held."""

    wall_s: float
    cpu_s: float
    rss_mib: float


def measure_compaction(stage: Stage) -> list[Figure]:
    """Compact what some seconds of intake brought; then many more events, to compare the memory."""
    made, key = platform(stage, batches.CREATORS)
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
    with served(stage) as address:
        for_s = RUN_S * min(1.0, stage.scale * 4)
        sent = load.run(address, key, name="compaction", now=now, clients=CLIENTS, for_s=for_s)
    some = _compact(stage, made)
    more_count = _fill(stage, made, stage.size(COMPACTED))
    more = _compact(stage, made)
    note = (
        f"{sent.accepted / some.cpu_s:,.0f} events a CPU-second for {sent.accepted:,} events, "
        f"{more_count / more.cpu_s:,.0f} for {more_count:,}; {durability(stage)}"
    )
    return [
        Figure("compaction", "events/s (bar: intake)", sent.accepted / some.wall_s, sent.rate, 1.0, note),
        Figure(
            "compaction-memory",
            f"MiB for {sent.accepted:,} events (bar: for {more_count:,})",
            some.rss_mib,
            more.rss_mib,
            0.8,
        ),
    ]


def _compact(stage: Stage, made: Platform) -> _Ended:
    """Compact by the command, as a process of its own."""
    begin_s = time.perf_counter()
    command = [sys.executable, "-m", "service.cli", "events", "compact", "--platform", made.id, "--json"]
    process = subprocess.Popen(command, env=stage.environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, "the compaction failed"
    cpu_s = usage.ru_utime + usage.ru_stime
    return _Ended(time.perf_counter() - begin_s, cpu_s, usage.ru_maxrss / 1024)


def _fill(stage: Stage, made: Platform, event_count: int) -> int:
    """Append batches to the log through intake, without HTTP; say how many events were accepted."""
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
    accepted = 0
    bodies = batches.stream("fill", now)
    while accepted < event_count:
        with db.transaction(stage.system.database) as session:
            for _ in range(FILL_BATCHES):
                accepted += intake.receive(
                    session, made, next(bodies), batches.MEDIA_TYPE, channel="http", now=now
                ).taken_count
    return accepted


def measure_seal(stage: Stage) -> list[Figure]:
    """Settle a month of 20 million events in files of 250,000; the baseline only drops repeats."""
    event_count = stage.size(SEALED)
    made, _ = platform(stage, 10)
    lake = Lake(stage.system.settings.event_lake_url)
    paths = _raw_files(stage, made, lake, event_count)
    with db.transaction(stage.system.database) as session:
        seal_lock.exclude(session, made.id)
        period = periods.get(session, made.id, PERIOD, lock=True)
        now = clock.now(session)
        period = periods.advance(
            session, period, "sealed", actor=OPERATOR, now=now, cut_seq=event_count // batches.EVENTS + 1
        )
    bare_s = _deduplicate_s(stage, paths)
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    settled = sealing.settle(stage.system.database, lake, made, period, now=now)
    ours_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    assert sum(settled.counts.values()) == event_count, settled.counts
    found = ", ".join(f"{name} {count:,}" for name, count in settled.counts.items())
    note = f"{len(paths)} files, {found}; {1e6 * cpu_s / event_count:.2f} CPU-seconds a million events"
    return [
        Figure(
            "seal",
            "events/s (bar: bare deduplication)",
            event_count / ours_s,
            event_count / bare_s,
            0.5,
            note,
        )
    ]


def _raw_files(stage: Stage, made: Platform, lake: Lake, event_count: int) -> list[str]:
    """Write raw files as compaction would, one event in fifty a repeat of one in another file."""
    files: list[LakeFile] = []
    day_at = HISTORY + timedelta(days=1)
    file = stage.folder / "raw.parquet"
    columns = ", ".join(
        f'{_COLUMNS.get(name, "CAST(NULL AS VARCHAR)")} AS "{name}"' for name in rows.schema().names
    )
    with duck.connect(temp_dir=stage.folder) as connection:
        for number, first in enumerate(range(0, event_count, FILE_EVENTS)):
            last = min(first + FILE_EVENTS, event_count)
            at = day_at + timedelta(days=number % 25)
            day_on = local_day(at, made.zone)
            source = f"""
                SELECT i, CASE WHEN i % {REPEATS_EVERY} = 0 THEN i // 2 ELSE i END AS n,
                    TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}' AS happened, DATE '{day_on}' AS day
                FROM range({first}, {last}) AS made(i)
            """
            connection.execute(
                f"COPY (SELECT {columns} FROM ({source}) ORDER BY creator, seq, position)"
                f" TO '{file}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072)"
            )
            files.append(
                LakeFile(
                    platform_id=made.id,
                    stored=lake.add(f"{made.id}/raw/{day_on}", file),
                    kind="raw",
                    day_on=day_on,
                    period_id=None,
                    run_id=None,
                    row_count=last - first,
                    seq_first=first // batches.EVENTS + 1,
                    seq_last=(last - 1) // batches.EVENTS + 1,
                )
            )
    with db.transaction(stage.system.database) as session:
        now = clock.now(session)
        periods.open_from(session, made, HISTORY, actor=OPERATOR, now=now)
        register(session, files, now=now)
    return [lake.location(one.stored.path) for one in files]


_COLUMNS = {
    "seq": f"i // {batches.EVENTS} + 1",
    "position": f"CAST(i % {batches.EVENTS} AS INTEGER)",
    "source": "'bench'",
    "id": "CAST(n AS VARCHAR)",
    "type": "['view', 'like', 'comment', 'share'][1 + n % 4]",
    "at": "happened",
    "day_on": "day",
    "creator": "'c' || lpad(CAST((n * 7919) % 100000 AS VARCHAR), 7, '0')",
    "content": "'v' || CAST(n % 1000003 AS VARCHAR)",
    "actor": "'a' || CAST((n * 104729) % 1000000 AS VARCHAR)",
    "quantity": "CAST(1 AS BIGINT)",
    "identity": "unhex(md5(CAST(n AS VARCHAR)))",
    "fingerprint": "unhex(md5('f' || CAST(n AS VARCHAR)))",
}


def _deduplicate_s(stage: Stage, paths: list[str]) -> float:
    """Write the first row of each identity to a file, with the same engine, threads and memory."""
    target = Path(stage.folder) / "deduplicated.parquet"
    begin_s = time.perf_counter()
    with duck.connect(temp_dir=stage.folder) as connection:
        connection.execute(
            "COPY (SELECT * FROM read_parquet($paths)"
            " QUALIFY row_number() OVER (PARTITION BY identity ORDER BY seq, position) = 1)"
            f" TO '{target}' (FORMAT parquet, COMPRESSION zstd)",
            {"paths": paths},
        )
    taken_s = time.perf_counter() - begin_s
    target.unlink()
    return taken_s
