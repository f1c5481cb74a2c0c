"""API keys of platforms: scoped, hashed, shown once, revocable at once."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from service.core.errors import Conflict, FieldError, Invalid, NotFound, Unauthenticated
from service.parties import inputs, secrets, trail
from service.parties.actors import Actor
from service.parties.scopes import SCOPES
from service.parties.tables import api_key
from service.runtime import db

_LAST_USED_GRAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; its secret is not."""

    id: str
    platform_id: str
    label: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def actor(self) -> Actor:
        """This key as the audit trail names it."""
        return Actor("key", self.id)


_COLUMNS = [column for column in api_key.columns if column.name != "secret_hmac"]
_BY_ID = f"SELECT {db.columns_of(api_key)} FROM api_key WHERE id = %s"


def create(
    session: Session,
    platform_id: str,
    *,
    label: str,
    scopes: Sequence[str],
    pepper: bytes,
    expires_at: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> tuple[Key, str]:
    """Create a key; return it with its secret text, which is shown this once.

    Raises:
        Invalid: unknown scopes, an unusable label, or an expiry that is over.
    """
    label = inputs.check_name(label, "/label")
    held = inputs.check_members(scopes, SCOPES, "/scopes")
    if expires_at is not None and expires_at <= now:
        detail = "choose an instant in the future"
        raise Invalid(f"expires_at: {detail}.", errors=[FieldError("/expires_at", detail)])
    public = secrets.random_text(secrets.PUBLIC_LENGTH)
    secret = secrets.random_text(secrets.SECRET_LENGTH)
    session.execute(
        insert(api_key).values(
            id=public,
            platform_id=platform_id,
            label=label,
            secret_hmac=secrets.stored_form(secret, pepper),
            scopes=held,
            created_at=now,
            expires_at=expires_at,
        )
    )
    trail.record(session, platform_id, actor, "key.create", "key", public, after={"scopes": held}, now=now)
    return get(session, platform_id, public), secrets.compose_key(public, secret)


def authenticate(session: Session, presented: str, pepper: bytes, now: datetime) -> Key:
    """Find whose key this is.

    Raises:
        Unauthenticated: not a key, or one that is unknown, revoked or expired; which of these is not told.
    """
    refusal = Unauthenticated(
        "The API key is not valid; send a live key as `Authorization: Bearer bl_live_...`."
    )
    parts = secrets.parse_key(presented)
    if parts is None:
        raise refusal
    public, secret = parts
    found = db.rows(session, _BY_ID, public)
    row = found[0] if found else None
    offered = secrets.stored_form(secret, pepper)
    if row is None or not hmac.compare_digest(bytes(row.secret_hmac), offered):
        raise refusal
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise refusal
    if row.last_used_at is None or row.last_used_at + _LAST_USED_GRAIN <= now:
        session.execute(update(api_key).where(api_key.c.id == public).values(last_used_at=now))
    return _key({column.name: row._mapping[column.name] for column in _COLUMNS})


def revoke(session: Session, platform_id: str, key_id: str, *, actor: Actor, now: datetime) -> Key:
    """Revoke a key; the next request with it is refused.

    Raises:
        NotFound: the platform has no such key.
        Conflict: it is revoked already.
    """
    key = get(session, platform_id, key_id)
    if key.revoked_at is not None:
        raise Conflict(f"Key {key_id} was revoked at {key.revoked_at.isoformat()}.")
    session.execute(update(api_key).where(api_key.c.id == key_id).values(revoked_at=now))
    trail.record(session, platform_id, actor, "key.revoke", "key", key_id, now=now)
    return get(session, platform_id, key_id)


def get(session: Session, platform_id: str, key_id: str) -> Key:
    """Read one key.

    Raises:
        NotFound: the platform has none with this id.
    """
    row = session.execute(
        select(*_COLUMNS).where(api_key.c.platform_id == platform_id, api_key.c.id == key_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Platform {platform_id} has no key {key_id!r}.")
    return _key(dict(row._mapping))


def listing(session: Session, platform_id: str) -> list[Key]:
    """Read all keys of a platform, oldest first."""
    query = (
        select(*_COLUMNS)
        .where(api_key.c.platform_id == platform_id)
        .order_by(api_key.c.created_at, api_key.c.id)
    )
    return [_key(dict(row._mapping)) for row in session.execute(query)]


def _key(values: dict[str, object]) -> Key:
    return Key(**values)  # type: ignore[arg-type]
