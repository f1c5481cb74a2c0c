"""Founding a platform: the platform, its event types, its founding rulebook, its first period, as one act."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.calendar import periods
from service.events import types
from service.parties import platforms
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.rules import registry


def found(
    session: Session,
    *,
    platform_id: str,
    name: str,
    currency: str = "VND",
    time_zone: str = "Asia/Ho_Chi_Minh",
    period_unit: str = "month",
    locale: str = "vi",
    unknown_creators: str = "reject",
    parent_id: str | None = None,
    document: Mapping[str, Any] | None = None,
    actor: Actor,
    now: datetime,
) -> Platform:
    """Create a platform that is ready to take events.

    Args:
        document: its founding rulebook; None takes the shipped one.

    Raises:
        Invalid, NotFound, PlatformExists: as `platforms.create` says.
        InvalidRulebook: as `registry.publish_founding` says.
    """
    platform = platforms.create(
        session,
        platform_id=platform_id,
        name=name,
        currency=currency,
        time_zone=time_zone,
        period_unit=period_unit,
        locale=locale,
        unknown_creators=unknown_creators,
        parent_id=parent_id,
        actor=actor,
        now=now,
    )
    equip(session, platform, document=document, actor=actor, now=now)
    return platform


def equip(
    session: Session, platform: Platform, *, document: Mapping[str, Any] | None, actor: Actor, now: datetime
) -> None:
    """Give a new platform its event types, its founding rulebook and its first period.

    A rulebook may name partners, which are registered between the platform and this.
    """
    types.seed(session, platform.id)
    founding = registry.founding_document(platform.currency) if document is None else document
    registry.publish_founding(session, platform, founding, actor=actor, now=now)
    periods.ensure_current(session, platform, now)
