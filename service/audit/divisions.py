"""Periods, rules, splits and revenue against each other and against the books.

Laws: a split's shares are those that its rulebook's division gives for their points, and their digest is the
published one; the books moved exactly them out of the period's pool, once the period was posted and not
before; every revenue is one entry, and a pool holds what was recorded for it until it is posted.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from service.audit.findings import BOOK, Notes, compare_entries, stream
from service.calendar import periods
from service.calendar.periods import Period
from service.calendar.tables import STATES
from service.core.digests import NotCanonical
from service.ledger import balances, entries
from service.ledger.accounts import Role
from service.ledger.entries import Entry
from service.parties.platforms import Platform
from service.rules import rulebook
from service.rules.rulebook import Rulebook
from service.splits import methods, shares
from service.splits.methods import Share
from service.splits.shares import Split

_INSTANT: Final = timedelta(microseconds=1)


def steps(session: Session, platform: Platform, notes: Notes) -> None:
    """Each period went through the states in order, one step each, up to the one that it is in."""
    for period in periods.listing(session, platform.id):
        notes.see()
        passed = [step.state for step in periods.steps(session, platform.id, period.id)]
        due = STATES[: STATES.index(period.state) + 1]
        notes.compare(f"period {period.id}", ", ".join(due), ", ".join(passed))


def documents(session: Session, platform: Platform, notes: Notes) -> None:
    """Each rulebook is the document that its digest stands for."""
    for row in stream(session, platform.id, _RULEBOOKS):
        notes.see()
        notes.compare(f"rulebook version {row.version}", row.sha256, _digest(row))


def sums(session: Session, platform: Platform, notes: Notes) -> None:
    """Each split's shares are as many as it says, and sum to its pool and its points."""
    for split in _splits(session, platform):
        notes.see()
        name = _name(split)
        count, amount_minor, points_e4 = 0, 0, 0
        for share in shares.stream(session, split):
            count += 1
            amount_minor += share.amount_minor
            points_e4 += share.points_e4
        notes.compare(f"{name} shares", split.share_count, count)
        notes.compare(f"{name} amount", split.pool_minor, amount_minor)
        notes.compare(f"{name} points", split.points_e4, points_e4)


def digests(session: Session, platform: Platform, notes: Notes) -> None:
    """Each split's shares are those that were published: their digest is the same."""
    for split in _splits(session, platform):
        notes.see()
        notes.compare(_name(split), split.shares_sha256, shares.digest(shares.stream(session, split)))


def divisions(session: Session, platform: Platform, notes: Notes) -> None:
    """Each split comes out the same when its pool is divided again by its points and its rulebook."""
    for split in _splits(session, platform):
        notes.see()
        rule = _rule(session, split)
        if rule is None:
            notes.compare(f"{_name(split)} rulebook", split.rulebook_sha256, None)
            continue
        recorded = list(shares.stream(session, split))
        again = _divided(platform, split, rule, recorded)
        one, other = _amounts(recorded), _amounts(again)
        for key in sorted(one.keys() | other.keys()):
            notes.compare(f"{_name(split)} {'/'.join(key)}", other.get(key), one.get(key))


def postings(session: Session, platform: Platform, notes: Notes) -> None:
    """Each posted period's entries are its newest split and its deficit; others have none."""
    for period in periods.listing(session, platform.id):
        notes.see()
        booked = session.execute(_POSTINGS, {"platform_id": platform.id, "period_id": period.id})
        expected = _expected_postings(session, platform, period) if period.posted_at else []
        compare_entries(
            notes, f"period {period.id}", expected, {row.key: bytes(row.request_sha256) for row in booked}
        )


def pools(session: Session, platform: Platform, notes: Notes) -> None:
    """Each pool holds the revenue recorded for it, and nothing once its period is posted."""
    held = balances.of_role(session, platform.id, Role.REVENUE_POOL, platform.currency)
    recorded = _recorded(session, platform)
    for period in periods.listing(session, platform.id):
        notes.see()
        expected = 0 if period.posted_at else recorded.get(period.id, 0)
        notes.compare(f"pool of {period.id}", expected, held.pop(period.id, 0))
    for period_id, held_minor in held.items():
        notes.compare(f"pool of {period_id}, which is no period", 0, held_minor)


def revenues(session: Session, platform: Platform, notes: Notes) -> None:
    """Each revenue's net is its gross less its deductions, and is booked as one entry unless it is zero."""
    for row in stream(session, platform.id, _REVENUES):
        notes.see()
        if row.id is None:
            notes.compare(f"revenue {row.booked_cause_id}", None, f"entry {row.booked_key}")
            continue
        taken_minor = sum(one["amount_minor"] for one in row.deductions)
        notes.compare(f"revenue {row.reference} net", row.gross_minor - taken_minor, row.net_minor)
        booked = {} if row.booked_key is None else {row.booked_key: bytes(row.booked_sha256)}
        compare_entries(notes, f"revenue {row.reference}", list(_expected_revenue(platform, row)), booked)
        notes.compare(f"revenue {row.reference} entry", row.booked_id, row.entry_id)


CHECKS: Final[Mapping[str, Callable[[Session, Platform, Notes], None]]] = {
    "calendar.steps": steps,
    "rules.documents": documents,
    "splits.sums": sums,
    "splits.digests": digests,
    "splits.divisions": divisions,
    "splits.postings": postings,
    "closing.pools": pools,
    "closing.revenues": revenues,
}


def _splits(session: Session, platform: Platform) -> Iterator[Split]:
    """Read every version of every period's split."""
    for period in periods.listing(session, platform.id):
        yield from shares.versions(session, platform.id, period.id)


def _name(split: Split) -> str:
    return f"split {entries.split_id(split.period_id, split.version)}"


def _rule(session: Session, split: Split) -> Rulebook | None:
    """Read the rulebook of a split; None if it is not there, or no longer what its digest says."""
    for row in stream(session, split.platform_id, _RULEBOOKS):
        if row.sha256 == split.rulebook_sha256 and _digest(row) == row.sha256:
            return rulebook.load(row.document)
    return None


def _digest(row: Row[Any]) -> str:
    try:
        return rulebook.sha256(row.document)
    except NotCanonical as fault:
        return fault.detail


def _divided(platform: Platform, split: Split, rule: Rulebook, recorded: list[Share]) -> list[Share]:
    return methods.divide(
        platform_id=platform.id,
        period_id=split.period_id,
        pool_minor=split.pool_minor,
        points=methods.scores_of(recorded),
        rulebook=rule,
        seed=methods.seed_of(platform.id, split.period_id),
        has_parent=platform.parent_id,
    )


def _amounts(found: list[Share]) -> dict[tuple[str, str, str], int]:
    return {(one.party_kind, one.party_id, one.origin_period_id): one.amount_minor for one in found}


def _recorded(session: Session, platform: Platform) -> dict[str, int]:
    """Sum the net revenue that joined each period's pool."""
    return {row.period_id: int(row.net_minor) for row in stream(session, platform.id, _NETS)}


def _expected_postings(session: Session, platform: Platform, period: Period) -> list[Entry]:
    """Make the entries that posting a period leaves, as of its last instant."""
    split = shares.latest(session, platform.id, period.id)
    if split is None:
        return []
    facts: dict[str, Any] = {
        "period_id": period.id,
        "currency": split.currency,
        "effective_at": period.span.end_at - _INSTANT,
    }
    recovered_minor = max(_recorded(session, platform).get(period.id, 0), 0) - split.pool_minor
    made = []
    if split.deficit_minor:
        made.append(entries.deficit_carried(platform.id, amount_minor=split.deficit_minor, **facts))
    if recovered_minor > 0:
        made.append(entries.deficit_recovered(platform.id, amount_minor=recovered_minor, **facts))
    if split.pool_minor:
        parties = ((one.party_kind, one.party_id, one.amount_minor) for one in shares.stream(session, split))
        made.append(entries.period_posted(platform.id, version=split.version, shares=parties, **facts))
    return made


def _expected_revenue(platform: Platform, row: Row[Any]) -> Iterator[Entry]:
    if row.net_minor:
        yield entries.revenue_recognised(
            platform.id,
            revenue_id=str(row.id),
            period_id=row.period_id,
            currency=row.currency,
            net_minor=row.net_minor,
            # What came after the seal of its own period counts from when it was recorded.
            effective_at=row.start_at if row.period_id == row.origin_period_id else row.recorded_at,
        )


_RULEBOOKS: Final = text(
    "SELECT version, sha256, document FROM rulebook WHERE platform_id = :platform_id ORDER BY version"
)

_POSTINGS: Final = text(
    """
    SELECT key, request_sha256
      FROM entry
     WHERE platform_id = :platform_id AND period_id = :period_id
       AND kind IN ('period_posted', 'deficit_carried', 'deficit_recovered')
     ORDER BY id
    """
)

_NETS: Final = text(
    "SELECT period_id, sum(net_minor) AS net_minor FROM revenue"
    " WHERE platform_id = :platform_id GROUP BY period_id"
)

_REVENUES: Final = text(
    f"""
    WITH {BOOK},
    recorded AS MATERIALIZED (SELECT revenue.* FROM book JOIN revenue USING (platform_id)),
    booked AS MATERIALIZED (
        SELECT entry.id, entry.key, entry.cause_id, entry.request_sha256
          FROM book
          JOIN entry USING (platform_id)
         WHERE entry.kind = 'revenue_recognised'
    )
    SELECT recorded.*, booked.id AS booked_id, booked.key AS booked_key, booked.cause_id AS booked_cause_id,
           booked.request_sha256 AS booked_sha256
      FROM recorded
      FULL JOIN booked ON booked.cause_id = CAST(recorded.id AS text)
     ORDER BY recorded.id, booked.id
    """
)
