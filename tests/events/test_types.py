"""Event types: what a new platform starts with."""

from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.events import types
from service.events.tables import event_type
from service.events.types import DEFAULTS, EventType
from tests.events import worlds


def test_a_new_platform_has_the_default_types(session: Session) -> None:
    """Seeding twice changes nothing."""
    platform = worlds.found(session)

    types.seed(session, platform.id)

    assert {one.name: one for one in DEFAULTS} == types.of_platform(session, platform.id)


def test_seeding_leaves_a_platforms_own_types_alone(session: Session) -> None:
    """Also one that has the name of a default."""
    worlds.found(session, platform_id="other")
    platform = worlds.found(session)
    own = {
        "platform_id": platform.id,
        "name": "wave",
        "actor": "required",
        "quantity_min": 1,
        "quantity_max": 1,
    }
    session.execute(insert(event_type).values(own))

    types.seed(session, platform.id)

    assert EventType("wave", "required", 1, 1) == types.of_platform(session, platform.id)["wave"]
    assert "wave" not in types.of_platform(session, "other")
