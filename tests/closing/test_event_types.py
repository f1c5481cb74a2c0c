"""Event types beside rulebooks: neither may change so that one event is worth more than scoring counts."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.closing import event_types
from service.closing.event_types import TypeBreaksRulebook
from service.core.errors import Invalid
from service.events import types
from service.events.types import ENGAGEMENT_MAX, EventType
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.rules import registry
from service.rules.rulebook import EVENT_POINTS_MAX, InvalidRulebook
from service.runtime import db
from service.runtime.db import Database
from tests.world import NOW, founded_platform

DECEMBER = datetime(2026, 11, 30, 17, tzinfo=UTC)
"""When December begins in Ho Chi Minh City."""


def define(session: Session, platform: Platform, *wanted: EventType) -> list[EventType]:
    """Define types as the operator."""
    pointers = [f"/items/{index}" for index in range(len(wanted))]
    return event_types.define(session, platform, wanted, pointers=pointers, actor=OPERATOR, now=NOW)


def publish(session: Session, platform: Platform, **weights: int) -> None:
    """Publish a rulebook for December with other weights and no cap."""
    changed = {"weights": weights, "caps": {"actor_creator_day_points": None}}
    document = registry.founding_document() | changed
    registry.publish(session, platform, document, in_force_from_at=DECEMBER, actor=OPERATOR, now=NOW)


def kind(session: Session, platform: Platform, name: str, **changes: Any) -> EventType:
    """Read a type and change the copy."""
    return replace(types.get(session, platform.id, name), **changes)


@pytest.mark.parametrize("member", ["quantity_min", "quantity_max"])
def test_bounds_go_as_far_as_the_rulebook_in_force_allows(session: Session, member: str) -> None:
    """And not one further, up or down; nothing of the request is stored."""
    platform = founded_platform(session)
    points = registry.in_force(session, platform.id, NOW).rulebook.weights["like"]
    limit = EVENT_POINTS_MAX // points
    sign = 1 if member == "quantity_max" else -1
    assert points > 1, "the limit is within the bounds of an engagement"
    other = kind(session, platform, "view", unit="play")

    define(session, platform, kind(session, platform, "like", **{member: sign * limit}))
    with pytest.raises(TypeBreaksRulebook) as fault, session.begin_nested():
        define(session, platform, other, kind(session, platform, "like", **{member: sign * (limit + 1)}))

    assert [f"/items/1/{member}"] == [one.pointer for one in fault.value.errors]
    assert registry.in_force(session, platform.id, NOW).sha256 == fault.value.extra["rulebook"]
    assert "view" == types.get(session, platform.id, "view").unit


def test_a_type_that_no_rulebook_weighs_is_free(session: Session) -> None:
    """Its bounds matter once somebody wants to weigh it."""
    platform = founded_platform(session)
    gift = EventType("gift", "optional", -ENGAGEMENT_MAX, ENGAGEMENT_MAX, "gift")

    define(session, platform, gift)

    publish(session, platform, gift=1)
    with pytest.raises(InvalidRulebook) as fault:
        publish(session, platform, gift=2)
    assert ["/weights/gift"] == [one.pointer for one in fault.value.errors]


def test_a_rulebook_that_is_published_for_later_binds_as_well(session: Session) -> None:
    """The one of today would allow it."""
    platform = founded_platform(session)
    gift = EventType("gift", "optional", 0, 1_000_000, "gift")
    define(session, platform, gift)
    publish(session, platform, gift=1_000)

    with pytest.raises(TypeBreaksRulebook, match="version 2"):
        define(session, platform, replace(gift, quantity_max=1_000_001))


def test_attributed_revenue_earns_no_points(session: Session) -> None:
    """It says by itself whose it is: no rulebook weighs it, and nothing that is weighed becomes it."""
    platform = founded_platform(session)
    ad = EventType("ad", "none", 0, 1, "micro", "attributed_revenue", "Video ads", "VND")
    define(session, platform, ad)

    with pytest.raises(InvalidRulebook) as fault:
        publish(session, platform, ad=1, like=1)
    with pytest.raises(TypeBreaksRulebook) as broken:
        define(session, platform, replace(ad, name="like"))

    assert ["/weights/ad"] == [one.pointer for one in fault.value.errors]
    assert ["/items/0/kind"] == [one.pointer for one in broken.value.errors]


def test_the_currency_is_the_platforms(session: Session) -> None:
    """Another one has nothing to be divided."""
    platform = founded_platform(session, currency="USD")
    ad = EventType("ad", "none", 0, 1, "micro", "attributed_revenue", "Video ads", "VND")

    with pytest.raises(Invalid) as fault:
        define(session, platform, ad)
    define(session, platform, replace(ad, currency="USD"))

    assert ["/items/0/currency"] == [one.pointer for one in fault.value.errors]


def test_a_publication_waits_for_a_change_of_a_type_and_sees_it(database: Database) -> None:
    """Checked against the old bounds, the rulebook would break the new ones."""
    with db.transaction(database) as session:
        platform = founded_platform(session)
        define(session, platform, EventType("gift", "optional", 0, 1, "gift"))
    has_changed, may_commit = threading.Event(), threading.Event()

    def widen() -> None:
        with db.transaction(database) as session:
            define(session, platform, EventType("gift", "optional", 0, ENGAGEMENT_MAX, "gift"))
            has_changed.set()
            may_commit.wait(20)

    def weigh() -> None:
        with db.transaction(database) as session:
            publish(session, platform, gift=1_000)

    with ThreadPoolExecutor(2) as pool:
        widening = pool.submit(widen)
        assert has_changed.wait(20)
        weighing = pool.submit(weigh)
        assert not wait([weighing], timeout=0.3).done
        may_commit.set()
        widening.result()

    fault = weighing.exception()
    assert isinstance(fault, InvalidRulebook)
    assert ["/weights/gift"] == [one.pointer for one in fault.errors]
