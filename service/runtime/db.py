"""The database: one metadata, one engine, and `transaction()`, the only place that commits.

Every room declares its tables on `metadata`. Acts take a `Session` and never commit; the edges (API, pages,
command line, scheduler, and the drivers of long runs) open a transaction around them. Inside a transaction
nothing talks to the network, a file or an engine.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import psycopg
from psycopg import sql
from sqlalchemy import (
    CHAR,
    BigInteger,
    DateTime,
    MetaData,
    Numeric,
    Row,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from service.core import digests
from service.core.errors import Unavailable

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

Instant = DateTime(timezone=True)
"""An instant, stored as timestamptz; sessions run in UTC."""

Minor = BigInteger
"""An amount in minor units of the row's currency."""

Currency = CHAR(3)
"""An ISO 4217 code."""

Points = Numeric(38, 0)
"""An exact integer of points, in ten-thousandths of a point (contributors share in basis points)."""

APPEND_ONLY = {"append_only": True}
"""Table info: rows are written once; the database refuses UPDATE, DELETE and TRUNCATE, also for the owner."""

T = TypeVar("T")

IDLE_TRUSTED_S = 1.0
"""A connection that was used this recently is taken for alive."""

_RETRYABLE = frozenset({"40001", "40P01"})
_AWAY_CLASSES = ("08", "57P", "53")


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections as one role."""

    engine: Engine


def connect(url: str, *, application_name: str, pool_size: int = 5) -> Database:
    """Open a pool of connections to `url`.

    Args:
        url: a `postgresql+psycopg://` address, password included.
        application_name: shown in `pg_stat_activity`.
        pool_size: connections kept; as many again may be opened under load.

    Sessions run in UTC with bounded statements: a stuck lock ends in an error, not in a hung service.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            "options": "-c timezone=UTC -c lock_timeout=20s -c idle_in_transaction_session_timeout=120s",
        },
    )
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", _check_idle)
    return Database(engine=engine)


def _note_idle(_connection: Any, record: Any) -> None:
    record.info["idle_since_s"] = time.monotonic()


def _check_idle(connection: Any, record: Any, _proxy: Any) -> None:
    """Ask a connection that was idle for a while whether it still is one.

    SQLAlchemy's own check asks at every checkout, which under load is a round trip for each request.
    """
    idle_s = time.monotonic() - record.info.get("idle_since_s", -math.inf)
    if IDLE_TRUSTED_S < idle_s < math.inf:
        try:
            connection.execute("")
            connection.rollback()
        except psycopg.Error as fault:
            raise InvalidatePoolError from fault


def close(database: Database) -> None:
    """Give every pooled connection back to the server."""
    database.engine.dispose()


@contextmanager
def transaction(database: Database) -> Iterator[Session]:
    """Open a session in one transaction; commit at the end, roll back on any exception.

    Raises:
        Unavailable: the database is away, full, or shutting down. Nothing was committed, or the commit's
            outcome is unknown and the caller's idempotency key will tell.
    """
    session = Session(database.engine, expire_on_commit=False, autoflush=False)
    try:
        with session.begin():
            yield session
    except OperationalError as fault:
        if is_away(fault):
            msg = "The database is not available. Nothing was stored by this request; send it again shortly."
            raise Unavailable(msg) from fault
        raise
    finally:
        session.close()


def run(database: Database, act: Callable[[Session], T]) -> T:
    """Run `act` in a transaction of its own, again when the database asked for a retry.

    At most 5 attempts in 10 s, on serialization failures and deadlocks only: the whole act runs anew.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_is_retryable),
        stop=stop_after_attempt(5) | stop_after_delay(10),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        reraise=True,
    ):
        with attempt, transaction(database) as session:
            return act(session)
    raise AssertionError("Retrying either returns or raises.")


def is_away(fault: DBAPIError) -> bool:
    """Tell whether a fault means that the database cannot serve anybody now."""
    if fault.connection_invalidated:
        return True
    state = _sqlstate(fault)
    return state is None or state.startswith(_AWAY_CLASSES)


def rows(session: Session, statement: str, *parameters: Any) -> Sequence[Row[Any]]:
    """Run a constant statement as it is written, for what every request asks.

    Composing a statement costs three times what sending it does; a request of intake has a budget of a few
    of these.

    Args:
        statement: SQL with a %s for each parameter.

    Returns:
        Its rows, each with its columns as attributes.
    """
    return session.connection().exec_driver_sql(statement, parameters).all()


def columns_of(table: Table) -> str:
    """Write the columns of a table as a statement names them."""
    return ", ".join(column.name for column in table.columns)


def copy_rows(session: Session, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Append rows by COPY within the session's transaction.

    Args:
        table: where to.
        columns: names, in the order of each row's values.
        rows: values as psycopg adapts them; consumed once, streamed.

    Returns:
        How many rows were copied.
    """
    raw = cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    )
    with raw.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount


def lock(session: Session, *names: str, is_shared: bool = False) -> None:
    """Hold the advisory lock of a named thing until the transaction ends.

    Args:
        names: what the thing is and whose, such as ("revenue", platform id, reference).
        is_shared: hold it together with other shared holders.
    """
    take = "pg_advisory_xact_lock_shared" if is_shared else "pg_advisory_xact_lock"
    rows(session, f"SELECT {take}(%s)", _lock_key(names))


def try_lock(session: Session, *names: str) -> bool:
    """Take the advisory lock of a named thing until the transaction ends, unless somebody holds it."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(_lock_key(names)))))


def role_of(url: str) -> str:
    """Name the role that a database address signs in as."""
    parsed: URL = make_url(url)
    assert parsed.username, "settings refuse a database address without a user"
    return parsed.username


def on_statement(database: Database, listener: Callable[[str, str], None]) -> Callable[[], None]:
    """Call `listener(moment, text)` around every statement and commit; return a function that stops it.

    Moments are `before` and `after` (a statement), `before-commit` and `after-commit`. The crash tests use
    it to end the process, which has one thread, at every point. Rows that are sent by COPY are no statement.
    """
    engine = database.engine
    is_committing = False

    def before(_c: Any, _u: Any, statement: str, _p: Any, _x: Any, _m: Any) -> None:
        listener("before", statement)

    def after(_c: Any, _u: Any, statement: str, _p: Any, _x: Any, _m: Any) -> None:
        listener("after", statement)

    def before_commit(_c: Any) -> None:
        nonlocal is_committing
        is_committing = True
        listener("before-commit", "COMMIT")

    def after_commit(session: Session) -> None:
        # Engines do not tell of it; sessions do, also of savepoints and where nothing was to be committed.
        nonlocal is_committing
        if session.bind is engine and is_committing:
            is_committing = False
            listener("after-commit", "COMMIT")

    hooks = (
        (engine, "before_cursor_execute", before),
        (engine, "after_cursor_execute", after),
        (engine, "commit", before_commit),
        (Session, "after_commit", after_commit),
    )
    for target, name, hook in hooks:
        event.listen(target, name, hook)

    def stop() -> None:
        for target, name, hook in hooks:
            event.remove(target, name, hook)

    return stop


def _lock_key(names: Sequence[str]) -> int:
    frame = digests.framed(*(name.encode() for name in names))
    return int.from_bytes(digests.sha256(frame)[:8], "big", signed=True)


def _is_retryable(fault: BaseException) -> bool:
    return isinstance(fault, DBAPIError) and _sqlstate(fault) in _RETRYABLE


def _sqlstate(fault: DBAPIError) -> str | None:
    return getattr(fault.orig, "sqlstate", None)
