"""What finance's buttons do. Every act answers with a redirect to the page that shows what came of it."""

import uuid

from flask import Blueprint, redirect, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from service.calendar import periods
from service.closing import estimates, stages
from service.core.errors import NotFound
from service.parties import staff
from service.payouts import batches
from service.runtime import db
from service.web import desk as desks
from service.web import tasks, visit
from service.web.desk import Desk
from service.wiring import System


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.post("/finance/periods/<period_id>/<act>")
    def act_on_period(period_id: str, act: str) -> AnyResponse:
        with db.transaction(system.database) as session:
            desk = _checked(session, system)
            note = _act_on_period(session, desk, period_id, act)
        # Who asked for a job wants to see it end; the page can be told to stop reloading itself.
        follow = "on" if act in {"close", "post"} else None
        target = url_for("pages.finance_period", period_id=period_id, follow=follow)
        return _done(system, desk, target, note)

    @pages.post("/finance/batches")
    def submit_batch() -> AnyResponse:
        with db.transaction(system.database) as session:
            desk = _checked(session, system)
            staff.require(session, desk.platform.id, desk.person.actor, "finance_maker")
            made = batches.submit(session, desk.platform, actor=desk.person.actor, now=desk.visit.now)
        return _done(system, desk, url_for("pages.finance_batch", batch_id=made.id), "batch-submitted")

    @pages.post("/finance/batches/<uuid:batch_id>/<act>")
    def act_on_batch(batch_id: uuid.UUID, act: str) -> AnyResponse:
        with db.transaction(system.database) as session:
            desk = _checked(session, system)
            note = _act_on_batch(session, desk, batch_id, act)
        return _done(system, desk, url_for("pages.finance_batch", batch_id=batch_id), note)


def _checked(session: Session, system: System) -> Desk:
    desk = desks.of_request(session, system)
    visit.check_form(system, desk.visit)
    return desk


def _done(system: System, desk: Desk, target: str, note: str) -> AnyResponse:
    response = redirect(target, code=303)
    visit.keep_note(response, system, desk.visit, note)
    return response


def _act_on_period(session: Session, desk: Desk, period_id: str, act: str) -> str:
    """Do what is asked of a period; return the note that tells so."""
    platform, actor, now = desk.platform, desk.person.actor, desk.visit.now
    periods.get(session, platform.id, period_id)
    if act == "close":
        return _ask(session, desk, period_id, "close")
    if act == "approve":
        stages.approve(session, platform.id, period_id, actor=actor, now=now)
        return "period-approved"
    if act == "post":
        return _ask(session, desk, period_id, "post")
    if act == "estimate":
        staff.require(session, platform.id, actor, "finance_maker")
        estimates.request(session, platform, actor=actor, now=now)
        return "estimate-asked"
    raise NotFound("A period can be closed, approved, posted and estimated.")


def _ask(session: Session, desk: Desk, period_id: str, job: str) -> str:
    """Ask for a close or a posting, unless one is at work: pressing a button twice asks once."""
    platform, actor, now = desk.platform, desk.person.actor, desk.visit.now
    staff.require(session, platform.id, actor, "finance_maker")
    if tasks.is_at_work(session, platform.id, period_id, job):
        return "asked-before"
    if job == "close":
        stages.request_close(session, platform, period_id, actor=actor, now=now)
    else:
        stages.request_post(session, platform, period_id, actor=actor, now=now)
    return f"{job}-asked"


def _act_on_batch(session: Session, desk: Desk, batch_id: uuid.UUID, act: str) -> str:
    """Do what is asked of a batch; return the note that tells so."""
    platform, actor, now = desk.platform, desk.person.actor, desk.visit.now
    if act == "approve":
        batches.approve(session, platform.id, batch_id, actor=actor, now=now)
        return "batch-approved"
    if act == "cancel":
        batches.cancel(session, platform.id, batch_id, actor=actor, now=now)
        return "batch-withdrawn"
    raise NotFound("A batch can be approved or cancelled.")
