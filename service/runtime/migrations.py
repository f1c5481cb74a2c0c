"""Bring a database to the newest schema: Alembic, as the owner role, one process at a time."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

import service
from service.runtime.db import Database
from service.runtime.postgres import APP_ROLE

_LOCK_KEY = 0x62_65_6E_65
_FOLDER = Path(service.__file__).resolve().parent.parent / "migrations"


def upgrade(owner_url: str, *, app_role: str = APP_ROLE, to: str = "head") -> str:
    """Run all migrations up to `to`, under a lock that lets one process at a time do so.

    Args:
        owner_url: the address of the role that owns the tables.
        app_role: the role that is granted what the service needs and owns nothing.

    Returns:
        The revision reached.
    """
    engine = create_engine(
        owner_url,
        connect_args={
            "options": "-c timezone=UTC -c lock_timeout=4s",
            "application_name": "benefit-ledger migrate",
        },
    )
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)").bindparams(key=_LOCK_KEY))
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            config.attributes["app_role"] = app_role
            command.upgrade(config, to)
            connection.commit()
            return MigrationContext.configure(connection).get_current_revision() or "base"
    finally:
        engine.dispose()


def is_current(database: Database) -> bool:
    """Tell whether the database stands at the newest revision this code knows."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head()


def head() -> str:
    """Name the newest revision that this code knows."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest, "the migrations folder ships with the package"
    return newest


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config
