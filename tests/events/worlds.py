"""What the tests of this room share: a platform, events, bodies, a seal, and a look into the lake."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period
from service.events import compaction, intake, manifest, types, wire
from service.events.intake import Receipt
from service.events.lake import Lake
from service.events.tables import event_batch
from service.events.types import EventType
from service.parties import platforms
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
"""Noon in Asia/Ho_Chi_Minh."""

DAY = timedelta(days=1)

TYPES: Mapping[str, EventType] = {one.name: one for one in types.DEFAULTS}


class Killed(Exception):  # noqa: N818 — it stands for no error.
    """The end of a process, at a step of its work."""


def killer(at_step: int) -> Callable[[str], None]:
    """Make a listener that ends the work at its n-th step."""
    steps = iter(range(at_step + 1))

    def say(_: str) -> None:
        if next(steps) == at_step:
            raise Killed

    return say


def event(event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    """Make a valid event; members of `data` may be given by their names, None removes a member."""
    data: dict[str, Any] = {"creator": "c-1", "content": "v-1", "actor": "u-1", "quantity": 1}
    made: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": "app",
        "type": "view",
        "time": "2026-11-20T04:00:00Z",
        "data": data,
    }
    for name, value in changes.items():
        place = data if name in data or name == "attributes" else made
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
    return made


def batch(*events: Any) -> bytes:
    """Write events as a CloudEvents batch."""
    return json.dumps(events, ensure_ascii=False).encode()


def lines(*events: Any) -> bytes:
    """Write events as NDJSON; bytes are a line as they are."""
    texts = (
        one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode() for one in events
    )
    return b"".join(text + b"\n" for text in texts)


def found(
    session: Session,
    *,
    platform_id: str = "tiktak",
    period_unit: str = "month",
    unknown_creators: str = "register",
    now: datetime = NOW,
) -> Platform:
    """Found a platform with the default types and its present period."""
    platform = platforms.create(
        session,
        platform_id=platform_id,
        name="Tik Tak",
        period_unit=period_unit,
        unknown_creators=unknown_creators,
        actor=OPERATOR,
        now=now,
    )
    types.seed(session, platform.id)
    periods.ensure_current(session, platform, now)
    return platform


def founded(database: Database, **options: Any) -> Platform:
    """Found a platform and commit."""
    with db.transaction(database) as session:
        return found(session, **options)


def send(database: Database, platform: Platform, *events: Any, now: datetime = NOW) -> Receipt:
    """Send events as one batch and commit."""
    with db.transaction(database) as session:
        return intake.receive(session, platform, batch(*events), wire.BATCH, channel="http", now=now)


def seal(database: Database, platform: Platform, period_id: str, *, now: datetime = NOW) -> Period:
    """Seal a period as closing does: alone, with the last batch that is committed."""
    with db.transaction(database) as session:
        seal_lock.exclude(session, platform.id)
        period = periods.get(session, platform.id, period_id, lock=True)
        cut_seq = compaction.newest_seq(session, platform.id)
        return periods.advance(session, period, "sealed", actor=OPERATOR, now=now, cut_seq=cut_seq)


def batch_count(session: Session, platform_id: str) -> int:
    """Count the batches in the log."""
    query = select(func.count()).select_from(event_batch).where(event_batch.c.platform_id == platform_id)
    return session.scalar(query) or 0


def rows(lake: Lake, paths: Iterable[str], columns: str = "*") -> list[tuple[Any, ...]]:
    """Read rows of files in the lake, in their order."""
    locations = [lake.location(path) for path in paths]
    if not locations:
        return []
    connection = duckdb.connect()
    try:
        lake.attach(connection)
        query = f"SELECT {columns} FROM read_parquet($paths)"
        return connection.execute(query, {"paths": locations}).fetchall()
    finally:
        connection.close()


def raw_rows(database: Database, lake: Lake, platform: Platform, columns: str) -> list[tuple[Any, ...]]:
    """Read the rows of all raw files that the manifest names."""
    with db.transaction(database) as session:
        known = manifest.listing(session, platform.id)
    return rows(lake, [file.stored.path for file in known if file.kind == "raw"], columns)


def verdicts(lake: Lake, paths: Sequence[manifest.LakeFile]) -> dict[tuple[int, int], str]:
    """Read the verdict of each row by batch and position."""
    found_rows = rows(lake, [file.stored.path for file in paths], "seq, position, verdict")
    return {(seq, position): verdict for seq, position, verdict in found_rows}


def lake_in(folder: Path) -> Lake:
    """Make a lake in a folder of this test."""
    return Lake(str(folder))
