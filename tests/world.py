"""A small world that tests are set in: instants, actors, and the parties that most stories need."""

from datetime import UTC, datetime

from cryptography.fernet import Fernet
from sqlalchemy.orm import Session

from service.closing import onboarding
from service.parties import creators, platforms, staff
from service.parties.actors import OPERATOR, Actor
from service.parties.platforms import Platform
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
