"""A visit: who looks at a page, in which language, and the tokens that guard what they send and are told.

Sessions live on the server; the browser keeps a random token in a cookie that scripts cannot read. Every form
carries a token derived from it, so that no other site can send one; so does the note that tells what an act
did, so that nobody else can put words on a page.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response, g, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from service.calendar import periods
from service.calendar.periods import Period
from service.core.errors import Forbidden, Unauthenticated
from service.parties import links
from service.parties.links import WebSession
from service.parties.platforms import LOCALES, Platform
from service.wiring import System

LANGUAGE_COOKIE = "bl_lang"
LANGUAGE_LIFETIME = timedelta(days=365)
NOTE_LIFETIME_S = 60
"""A note is shown on the next page; one that no page showed is forgotten."""


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
    found = of_anyone(session, system, now)
    if found is None or found.session.subject_kind != kind:
        raise Unauthenticated(
            "Sign in with a link: your platform, or `benefit-ledger staff link`, gives you one."
        )
    return found


def of_anyone(session: Session, system: System, now: datetime) -> Visit | None:
    """Find who is signed in, if anyone is."""
    token = request.cookies.get(cookie_name(system), "")
    found = links.session_of(session, token, pepper=system.pepper, now=now) if token else None
    return None if found is None else Visit(session=found, token=token, now=now)


def begin(response: AnyResponse, system: System, token: str) -> None:
    """Give the browser the token of its new session."""
    response.set_cookie(
        cookie_name(system),
        token,
        max_age=links.SESSION_LIFETIME_S,
        httponly=True,
        samesite="Lax",
        secure=is_secure(system),
        path="/",
    )


def end(response: AnyResponse, system: System) -> None:
    """Take the token from the browser again."""
    _forget(response, system, cookie_name(system))


def csrf_token(system: System, visit: Visit) -> str:
    """Derive the token that this session's forms carry."""
    return _derived(system, f"form/{visit.token}")


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


def check_sender() -> None:
    """Refuse what a page of another site made the browser send.

    It guards the one form that has no session yet: nobody is to be signed in as somebody else unawares.
    Browsers say where a request comes from in Sec-Fetch-Site; programs and old browsers say nothing.

    Raises:
        FormRefused: another site sent it.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise FormRefused("Another site sent this form; open your link and press the button there.")


def keep_note(response: AnyResponse, system: System, visit: Visit, code: str) -> None:
    """Let the next page tell what an act did.

    Args:
        code: a key of service.web.words.NOTES.
    """
    response.set_cookie(
        _note_name(system),
        f"{code}.{_derived(system, f'note/{visit.token}/{code}')}",
        max_age=NOTE_LIFETIME_S,
        httponly=True,
        samesite="Lax",
        secure=is_secure(system),
        path="/",
    )


def note_of(system: System, visit: Visit) -> str:
    """Read which note this session's last act left; none, or one that was not made for it, is empty."""
    code, _, proof = request.cookies.get(_note_name(system), "").partition(".")
    expected = _derived(system, f"note/{visit.token}/{code}")
    return code if hmac.compare_digest(proof.encode(), expected.encode()) else ""


def forget_note(response: Response, system: System) -> None:
    """Show a note once."""
    if _note_name(system) in request.cookies:
        _forget(response, system, _note_name(system))


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


def period_before(session: Session, platform: Platform) -> Period | None:
    """Read which period of a platform the page asked for goes back from, if it does.

    Raises:
        NotFound: the platform has none with this name.
    """
    named = request.args.get("before")
    return None if named is None else periods.get(session, platform.id, named)


def request_id() -> str:
    """Give the id that the log knows this request by."""
    return str(g.get("request_id", ""))


def _note_name(system: System) -> str:
    return f"{cookie_name(system)}_note"


def _derived(system: System, purpose: str) -> str:
    return hmac.new(system.pepper, purpose.encode(), hashlib.sha256).hexdigest()


def _forget(response: AnyResponse, system: System, name: str) -> None:
    # Browsers ignore a deletion that lacks the attributes which the name's prefix demands.
    response.delete_cookie(name, path="/", secure=is_secure(system), httponly=True, samesite="Lax")
