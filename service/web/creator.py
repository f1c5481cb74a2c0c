"""A creator's own pages: where the money is, how each amount came about, payouts, statements to keep."""

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from service.earnings import creator as earnings
from service.parties import creators, platforms
from service.parties.platforms import Platform
from service.payouts import due
from service.payouts import payouts as payout_acts
from service.rules import words
from service.runtime import clock, db
from service.statements import documents
from service.web import render, visit
from service.web.visit import Visit
from service.wiring import System

PAYOUTS_SHOWN = 100


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.get("/me")
    def me() -> Response:
        with db.transaction(system.database) as session:
            seen, platform = _who(session, system)
            creator_id = seen.session.subject_id
            summary = earnings.summary(session, platform, creator_id, now=seen.now)
            values = {
                "summary": summary,
                "states": earnings.WORDS,
                "standings": due.WORDS,
                "payouts": payout_acts.listing(
                    session, platform.id, creator_id=creator_id, limit=PAYOUTS_SHOWN
                ),
                **_name(session, system, platform, creator_id),
            }
        return _page(system, "me.html", platform, seen, values)

    @pages.get("/me/periods/<period_id>")
    def my_period(period_id: str) -> Response:
        with db.transaction(system.database) as session:
            seen, platform = _who(session, system)
            creator_id = seen.session.subject_id
            earned = earnings.of_period(session, platform, creator_id, period_id)
            locale = visit.locale_of(platform)
            clauses = words.render(earned.rule.rulebook, locale, currency=platform.currency)
            values = {
                "earned": earned,
                "states": earnings.WORDS,
                "clauses": {one.key: one for one in clauses},
                **_name(session, system, platform, creator_id),
            }
        return _page(system, "my_period.html", platform, seen, values)

    @pages.get("/me/periods/<period_id>/statement.<form>")
    def my_statement(period_id: str, form: str) -> Response:
        with db.transaction(system.database) as session:
            seen, platform = _who(session, system)
            document = documents.write(
                session,
                platform,
                seen.session.subject_id,
                period_id,
                form=form,
                locale=visit.locale_of(platform),
                vault=system.vault,
                now=seen.now,
            )
        response = Response(document.content, mimetype=document.media_type)
        response.headers["Content-Disposition"] = f'attachment; filename="{document.file_name}"'
        return response


def _who(session: Session, system: System) -> tuple[Visit, Platform]:
    seen = visit.of_request(session, system, "creator", clock.now(session))
    return seen, platforms.get(session, seen.session.platform_id)


def _name(session: Session, system: System, platform: Platform, creator_id: str) -> dict[str, str]:
    named = creators.names(session, platform.id, [creator_id], system.vault)
    return {"creator_id": creator_id, "creator_name": named.get(creator_id, creator_id)}


def _page(
    system: System, template: str, platform: Platform, seen: Visit, values: dict[str, object]
) -> Response:
    known = {"csrf": visit.csrf_token(system, seen)}
    return render.page(system, template, platform=platform, values={**known, **values})
