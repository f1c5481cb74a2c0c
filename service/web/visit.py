"""A visit: who looks at a page, in which language, and the token that guards what they send.

Sessions live on the server; the browser keeps a random token in a cookie that scripts cannot read. Every form
carries a token derived from it, so that no other site can send one.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response, g, request
from sqlalchemy.orm import Session

from service.core.errors import Forbidden, Unauthenticated
from service.parties import links
from service.parties.links import WebSession
from service.parties.platforms import LOCALES, Platform
from service.wiring import System

LANGUAGE_COOKIE = "bl_lang"
LANGUAGE_LIFETIME = timedelta(days=365)


class FormRefused(Forbidden):
    """The form was not sent from a page of this session."""

    slug = "form-refused"
    title = "The form is out of date"


@dataclass(frozen=True, slots=True)
class Visit:
    """One signed-in request."""

    session: WebSession
    token: str
    now: datetime


def cookie_name(system: System) -> str:
    """Name the session cookie; under TLS the prefix makes browsers bind it to this host."""
    return "__Host-bl" if is_secure(system) else "bl_session"


def is_secure(system: System) -> bool:
    """Tell whether people reach the service over TLS."""
    return system.settings.public_url.startswith("https://")


def of_request(session: Session, system: System, kind: links.SubjectKind, now: datetime) -> Visit:
    """Find who is signed in.

    Raises:
        Unauthenticated: nobody, or somebody of another kind; the page then says how to sign in.
    """
    token = request.cookies.get(cookie_name(system), "")
    found = links.session_of(session, token, pepper=system.pepper, now=now) if token else None
    if found is None or found.subject_kind != kind:
        raise Unauthenticated(
            "Sign in with a link: your platform, or `benefit-ledger staff link`, gives you one."
        )
    return Visit(session=found, token=token, now=now)


def csrf_token(system: System, visit: Visit) -> str:
    """Derive the token that this session's forms carry."""
    return hmac.new(system.pepper, f"form/{visit.token}".encode(), hashlib.sha256).hexdigest()


def check_form(system: System, visit: Visit) -> None:
    """Refuse a form that was not made for this session.

    Raises:
        FormRefused: no token, or another session's.
    """
    given = request.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), csrf_token(system, visit).encode()):
        raise FormRefused(
            "The page was open too long, or belongs to another sign-in; load it again and repeat."
        )


def locale_of(platform: Platform | None) -> str:
    """Choose the language: the one asked for, the one kept, the browser's, the platform's."""
    asked = request.args.get("lang", "")
    kept = request.cookies.get(LANGUAGE_COOKIE, "")
    fallback = platform.locale if platform is not None else "vi"
    for one in (asked, kept):
        if one in LOCALES:
            return one
    return request.accept_languages.best_match(LOCALES, default=fallback) or fallback


def keep_language(response: Response, system: System) -> Response:
    """Remember the language that was asked for."""
    asked = request.args.get("lang", "")
    if asked in LOCALES:
        response.set_cookie(
            LANGUAGE_COOKIE,
            asked,
            max_age=LANGUAGE_LIFETIME,
            samesite="Lax",
            secure=is_secure(system),
            httponly=True,
        )
    return response


def request_id() -> str:
    """Give the id that the log knows this request by."""
    return str(g.get("request_id", ""))
