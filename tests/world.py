"""A small world that tests are set in: instants, actors, and the parties that most stories need."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from service.closing import onboarding
from service.closing.tools import Tools
from service.events import intake
from service.events.intake import Receipt
from service.events.lake import Lake
from service.ledger import balances
from service.parties import creators, platforms, staff
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from service.runtime.vault import Vault

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
"""21 November 2026, 13:00 in Ho Chi Minh City."""

PEPPER = b"a pepper for tests, thirty-two by"
VAULT = Vault([Fernet.generate_key().decode()])

LAN = Actor("staff", "lan")
"""Prepares: holds finance_maker."""

MINH = Actor("staff", "minh")
"""Approves: holds finance_checker."""


def bare_platform(
    session: Session, platform_id: str = "sen", *, now: datetime = NOW, **fields: str
) -> Platform:
    """Create a platform and nothing else."""
    return platforms.create(
        session, platform_id=platform_id, name="Mạng Sen", actor=OPERATOR, now=now, **fields
    )


def founded_platform(
    session: Session,
    platform_id: str = "sen",
    *,
    now: datetime = NOW,
    creator_ids: tuple[str, ...] = (),
    **fields: str,
) -> Platform:
    """Found a platform with the shipped rulebook, two members of staff, and creators."""
    platform = onboarding.found(
        session, platform_id=platform_id, name="Mạng Sen", actor=OPERATOR, now=now, **fields
    )
    staff.register(session, platform_id, LAN.id, "Lan", ["finance_maker"], actor=OPERATOR, now=now)
    staff.register(session, platform_id, MINH.id, "Minh", ["finance_checker"], actor=OPERATOR, now=now)
    creators.ensure(session, platform_id, creator_ids, now=now)
    return platform


def event(
    event_id: str,
    kind: str,
    at: datetime,
    creator: str,
    *,
    actor: str | None = None,
    content: str | None = None,
    quantity: int | None = None,
    source: str = "app",
) -> dict[str, Any]:
    """Write one CloudEvent; what is None is left out."""
    data = {"creator": creator, "actor": actor, "content": content, "quantity": quantity}
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": kind,
        "time": at.isoformat(),
        "data": {name: value for name, value in data.items() if value is not None},
    }


def send(database: Database, platform: Platform, events: list[dict[str, Any]], *, now: datetime) -> Receipt:
    """Send a batch as a platform's back end would, committed."""
    body = json.dumps(events).encode()
    with db.transaction(database) as session:
        return intake.receive(
            session, platform, body, "application/cloudevents-batch+json", channel="http", now=now
        )


def tools_in(database: Database, folder: Path) -> Tools:
    """Make what closing works with: a lake and an engine in a folder of the test's own."""
    from service.runtime import duck
    from service.splits.engines.duckdb import DuckEngine

    return Tools(
        database=database,
        lake=Lake(str(folder / "lake")),
        engine=DuckEngine(lambda: duck.connect(temp_dir=folder)),
    )


def books(session: Session, platform_id: str) -> dict[str, int]:
    """Read every account that is not at zero, as `role` or `role/owner`, on its normal side."""
    found = {}
    for one in balances.by_account(session, platform_id):
        name = f"{one.account.role}/{one.account.owner}".removesuffix("/")
        if one.balance_minor:
            found[name] = one.balance_minor
    return found
