"""Payees: where creators want their money, sealed; people see a hint only.

Owns the present destination of each creator, one for each. Refuses what the provider's form does not allow.
Law: a change here never reaches a payout that is in a batch already, since that one carries its own copy.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.parties import creators, platforms, trail
from service.parties.actors import Actor
from service.payouts.providers.base import Provider
from service.payouts.tables import payee
from service.runtime.vault import Vault


@dataclass(frozen=True, slots=True)
class Payee:
    """A creator as somebody who is paid."""

    platform_id: str
    creator_id: str
    provider: str
    currency: str
    destination_hint: str
    updated_at: datetime


_COLUMNS = [payee.c[name] for name in Payee.__slots__]


def declare(
    session: Session,
    platform_id: str,
    creator_id: str,
    *,
    provider: Provider,
    destination: Mapping[str, object],
    vault: Vault,
    actor: Actor,
    now: datetime,
) -> Payee:
    """Declare where a creator is paid from the next batch on, in the platform's currency.

    Args:
        provider: who will pay; its form decides what a destination is.
        destination: the provider's fields; sealed at once and never shown again.

    Raises:
        NotFound: no such platform or creator.
        Invalid: the destination cannot be used, with the pointer of each wrong field.
    """
    platform = platforms.get(session, platform_id)
    creators.get(session, platform_id, creator_id)
    admitted = provider.admit(destination)
    before = _find(session, platform_id, creator_id)
    values = {
        "provider": provider.name,
        "currency": platform.currency,
        "destination_sealed": seal(vault, admitted.fields),
        "destination_hint": admitted.hint,
        "updated_at": now,
    }
    row = session.execute(
        insert(payee)
        .values(platform_id=platform_id, creator_id=creator_id, **values)
        .on_conflict_do_update(index_elements=["platform_id", "creator_id"], set_=values)
        .returning(*_COLUMNS)
    ).one()
    trail.record(
        session,
        platform_id,
        actor,
        "payee.declare",
        "creator",
        creator_id,
        before=None if before is None else _shown(before),
        after=_shown(Payee(**row._mapping)),
        now=now,
    )
    return Payee(**row._mapping)


def get(session: Session, platform_id: str, creator_id: str) -> Payee:
    """Read where a creator is paid, without the details.

    Raises:
        NotFound: the creator has declared nothing, or is not known.
    """
    found = _find(session, platform_id, creator_id)
    if found is None:
        raise NotFound(f"Creator {creator_id} of platform {platform_id} has not declared where to be paid.")
    return found


def seal(vault: Vault, fields: Mapping[str, str]) -> bytes:
    """Encrypt a destination's fields."""
    return vault.seal(json.dumps(dict(fields), ensure_ascii=False, sort_keys=True))


def unseal(vault: Vault, sealed: bytes) -> dict[str, str]:
    """Decrypt what `seal` made.

    Raises:
        SealBroken: none of the vault's keys fits.
    """
    fields: dict[str, str] = json.loads(vault.open(sealed))
    return fields


def _find(session: Session, platform_id: str, creator_id: str) -> Payee | None:
    row = session.execute(
        select(*_COLUMNS).where(payee.c.platform_id == platform_id, payee.c.creator_id == creator_id)
    ).one_or_none()
    return None if row is None else Payee(**row._mapping)


def _shown(one: Payee) -> dict[str, str]:
    return {"provider": one.provider, "currency": one.currency, "destination_hint": one.destination_hint}
