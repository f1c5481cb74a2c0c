"""A small world for the API's tests: a platform, one below it, a stranger; their keys and people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import text

from service import wiring
from service.calendar import periods
from service.closing import onboarding
from service.parties import creators, keys, partners, platforms, staff
from service.parties.actors import OPERATOR
from service.parties.scopes import SCOPES
from service.runtime import clock, db, settings
from service.runtime.db import Database
from service.wiring import System

PLATFORM = "demo"
CHILD = "demo.music"
STRANGER = "rival"
CREATORS = ("linh", "minh")
STAFF = {
    "anna": ("Trần Anna", ["finance_checker"]),
    "binh": ("Lê Bình", ["finance_maker"]),
    "chi": ("Phạm Chi", ["finance_maker", "finance_checker"]),
}


@dataclass(frozen=True)
class World:
    """What the tests need to know of it."""

    system: System
    past_period: str
    """Is over and open: it was opened for history."""
    present_period: str
    """Is not over."""

    def key(self, platform_id: str = PLATFORM, scopes: Sequence[str] = tuple(SCOPES)) -> str:
        """Make a key with some scopes, or all."""
        with db.transaction(self.system.database) as session:
            _, secret = keys.create(
                session,
                platform_id,
                label="test",
                scopes=scopes,
                pepper=self.system.pepper,
                actor=OPERATOR,
                now=clock.now(session),
            )
        return secret

    def stored(self) -> dict[str, Any]:
        """Digest every row of every table, but for when a key was last used and what is left of a minute."""
        parts = []
        for table in sorted(set(db.metadata.tables) - {"event_quota"}):
            row = f"(to_jsonb({table}) - 'last_used_at')::text"
            digest = f"md5(string_agg({row}, '' ORDER BY {row}))"
            parts.append(f"SELECT '{table}', count(*) || ' ' || coalesce({digest}, '') FROM {table}")
        with db.transaction(self.system.database) as session:
            return {row[0]: row[1] for row in session.execute(text(" UNION ALL ".join(parts)))}

    def now(self) -> datetime:
        """Read the clock."""
        with db.transaction(self.system.database) as session:
            return clock.now(session)


def wire(database: Database, var_dir: Path, **changes: str) -> System:
    """Wire a system around a database, with settings that are sound but for what is given."""
    environ = {
        "VAR_DIR": str(var_dir),
        "SECRET_KEY": "s" * 32,
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }
    return wiring.assemble(settings.read(environ | changes), database)


def build(database: Database, var_dir: Path) -> World:
    """Wire a system around an empty database and found the three platforms."""
    system = wire(database, var_dir)
    with db.transaction(database) as session:
        now = clock.now(session)
        for platform_id, parent_id in ((PLATFORM, None), (CHILD, PLATFORM), (STRANGER, None)):
            onboarding.found(
                session,
                platform_id=platform_id,
                name=platform_id.title(),
                parent_id=parent_id,
                actor=OPERATOR,
                now=now,
            )
            for creator_id in CREATORS:
                creators.register(
                    session,
                    platform_id,
                    creator_id,
                    display_name=creator_id.title(),
                    vault=system.vault,
                    actor=OPERATOR,
                    now=now,
                )
            for staff_id, (name, roles) in STAFF.items():
                staff.register(session, platform_id, staff_id, name, roles, actor=OPERATOR, now=now)
            partners.register(session, platform_id, "arts-fund", "Quỹ Nghệ thuật", actor=OPERATOR, now=now)
            present = periods.ensure_current(session, platforms.get(session, platform_id), now)
            # Two periods back, so that the grace after it is over on every day of the year.
            past_at = present.span.start_at - present.span.length - timedelta(days=5)
            past = periods.open_from(
                session, platforms.get(session, platform_id), past_at, actor=OPERATOR, now=now
            )[0]
    return World(system=system, past_period=past.id, present_period=present.id)
