"""The composition root: settings become the things that the service works with, once for each process.

Owns nothing but the choice of which implementation stands behind which seam. Refuses nothing: settings are
checked when they are read. Law: web workers never load an engine; it is made when a job first asks for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from service.events.lake import Lake
from service.payouts.providers.base import Provider
from service.payouts.providers.sandbox import Sandbox
from service.runtime import db, postgres
from service.runtime.db import Database
from service.runtime.settings import Settings, ensure_secrets
from service.runtime.vault import Vault

if TYPE_CHECKING:
    from service.splits.engines.base import Engine

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What the edges of the service are given.

    Args:
        database: as the application's role.
        pepper: the key under which secrets are hashed and cursors signed.
        make_engine: makes the engine that runs the scoring SQL; only jobs and the command line call it.
    """

    settings: Settings
    database: Database
    lake: Lake
    vault: Vault
    provider: Provider
    pepper: bytes = field(repr=False)
    make_engine: "Callable[[], Engine]"


def wire(settings: Settings, *, name: str = "benefit-ledger", say: Say = lambda _: None) -> System:
    """Make what the settings describe; start the embedded PostgreSQL when they name no other.

    Args:
        name: how this process is shown in the database's list of sessions.
        say: is told, a sentence at a time, what takes longer than a look.

    Raises:
        DatabaseUnavailable: the embedded PostgreSQL cannot be started.
        BadSetting: VAR_DIR cannot be written.
    """
    url = settings.database_url or postgres.start(settings.var_dir, say=say).app_url
    return assemble(settings, db.connect(url, application_name=name))


def assemble(settings: Settings, database: Database) -> System:
    """Make what the settings describe around a database that is connected already."""
    keys = ensure_secrets(settings)
    return System(
        settings=settings,
        database=database,
        lake=Lake(settings.event_lake_url),
        vault=Vault(keys.encryption_keys),
        provider=Sandbox(database),
        pepper=keys.secret_key.encode(),
        make_engine=lambda: _engine(settings.var_dir),
    )


def _engine(var_dir: Path) -> "Engine":
    from service.splits.engines.duckdb import DuckDb

    return DuckDb(temp_dir=var_dir / "duckdb")
