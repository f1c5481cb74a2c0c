"""The schema: reached from nothing, the same as the code says, guarded by the database itself."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import ProgrammingError

from service.core import ids
from service.events import types
from service.parties.tables import platform
from service.runtime import db, migrations, postgres
from service.runtime.db import Database, metadata
from service.runtime.postgres import Endpoint
from tests.conftest import database_at
from tests.world import NOW, bare_platform, founded_platform

APPEND_ONLY = sorted(table.name for table in metadata.tables.values() if table.info.get("append_only"))


@pytest.fixture
def empty(postgres_endpoint: Endpoint) -> Endpoint:
    """Give a database with nothing in it."""
    name = f"empty_{ids.new(NOW).hex}"
    postgres.create_database(postgres_endpoint.superuser_url, name)
    return database_at(postgres_endpoint, name)


def test_an_empty_database_reaches_the_newest_schema(empty: Endpoint) -> None:
    """And knows it."""
    reached = migrations.upgrade(empty.owner_url)
    database = db.connect(empty.app_url, application_name="test")
    is_current = migrations.is_current(database)
    db.close(database)

    assert (migrations.head(), True) == (reached, is_current)


def test_two_processes_may_migrate_at_once(empty: Endpoint) -> None:
    """One waits for the other; both end well."""
    reached: list[str] = []
    threads = [
        threading.Thread(target=lambda: reached.append(migrations.upgrade(empty.owner_url))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [migrations.head()] * 3 == reached


def test_migrating_a_filled_database_keeps_what_is_there(database_urls: Endpoint, database: Database) -> None:
    """Nothing is rewritten."""
    with db.transaction(database) as session:
        founded_platform(session)
        before = session.execute(text("SELECT * FROM audit_trail ORDER BY id")).all()
    migrations.upgrade(database_urls.owner_url)

    with db.transaction(database) as session:
        assert before == session.execute(text("SELECT * FROM audit_trail ORDER BY id")).all()


def test_event_types_from_before_units_have_theirs_and_know_whether_they_are_used(empty: Endpoint) -> None:
    """A platform that has taken events keeps what its types mean; another one may still choose."""
    migrations.upgrade(empty.owner_url, to="0001")
    engine = create_engine(empty.owner_url)
    with engine.begin() as connection:
        for platform_id in ("used", "fresh"):
            connection.execute(insert(platform).values(_platform(platform_id)))
            for name in ("view", "watch_second", "own"):
                connection.execute(
                    text("INSERT INTO event_type VALUES (:platform, :name, 'optional', 0, 7)"),
                    {"platform": platform_id, "name": name},
                )
        connection.execute(
            text(
                "INSERT INTO event_batch (platform_id, id, received_at, channel, media_type, item_count,"
                " accepted_count, first_at, last_at, body_sha256, body_zstd, rejections)"
                " VALUES ('used', gen_random_uuid(), :now, 'http', 'x', 1, 1, :now, :now, '', '', '[]')"
            ),
            {"now": NOW},
        )
    migrations.upgrade(empty.owner_url)

    database = db.connect(empty.app_url, application_name="test")
    with db.transaction(database) as session:
        used, fresh = types.of_platform(session, "used"), types.of_platform(session, "fresh")
    db.close(database)
    engine.dispose()

    assert {"view": "view", "watch_second": "second", "own": "count"} == {
        name: one.unit for name, one in used.items()
    }
    assert used == fresh
    assert {"engagement"} == {one.kind for one in used.values()}
    assert ({True}, {False}) == (
        {one.is_used for one in used.values()},
        {one.is_used for one in fresh.values()},
    )


def test_the_tables_in_the_code_are_those_of_the_schema(database_urls: Endpoint) -> None:
    """No column, index or constraint is in one and not in the other."""
    engine = create_engine(database_urls.owner_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert [] == differences


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET platform_id = platform_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_is_written_once_cannot_be_changed_even_by_its_owner(
    database_urls: Endpoint, table: str, statement: str
) -> None:
    """The guards refuse, also where there is no row."""
    engine = create_engine(database_urls.owner_url)
    changed = statement.format(table).replace(
        "platform_id = platform_id", f"{_a_column(table)} = {_a_column(table)}"
    )
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="written once"):
        connection.execute(text(changed))
    engine.dispose()


def _a_column(table: str) -> str:
    return next(column.name for column in metadata.tables[table].columns if column.identity is None)


def test_the_application_owns_nothing_and_makes_nothing(database: Database) -> None:
    """Neither tables nor roles."""
    for statement in (
        "CREATE TABLE mine (id int)",
        "CREATE ROLE mine",
        "ALTER TABLE entry DISABLE TRIGGER ALL",
    ):
        with pytest.raises(ProgrammingError), db.transaction(database) as session:
            session.execute(text(statement))


def test_an_act_that_fails_leaves_nothing(database: Database) -> None:
    """The transaction is the unit: all of it or none."""

    def fail() -> None:
        with db.transaction(database) as session:
            bare_platform(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with db.transaction(database) as session:
        assert 0 == session.scalar(select(func.count()).select_from(platform))


def test_copied_rows_are_those_that_were_given(database: Database) -> None:
    """COPY within the transaction, text with every trap of the format included."""
    names = ["plain", "tab\there", "back\\slash", "new\nline", "\\N", "Đặng"]
    with db.transaction(database) as session:
        session.execute(insert(platform), [_platform("base")])
        columns = [column.name for column in platform.columns]
        rows = (
            [{**_platform(f"p{n}"), "name": name}[column] for column in columns]
            for n, name in enumerate(names)
        )
        copied = db.copy_rows(session, platform, columns, rows)
        found = session.scalars(
            select(platform.c.name).where(platform.c.id != "base").order_by(platform.c.id)
        ).all()

    assert (6, names) == (copied, found)


def _platform(platform_id: str) -> dict[str, object]:
    return {
        "id": platform_id,
        "parent_id": None,
        "name": "x",
        "currency": "VND",
        "time_zone": "Asia/Ho_Chi_Minh",
        "period_unit": "month",
        "locale": "vi",
        "unknown_creators": "reject",
        "created_at": NOW,
    }
