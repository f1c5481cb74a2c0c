"""What a database, a lake and a bank hold, without what may differ between two runs that did the same.

What may differ: instants of acts, random and counted identifiers, who held a lease and how often something
was tried. Everything else has to be the same, row for row.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, DateTime, Table, Uuid, func, select
from sqlalchemy.orm import Session

from service.audit import replay
from service.events import manifest
from service.events.lake import Lake
from service.events.tables import event_batch
from service.ledger import balances, journal
from service.parties import platforms
from service.runtime import db
from service.runtime.db import metadata
from service.wiring import System

State = dict[str, Any]
"""JSON values by the names of what they describe."""

_KEPT_INSTANTS: Final = frozenset(
    {
        "period.start_at",
        "period.end_at",
        "revenue.start_at",
        "revenue.end_at",
        "event_batch.first_at",
        "event_batch.last_at",
        "job_run.due_at",
    }
)

_LEFT_OUT: Final = frozenset(
    {
        "account.id",
        "audit_trail.id",
        "audit_trail.subject_id",
        "event_batch.seq",
        "event_batch.body_zstd",
        "event_import.file_name",
        "payout_batch.payouts_sha256",
        "period.cut_seq",
        "period_step.id",
        "revenue.entry_id",
        "sandbox_posting.id",
        "sandbox_posting.reference",
        "sandbox_transfer.call_count",
        "sandbox_transfer.key",
        "sandbox_transfer.group_id",
        "sandbox_transfer.narrative",
        "sandbox_transfer.request_sha256",
    }
)
"""Identifiers, and digests of them; what they stand for is compared by other columns."""

_OF_IDENTIFIERS: Final = frozenset({"payouts_sha256"})
"""Members of JSON values that are digests of identifiers."""

_OTHERWISE: Final = frozenset(
    {
        "balance",
        "compacted",
        "compaction_mark",
        "entry",
        "job_run",
        "line",
        "payout_attempt",
        "payout_step",
        "sandbox_account",
        "tally",
    }
)
"""Tables that are read by functions of their own below, or not row for row."""

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)")


def read(system: System) -> State:
    """Read everything.

    Returns:
        Equal states for systems that hold the same.
    """
    with db.transaction(system.database) as session:
        found: State = {
            table.name: _rows(session, table)
            for table in metadata.sorted_tables
            if table.name not in _OTHERWISE
        }
        for platform in platforms.listing(session):
            found |= {
                f"{name} of {platform.id}": value for name, value in _books(session, platform.id).items()
            }
            found[f"log of {platform.id}"] = _log(session, platform.id)
        found["attempts"] = _attempts(session)
        found["jobs"] = _jobs(session)
        found["bank"] = _bank(session)
        found["lake"] = _files(session, system.lake)
    found["audit"] = [asdict(one) for one in replay.run(system.database, system.lake).findings]
    return _plain(found)


def differences(expected: State, actual: State) -> list[str]:
    """Name what differs, in a few lines."""
    found = []
    for name in sorted(expected.keys() | actual.keys()):
        before, after = expected.get(name), actual.get(name)
        if before == after:
            continue
        if isinstance(before, list) and isinstance(after, list):
            wanted, given = (
                Counter(json.dumps(row, sort_keys=True) for row in rows) for rows in (before, after)
            )
            found += [f"{name}: missing {row}" for row in sorted((wanted - given).elements())]
            found += [f"{name}: too many {row}" for row in sorted((given - wanted).elements())]
        else:
            found.append(f"{name}: {before} became {after}")
    return found


def _rows(session: Session, table: Table) -> list[Mapping[str, Any]]:
    columns = [column for column in table.columns if _is_kept(column)]
    return _sorted(dict(row._mapping) for row in session.execute(select(*columns)))


def _is_kept(column: Column[Any]) -> bool:
    name = f"{column.table.name}.{column.name}"
    if isinstance(column.type, DateTime):
        return name in _KEPT_INSTANTS
    return not isinstance(column.type, Uuid) and name not in _LEFT_OUT


def _books(session: Session, platform_id: str) -> State:
    """Read entries with their lines by the accounts' names, and all balances."""
    entries: dict[int, list[Any]] = {}
    for header, moved in journal.walk(session, platform_id):
        shown = entries.setdefault(
            header.id,
            [
                header.kind,
                header.key,
                header.cause_kind,
                header.cause_id,
                header.period_id,
                header.line_count,
            ],
        )
        shown.append([str(moved.debit), str(moved.credit), moved.amount_minor, moved.currency])
    return {
        "entries": _sorted([*shown[:6], _sorted(shown[6:])] for shown in entries.values()),
        "balances": _sorted(
            [str(one.account), one.currency, one.debit_minor, one.credit_minor]
            for one in balances.by_account(session, platform_id)
        ),
        "trial balance": _sorted(
            [one.role, one.currency, one.account_count, one.debit_minor, one.credit_minor]
            for one in balances.trial_balance(session, platform_id)
        ),
    }


def _log(session: Session, platform_id: str) -> list[Any]:
    """Read the log in its order, and for each period how many batches its seal took."""
    batches = session.execute(
        select(event_batch.c.seq, event_batch.c.body_sha256)
        .where(event_batch.c.platform_id == platform_id)
        .order_by(event_batch.c.seq)
    ).all()
    period = metadata.tables["period"]
    cuts = session.execute(
        select(period.c.id, period.c.cut_seq).where(period.c.platform_id == platform_id)
    ).all()
    taken = [
        [row.id, None if row.cut_seq is None else sum(one.seq <= row.cut_seq for one in batches)]
        for row in cuts
    ]
    compacted = metadata.tables["compacted"]
    count = session.scalar(
        select(func.count()).select_from(compacted).where(compacted.c.platform_id == platform_id)
    )
    return [[row.body_sha256 for row in batches], _sorted(taken), count]


def _attempts(session: Session) -> list[Any]:
    """Read how often each creator's payouts were attempted anew, and with what outcome."""
    payout, attempt = metadata.tables["payout"], metadata.tables["payout_attempt"]
    rows = session.execute(
        select(payout.c.creator_id, attempt.c.number, attempt.c.state).join(
            attempt,
            (attempt.c.platform_id == payout.c.platform_id) & (attempt.c.payout_id == payout.c.id),
        )
    )
    return _sorted([list(row) for row in rows])


def _jobs(session: Session) -> list[Any]:
    """Read which jobs were done: those of a scope once each, the others by their kind."""
    run = metadata.tables["job_run"]
    rows = session.execute(
        select(run.c.platform_id, run.c.job, run.c.scope, run.c.state, run.c.fault).distinct()
    )
    return _sorted([list(row) for row in rows])


def _bank(session: Session) -> list[Any]:
    account = metadata.tables["sandbox_account"]
    rows = session.execute(select(account.c.number, account.c.currency, account.c.balance_minor))
    return _sorted([list(row) for row in rows])


def _files(session: Session, lake: Lake) -> State:
    """Compare the manifest with the files: which are not what it says, and which it does not name."""
    known = {
        one.stored.path: one.stored
        for platform in platforms.listing(session)
        for one in manifest.listing(session, platform.id)
    }
    root = Path(lake.url)
    there = {str(path.relative_to(root)) for path in root.rglob("*.parquet")}
    return {
        "damaged": [path for path in sorted(known) if path not in there or lake.digest(path) != known[path]],
        "unnamed": sorted(there - known.keys()),
    }


def _sorted(rows: Any) -> list[Any]:
    return sorted(rows, key=lambda row: json.dumps(_plain(row), sort_keys=True))


def _plain(value: Any) -> Any:
    """Write a value as JSON has it, identifiers and instants within texts replaced by what they are."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items() if name not in _OF_IDENTIFIERS}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime | date):
        return f"at {value.isoformat().replace('T', ' ')}"
    if value is None or isinstance(value, bool | int):
        return value
    return _INSTANT.sub("(instant)", _ID.sub("(id)", str(value)))
