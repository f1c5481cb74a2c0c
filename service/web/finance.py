"""Finance's pages: periods and payout batches with what can be done next, the books at a glance, the jobs."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

from flask import Blueprint, Response, redirect
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from service.calendar import periods
from service.calendar.periods import Period, Step
from service.closing import computing, estimates, stages
from service.core.errors import NotFound
from service.jobs import queue
from service.ledger import balances
from service.ledger.balances import RoleBalance
from service.parties import platforms, staff
from service.parties.platforms import Platform
from service.parties.staff import Staff
from service.payouts import batches, due
from service.payouts import payouts as payout_acts
from service.runtime import clock, db
from service.splits import shares
from service.splits.shares import Split
from service.statements import exports
from service.statements.exports import Table
from service.statements.formats import csv
from service.web import render, visit
from service.web.visit import Visit
from service.wiring import System

JOBS_SHOWN = 12
PAYOUTS_SHOWN = 200
EXPORT_MEMORY_BYTES = 1_048_576
EXPORTS: Mapping[str, Callable[[Session, str], Table]] = {
    "journal": exports.journal,
    "trial-balance": exports.trial_balance,
    "payouts": exports.payouts,
}


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A period as finance sees it."""

    period: Period
    pool_minor: int
    split: Split | None
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Sums:
    """All debits and all credits of one currency: equal, or the books are broken."""

    currency: str
    debit_minor: int
    credit_minor: int


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""
    _add_views(pages, system)
    _add_acts(pages, system)


def _add_views(pages: Blueprint, system: System) -> None:
    @pages.get("/finance")
    def finance() -> Response:
        with db.transaction(system.database) as session:
            seen, platform, person = _who(session, system)
            values = _overview(session, platform, seen)
        return _page(system, "finance.html", platform, person, seen, values)

    @pages.get("/finance/periods/<period_id>")
    def finance_period(period_id: str) -> Response:
        with db.transaction(system.database) as session:
            seen, platform, person = _who(session, system)
            period = periods.get(session, platform.id, period_id)
            row = _row(session, platform, period)
            totals = {} if row.split is None else shares.totals(session, row.split)
        return _page(system, "finance_period.html", platform, person, seen, {"row": row, "totals": totals})

    @pages.get("/finance/batches/<uuid:batch_id>")
    def finance_batch(batch_id: uuid.UUID) -> Response:
        with db.transaction(system.database) as session:
            seen, platform, person = _who(session, system)
            batch = batches.get(session, platform.id, batch_id)
            tallies = batches.tallies(session, platform.id, batch_id)
            found = payout_acts.listing(session, platform.id, batch_id=batch_id, limit=PAYOUTS_SHOWN)
        values = {"batch": batch, "tallies": tallies, "payouts": found, "payouts_max": PAYOUTS_SHOWN}
        return _page(system, "finance_batch.html", platform, person, seen, values)

    @pages.get("/finance/exports/<name>.csv")
    def finance_export(name: str) -> Response:
        with db.transaction(system.database) as session:
            _, platform, _ = _who(session, system)
            if name not in EXPORTS:
                raise NotFound(f"There is no export {name!r}; choose from {', '.join(EXPORTS)}.")
            return _export(platform, name, EXPORTS[name](session, platform.id))


def _add_acts(pages: Blueprint, system: System) -> None:
    @pages.post("/finance/periods/<period_id>/<act>")
    def act_on_period(period_id: str, act: str) -> AnyResponse:
        with db.transaction(system.database) as session:
            seen, platform, person = _who(session, system)
            visit.check_form(system, seen)
            _act_on_period(session, platform, person, period_id, act, seen)
        return redirect(f"/finance/periods/{period_id}", code=303)

    @pages.post("/finance/batches")
    def submit_batch() -> AnyResponse:
        with db.transaction(system.database) as session:
            seen, platform, person = _who(session, system)
            visit.check_form(system, seen)
            staff.require(session, platform.id, person.actor, "finance_maker")
            made = batches.submit(session, platform, actor=person.actor, now=seen.now)
        return redirect(f"/finance/batches/{made.id}", code=303)

    @pages.post("/finance/batches/<uuid:batch_id>/<act>")
    def act_on_batch(batch_id: uuid.UUID, act: str) -> AnyResponse:
        with db.transaction(system.database) as session:
            seen, platform, person = _who(session, system)
            visit.check_form(system, seen)
            if act == "approve":
                batches.approve(session, platform.id, batch_id, actor=person.actor, now=seen.now)
            elif act == "cancel":
                staff.require(session, platform.id, person.actor, "finance_maker")
                batches.cancel(session, platform.id, batch_id, actor=person.actor, now=seen.now)
            else:
                raise NotFound("A batch can be approved or cancelled.")
        return redirect(f"/finance/batches/{batch_id}", code=303)


def _export(platform: Platform, name: str, table: Table) -> Response:
    """Read a table into a file that grows on disk; it is sent after its transaction ended."""
    spool = SpooledTemporaryFile(max_size=EXPORT_MEMORY_BYTES)  # noqa: SIM115 — the response closes it.
    for piece in csv.stream(table.header, table.rows):
        spool.write(piece.encode())
    spool.seek(0)
    response = Response(spool, mimetype="text/csv")
    response.call_on_close(spool.close)
    response.headers["Content-Disposition"] = f'attachment; filename="{platform.id}-{name}.csv"'
    return response


def _act_on_period(
    session: Session, platform: Platform, person: Staff, period_id: str, act: str, seen: Visit
) -> None:
    if act == "close":
        stages.request_close(session, platform, period_id, actor=person.actor, now=seen.now)
    elif act == "approve":
        stages.approve(session, platform.id, period_id, actor=person.actor, now=seen.now)
    elif act == "post":
        stages.request_post(session, platform, period_id, actor=person.actor, now=seen.now)
    elif act == "estimate":
        estimates.request(session, platform, actor=person.actor, now=seen.now)
    else:
        raise NotFound("A period can be closed, approved, posted and estimated.")


def _who(session: Session, system: System) -> tuple[Visit, Platform, Staff]:
    now = clock.now(session)
    seen = visit.of_request(session, system, "staff", now)
    platform = platforms.get(session, seen.session.platform_id)
    return seen, platform, staff.get(session, platform.id, seen.session.subject_id)


def _overview(session: Session, platform: Platform, seen: Visit) -> dict[str, object]:
    rows = [_row(session, platform, one) for one in reversed(periods.listing(session, platform.id))]
    trial = balances.trial_balance(session, platform.id)
    return {
        "rows": rows,
        "batches": batches.listing(session, platform.id),
        "trial": trial,
        "sums": _sums(trial),
        "estimate": estimates.latest(session, platform.id),
        "jobs": queue.listing(session, platform.id, limit=JOBS_SHOWN),
        "standing": due.listing(session, platform, now=seen.now),
        "standings": due.WORDS,
    }


def _sums(trial: Sequence[RoleBalance]) -> list[Sums]:
    found: dict[str, Sums] = {}
    for one in trial:
        known = found.get(one.currency, Sums(one.currency, 0, 0))
        found[one.currency] = Sums(
            one.currency, known.debit_minor + one.debit_minor, known.credit_minor + one.credit_minor
        )
    return list(found.values())


def _row(session: Session, platform: Platform, period: Period) -> PeriodRow:
    split = shares.latest(session, platform.id, period.id)
    pool_minor = (
        split.pool_minor if split is not None else computing.pool_balance(session, platform, period.id)
    )
    return PeriodRow(period, pool_minor, split, periods.steps(session, platform.id, period.id))


def _page(
    system: System, template: str, platform: Platform, person: Staff, seen: Visit, values: dict[str, object]
) -> Response:
    known = {"person": person, "csrf": visit.csrf_token(system, seen)}
    return render.page(system, template, platform=platform, values={**known, **values})
