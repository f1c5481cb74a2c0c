"""Partitions of the event log: one a UTC day of arrival, made ahead, given back when the lake has its events.

Owns how rows get into `event_batch` and how whole days leave it. The application makes partitions through one
function of the schema; only the owner's role takes them away. Laws: an intake never fails because a partition
is missing; a day goes only when every batch of it has been in the lake for KEPT_FOR, so that a reader who saw
one of them waiting has ended by then; and no row is ever lost: a day is closed for batches before it is
looked at for the last time.

A partition is detached concurrently, because that waits for those who read the log and keeps nobody out of
it. https://www.postgresql.org/docs/current/sql-altertable.html (DETACH PARTITION, read 2026-11-21).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.core.errors import Unavailable
from service.events.tables import event_batch
from service.runtime import db

AHEAD_DAYS: Final = 14
"""Partitions are made so many days before they are needed."""

KEPT_FOR: Final = timedelta(hours=24)
"""How long batches stay in the log after they were compacted, and files of the lake after a merge."""

LOCK_TIMEOUT_S: Final = 5

LOCK_KEY: Final = 0x70_72_75_6E_65
"""The advisory lock that one prune holds at a time."""

_DAY: Final = timedelta(days=1)
_PREFIX: Final = "event_batch_"
_LOCK_NOT_AVAILABLE: Final = "55P03"

_COLUMNS: Final = [column for column in event_batch.columns if column.name != "seq"]

_APPEND: Final = (
    insert(event_batch)
    .from_select(
        [column.name for column in _COLUMNS],
        select(*(bindparam(f"to_{column.name}", type_=column.type) for column in _COLUMNS)).where(
            func.to_regclass(bindparam("partition")).is_not(None)
        ),
    )
    .returning(event_batch.c.seq)
)
"""Appends the row if its partition is there, and nothing otherwise: an error would spoil the transaction."""

_OPEN: Final = select(func.open_event_partition(bindparam("day_on")))

_PARTITIONS: Final = text(
    """
    SELECT relname AS name, inhrelid IS NOT NULL AS is_attached,
           coalesce(inhdetachpending, false) AS is_leaving
      FROM pg_class
      LEFT JOIN pg_inherits ON inhrelid = pg_class.oid AND inhparent = to_regclass('public.event_batch')
     WHERE relnamespace = to_regnamespace('public') AND relkind = 'r' AND relname ~ '^event_batch_[0-9]{8}$'
     ORDER BY relname
    """
)


@dataclass(frozen=True, slots=True)
class Partition:
    """A day of the log. `is_leaving`: its detachment was begun and not finished."""

    day_on: date
    is_attached: bool
    is_leaving: bool

    @property
    def name(self) -> str:
        """Its table."""
        return name_of(self.day_on)

    @property
    def end_at(self) -> datetime:
        """The end of its day: no batch that arrives from then on is put there."""
        return datetime.combine(self.day_on, time(), UTC) + _DAY


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a partition: batches that wait for compaction, and when the last one was compacted."""

    waiting_count: int
    compacted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune did. `is_blocked`: somebody reads what it would take; the next one goes on."""

    dropped: tuple[str, ...]
    is_blocked: bool


def append(session: Session, values: Mapping[str, Any]) -> int:
    """Append a batch to the log, making its day's partition first if it is missing.

    Args:
        values: every column of `event_batch` but its number.

    Returns:
        The batch's number.
    """
    day_on = day_of(values["received_at"])
    given = {f"to_{name}": value for name, value in values.items()} | {
        "partition": f"public.{name_of(day_on)}"
    }
    seq = session.scalar(_APPEND, given)
    if seq is None:
        ensure(session, [day_on])
        seq = session.scalar(_APPEND, given)
    assert isinstance(seq, int), "the partition was made above"
    return seq


def ensure(session: Session, days: Iterable[date]) -> int:
    """Make the partitions of these UTC days, unless they are there; return how many were made."""
    return sum(bool(session.scalar(_OPEN, {"day_on": day_on})) for day_on in sorted(set(days)))


def ensure_ahead(session: Session, now: datetime) -> int:
    """Make the partitions of today and of AHEAD_DAYS days to come; return how many were made."""
    there = {one.day_on for one in listing(session)}
    return ensure(session, {day_of(now) + number * _DAY for number in range(AHEAD_DAYS + 1)} - there)


def listing(session: Session | Connection) -> list[Partition]:
    """Read which partitions there are, by day, detached ones included."""
    return [
        Partition(datetime.strptime(row.name, f"{_PREFIX}%Y%m%d").replace(tzinfo=UTC).date(), *row[1:])
        for row in session.execute(_PARTITIONS)
    ]


def may_go(one: Partition, content: Content, now: datetime) -> bool:
    """Tell whether a partition may be dropped: all of it has been in the lake for KEPT_FOR. Pure."""
    since = max(one.end_at, content.compacted_at or one.end_at)
    return content.waiting_count == 0 and since + KEPT_FOR <= now


def overdue(session: Session, now: datetime) -> list[Partition]:
    """Find the partitions that a daily prune would have dropped long ago, had it the owner's address.

    Days with batches that wait are among them: those are compacted first.
    """
    return [one for one in listing(session) if one.end_at + KEPT_FOR + 2 * _DAY <= now]


def prune(owner_url: str, *, now: datetime, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Pruned:
    """Make partitions ahead, and drop those that may go; safe to run again after an end at any point.

    Args:
        owner_url: the address of the role that owns the tables.
        lock_timeout_s: how long it waits for those who read the log.

    Raises:
        Unavailable: the database is away, or went away; the next prune goes on where this one was.

    Law: nobody who reads or writes the log waits for it longer than a catalogue's update takes.
    """
    database = db.connect(owner_url, application_name="benefit-ledger prune", pool_size=1)
    try:
        with _owner(database, lock_timeout_s) as connection:
            if not connection.scalar(select(func.pg_try_advisory_lock(LOCK_KEY))):
                return Pruned((), is_blocked=True)
            return _prune(connection, now)
    except OperationalError as fault:
        if db.is_away(fault):
            msg = "The database is not available; the next prune of the event log goes on where this one was."
            raise Unavailable(msg) from fault
        raise
    finally:
        # The lock goes with its connection.
        db.close(database)


def name_of(day_on: date) -> str:
    """Name the partition of a UTC day."""
    return f"{_PREFIX}{day_on:%Y%m%d}"


def day_of(instant: datetime) -> date:
    """Find the UTC day that an instant lies in."""
    return instant.astimezone(UTC).date()


@contextmanager
def _owner(database: db.Database, lock_timeout_s: float) -> Iterator[Connection]:
    """Connect without transactions: PostgreSQL detaches concurrently only outside of one."""
    with closing(database.engine.connect()) as connection:
        single = connection.execution_options(isolation_level="AUTOCOMMIT")
        single.execute(text(f"SET lock_timeout = '{int(lock_timeout_s * 1000)}ms'"))
        yield single


def _prune(connection: Connection, now: datetime) -> Pruned:
    # First what intakes need: from here on none of them makes a partition while one is being detached.
    there = {one.day_on for one in listing(connection)}
    for number in range(AHEAD_DAYS + 1):
        day_on = day_of(now) + number * _DAY
        if day_on not in there:
            connection.execute(_OPEN, {"day_on": day_on})
    is_blocked = not _detach(connection, now)
    dropped = []
    for one in listing(connection):
        if one.is_attached:
            continue
        if not may_go(one, _content(connection, one), now):
            _put_back(connection, one)
        elif _try(connection, f"DROP TABLE public.{one.name}"):
            dropped.append(one.name)
        else:
            is_blocked = True
    return Pruned(tuple(dropped), is_blocked)


def _detach(connection: Connection, now: datetime) -> bool:
    """Take the partitions that may go out of the log, one after the other; False if somebody uses it."""
    for one in listing(connection):
        if one.is_leaving and not _try(connection, f"{_DETACH.format(one.name)} FINALIZE"):
            return False
    for one in listing(connection):
        if not one.is_attached or not may_go(one, Content(0, None), now):
            continue
        is_closed = _close(connection, one, now)
        if is_closed is None:
            return False
        if is_closed and not _try(connection, f"{_DETACH.format(one.name)} CONCURRENTLY"):
            return False
    return True


_DETACH: Final = "ALTER TABLE public.event_batch DETACH PARTITION public.{}"


def _close(connection: Connection, one: Partition, now: datetime) -> bool | None:
    """Let no batch into a partition any more, if it may go; None if somebody is writing to it.

    Waits for those who write to that very day, and holds up nobody else.
    """
    connection.execute(text("BEGIN"))
    is_closed = None
    if _try(connection, _CLOSE.format(one.name)):
        is_closed = may_go(one, _content(connection, one), now)
    connection.execute(text("COMMIT" if is_closed else "ROLLBACK"))
    return is_closed


_CLOSE: Final = """
CREATE OR REPLACE TRIGGER partition_closed BEFORE INSERT ON public.{}
FOR EACH ROW EXECUTE FUNCTION public.refuse_batch()
"""


def _content(connection: Connection, one: Partition) -> Content:
    row = connection.execute(
        text(
            f"""
            SELECT count(*) FILTER (WHERE compacted.seq IS NULL) AS waiting_count,
                   max(compacted.compacted_at) AS compacted_at
              FROM public.{one.name} AS batch
              LEFT JOIN public.compacted USING (platform_id, seq)
            """
        )
    ).one()
    return Content(row.waiting_count, row.compacted_at)


def _put_back(connection: Connection, one: Partition) -> None:
    """Bring a partition back into the log that somebody detached by hand while batches in it wait.

    Marks that were moved past them meanwhile are taken back.
    """
    begin_at = one.end_at - _DAY
    bounds = f"FROM ('{begin_at}') TO ('{one.end_at}')"
    connection.execute(text("BEGIN"))
    connection.execute(text(f"DROP TRIGGER IF EXISTS partition_closed ON public.{one.name}"))
    connection.execute(
        text(f"ALTER TABLE public.event_batch ATTACH PARTITION public.{one.name} FOR VALUES {bounds}")
    )
    connection.execute(
        text(
            f"""
            UPDATE public.compaction_mark AS mark
               SET seq = least(mark.seq, waiting.seq - 1), next_seq = NULL, next_xact = NULL
              FROM (
                  SELECT platform_id, min(seq) AS seq FROM public.{one.name} GROUP BY platform_id
              ) AS waiting
             WHERE mark.platform_id = waiting.platform_id
            """
        )
    )
    connection.execute(text("COMMIT"))


def _try(connection: Connection, statement: str) -> bool:
    """Run a statement; False if it would have had to wait for others too long."""
    try:
        connection.execute(text(statement))
    except OperationalError as fault:
        if getattr(fault.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            return False
        raise
    return True
