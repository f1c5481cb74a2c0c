"""Sign in with a one-time link, sign out. Opening a link changes nothing; the button on its page does."""

from flask import Blueprint, Response, redirect
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
        visit.check_sender()
        with db.transaction(system.database) as session:
            now = clock.now(session)
            before = visit.of_anyone(session, system, now)
            opened, browser_token = links.redeem(session, token, pepper=system.pepper, now=now)
            if before is not None:
                # The browser forgets its token now; nobody else is to use it.
                links.end(session, before.token, pepper=system.pepper, now=now)
        response = redirect(HOME[opened.subject_kind], code=303)
        visit.begin(response, system, browser_token)
        return response

    @pages.post("/sign-out")
    def sign_out() -> AnyResponse:
        with db.transaction(system.database) as session:
            now = clock.now(session)
            seen = visit.of_anyone(session, system, now)
            if seen is not None:
                visit.check_form(system, seen)
                links.end(session, seen.token, pepper=system.pepper, now=now)
        response = redirect("/", code=303)
        visit.end(response, system)
        return response
