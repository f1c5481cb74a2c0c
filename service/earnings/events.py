"""What became of an event, as it may be told: to its platform, and to the creators whose content it was.

Owns who may see which occurrence, and the words of the clauses that left events out. Laws: a creator learns
of no event on somebody else's content, not even that there is one; no actor is named to a creator; a clause
is quoted from the rulebook that was applied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy.orm import Session

from service.calendar import periods
from service.events import verdicts
from service.events.lake import Lake
from service.events.verdicts import Found, Occurrence, Standing
from service.parties import contributions, creators
from service.parties.platforms import LOCALES, Platform
from service.rules import registry, words
from service.rules.rulebook import Rulebook
from service.rules.words import Clause
from service.runtime import db
from service.runtime.db import Database


@dataclass(frozen=True, slots=True)
class Quoted:
    """A clause that left events out: of which rulebook, and in which words, by language."""

    key: str
    rulebook_sha256: str
    rulebook_version: int
    words: Mapping[str, Clause]


Clauses = Mapping[tuple[str, str], Quoted]
"""Clauses by the period whose events they were applied to, and their key."""


@dataclass(frozen=True, slots=True)
class Told:
    """The occurrences of an event that the one asking may see, and the clauses that they name."""

    found: Found
    clauses: Clauses

    def clause_of(self, standing: Standing) -> Quoted | None:
        """Give the clause that left an event out."""
        return clause_of(self.clauses, standing)


def of_platform(
    database: Database, lake: Lake, platform: Platform, source: str, event_id: str, *, day: date | None = None
) -> Told:
    """Find what became of an event, for its platform.

    Raises:
        As `verdicts.look_up`.
    """
    found = verdicts.look_up(database, lake, platform, source, event_id, day=day)
    with db.transaction(database) as session:
        standings = (one.standing for one in found.occurrences)
        return Told(found, clauses_of(session, platform, standings))


def of_creator(
    database: Database,
    lake: Lake,
    platform: Platform,
    creator_id: str,
    source: str,
    event_id: str,
    *,
    day: date | None = None,
) -> Told:
    """Find what became of an event on content that a creator made or contributed to.

    Raises:
        NotFound: no such creator.
        EventUnknown: no such event, or none of the creator's; the two are told alike.
        LakeAway, Unavailable: as `verdicts.look_up` says.
    """
    with db.transaction(database) as session:
        creators.get(session, platform.id, creator_id)
    found = verdicts.look_up(database, lake, platform, source, event_id, day=day)
    with db.transaction(database) as session:
        own = [one for one in found.occurrences if _is_own(session, platform, creator_id, one)]
        if not own:
            raise verdicts.unknown(source, event_id, found.searched)
        shown = [replace(one, sent=replace(one.sent, actor=None)) for one in own if one.sent is not None]
        clauses = clauses_of(session, platform, (one.standing for one in shown))
    return Told(replace(found, occurrences=tuple(shown), rejections=()), clauses)


def clauses_of(session: Session, platform: Platform, standings: Iterable[Standing]) -> Clauses:
    """Quote the clauses that some verdicts name, each from the rulebook of the events' own period."""
    named = {
        (one.origin_period_id, one.clause)
        for one in standings
        if one.clause is not None and one.origin_period_id is not None
    }
    quoted = {}
    for origin_id, key in sorted(named):
        origin = periods.get(session, platform.id, origin_id)
        published = registry.in_force(session, platform.id, origin.span.start_at)
        quoted[origin_id, key] = Quoted(
            key,
            published.sha256,
            published.version,
            {locale: _clause(published.rulebook, key, locale, platform.currency) for locale in LOCALES},
        )
    return quoted


def clause_of(clauses: Clauses, standing: Standing) -> Quoted | None:
    """Find the clause that left an event out among those that were quoted."""
    if standing.clause is None or standing.origin_period_id is None:
        return None
    return clauses[standing.origin_period_id, standing.clause]


def _clause(rulebook: Rulebook, key: str, locale: str, currency: str) -> Clause:
    return next(one for one in words.render(rulebook, locale, currency=currency) if one.key == key)


def _is_own(session: Session, platform: Platform, creator_id: str, one: Occurrence) -> bool:
    """Tell whether an occurrence is a creator's; one whose event was removed is nobody's any more."""
    sent = one.sent
    if sent is None:
        return False
    if sent.creator == creator_id:
        return True
    return sent.content is not None and any(
        each.creator_id == creator_id
        and each.from_at <= sent.at
        and (each.until_at is None or sent.at < each.until_at)
        for each in contributions.of_content(session, platform.id, sent.content)
    )
