"""The embedded PostgreSQL: one server for a VAR_DIR, shared by every process that asks for it.

Owns its roles, its database and the lock under which it starts and stops; its folder and processes are
`cluster`'s. Refuses to stop because a process that used it has ended: only `stop` stops it.

Laws:
- However many processes start it at the same moment, there is one server, and all get its address.
- Whatever was killed, at whatever point, the next `start` brings back what was committed.
- The application's role can sign in only after everything else is set up; its sign-in is the proof of that.

It is reached at 127.0.0.1 alone, by SCRAM, at a port kept with the data: one way for all processes and tools,
whatever the length of VAR_DIR's path. The addresses demand SCRAM, so that no other program that took the port
after a crash can ask for a password.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL, make_url

from service.runtime import cluster
from service.runtime.cluster import HOST, SUPERUSER, DatabaseUnavailable, Say
from service.runtime.settings import keep_secret, make_var_dir

__all__ = [
    "APP_ROLE",
    "DATABASE",
    "OWNER_ROLE",
    "DatabaseUnavailable",
    "Endpoint",
    "create_database",
    "running",
    "start",
    "stop",
]

DATABASE = "benefit_ledger"
"""The one database of the embedded server."""

OWNER_ROLE = "benefit_ledger_owner"
"""Owns the database and its tables; migrations sign in as it."""

APP_ROLE = "benefit_ledger_app"
"""Owns nothing and may only what migrations grant; the service signs in as it."""

_QUERY = {"sslmode": "disable", "gssencmode": "disable", "require_auth": "scram-sha-256"}
_ROLES = {"superuser": SUPERUSER, "owner": OWNER_ROLE, "application": APP_ROLE}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is reached: SQLAlchemy addresses with passwords, for each of the three roles."""

    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    port: int
    data_dir: Path


def start(
    var_dir: Path, *, say: Say = lambda _: None, options: Mapping[str, str] = MappingProxyType({})
) -> Endpoint:
    """Give the address of the server of `var_dir`, starting it, and on first use making it, when need be.

    Args:
        say: is told what happens, a sentence at a time, when it takes longer than a look.
        options: PostgreSQL settings over ours, for a server that is started by this call.

    Raises:
        DatabaseUnavailable: it cannot be started; the sentence says why and what to do.
        BadSetting: VAR_DIR cannot be written.
    """
    endpoint = running(var_dir)
    if endpoint is not None:
        return endpoint
    with _lock(var_dir, say):
        endpoint = running(var_dir)
        if endpoint is not None:  # Another process started it while this one waited.
            return endpoint
        passwords = {name: keep_secret(var_dir, _secret(name), lambda: token_urlsafe(32)) for name in _ROLES}
        place = cluster.settle(var_dir, say)
        cluster.initialise(place, passwords["superuser"], options, say)
        server = cluster.postmaster(place.data)
        if server is not None and not cluster.has_programs(server):
            cluster.stop(place.data, say)
            server = None
        if server is None:
            cluster.launch(place, options, say)
        endpoint = _await_server(place.data, passwords)
        try:
            _set_up(endpoint)
        except psycopg.OperationalError as fault:
            msg = f"The embedded PostgreSQL went away while it was set up ({fault}). Start it again."
            raise DatabaseUnavailable(msg) from fault
        say(f"The embedded PostgreSQL answers on {HOST}:{endpoint.port}.")
    return endpoint


def running(var_dir: Path) -> Endpoint | None:
    """Give the address of the server of `var_dir` if it runs, is set up and answers; start nothing.

    Raises:
        DatabaseUnavailable: it belongs to another user.
    """
    data = cluster.home(var_dir) / "data"
    server = cluster.postmaster(data)
    if server is None or not cluster.has_programs(server):
        return None
    folder = var_dir / "secrets"
    if not all((folder / _secret(name)).exists() for name in _ROLES):
        return None
    passwords = {name: (folder / _secret(name)).read_text(encoding="utf-8").strip() for name in _ROLES}
    endpoint = _endpoint(data, passwords)
    return endpoint if endpoint is not None and _answers(endpoint) else None


def stop(var_dir: Path, *, say: Say = lambda _: None) -> None:
    """Stop the server of `var_dir` for everybody, if it runs; what was committed stays.

    Raises:
        DatabaseUnavailable: it did not stop in time.
    """
    if not cluster.home(var_dir).exists():
        return
    with _lock(var_dir, say):
        cluster.stop(cluster.home(var_dir) / "data", say)


def create_database(superuser_url: str, name: str, *, template: str = "template1") -> None:
    """Make a database that the owner's role owns and, but for it, only the application's role may enter.

    Args:
        superuser_url: of an `Endpoint`.
        template: what it begins as a copy of; nobody may be connected to it.
    """
    with _connect(superuser_url, "postgres") as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(OWNER_ROLE), sql.Identifier(template)
            )
        )
        _close_doors(connection, name)


@contextmanager
def _lock(var_dir: Path, say: Say) -> Iterator[None]:
    """Hold the one lock under which this VAR_DIR's server is made, started and stopped.

    The kernel lets go of it when the process ends, however it ends; the server does not inherit it.
    """
    handle = os.open(make_var_dir(var_dir) / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another process that is starting or stopping the embedded PostgreSQL.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _secret(name: str) -> str:
    return f"database_{name}_password"


def _endpoint(data: Path, passwords: Mapping[str, str]) -> Endpoint | None:
    port = cluster.port(data)
    if port is None:
        return None
    urls = {
        name: URL.create(
            "postgresql+psycopg", role, passwords[name], HOST, port, DATABASE, query=_QUERY
        ).render_as_string(hide_password=False)
        for name, role in _ROLES.items()
    }
    return Endpoint(urls["owner"], urls["application"], urls["superuser"], port, data)


def _connect(url: str, database: str) -> psycopg.Connection[Any]:
    parts = make_url(url)
    address = make_conninfo(
        host=parts.host,
        port=parts.port,
        user=parts.username,
        password=parts.password,
        dbname=database,
        connect_timeout=30,
        application_name="benefit-ledger set-up",
        **_QUERY,
    )
    return psycopg.connect(address, autocommit=True)


def _answers(endpoint: Endpoint) -> bool:
    """Sign in as the application: the server is ours (SCRAM proves both sides), ready, and set up."""
    try:
        _connect(endpoint.app_url, DATABASE).close()
    except psycopg.OperationalError:
        return False
    return True


def _await_server(data: Path, passwords: Mapping[str, str]) -> Endpoint:
    """Wait until the server lets the superuser in: one that was found starting may still be recovering.

    Raises:
        DatabaseUnavailable: it ended, takes too long, or has other passwords than those kept in VAR_DIR.
    """
    ends = time.monotonic() + cluster.START_TIMEOUT_S
    while True:
        endpoint = _endpoint(data, passwords)
        try:
            if endpoint is not None:
                _connect(endpoint.superuser_url, "postgres").close()
                return endpoint
            reason = "it has taken no port yet"
        except psycopg.OperationalError as fault:
            reason = str(fault).strip().rstrip(".")
        if "password authentication failed" in reason:
            msg = (
                f"The database in {data} was made with other passwords than those in VAR_DIR/secrets. "
                "Bring back the files database_*_password that belong to it."
            )
            raise DatabaseUnavailable(msg)
        if cluster.postmaster(data) is None or time.monotonic() > ends:
            log = data.parent / "log"
            msg = f"The embedded PostgreSQL does not answer: {reason}. Its log is in {log}. Start it again."
            raise DatabaseUnavailable(msg)
        time.sleep(0.1)


def _set_up(endpoint: Endpoint) -> None:
    """Make roles and database. Every step may have been done before; the application's sign-in comes last."""
    with _connect(endpoint.superuser_url, "postgres") as connection:
        for role in (OWNER_ROLE, APP_ROLE):
            if not _exists(connection, "pg_roles", "rolname", role):
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        _open_sign_in(connection, OWNER_ROLE, endpoint.owner_url)
        for name in ("postgres", "template1"):
            _close_doors(connection, name)
    if not _has_database(endpoint):
        create_database(endpoint.superuser_url, DATABASE)
    with _connect(endpoint.superuser_url, DATABASE) as connection:
        _close_doors(connection, DATABASE)
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        _open_sign_in(connection, APP_ROLE, endpoint.app_url)


def _has_database(endpoint: Endpoint) -> bool:
    with _connect(endpoint.superuser_url, "postgres") as connection:
        return _exists(connection, "pg_database", "datname", DATABASE)


def _exists(connection: psycopg.Connection[Any], catalogue: str, column: str, name: str) -> bool:
    query = sql.SQL("SELECT FROM {} WHERE {} = %s").format(sql.Identifier(catalogue), sql.Identifier(column))
    return connection.execute(query, [name]).fetchone() is not None


def _open_sign_in(connection: psycopg.Connection[Any], role: str, url: str) -> None:
    """Let a role sign in with the password of its address, and be nothing more than itself.

    The password is sent as a SCRAM verifier: neither the server nor a log of it sees the text.
    """
    password = make_url(url).password
    assert isinstance(password, str), "an endpoint's addresses carry passwords"
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    connection.execute(
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
        ).format(sql.Identifier(role), sql.Literal(verifier.decode()))
    )


def _close_doors(connection: psycopg.Connection[Any], database: str) -> None:
    """Let nobody into a database but its owner; into those of the service, the application's role as well."""
    name = sql.Identifier(database)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    if database not in {"postgres", "template1"}:
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(name, sql.Identifier(APP_ROLE)))
