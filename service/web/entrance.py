"""Sign in with a one-time link, sign out. Opening a link changes nothing; the button on its page does."""

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from service.parties import links
from service.runtime import clock, db
from service.web import render, visit
from service.wiring import System

HOME = {"staff": "/finance", "creator": "/me"}


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.get("/sign-in/<token>")
    def sign_in_page(token: str) -> Response:
        # Mail programs and chat previews open links; only a person presses the button.
        return render.page(system, "sign_in.html", platform=None, values={"token": token})

    @pages.post("/sign-in/<token>")
    def sign_in(token: str) -> AnyResponse:
        with db.transaction(system.database) as session:
            opened, browser_token = links.redeem(session, token, pepper=system.pepper, now=clock.now(session))
        response = redirect(HOME[opened.subject_kind], code=303)
        response.set_cookie(
            visit.cookie_name(system),
            browser_token,
            max_age=links.SESSION_LIFETIME_S,
            httponly=True,
            samesite="Lax",
            secure=visit.is_secure(system),
            path="/",
        )
        return response

    @pages.post("/sign-out")
    def sign_out() -> AnyResponse:
        token = request.cookies.get(visit.cookie_name(system), "")
        with db.transaction(system.database) as session:
            now = clock.now(session)
            found = links.session_of(session, token, pepper=system.pepper, now=now) if token else None
            if found is not None:
                visit.check_form(system, visit.Visit(session=found, token=token, now=now))
                links.end(session, token, pepper=system.pepper, now=now)
        response = redirect("/", code=303)
        response.delete_cookie(visit.cookie_name(system), path="/")
        return response
