"""Quarantine: events that were not taken, and events that a seal found in conflict, one row each.

Owns the rows, their states and the limit. A row keeps the event's own bytes, so that it can be put right and
sent again; they go when it leaves `open`, because then the log has them or nobody wants them. Beyond OPEN_MAX
open events, or OPEN_BYTES_MAX of their bytes, a platform's further events are counted but not kept: the
receipt named every one of them to its sender, and the log has the batch's bytes.

Laws: the same bytes sent again add no row; an event leaves `open` once; the totals are those of the open
rows. Who sent what is a platform's own affair: nothing of it is logged.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Row,
    Select,
    Uuid,
    bindparam,
    delete,
    func,
    literal,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import Session

from service.core.errors import Conflict, FieldError, NotFound
from service.core.spans import Span
from service.events import quarantine_rows
from service.events.quarantine_rows import CONFLICT, ConflictRow
from service.events.tables import event_batch, quarantine, quarantine_total
from service.events.wire import Rejection
from service.parties.actors import SYSTEM
from service.runtime import db

State = Literal["open", "retried", "discarded"]

STATES: Final = ("open", "retried", "discarded")

OPEN_MAX: Final = 100_000
"""Open events of one platform that are kept."""

OPEN_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of open events of one platform that are kept."""

RESOLVED_KEPT: Final = timedelta(days=90)
OPEN_KEPT: Final = timedelta(days=400)
PURGE_ROWS: Final = 20_000

SENT_AGAIN: Final = "The same bytes were sent again, and taken."

OF_EVENT_MAX: Final = 100
"""How many rejections of one event a look-up tells."""

_SHARDS: Final = 16
_COLUMNS: Final = (
    "platform_id",
    "id",
    "state",
    "code",
    "errors",
    "batch_id",
    "position",
    "source",
    "event_id",
    "happened_at",
    "received_at",
    "raw",
    "size_bytes",
    "is_whole",
    "conflict",
)


class QuarantineState(Conflict):
    """The quarantined event is not open, or cannot be sent again as it is."""

    slug = "quarantine-state"
    title = "The quarantined event does not allow this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One event that was set aside.

    `raw` is all of its bytes if `is_whole`, else the first PREFIX_BYTES; None once it is not open any more.
    `conflict` has the fingerprints (hex) of both events, and where the first one was sent.
    """

    platform_id: str
    id: UUID
    state: State
    code: str
    errors: tuple[FieldError, ...]
    batch_id: UUID | None
    position: int
    source: str | None
    event_id: str | None
    happened_at: datetime
    received_at: datetime
    raw: bytes | None
    size_bytes: int
    is_whole: bool
    conflict: Mapping[str, Any] | None
    tried_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    reason: str | None
    retry_batch_id: UUID | None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many events of a platform are open, how many bytes of them are kept, how many were never kept."""

    open_count: int
    open_bytes: int
    missed_count: int


def add_rejected(
    session: Session,
    platform_id: str,
    batch_id: UUID,
    body_sha256: bytes,
    media_type: str,
    rejected: Sequence[tuple[Rejection, bytes]],
    *,
    now: datetime,
) -> None:
    """Keep the rejected items of a batch; those that were kept before get the present reason.

    Args:
        rejected: each with the item's bytes.
    """
    rows = []
    for one, raw in rejected:
        row_id = quarantine_rows.id_of(platform_id, body_sha256, media_type, one.index)
        rows.append(quarantine_rows.of_rejection(platform_id, batch_id, row_id, one, raw, now))
    _add(session, platform_id, rows)


def add_conflicts(session: Session, platform_id: str, rows: Iterable[ConflictRow], now: datetime) -> None:
    """Keep the conflicts that a seal found; those that were kept before stay as they are."""
    found = list(rows)
    if not found:
        return
    seqs = {one.seq for one in found} | {one.first_seq for one in found}
    wanted = bindparam("seqs", sorted(seqs), type_=ARRAY(BigInteger))
    known = session.execute(
        select(event_batch.c.seq, event_batch.c.id).where(
            event_batch.c.platform_id == platform_id, event_batch.c.seq == func.any(wanted)
        )
    )
    batches = {row.seq: row.id for row in known}
    _add(session, platform_id, [quarantine_rows.of_conflict(platform_id, one, batches, now) for one in found])


def resolve_sent_again(
    session: Session,
    platform_id: str,
    batch_id: UUID,
    body_sha256: bytes,
    media_type: str,
    indices: Iterable[int],
    *,
    now: datetime,
) -> None:
    """Mark as retried what was rejected before and is accepted now that the same bytes were sent again."""
    own = [quarantine_rows.id_of(platform_id, body_sha256, media_type, index) for index in indices]
    resolve(
        session, platform_id, own, "retried", by=str(SYSTEM), reason=SENT_AGAIN, batch_id=batch_id, now=now
    )


def resolve(
    session: Session,
    platform_id: str,
    quarantined_ids: Collection[UUID],
    state: Literal["retried", "discarded"],
    *,
    by: str,
    reason: str | None = None,
    batch_id: UUID | None = None,
    now: datetime,
) -> int:
    """Take events out of quarantine; those that are not open stay as they are.

    Args:
        by: who did it, as text.
        batch_id: the batch in which they were accepted.

    Returns:
        How many left `open`.
    """
    if not quarantined_ids:
        return 0
    raw_bytes = _kept_bytes(session, platform_id, quarantined_ids)
    left = session.execute(
        update(quarantine)
        .where(quarantine.c.platform_id == platform_id, quarantine.c.id == _any(raw_bytes))
        .values(
            state=state, raw=None, resolved_at=now, resolved_by=by, reason=reason, retry_batch_id=batch_id
        )
        .returning(quarantine.c.id)
    )
    gone = [row.id for row in left]
    if gone:
        _tally(session, platform_id, min(gone), count=-len(gone), size=-sum(raw_bytes[one] for one in gone))
    return len(gone)


def try_failed(
    session: Session, platform_id: str, quarantined_id: UUID, rejection: Rejection | None, *, now: datetime
) -> None:
    """Note that an event was tried again, and why its own bytes were rejected, if these were sent."""
    reason = {}
    if rejection is not None:
        reason = {"code": rejection.code, "errors": quarantine_rows.errors_document(rejection.errors)}
    session.execute(
        update(quarantine)
        .where(quarantine.c.platform_id == platform_id, quarantine.c.id == quarantined_id)
        .values(tried_at=now, **reason)
    )


def get(session: Session, platform_id: str, quarantined_id: UUID, *, lock: bool = False) -> Quarantined:
    """Read one event of the quarantine; with `lock`, hold its row until the transaction ends.

    Raises:
        NotFound: the platform has none with this id.
    """
    query = select(quarantine).where(
        quarantine.c.platform_id == platform_id, quarantine.c.id == quarantined_id
    )
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no quarantined event {quarantined_id}.")
    return _quarantined(row)


def listing(
    session: Session,
    platform_id: str,
    *,
    state: str | None = None,
    code: str | None = None,
    batch_id: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Quarantined]:
    """Read quarantined events in the order in which they were received."""
    query = select(quarantine).where(quarantine.c.platform_id == platform_id)
    for column, wanted in (
        (quarantine.c.state, state),
        (quarantine.c.code, code),
        (quarantine.c.batch_id, batch_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(_place() > tuple_(literal(after[0]), literal(after[1], Uuid)))
    rows = session.execute(query.order_by(quarantine.c.received_at, quarantine.c.id).limit(limit))
    return [_quarantined(row) for row in rows]


def of_event(session: Session, platform_id: str, source: str, event_id: str) -> list[Quarantined]:
    """Read how often an event of this source and id was rejected, in the order in which it was received."""
    rows = session.execute(
        select(quarantine)
        .where(
            quarantine.c.platform_id == platform_id,
            quarantine.c.source == source,
            quarantine.c.event_id == event_id,
            quarantine.c.code != CONFLICT,
        )
        .order_by(quarantine.c.received_at, quarantine.c.id)
        .limit(OF_EVENT_MAX)
    )
    return [_quarantined(row) for row in rows]


def waiting(session: Session, platform_id: str, code: str, *, limit: int) -> list[tuple[UUID, int]]:
    """Name whole open events of a code with their sizes in bytes: those tried longest ago come first."""
    rows = session.execute(
        select(quarantine.c.id, quarantine.c.size_bytes)
        .where(
            quarantine.c.platform_id == platform_id,
            quarantine.c.state == "open",
            quarantine.c.code == code,
            quarantine.c.is_whole,
        )
        .order_by(
            func.coalesce(quarantine.c.tried_at, quarantine.c.received_at),
            quarantine.c.received_at,
            quarantine.c.position,
            quarantine.c.id,
        )
        .limit(limit)
    )
    return [(row.id, row.size_bytes) for row in rows]


def hold(session: Session, platform_id: str, wanted: Sequence[UUID]) -> list[Quarantined]:
    """Hold events until the transaction ends and read them, but for those that somebody else is retrying."""
    rows = session.execute(
        select(quarantine)
        .where(
            quarantine.c.platform_id == platform_id,
            quarantine.c.id == _any(wanted),
            quarantine.c.state == "open",
        )
        .with_for_update(skip_locked=True)
    )
    held = {row.id: _quarantined(row) for row in rows}
    return [held[one] for one in wanted if one in held]


def totals(session: Session, platform_id: str) -> Totals:
    """Read how full a platform's quarantine is."""
    row = session.execute(_totals_query(platform_id)).one()
    return Totals(int(row.open_count), int(row.open_bytes), int(row.missed_count))


def open_count(session: Session, platform_id: str, span: Span) -> int:
    """Count the open events of a span of time, by their own time or, without one, when they were received."""
    query = select(func.count()).where(
        quarantine.c.platform_id == platform_id,
        quarantine.c.state == "open",
        quarantine.c.happened_at >= span.start_at,
        quarantine.c.happened_at < span.end_at,
    )
    return session.scalar(query) or 0


def overview(session: Session) -> tuple[int, datetime | None]:
    """Count the open events of all platforms, and tell when the oldest one was received."""
    count = session.scalar(select(func.coalesce(func.sum(quarantine_total.c.open_count), 0)))
    filled = select(quarantine_total.c.platform_id).distinct().subquery()
    oldest = (
        select(quarantine.c.received_at)
        .where(quarantine.c.platform_id == filled.c.platform_id, quarantine.c.state == "open")
        .order_by(quarantine.c.received_at)
        .limit(1)
        .lateral()
    )
    oldest_at = session.scalar(
        select(func.min(oldest.c.received_at)).select_from(filled.join(oldest, literal(value=True)))
    )
    return int(count or 0), oldest_at


def purge(session: Session, platform_id: str, now: datetime) -> int:
    """Remove what was resolved RESOLVED_KEPT ago or has been open for OPEN_KEPT, at most PURGE_ROWS.

    Returns:
        How many events were removed; fewer than PURGE_ROWS when none is left.
    """
    old = _old(platform_id, now).limit(PURGE_ROWS).subquery()
    gone = session.execute(
        delete(quarantine)
        .where(quarantine.c.platform_id == platform_id, quarantine.c.id.in_(select(old.c.id)))
        .returning(
            quarantine.c.id,
            quarantine.c.state,
            func.coalesce(func.octet_length(quarantine.c.raw), 0).label("kept_bytes"),
        )
    ).all()
    opened = [row for row in gone if row.state == "open"]
    if opened:
        size = sum(row.kept_bytes for row in opened)
        _tally(session, platform_id, min(row.id for row in opened), count=-len(opened), size=-size)
    return len(gone)


def has_old(session: Session, platform_id: str, now: datetime) -> bool:
    """Tell whether there is something to purge."""
    return bool(session.scalar(select(_old(platform_id, now).exists())))


def _old(platform_id: str, now: datetime) -> CompoundSelect[Any]:
    """Select the ids of what is to be purged: two parts, each of which has an index of its own."""
    of_platform = select(quarantine.c.id).where(quarantine.c.platform_id == platform_id)
    return union_all(
        of_platform.where(quarantine.c.state != "open", quarantine.c.resolved_at < now - RESOLVED_KEPT),
        of_platform.where(quarantine.c.state == "open", quarantine.c.received_at < now - OPEN_KEPT),
    )


def _place() -> Any:
    return tuple_(quarantine.c.received_at, quarantine.c.id)


def _any(wanted: Iterable[UUID]) -> Any:
    return func.any(bindparam(None, list(wanted), type_=ARRAY(Uuid)))


def _add(session: Session, platform_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append the rows that are not there yet, as far as the limit allows."""
    if not rows:
        return
    known = (
        select(func.array_agg(quarantine.c.id))
        .where(quarantine.c.platform_id == platform_id, quarantine.c.id == _any(row["id"] for row in rows))
        .scalar_subquery()
    )
    before = session.execute(_totals_query(platform_id).add_columns(known.label("known"))).one()
    there = set(before.known or ())
    fresh = [row for row in rows if row["id"] not in there]
    _renew(session, platform_id, [row for row in rows if row["id"] in there and row["code"] != CONFLICT])
    room_count, room_bytes = OPEN_MAX - before.open_count, OPEN_BYTES_MAX - before.open_bytes
    kept: list[Mapping[str, Any]] = []
    for row in fresh:
        room_bytes -= len(row["raw"])
        if len(kept) >= room_count or room_bytes < 0:
            break
        kept.append(row)
    if kept:
        db.copy_rows(session, quarantine, _COLUMNS, (_copied(row) for row in kept))
    if fresh:
        size = sum(len(row["raw"]) for row in kept)
        missed = len(fresh) - len(kept)
        _tally(
            session, platform_id, min(row["id"] for row in fresh), count=len(kept), size=size, missed=missed
        )


def _renew(session: Session, platform_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give open events that were sent again, and rejected again, the present reason."""
    if not rows:
        return
    session.execute(
        update(quarantine)
        .where(
            quarantine.c.platform_id == platform_id,
            quarantine.c.id == bindparam("this_id"),
            quarantine.c.state == "open",
        )
        .values(
            code=bindparam("this_code"),
            errors=bindparam("this_errors", type_=JSONB),
            tried_at=bindparam("at"),
        ),
        [
            {
                "this_id": row["id"],
                "this_code": row["code"],
                "this_errors": row["errors"],
                "at": row["received_at"],
            }
            for row in rows
        ],
    )


def _copied(row: Mapping[str, Any]) -> list[Any]:
    return [
        Jsonb(row[name]) if name in {"errors", "conflict"} and row[name] is not None else row[name]
        for name in _COLUMNS
    ]


def _tally(
    session: Session, platform_id: str, chooser: UUID, *, count: int, size: int, missed: int = 0
) -> None:
    """Add to one of the platform's totals; the last statement of an act, so that it is held for a moment."""
    values = {"open_count": count, "open_bytes": size, "missed_count": missed}
    session.execute(
        insert(quarantine_total)
        .values(platform_id=platform_id, shard=chooser.int % _SHARDS, **values)
        .on_conflict_do_update(
            index_elements=["platform_id", "shard"],
            set_={name: quarantine_total.c[name] + value for name, value in values.items()},
        )
    )


def _totals_query(platform_id: str) -> Select[Any]:
    sums = (
        func.coalesce(func.sum(quarantine_total.c[name]), 0).label(name)
        for name in ("open_count", "open_bytes", "missed_count")
    )
    return select(*sums).where(quarantine_total.c.platform_id == platform_id)


def _kept_bytes(session: Session, platform_id: str, wanted: Collection[UUID]) -> dict[UUID, int]:
    """Hold the open ones of these events, in one order, and tell how many bytes are kept of each."""
    rows = session.execute(
        select(quarantine.c.id, func.octet_length(quarantine.c.raw).label("kept_bytes"))
        .where(
            quarantine.c.platform_id == platform_id,
            quarantine.c.id == _any(wanted),
            quarantine.c.state == "open",
        )
        .order_by(quarantine.c.id)
        .with_for_update()
    )
    return {row.id: row.kept_bytes for row in rows}


def _quarantined(row: Row[Any]) -> Quarantined:
    values = {**row._mapping, "errors": tuple(FieldError(**one) for one in row.errors)}
    values["raw"] = None if row.raw is None else bytes(row.raw)
    return Quarantined(**values)
