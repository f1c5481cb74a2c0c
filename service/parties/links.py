"""Sign-in by one-time link, and the sessions that links open. No passwords are kept anywhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from service.core.errors import Unauthenticated
from service.parties import creators, secrets, staff, trail
from service.parties.actors import Actor
from service.parties.tables import sign_in_link, web_session

SubjectKind = Literal["staff", "creator"]

LINK_LIFETIME_S = 900
SESSION_LIFETIME_S = 12 * 3600
SESSION_IDLE_S = 1800
_SEEN_GRAIN = timedelta(minutes=1)


class LinkSpent(Unauthenticated):
    """The link is unknown, over, or was used."""

    slug = "link-spent"
    title = "This sign-in link does not work any more"


@dataclass(frozen=True, slots=True)
class WebSession:
    """One signed-in browser."""

    platform_id: str
    subject_kind: SubjectKind
    subject_id: str
    created_at: datetime
    expires_at: datetime

    @property
    def actor(self) -> Actor:
        """The signed-in person as the audit trail names them."""
        return Actor(self.subject_kind, self.subject_id)


def issue(
    session: Session,
    platform_id: str,
    subject_kind: SubjectKind,
    subject_id: str,
    *,
    pepper: bytes,
    actor: Actor,
    now: datetime,
    lifetime_s: int = LINK_LIFETIME_S,
) -> str:
    """Make a link's token for one person; it opens one session, once, within its lifetime.

    Raises:
        NotFound: the platform has no such person.
    """
    if subject_kind == "staff":
        staff.get(session, platform_id, subject_id)
    else:
        creators.get(session, platform_id, subject_id)
    token = secrets.random_text(secrets.SECRET_LENGTH)
    session.execute(
        insert(sign_in_link).values(
            token_hmac=secrets.stored_form(token, pepper),
            platform_id=platform_id,
            subject_kind=subject_kind,
            subject_id=subject_id,
            created_at=now,
            expires_at=now + timedelta(seconds=lifetime_s),
        )
    )
    trail.record(session, platform_id, actor, "link.issue", subject_kind, subject_id, now=now)
    return token


def redeem(session: Session, token: str, *, pepper: bytes, now: datetime) -> tuple[WebSession, str]:
    """Use a link; return the session and the token that the browser keeps.

    Raises:
        LinkSpent: unknown, over, or used; which of these is not told.
    """
    used = session.execute(
        update(sign_in_link)
        .where(
            sign_in_link.c.token_hmac == secrets.stored_form(token, pepper),
            sign_in_link.c.used_at.is_(None),
            sign_in_link.c.expires_at > now,
        )
        .values(used_at=now)
        .returning(sign_in_link.c.platform_id, sign_in_link.c.subject_kind, sign_in_link.c.subject_id)
    ).one_or_none()
    if used is None:
        raise LinkSpent("A sign-in link works once and for a short time; ask for a new one.")
    made = WebSession(
        platform_id=used.platform_id,
        subject_kind=used.subject_kind,
        subject_id=used.subject_id,
        created_at=now,
        expires_at=now + timedelta(seconds=SESSION_LIFETIME_S),
    )
    browser_token = secrets.random_text(secrets.SECRET_LENGTH)
    session.execute(
        insert(web_session).values(
            token_hmac=secrets.stored_form(browser_token, pepper),
            platform_id=made.platform_id,
            subject_kind=made.subject_kind,
            subject_id=made.subject_id,
            created_at=now,
            last_seen_at=now,
            expires_at=made.expires_at,
        )
    )
    trail.record(
        session, made.platform_id, made.actor, "session.begin", made.subject_kind, made.subject_id, now=now
    )
    return made, browser_token


def session_of(session: Session, token: str, *, pepper: bytes, now: datetime) -> WebSession | None:
    """Find the session that a browser's token belongs to; None when it is over, idle too long, or unknown."""
    stored = secrets.stored_form(token, pepper)
    row = session.execute(select(web_session).where(web_session.c.token_hmac == stored)).one_or_none()
    if row is None or row.ended_at is not None or row.expires_at <= now:
        return None
    if row.last_seen_at + timedelta(seconds=SESSION_IDLE_S) <= now:
        return None
    if row.last_seen_at + _SEEN_GRAIN <= now:
        session.execute(
            update(web_session).where(web_session.c.token_hmac == stored).values(last_seen_at=now)
        )
    return WebSession(
        platform_id=row.platform_id,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def end(session: Session, token: str, *, pepper: bytes, now: datetime) -> None:
    """End a browser's session on the server; a second end changes nothing."""
    ended = session.execute(
        update(web_session)
        .where(
            web_session.c.token_hmac == secrets.stored_form(token, pepper), web_session.c.ended_at.is_(None)
        )
        .values(ended_at=now)
        .returning(web_session.c.platform_id, web_session.c.subject_kind, web_session.c.subject_id)
    ).one_or_none()
    if ended is not None:
        actor = Actor(ended.subject_kind, ended.subject_id)
        trail.record(session, ended.platform_id, actor, "session.end", actor.kind, actor.id, now=now)
