"""What anyone sees of a platform: its rules, and each period's pool, its shares and their sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.closing import stages
from service.core import digests
from service.parties import partners, platforms
from service.parties.platforms import Platform
from service.rules import difference, registry, words
from service.rules.registry import Published
from service.runtime import clock, db
from service.splits import shares
from service.splits.methods import KINDS
from service.splits.shares import Split
from service.web import history, render, visit
from service.web.entrance import HOME
from service.wiring import System

SHOWN_STATES = ("published", "approved", "posted")


@dataclass(frozen=True, slots=True)
class Part:
    """What one kind of party got of a pool; `part_bp` is its part of the pool, to the nearest basis point."""

    kind: str
    amount_minor: int
    part_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodResult:
    """A published period.

    Args:
        challenge_until_at: when it may be booked, while it is not.
    """

    period: Period
    split: Split
    rulebook_version: int
    parts: Sequence[Part]
    sum_minor: int
    challenge_until_at: datetime | None


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the rule, and in words what it changed."""

    published: Published
    changes: Sequence[str]


def add_to(pages: Blueprint, system: System) -> None:
    """Add the routes."""

    @pages.get("/")
    def home() -> Response:
        with db.transaction(system.database) as session:
            known = _door(session, system)
            found = platforms.listing(session)
        return render.page(system, "home.html", platform=None, values={**known, "platforms": found})

    @pages.get("/p/<platform_id>")
    def platform_page(platform_id: str) -> Response:
        with db.transaction(system.database) as session:
            known = _door(session, system)
            platform = platforms.get(session, platform_id)
            before = visit.period_before(session, platform)
            values = {**known, **_values(session, platform, before, clock.now(session))}
        return render.page(system, "platform.html", platform=platform, values=values)

    @pages.get("/p/<platform_id>/rules/<sha256>.json")
    def rule_document(platform_id: str, sha256: str) -> Response:
        # The very bytes that were hashed: whoever saves the file can compare its SHA-256 with the page's.
        with db.transaction(system.database) as session:
            platform = platforms.get(session, platform_id)
            published = registry.get(session, platform.id, sha256)
        return Response(digests.canonical_json(published.document), mimetype="application/json")


def parts_of(session: Session, split: Split) -> list[Part]:
    """Add up a split by kind of party, in the order of its shares."""
    totals = shares.totals(session, split)
    return [
        Part(kind, totals[kind], _nearest_bp(totals[kind], split.pool_minor))
        for kind in KINDS
        if kind in totals
    ]


def _door(session: Session, system: System) -> dict[str, object]:
    """Show those who are signed in the way back to their own pages, and out."""
    seen = visit.of_anyone(session, system, clock.now(session))
    if seen is None:
        return {}
    return {"csrf": visit.csrf_token(system, seen), "home_of": HOME[seen.session.subject_kind]}


def _values(session: Session, platform: Platform, before: Period | None, now: datetime) -> dict[str, object]:
    locale = visit.locale_of(platform)
    published = registry.in_force(session, platform.id, now)
    known = [one for one in periods.listing(session, platform.id) if one.state in SHOWN_STATES]
    shown = history.chapter(known, before)
    return {
        "published": published,
        "clauses": words.render(published.rulebook, locale, currency=platform.currency),
        "versions": _versions(registry.history(session, platform.id), locale, platform.currency),
        "results": [_result(session, platform, one) for one in shown.periods],
        "before_id": shown.before_id,
        "current": periods.containing(session, platform.id, now),
        "children": platforms.children(session, platform.id),
        "partners": {one.id: one.name for one in partners.listing(session, platform.id)},
        "now": now,
    }


def _versions(known: Sequence[Published], locale: str, currency: str) -> list[Version]:
    """Tell the versions of the rule, the latest first, each with what it changed of the one before."""
    before: Published | None = None
    found = []
    for one in known:
        changes = (
            difference.describe(before.rulebook, one.rulebook, locale, currency=currency) if before else []
        )
        found.append(Version(one, changes))
        before = one
    return found[::-1]


def _result(session: Session, platform: Platform, period: Period) -> PeriodResult:
    split = shares.latest(session, platform.id, period.id)
    assert split is not None, "a published period has a split"
    parts = parts_of(session, split)
    is_open = period.state != "posted" and not period.is_historic
    return PeriodResult(
        period=period,
        split=split,
        rulebook_version=registry.get(session, platform.id, split.rulebook_sha256).version,
        parts=parts,
        sum_minor=sum(one.amount_minor for one in parts),
        challenge_until_at=stages.postable_at(session, period) if is_open else None,
    )


def _nearest_bp(amount_minor: int, pool_minor: int) -> int:
    return (20_000 * amount_minor + pool_minor) // (2 * pool_minor) if pool_minor else 0
