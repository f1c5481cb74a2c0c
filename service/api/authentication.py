"""Who is asking, what for, and as whom: the one place that says which platform a request may touch.

Owns the Authorization header, the scopes of an operation and the `platform` parameter. Refuses whatever is
not a live key, a key without the operation's scopes, and any platform but the key's own and those below it;
the last is answered as if it did not exist. Law: a view knows no other platform than its principal's.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session
from werkzeug.datastructures import Headers

from service.core.errors import Forbidden, NotFound, Unauthenticated
from service.parties import keys, platforms
from service.parties.actors import Actor
from service.parties.keys import Key
from service.parties.platforms import Platform

SCHEME: Final = "bearer"
PRESENTED_LENGTH_MAX: Final = 200


class ScopeMissing(Forbidden):
    """The key does not hold the scope that the operation needs."""

    slug = "scope-missing"
    title = "The key does not hold the scope that this needs"


@dataclass(frozen=True, slots=True)
class Principal:
    """The one who asks: a key, how the audit trail names it, and the platform it acts on now."""

    key: Key
    actor: Actor
    platform: Platform


def presented(headers: Headers) -> str:
    """Take the API key from the Authorization header.

    Raises:
        Unauthenticated: there is none, or what there is cannot be one.
    """
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    text = text.strip()
    if scheme.lower() != SCHEME or not text or len(text) > PRESENTED_LENGTH_MAX or not text.isascii():
        raise Unauthenticated("Send an API key as `Authorization: Bearer bl_live_...`.")
    return text


def admit(
    session: Session,
    key_text: str,
    *,
    scopes: frozenset[str],
    pepper: bytes,
    now: datetime,
) -> Key:
    """Find whose key it is and that it may do what the operation needs.

    Raises:
        Unauthenticated: no live key.
        ScopeMissing: a key that holds other scopes.
    """
    key = keys.authenticate(session, key_text, pepper, now)
    missing = sorted(scopes - set(key.scopes))
    if missing:
        raise ScopeMissing(
            f"The key {key.id} does not hold {', '.join(missing)}; ask an administrator for a key that does.",
            scopes=missing,
        )
    return key


def principal(session: Session, key: Key, wanted: str | None) -> Principal:
    """Tell as whom a key acts: its own platform, or the sub-platform that the request names.

    Raises:
        NotFound: the platform is neither the key's own nor below it, or does not exist.
    """
    platform_id = wanted or key.platform_id
    if platform_id == key.platform_id or platform_id.startswith(f"{key.platform_id}."):
        with suppress(NotFound):
            return Principal(key, key.actor, platforms.get(session, platform_id))
    raise NotFound(f"There is no platform {platform_id!r} that this key may act on.")
