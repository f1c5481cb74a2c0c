"""Fixtures for all tests: one embedded PostgreSQL for the whole run, databases on it, and no outside world.

Every process of a run (pytest-xdist's workers too) shares one server. A keeper process stops it and removes
its files as soon as no process of the run is left, however they ended.
"""

import fcntl
import ipaddress
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from service.runtime import db, migrations, postgres
from service.runtime.db import Database
from service.runtime.postgres import Endpoint

# A run shares its cores with whatever else the machine does: a slow example is no failure.
hypothesis.settings.register_profile("unhurried", deadline=None, print_blob=True)
hypothesis.settings.register_profile("fuzz", deadline=None, print_blob=True, max_examples=2_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unhurried"))

TEMPLATE = "template_migrated"
"""The database that every test's own is a copy of: migrated, empty."""

FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
"""Server options without durability: these databases do not outlive the run."""

_KEEPER = """
import fcntl, shutil, sys
from pathlib import Path
from service.runtime import cluster, postgres
lock, var_dir = Path(sys.argv[1]), Path(sys.argv[2])
with lock.open("ab") as handle:
    fcntl.flock(handle, fcntl.LOCK_EX)
    postgres.stop(var_dir)
    shutil.rmtree(cluster.home(var_dir), ignore_errors=True)
    shutil.rmtree(var_dir, ignore_errors=True)
    lock.unlink(missing_ok=True)
"""


def pytest_configure() -> None:
    """Refuse connections to anywhere but this machine, for the whole run."""
    sys.addaudithook(_refuse_outside)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests recorded as `told`: what was drawn by chance, and from which seed."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))


@pytest.fixture(scope="session")
def postgres_endpoint(testrun_uid: str) -> Iterator[Endpoint]:
    """Give the one server of the run, with the addresses of its three roles."""
    var_dir = Path(tempfile.gettempdir()) / f"benefit-ledger-tests-{testrun_uid[:12]}"
    lock = var_dir.with_suffix(".lock")
    keeper = None
    try:
        with lock.open("ab") as handle:
            # The processes of the run hold the lock together; the keeper gets it when the last has let go.
            fcntl.flock(handle, fcntl.LOCK_SH)
            keeper = subprocess.Popen(
                [sys.executable, "-c", _KEEPER, str(lock), str(var_dir)],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            yield postgres.start(var_dir, options=FAST)
    finally:
        if keeper is not None:
            keeper.wait()


@pytest.fixture(scope="session")
def migrated_template(postgres_endpoint: Endpoint) -> str:
    """Name the migrated, empty database that tests copy; the first process that asks makes it."""
    draft = f"{TEMPLATE}_draft"
    with _superuser(postgres_endpoint) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        query = "SELECT FROM pg_database WHERE datname = %s"
        if connection.execute(query, [TEMPLATE]).fetchone() is None:
            postgres.create_database(postgres_endpoint.superuser_url, draft)
            migrations.upgrade(database_at(postgres_endpoint, draft).owner_url)
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(draft), sql.Identifier(TEMPLATE)))
    return TEMPLATE


@pytest.fixture(scope="session")
def database_names(worker_id: str) -> Iterator[str]:
    """Give names for databases that no other process of the run gives."""
    return (f"test_{worker_id}_{number}" for number in itertools.count())


@pytest.fixture
def database_urls(
    postgres_endpoint: Endpoint, migrated_template: str, database_names: Iterator[str]
) -> Iterator[Endpoint]:
    """Give the addresses of a database of this test's own: migrated, empty, dropped afterwards."""
    with _copy(postgres_endpoint, migrated_template, next(database_names)) as urls:
        yield urls


@pytest.fixture
def database(database_urls: Endpoint) -> Iterator[Database]:
    """Give a database of this test's own as the application's role: for flows that commit."""
    with _connected(database_urls.app_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def module_database(
    postgres_endpoint: Endpoint, migrated_template: str, database_names: Iterator[str]
) -> Iterator[Database]:
    """Give a database to which the tests of a module commit: each to a platform of its own."""
    with (
        _copy(postgres_endpoint, migrated_template, next(database_names)) as urls,
        _connected(urls.app_url) as opened,
    ):
        yield opened


@pytest.fixture(scope="session")
def shared_database(
    postgres_endpoint: Endpoint, migrated_template: str, database_names: Iterator[str]
) -> Iterator[Database]:
    """Give a migrated database that stays empty, since its tests' transactions are rolled back."""
    with (
        _copy(postgres_endpoint, migrated_template, next(database_names)) as urls,
        _connected(urls.app_url) as opened,
    ):
        yield opened


@pytest.fixture
def session(shared_database: Database) -> Iterator[Session]:
    """Give a session of the application's role in one transaction that is rolled back: for single acts.

    It is set as `db.transaction` sets one, and an act that commits fails (a savepoint may be released).
    """
    with shared_database.engine.connect() as connection, connection.begin() as transaction:
        with Session(
            connection, expire_on_commit=False, autoflush=False, join_transaction_mode="rollback_only"
        ) as opened:
            event.listen(opened, "before_commit", _refuse_commit)
            yield opened
        transaction.rollback()


@contextmanager
def _copy(endpoint: Endpoint, template: str, name: str) -> Iterator[Endpoint]:
    postgres.create_database(endpoint.superuser_url, name, template=template)
    try:
        yield database_at(endpoint, name)
    finally:
        with _superuser(endpoint) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _connected(url: str) -> Iterator[Database]:
    opened = db.connect(url, application_name="tests")
    try:
        yield opened
    finally:
        db.close(opened)


@contextmanager
def _superuser(endpoint: Endpoint) -> Iterator[psycopg.Connection[Any]]:
    url = make_url(database_at(endpoint, "postgres").superuser_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


def database_at(endpoint: Endpoint, database: str) -> Endpoint:
    """Give the addresses of another database on the same server."""
    urls = {
        name: make_url(getattr(endpoint, name)).set(database=database).render_as_string(hide_password=False)
        for name in ("owner_url", "app_url", "superuser_url")
    }
    return replace(endpoint, **urls)


def _refuse_commit(session: Session) -> None:
    assert session.in_nested_transaction(), "Acts never commit: only db.transaction does."


def _refuse_outside(name: str, arguments: tuple[Any, ...]) -> None:
    """Fail a Python socket that connects to another machine (an audit hook: it sees every one)."""
    if name != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = str(arguments[1][0])
    if host != "localhost" and not _is_loopback(host):
        msg = f"A test tried to reach {host}; tests stay on this machine."
        raise ConnectionError(msg)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
