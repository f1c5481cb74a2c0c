"""A creator's own pages: where the money is, what keeps it from being paid, how each amount came about."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from service.calendar import periods
from service.closing import stages
from service.core.errors import NotFound
from service.earnings import creator as earnings
from service.earnings.creator import PeriodAmount, PeriodEarning, Summary
from service.parties import creators, platforms
from service.parties.platforms import Platform
from service.payouts import payees
from service.payouts import payouts as payout_acts
from service.payouts.payees import Payee
from service.payouts.payouts import Payout
from service.payouts.transitions import State as PayoutState
from service.rules import registry, words
from service.runtime import clock, db
from service.statements import documents
from service.web import render, visit, vocabulary, walk
from service.web.visit import Visit
from service.web.walk import Walk
from service.wiring import System

PAYOUTS_SHOWN = 50
PAYOUTS_READ = 500
"""Payouts that are read at a time while the latest are looked for."""

_BAR_WHOLE = 100
_BROKEN = frozenset({PayoutState.FAILED, PayoutState.RETURNED})
_ENDED = _BROKEN | {PayoutState.PAID}


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A period in the creator's list, with the length of its bar: 100 for the greatest amount."""

    amount: PeriodAmount
    bar: int


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.get("/me")
    def me() -> Response:
        with db.transaction(system.database) as session:
            seen, platform = _who(session, system)
            values = _earnings(session, platform, seen) | _name(session, system, platform, seen)
        return _page(system, "me.html", platform, seen, values)

    @pages.get("/me/periods/<period_id>")
    def my_period(period_id: str) -> Response:
        with db.transaction(system.database) as session:
            seen, platform = _who(session, system)
            earned = earnings.of_period(session, platform, seen.session.subject_id, period_id)
            locale = visit.locale_of(platform)
            clauses = words.render(earned.rule.rulebook, locale, currency=platform.currency)
            values = {
                "earned": earned,
                "states": earnings.WORDS,
                "closable_at": stages.closable_at(session, periods.get(session, platform.id, period_id)),
                "clauses": {one.key: one for one in clauses},
                "walks": _walks(session, platform, earned, locale),
                **_name(session, system, platform, seen),
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


def _earnings(session: Session, platform: Platform, seen: Visit) -> dict[str, object]:
    creator_id = seen.session.subject_id
    summary = earnings.summary(session, platform, creator_id, now=seen.now)
    latest = _latest_payouts(session, platform.id, creator_id)
    return {
        "summary": summary,
        "rows": _rows(summary),
        "states": earnings.WORDS,
        "closable_at": _closable_at(session, platform, summary),
        "payouts": latest,
        "payouts_max": PAYOUTS_SHOWN,
        "broken": _broken(latest),
        "account_reasons": vocabulary.ACCOUNT_REASONS,
        "payee": _payee(session, platform.id, creator_id),
    }


def _rows(summary: Summary) -> list[PeriodRow]:
    greatest_minor = max((one.amount_minor or 0 for one in summary.periods), default=0) or 1
    return [PeriodRow(one, _BAR_WHOLE * (one.amount_minor or 0) // greatest_minor) for one in summary.periods]


def _closable_at(session: Session, platform: Platform, summary: Summary) -> datetime | None:
    if summary.estimate is None:
        return None
    return stages.closable_at(session, periods.get(session, platform.id, summary.estimate.period_id))


def _latest_payouts(session: Session, platform_id: str, creator_id: str) -> Sequence[Payout]:
    """Read a creator's latest payouts, the last one first; they are kept in the order in which they began."""
    latest: deque[Payout] = deque(maxlen=PAYOUTS_SHOWN)
    after = None
    while page := payout_acts.listing(
        session, platform_id, creator_id=creator_id, after=after, limit=PAYOUTS_READ
    ):
        latest.extend(page)
        after = page[-1].id
    return list(reversed(latest))


def _broken(latest: Sequence[Payout]) -> Payout | None:
    """Give the last payout that came to an end, if that was a bad one."""
    ended = next((one for one in latest if one.state in _ENDED), None)
    return ended if ended is not None and ended.state in _BROKEN else None


def _payee(session: Session, platform_id: str, creator_id: str) -> Payee | None:
    try:
        return payees.get(session, platform_id, creator_id)
    except NotFound:
        return None


def _walks(session: Session, platform: Platform, earned: PeriodEarning, locale: str) -> list[Walk]:
    """Lay out each line by the rulebook that scored it: late events keep that of their own period."""
    found = []
    for line in earned.lines:
        rule = earned.rule.rulebook
        if line.origin_period_id != earned.period_id:
            origin = periods.get(session, platform.id, line.origin_period_id)
            rule = registry.in_force(session, platform.id, origin.span.start_at).rulebook
        clauses = {one.key: one for one in words.render(rule, locale, currency=platform.currency)}
        found.append(walk.of_line(line, rule, clauses, earned.currency))
    return found


def _who(session: Session, system: System) -> tuple[Visit, Platform]:
    seen = visit.of_request(session, system, "creator", clock.now(session))
    return seen, platforms.get(session, seen.session.platform_id)


def _name(session: Session, system: System, platform: Platform, seen: Visit) -> dict[str, object]:
    creator_id = seen.session.subject_id
    named = creators.names(session, platform.id, [creator_id], system.vault)
    return {"creator_id": creator_id, "creator_name": named.get(creator_id, creator_id)}


def _page(
    system: System, template: str, platform: Platform, seen: Visit, values: dict[str, object]
) -> Response:
    known = {"csrf": visit.csrf_token(system, seen)}
    return render.page(system, template, platform=platform, values={**known, **values})
