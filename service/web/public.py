"""What anyone sees of a platform: the rule in force, and each period's pool, its shares and their sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.parties import partners, platforms
from service.parties.platforms import Platform
from service.rules import registry, words
from service.runtime import clock, db
from service.splits import shares
from service.splits.methods import KINDS
from service.splits.shares import Split
from service.web import render, visit
from service.wiring import System

SHOWN_STATES = ("published", "approved", "posted")


@dataclass(frozen=True, slots=True)
class Part:
    """What one kind of party got of a pool; `part_bp` is its part of the pool, to the nearest basis point."""

    kind: str
    amount_minor: int
    part_bp: int


@dataclass(frozen=True, slots=True)
class PeriodResult:
    """A published period."""

    period: Period
    split: Split
    rulebook_version: int
    parts: Sequence[Part]
    sum_minor: int


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.get("/")
    def home() -> Response:
        with db.transaction(system.database) as session:
            found = platforms.listing(session)
        return render.page(system, "home.html", platform=None, values={"platforms": found})

    @pages.get("/p/<platform_id>")
    def platform_page(platform_id: str) -> Response:
        with db.transaction(system.database) as session:
            platform = platforms.get(session, platform_id)
            now = clock.now(session)
            values = _values(session, platform, visit.locale_of(platform), now)
        return render.page(system, "platform.html", platform=platform, values=values)


def _values(session: Session, platform: Platform, locale: str, now: datetime) -> dict[str, object]:
    published = registry.in_force(session, platform.id, now)
    versions = registry.history(session, platform.id)
    known = periods.listing(session, platform.id)
    results = [_result(session, platform, one) for one in reversed(known) if one.state in SHOWN_STATES]
    return {
        "published": published,
        "clauses": words.render(published.rulebook, locale, currency=platform.currency),
        "versions": versions,
        "results": results,
        "children": platforms.children(session, platform.id),
        "partners": {one.id: one.name for one in partners.listing(session, platform.id)},
        "now": now,
    }


def _result(session: Session, platform: Platform, period: Period) -> PeriodResult:
    split = shares.latest(session, platform.id, period.id)
    assert split is not None, "a published period has a split"
    totals = shares.totals(session, split)
    parts = [
        Part(kind, totals[kind], _nearest_bp(totals[kind], split.pool_minor))
        for kind in KINDS
        if kind in totals
    ]
    version = registry.get(session, platform.id, split.rulebook_sha256).version
    return PeriodResult(period, split, version, parts, sum(one.amount_minor for one in parts))


def _nearest_bp(amount_minor: int, pool_minor: int) -> int:
    return (20_000 * amount_minor + pool_minor) // (2 * pool_minor) if pool_minor else 0
