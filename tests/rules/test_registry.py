"""The registry: what is published stays, comes in force in order, and never for what has begun."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.core.errors import NotFound
from service.events import types
from service.parties import partners, trail
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.rules import registry, rulebook
from service.rules.registry import AlreadyFounded, AlreadyPublished, Published, RetroactiveRule
from service.rules.rulebook import InvalidRulebook
from service.runtime import db
from service.runtime.db import Database
from tests import world
from tests.rules.documents import changed, founding
from tests.world import LAN, NOW

NOVEMBER = datetime(2026, 10, 31, 17, tzinfo=UTC)
"""The first instant of November in Ho Chi Minh City; NOW lies in it."""

DECEMBER = datetime(2026, 11, 30, 17, tzinfo=UTC)
JANUARY = datetime(2026, 12, 31, 17, tzinfo=UTC)
SECOND = timedelta(microseconds=1)


def bare(session: Session, **fields: str) -> Platform:
    """Create a platform with event types and without a rulebook."""
    platform = world.bare_platform(session, **fields)
    types.seed(session, platform.id)
    return platform


@pytest.fixture
def platform(session: Session) -> Platform:
    """A platform with its founding rulebook."""
    made = bare(session)
    registry.publish_founding(session, made, founding(), actor=OPERATOR, now=NOW)
    return made


def publish(session: Session, platform: Platform, points: int, at: datetime) -> Published:
    """Publish the founding rulebook with another weight."""
    document = changed("weights/view", points)
    return registry.publish(session, platform, document, in_force_from_at=at, actor=LAN, now=NOW)


def test_the_founding_rulebook_holds_from_the_start_of_its_period(session: Session) -> None:
    """Version 1 is the document as given, in force from the first instant of the present month."""
    platform = bare(session)

    actual = registry.publish_founding(session, platform, founding(), actor=OPERATOR, now=NOW)

    expected = Published(
        platform_id="sen",
        sha256=rulebook.sha256(founding()),
        version=1,
        rulebook=rulebook.load(founding()),
        document=founding(),
        in_force_from_at=NOVEMBER,
        published_at=NOW,
        published_by="operator:cli",
    )
    assert expected == actual
    assert [expected] == registry.history(session, "sen")
    assert expected == registry.get(session, "sen", actual.sha256)


@pytest.mark.parametrize(
    ("unit", "zone", "start"),
    [
        ("day", "UTC", "2026-11-21T00:00:00+00:00"),
        ("week", "Asia/Ho_Chi_Minh", "2026-11-15T17:00:00+00:00"),
        ("month", "America/New_York", "2026-11-01T04:00:00+00:00"),
    ],
)
def test_a_founding_rulebook_starts_with_the_platforms_own_period(
    session: Session, unit: str, zone: str, start: str
) -> None:
    """Its unit and its midnights decide."""
    platform = bare(session, period_unit=unit, time_zone=zone)

    actual = registry.publish_founding(session, platform, founding(), actor=OPERATOR, now=NOW)

    assert datetime.fromisoformat(start) == actual.in_force_from_at


def test_founding_again_with_the_same_document_changes_nothing(session: Session, platform: Platform) -> None:
    """The same document is the same version, whenever it comes again."""
    again = registry.publish_founding(session, platform, founding(), actor=LAN, now=NOW + timedelta(days=40))

    assert registry.history(session, "sen") == [again]
    assert again.published_at == NOW


def test_founding_again_with_another_document_is_refused(session: Session, platform: Platform) -> None:
    """A platform is founded once; the next rulebook is a version."""
    with pytest.raises(AlreadyFounded, match="next version"):
        registry.publish_founding(session, platform, changed("weights/view", 2), actor=OPERATOR, now=NOW)


def test_a_platform_without_a_founding_rulebook_has_no_versions(session: Session) -> None:
    """There is nothing in force, and nothing to come after."""
    platform = bare(session)

    with pytest.raises(NotFound, match="founding"):
        registry.in_force(session, "sen", NOW)
    with pytest.raises(NotFound, match="founding"):
        publish(session, platform, 2, DECEMBER)


def test_the_rulebook_in_force_is_the_last_that_began(session: Session, platform: Platform) -> None:
    """Each from its first instant on; before the founding one, the founding one."""
    publish(session, platform, 2, DECEMBER)
    publish(session, platform, 3, JANUARY)
    instants = [
        NOVEMBER - timedelta(days=3_000),
        NOVEMBER,
        DECEMBER - SECOND,
        DECEMBER,
        JANUARY - SECOND,
        JANUARY,
        JANUARY + timedelta(days=3_000),
    ]

    actual = [registry.in_force(session, "sen", at).rulebook.weights["view"] for at in instants]

    assert [1, 1, 1, 2, 2, 3, 3] == actual


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (NOVEMBER, "has passed"),
        (NOW - SECOND, "has passed"),
        (NOW, "starts at 2026-10-31T17:00:00Z"),
        (DECEMBER - SECOND, "no month of Asia/Ho_Chi_Minh starts then"),
        (DECEMBER + SECOND, "starts at 2026-11-30T17:00:00Z"),
        (datetime(2026, 12, 1, tzinfo=UTC), "no month"),
    ],
)
def test_a_rule_comes_in_force_at_the_start_of_a_period_to_come(
    session: Session, platform: Platform, at: datetime, reason: str
) -> None:
    """Neither the past nor the middle of a period: the refusal names the field and the reason."""
    with pytest.raises(RetroactiveRule, match=reason) as refusal:
        publish(session, platform, 2, at)

    assert 409 == refusal.value.status
    assert ["/in_force_from_at"] == [one.pointer for one in refusal.value.errors]
    assert 1 == len(registry.history(session, "sen"))


def test_a_rule_may_come_in_force_at_the_very_instant(session: Session, platform: Platform) -> None:
    """A period that starts now has not begun before."""
    actual = registry.publish(
        session,
        platform,
        changed("weights/view", 2),
        in_force_from_at=DECEMBER,
        actor=LAN,
        now=DECEMBER,
    )

    assert 2 == actual.version


@pytest.mark.parametrize("at", [DECEMBER, JANUARY])
def test_a_version_comes_after_those_before_it(session: Session, platform: Platform, at: datetime) -> None:
    """January's rulebook is published: another one for January or December comes too late."""
    publish(session, platform, 2, JANUARY)

    with pytest.raises(RetroactiveRule, match="version 2 comes in force at 2026-12-31T17:00:00Z"):
        publish(session, platform, 3, at)


def test_the_same_document_again_is_the_same_version(session: Session, platform: Platform) -> None:
    """Publishing is repeatable: also when its date has passed meanwhile."""
    first = publish(session, platform, 2, DECEMBER)
    document = changed("weights/view", 2)

    again = registry.publish(session, platform, document, in_force_from_at=DECEMBER, actor=LAN, now=JANUARY)

    assert first == again
    assert 2 == len(registry.history(session, "sen"))


def test_the_same_document_at_another_date_is_refused(session: Session, platform: Platform) -> None:
    """It would be one version with two dates; a new title makes a new document."""
    publish(session, platform, 2, DECEMBER)

    with pytest.raises(AlreadyPublished, match="is version 2, in force from 2026-11-30"):
        publish(session, platform, 2, JANUARY)
    with pytest.raises(AlreadyPublished, match="version 1"):
        publish(session, platform, 1, JANUARY)


def test_an_invalid_rulebook_is_not_published(session: Session, platform: Platform) -> None:
    """A type of another platform, a partner who is not registered, a parent who is not there."""
    document = changed("weights/poke", 1)
    document["shares_bp"] = {
        "platform": 1_000,
        "parent": 1_000,
        "partners": {"fund": 1_000},
        "creators": 7_000,
    }

    with pytest.raises(InvalidRulebook) as refusal:
        registry.publish(session, platform, document, in_force_from_at=DECEMBER, actor=LAN, now=NOW)

    pointers = {one.pointer for one in refusal.value.errors}
    assert {"/weights/poke", "/shares_bp/partners/fund", "/shares_bp/parent"} == pointers
    assert 1 == len(registry.history(session, "sen"))


def test_a_sub_platform_may_give_to_its_parent_and_to_its_partners(
    session: Session, platform: Platform
) -> None:
    """What its surroundings hold, its rulebook may name."""
    child = bare(session, platform_id="sen.hoa", parent_id="sen")
    partners.register(session, "sen.hoa", "fund", "Quỹ", actor=OPERATOR, now=NOW)
    shares = {"platform": 1_000, "parent": 1_000, "partners": {"fund": 1_000}, "creators": 7_000}

    actual = registry.publish_founding(session, child, changed("shares_bp", shares), actor=OPERATOR, now=NOW)

    assert (1_000, {"fund": 1_000}) == (actual.rulebook.parent_bp, dict(actual.rulebook.partners_bp))


def test_negative_quantities_bound_weights_too(session: Session, platform: Platform) -> None:
    """Corrections of 100 million views are as much as 100 million views: ten points at most."""
    with pytest.raises(InvalidRulebook, match="use at most 10"):
        publish(session, platform, 11, DECEMBER)


def test_the_trail_names_who_published_what(session: Session, platform: Platform) -> None:
    """One record for each version, none for a repetition."""
    made = publish(session, platform, 2, DECEMBER)
    publish(session, platform, 2, DECEMBER)

    records = [one for one in trail.listing(session, "sen") if one.act == "rulebook.publish"]

    assert 2 == len(records)
    assert ("staff", "lan", made.sha256) == (
        records[-1].actor_kind,
        records[-1].actor_id,
        records[-1].subject_id,
    )
    assert {"version": 2, "in_force_from_at": "2026-11-30T17:00:00Z"} == records[-1].after


def test_another_platforms_rulebook_is_not_found(session: Session, platform: Platform) -> None:
    """The digest alone opens nothing."""
    world.bare_platform(session, "khac")
    sha256 = rulebook.sha256(founding())

    with pytest.raises(NotFound, match="its history lists"):
        registry.get(session, "khac", sha256)
    with pytest.raises(NotFound):
        registry.get(session, "sen", "0" * 64)


@pytest.mark.parametrize("change", ["UPDATE rulebook SET version = 9", "DELETE FROM rulebook"])
def test_a_version_never_changes(session: Session, platform: Platform, change: str) -> None:
    """The database refuses it."""
    with pytest.raises(DBAPIError, match="permission denied"):
        session.execute(text(change))


def test_of_two_publications_at_once_one_comes_after_the_other(database: Database) -> None:
    """Versions stay 1, 2, 3; both callers get what they asked for."""
    with db.transaction(database) as session:
        platform = bare(session)
        registry.publish_founding(session, platform, founding(), actor=OPERATOR, now=NOW)

    def act(points: int) -> int | None:
        try:
            with db.transaction(database) as session:
                at = {2: DECEMBER, 3: JANUARY}[points]
                return publish(session, platform, points, at).version
        except RetroactiveRule:
            return None

    with ThreadPoolExecutor(2) as pool:
        versions = sorted(pool.map(act, (2, 3)), key=str)

    # If January's comes first, December's is too late; nothing else can happen.
    assert versions in ([2, 3], [2, None])
    with db.transaction(database) as session:
        numbers = [one.version for one in registry.history(session, "sen")]
    assert list(range(1, len(numbers) + 1)) == numbers


def test_the_shipped_rulebook_fits_the_shipped_types() -> None:
    """What a new platform gets at founding is a valid rulebook for the types that it gets."""
    around = rulebook.Surroundings(
        quantity_max={one.name: max(-one.quantity_min, one.quantity_max) for one in types.DEFAULTS},
        partner_ids=(),
        has_parent=False,
    )

    assert founding() == rulebook.to_document(rulebook.load(founding(), around))
