"""Finance's pages: what waits for whom, periods, payout batches, the books at a glance, the jobs, exports."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.closing import computing, control_totals, estimates, revenues
from service.closing.control_totals import ControlTotal
from service.core.errors import NotFound
from service.jobs import queue
from service.jobs.queue import Run
from service.ledger import balances
from service.ledger.balances import RoleBalance
from service.parties import creators, staff
from service.parties.platforms import Platform
from service.payouts import batches, due
from service.payouts import payouts as payout_acts
from service.payouts.batches import Batch
from service.payouts.due import Due
from service.payouts.payouts import Payout
from service.payouts.transitions import State as PayoutState
from service.runtime import db
from service.splits import shares
from service.splits.shares import Split
from service.statements import exports
from service.statements.exports import Table
from service.statements.formats import csv
from service.web import desk as desks
from service.web import history, public, render, tasks, visit
from service.web.desk import Desk
from service.web.tasks import Calendar, Next
from service.wiring import System

BATCHES_SHOWN = 12
JOBS_SHOWN = 8
JOBS_SEARCHED = 200
PAYOUTS_SHOWN = 200
DUE_SHOWN = 100
REVENUES_SHOWN = 100
TOTALS_SHOWN = 50
FOLLOW_EVERY_S = 5
EXPORT_MEMORY_BYTES = 1_048_576
EXPORTS: Mapping[str, Callable[[Session, str], Table]] = {
    "journal": exports.journal,
    "trial-balance": exports.trial_balance,
    "payouts": exports.payouts,
    "shares": exports.shares,
}

_TROUBLED = (PayoutState.UNKNOWN, PayoutState.FAILED, PayoutState.RETURNED)
_DECIDED_BY_PEOPLE = ("close", "post", "pay")


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A period as finance sees it."""

    period: Period
    pool_minor: int
    split: Split | None
    next: Next


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch as finance sees it."""

    batch: Batch
    next: Next


@dataclass(frozen=True, slots=True)
class Sums:
    """All debits and all credits of one currency: equal, or the books are broken."""

    currency: str
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, slots=True)
class Standings:
    """Balances above zero: how many and how much by verdict, and the first ones by creator."""

    tallies: Sequence[tuple[due.Standing, int, int]]
    """Verdict, how many, their sum in minor units."""
    first: Sequence[Due]
    count: int


@dataclass(frozen=True, slots=True)
class Control:
    """What senders say they sent for a period, and what its close found."""

    tallies: Sequence[tuple[str, int]]
    """How many totals have which verdict; empty before the close."""
    shown: Sequence[ControlTotal]
    count: int


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.get("/finance")
    def finance() -> Response:
        with db.transaction(system.database) as session:
            desk = desks.of_request(session, system)
            values = {**_overview(session, system, desk), **_known(session, desk)}
        return show(system, "finance.html", desk, values)

    @pages.get("/finance/periods/<period_id>")
    def finance_period(period_id: str) -> Response:
        with db.transaction(system.database) as session:
            desk = desks.of_request(session, system)
            values = {**_period(session, desk, period_id), **_known(session, desk)}
        return show(system, "finance_period.html", desk, values)

    @pages.get("/finance/batches/<uuid:batch_id>")
    def finance_batch(batch_id: uuid.UUID) -> Response:
        with db.transaction(system.database) as session:
            desk = desks.of_request(session, system)
            values = {**_batch(session, system, desk, batch_id), **_known(session, desk)}
        return show(system, "finance_batch.html", desk, values)

    @pages.get("/finance/exports/<name>.csv")
    def finance_export(name: str) -> Response:
        with db.transaction(system.database) as session:
            desk = desks.of_request(session, system)
            if name not in EXPORTS:
                raise NotFound(f"There is no export {name!r}; choose from {', '.join(EXPORTS)}.")
            return _export(desk.platform, name, EXPORTS[name](session, desk.platform.id))

    @pages.get("/finance/periods/<period_id>/shares.csv")
    def finance_shares(period_id: str) -> Response:
        with db.transaction(system.database) as session:
            desk = desks.of_request(session, system)
            table = exports.shares(session, desk.platform.id, period_id=period_id)
            return _export(desk.platform, f"shares-{period_id}", table)


def show(system: System, template: str, desk: Desk, values: Mapping[str, object]) -> Response:
    """Render one of finance's pages."""
    known = {
        "desk": desk,
        "csrf": visit.csrf_token(system, desk.visit),
        "note": visit.note_of(system, desk.visit),
    }
    return render.page(system, template, platform=desk.platform, values={**known, **values})


def _known(session: Session, desk: Desk) -> dict[str, object]:
    return {"staff_names": {one.id: one.name for one in staff.listing(session, desk.platform.id)}}


def _overview(session: Session, system: System, desk: Desk) -> dict[str, object]:
    platform = desk.platform
    known = tasks.calendar(session, platform.id)
    before = visit.period_before(session, platform)
    every = periods.listing(session, platform.id)
    shown = history.chapter(every, before)
    # The first chapter also has what is not posted, however old: it needs somebody.
    older = [one for one in reversed(every) if one.state != "posted" and one not in shown.periods]
    rows = [_row(session, desk, known, one) for one in (*shown.periods, *(older if before is None else ()))]
    found = [
        BatchRow(one, tasks.of_batch(desk, one))
        for one in batches.listing(session, platform.id, limit=BATCHES_SHOWN)
    ]
    trial = balances.trial_balance(session, platform.id)
    standings = _standings(due.listing(session, platform, now=desk.visit.now))
    ids = [one.creator_id for one in standings.first]
    return {
        "rows": rows,
        "before_id": shown.before_id,
        "batches": found,
        "waiting": _waiting([*rows, *found]),
        "trial": trial,
        "sums": _sums(trial),
        "estimate": estimates.latest(session, platform.id),
        "jobs": _jobs(session, platform.id),
        "standings": standings,
        "standing_words": due.WORDS,
        "creator_names": creators.names(session, platform.id, ids, system.vault),
    }


def _waiting(known: Sequence[PeriodRow | BatchRow]) -> list[PeriodRow | BatchRow]:
    """Choose what waits for a decision; what the person who looks can do comes first."""
    return sorted((one for one in known if one.next.needs_person), key=lambda one: one.next.act is None)


def _jobs(session: Session, platform_id: str) -> list[Run]:
    """Choose the jobs that people want to know of: at work, given up, or asked for by a decision."""
    states = ("due", "running", "failed")
    unfinished = queue.listing(session, platform_id, states=states, limit=JOBS_SHOWN)
    latest = queue.listing(session, platform_id, limit=JOBS_SEARCHED)
    decided = [run for run in latest if run.job in _DECIDED_BY_PEOPLE and run not in unfinished]
    return [*unfinished, *decided][:JOBS_SHOWN]


def _period(session: Session, desk: Desk, period_id: str) -> dict[str, object]:
    platform = desk.platform
    period = periods.get(session, platform.id, period_id)
    calendar = tasks.calendar(session, platform.id)
    row = _row(session, desk, calendar, period)
    oldest = calendar.oldest_open
    parts = [] if row.split is None else public.parts_of(session, row.split)
    known = estimates.latest(session, platform.id)
    is_followed = row.next.job is not None and request.args.get("follow") == "on"
    return {
        "row": row,
        "parts": parts,
        "sum_minor": sum(one.amount_minor for one in parts),
        "steps": periods.steps(session, platform.id, period_id),
        "revenues": revenues.listing(session, platform.id, period_id=period_id, limit=REVENUES_SHOWN),
        "revenues_max": REVENUES_SHOWN,
        "control": _control(session, platform.id, period_id),
        "estimate": known if known is not None and known.period_id == period_id else None,
        "is_estimated": oldest is not None and oldest.id == period_id,
        "follow_s": FOLLOW_EVERY_S if is_followed else None,
        "follow_every_s": FOLLOW_EVERY_S,
    }


def _control(session: Session, platform_id: str, period_id: str) -> Control | None:
    """Choose the senders' totals that are shown: those that do not match come first."""
    counts = control_totals.tallies(session, platform_id, period_id)
    if not counts:
        return None
    return Control(
        tallies=[(one, counts.get(one, 0)) for one in control_totals.VERDICTS if None not in counts],
        shown=control_totals.first(session, platform_id, period_id, limit=TOTALS_SHOWN),
        count=sum(counts.values()),
    )


def _batch(session: Session, system: System, desk: Desk, batch_id: uuid.UUID) -> dict[str, object]:
    platform = desk.platform
    batch = batches.get(session, platform.id, batch_id)
    found = _payouts(session, platform.id, batch_id)
    ids = [one.creator_id for one in found]
    return {
        "batch": batch,
        "next": tasks.of_batch(desk, batch),
        "tallies": batches.tallies(session, platform.id, batch_id),
        "payouts": found,
        "payouts_max": PAYOUTS_SHOWN,
        "creator_names": creators.names(session, platform.id, ids, system.vault),
    }


def _payouts(session: Session, platform_id: str, batch_id: uuid.UUID) -> list[Payout]:
    """Choose the payouts of a batch that are shown: those that did not simply arrive come first."""
    found: list[Payout] = []
    for state in _TROUBLED:
        found += payout_acts.listing(
            session, platform_id, batch_id=batch_id, state=state, limit=PAYOUTS_SHOWN
        )
    others = payout_acts.listing(session, platform_id, batch_id=batch_id, limit=PAYOUTS_SHOWN)
    return [*found, *(one for one in others if one.state not in _TROUBLED)][:PAYOUTS_SHOWN]


def _row(session: Session, desk: Desk, known: Calendar, period: Period) -> PeriodRow:
    platform = desk.platform
    split = shares.latest(session, platform.id, period.id)
    pool_minor = (
        split.pool_minor if split is not None else computing.pool_balance(session, platform, period.id)
    )
    steps = periods.steps(session, platform.id, period.id)
    return PeriodRow(period, pool_minor, split, tasks.of_period(session, desk, known, period, steps))


def _standings(found: Sequence[Due]) -> Standings:
    counts: Counter[due.Standing] = Counter()
    sums_minor: Counter[due.Standing] = Counter()
    for one in found:
        counts[one.verdict] += 1
        sums_minor[one.verdict] += one.payable_minor
    tallies = [(one, counts[one], sums_minor[one]) for one in due.Standing if counts[one]]
    return Standings(tallies=tallies, first=found[:DUE_SHOWN], count=len(found))


def _sums(trial: Sequence[RoleBalance]) -> list[Sums]:
    found: dict[str, Sums] = {}
    for one in trial:
        known = found.get(one.currency, Sums(one.currency, 0, 0))
        found[one.currency] = Sums(
            one.currency, known.debit_minor + one.debit_minor, known.credit_minor + one.credit_minor
        )
    return list(found.values())


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
