"""The composition root: settings become the things that the service works with, once for each process.

Owns nothing but the choice of which implementation stands behind which seam. Refuses nothing: settings are
checked when they are read. Law: web workers never load an engine; it is made when a job first asks for it.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.closing.tools import Tools
from service.core.errors import Fault, Unavailable
from service.events import partitions
from service.events.lake import Lake
from service.events.throttle import Quota, Throttle
from service.parties import creators, platforms
from service.payouts.providers.base import Provider
from service.payouts.providers.sandbox import Sandbox
from service.runtime import clock, db, migrations, postgres
from service.runtime.db import Database
from service.runtime.settings import Settings, ensure_secrets
from service.runtime.vault import Vault

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from service.splits.engines.base import Engine

Say = Callable[[str], None]

_PROBE: Final = b"benefit-ledger\n"
_PROBED_NAMES: Final = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `doctor`."""

    name: str
    is_good: bool
    detail: str


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
    throttle: Throttle
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


def unwire(system: System) -> None:
    """Give back what `wire` took; an embedded PostgreSQL runs on, for the other processes."""
    db.close(system.database)


def assemble(settings: Settings, database: Database) -> System:
    """Make what the settings describe around a database that is connected already."""
    keys = ensure_secrets(settings)
    lake = Lake(settings.event_lake_url)
    return System(
        settings=settings,
        database=database,
        lake=lake,
        vault=Vault(keys.encryption_keys),
        provider=Sandbox(database=database),
        throttle=Throttle(database, Quota(settings.events_per_minute, settings.event_bytes_per_minute)),
        pepper=keys.secret_key.encode(),
        make_engine=lambda: _engine(settings.var_dir, lake),
    )


def tools(system: System) -> Tools:
    """Gather what the long acts of closing work with; makes the engine, so web workers never call it."""
    return Tools(database=system.database, lake=system.lake, engine=system.make_engine())


def owner_address(system: System) -> str | None:
    """Give the address of the role that owns the tables, where this process may know it."""
    if system.settings.database_url is not None:
        return system.settings.database_owner_url
    endpoint = postgres.running(system.settings.var_dir)
    return None if endpoint is None else endpoint.owner_url


def link_url(system: System, token: str) -> str:
    """Write the address of a sign-in link."""
    return f"{system.settings.public_url}/sign-in/{token}"


def doctor(system: System) -> list[Check]:
    """Examine what the service stands on: database, schema, lake, encryption keys."""
    examined = (
        ("database", _examine_database),
        ("schema", _examine_schema),
        ("event log", _examine_log),
        ("lake", _examine_lake),
        ("encryption keys", _examine_keys),
    )
    return [_check(name, examine, system) for name, examine in examined]


def _check(name: str, examine: Callable[[System], str], system: System) -> Check:
    try:
        return Check(name, is_good=True, detail=examine(system))
    except Fault as fault:
        return Check(name, is_good=False, detail=fault.detail)
    except SQLAlchemyError as fault:
        return Check(name, is_good=False, detail=f"The database does not answer: {type(fault).__name__}.")


def _examine_database(system: System) -> str:
    with db.transaction(system.database) as session:
        return f"PostgreSQL {session.scalar(text('SHOW server_version'))} answers."


def _examine_schema(system: System) -> str:
    if not migrations.is_current(system.database):
        msg = "The schema is not the one that this version knows; run `benefit-ledger migrate`."
        raise Unavailable(msg)
    return f"At revision {migrations.head()}."


def _examine_log(system: System) -> str:
    with db.transaction(system.database) as session:
        known, overdue = partitions.listing(session), partitions.overdue(session, clock.now(session))
    if overdue:
        remedy = "run `benefit-ledger events prune`, or set DATABASE_OWNER_URL for the scheduler"
        msg = f"{len(overdue)} days of the event log are in the lake and could be dropped; {remedy}."
        raise Unavailable(msg)
    return f"{len(known)} partitions, one a day."


def _examine_lake(system: System) -> str:
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe"
        probe.write_bytes(_PROBE)
        stored = system.lake.add("doctor", probe)
    if system.lake.digest(stored.path) != stored:
        msg = f"What was written to {system.lake.url} is not what is read from it."
        raise Unavailable(msg)
    return f"{system.lake.url} can be written and read."


def _examine_keys(system: System) -> str:
    """Open a name of every platform, so that a key that is missing is noticed before it is needed."""
    count = 0
    with db.transaction(system.database) as session:
        for platform in platforms.listing(session):
            ids = [one.id for one in creators.listing(session, platform.id, limit=_PROBED_NAMES)]
            count += len(creators.names(session, platform.id, ids, system.vault))
    return f"{count} sealed names were opened."


def _engine(var_dir: Path, lake: Lake) -> "Engine":
    from service.runtime import duck
    from service.splits.engines.duckdb import DuckEngine

    temp_dir = var_dir / "duckdb"
    temp_dir.mkdir(parents=True, exist_ok=True)

    def connect() -> "DuckDBPyConnection":
        connection = duck.connect(temp_dir=temp_dir)
        lake.attach(connection)
        return connection

    return DuckEngine(connect)
