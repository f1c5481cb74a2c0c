"""Pro-rata as a person would compute it: event by event, in exact fractions, knowing nothing of the SQL.

A world is a rulebook, the contributions and the events of one period; `points` says what each creator earned.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from service.parties.contributions import Contribution
from service.rules import registry
from service.rules import rulebook as rulebooks
from service.rules.rulebook import Rulebook

PERIOD = "2026-10"
START = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EVENT_MAX = 1_000_000_000
ACTOR_MAX = 9_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One counted event."""

    creator: str
    type: str = "view"
    quantity: int = 1
    actor: str | None = None
    content: str | None = None
    at: datetime = START
    origin_period_id: str = PERIOD

    @property
    def day_on(self) -> date:
        return self.at.date()


@dataclass(frozen=True, slots=True)
class Earned:
    """What the model says of one creator: points, and how many events each clause left out."""

    points: Fraction
    excluded: Mapping[str, int]


def rulebook(**changes: object) -> Rulebook:
    """The shipped rulebook with all for the creators and without cap, and whatever is changed."""
    document = registry.founding_document()
    document["shares_bp"] = {"platform": 0, "parent": 0, "partners": {}, "creators": 10_000}
    document["weights"] = {"view": 1, "like": 3}
    document["caps"] = {"actor_creator_day_points": None}
    return rulebooks.load({**document, **changes})


def contribution(
    content: str, creator: str, share_bp: int, from_at: datetime = START, until_at: datetime | None = None
) -> Contribution:
    return Contribution(content, creator, from_at, until_at, share_bp)


def points(
    rule: Rulebook, events: Iterable[Event], contributions: Sequence[Contribution] = ()
) -> dict[str, Earned]:
    """Compute by hand what each creator of the period earned."""
    events = [one for one in events if one.origin_period_id == PERIOD]
    given: dict[str | None, int] = defaultdict(int)
    for one in events:
        if _worth(rule, one) <= EVENT_MAX:
            given[one.actor] += _worth(rule, one)
    persons = {actor for actor, sum_ in given.items() if actor is not None and sum_ <= ACTOR_MAX}
    days: dict[tuple[str, str, str], dict[date, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    excluded: dict[str, dict[str, int]] = defaultdict(dict)
    for one in events:
        makers = _makers(one, contributions)
        clause = _clause(rule, one, makers, persons)
        for maker, part in makers.items():
            clauses = excluded[maker]
            if clause:
                clauses[clause] = clauses.get(clause, 0) + 1
                continue
            giver = ("content", one.content or "") if one.actor is None else ("actor", one.actor)
            days[maker, *giver][one.day_on] += rule.weights[one.type] * one.quantity * part
    totals: dict[str, Fraction] = defaultdict(Fraction)
    for (maker, kind, _), its_days in days.items():
        cap = rule.actor_creator_day_points
        is_capped = kind == "actor" and cap is not None
        totals[maker] += max(sum(min(day, cap) if is_capped else day for day in its_days.values()), 0)
    return {
        maker: Earned(totals[maker] if totals[maker] >= rule.minimum_points else Fraction(0), clauses)
        for maker, clauses in excluded.items()
    }


def clauses(
    rule: Rulebook, events: Sequence[Event], contributions: Sequence[Contribution] = ()
) -> dict[int, str]:
    """Name the clause that leaves an event of the period out, by the event's place in the list."""
    given: dict[str | None, int] = defaultdict(int)
    own = [(place, one) for place, one in enumerate(events) if one.origin_period_id == PERIOD]
    for _, one in own:
        if _worth(rule, one) <= EVENT_MAX:
            given[one.actor] += _worth(rule, one)
    persons = {actor for actor, sum_ in given.items() if actor is not None and sum_ <= ACTOR_MAX}
    found = {place: _clause(rule, one, _makers(one, contributions), persons) for place, one in own}
    return {place: clause for place, clause in found.items() if clause}


def _worth(rule: Rulebook, one: Event) -> int:
    return abs(rule.weights.get(one.type, 0) * one.quantity)


def _makers(one: Event, contributions: Iterable[Contribution]) -> dict[str, Fraction]:
    """Name who shares in an event's content when it happened."""
    return {
        part.creator_id: Fraction(part.share_bp, 10_000)
        for part in contributions
        if part.content_id == one.content
        and part.from_at <= one.at
        and (part.until_at is None or one.at < part.until_at)
    } or {one.creator: Fraction(1)}


def _clause(
    rule: Rulebook, one: Event, makers: Mapping[str, Fraction], persons: Collection[str]
) -> str | None:
    """Name the first clause that leaves an event out."""
    if one.type not in rule.weights:
        return "weights"
    if _worth(rule, one) > EVENT_MAX:
        return "event_limit"
    if rule.excludes_self_engagement and one.actor in {one.creator, *makers}:
        return "self_engagement"
    if one.actor is not None and one.actor not in persons:
        return "actor_limit"
    return None
