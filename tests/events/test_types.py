"""Event types: what a new platform starts with, what may be registered, and what may change."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.core.currencies import EXPONENTS
from service.core.errors import Invalid, NotFound
from service.events import intake, types, wire
from service.events.tables import event_type
from service.events.types import (
    ATTRIBUTED_MAX,
    DEFAULTS,
    ENGAGEMENT_MAX,
    TYPES_MAX,
    Attribute,
    EventType,
    TypeInUse,
)
from service.parties import trail
from service.parties.actors import OPERATOR
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.events import worlds
from tests.events.worlds import NOW, event

GIFT = EventType("gift", "required", 1, 1_000, "gift")
AD = EventType("ad", "none", 0, ATTRIBUTED_MAX, "micro", "attributed_revenue", "Video ads", "VND")


def define(session: Session, platform: Platform, *wanted: EventType) -> list[EventType]:
    """Create or change types, as the operator."""
    return types.define(
        session,
        platform.id,
        wanted,
        currency="VND",
        pointers=[f"/{index}" for index in range(len(wanted))],
        actor=OPERATOR,
        now=NOW,
    )


def receive(session: Session, platform: Platform, *events: Any) -> Any:
    """Receive events as one batch."""
    return intake.receive(session, platform, worlds.batch(*events), wire.BATCH, channel="http", now=NOW)


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


def test_a_type_is_read_as_it_was_defined(session: Session) -> None:
    """Every field of it; those that were not named stay."""
    platform = worlds.found(session)
    rich = replace(
        GIFT,
        attributes={
            "topic": Attribute("string", ("music", "thể thao"), is_required=True),
            "tier": Attribute("integer", (1, 2)),
            "is_live": Attribute("boolean"),
        },
    )

    changed = define(session, platform, rich, AD)

    known = types.of_platform(session, platform.id)
    assert [rich, AD] == changed == [known["gift"], known["ad"]]
    assert {one.name for one in DEFAULTS} | {"gift", "ad"} == known.keys()
    assert AD == types.get(session, platform.id, "ad")
    with pytest.raises(NotFound, match="nothing"):
        types.get(session, platform.id, "nothing")


def test_every_change_is_on_the_audit_trail_and_the_same_again_is_none(session: Session) -> None:
    """With what was before and what is after."""
    platform = worlds.found(session)
    define(session, platform, GIFT)
    define(session, platform, GIFT)
    define(session, platform, replace(GIFT, quantity_max=5), AD)

    acts = [one for one in trail.listing(session, platform.id) if one.act == "event_type.define"]

    assert [("gift", None, 1_000), ("gift", 1_000, 5), ("ad", None, ATTRIBUTED_MAX)] == [
        (one.subject_id, (one.before or {}).get("quantity_max"), (one.after or {})["quantity_max"])
        for one in acts
    ]


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"name": "no name"}, "/0/name"),
        ({"name": ""}, "/0/name"),
        ({"name": "x" * 65}, "/0/name"),
        ({"unit": "Gift"}, "/0/unit"),
        ({"unit": ""}, "/0/unit"),
        ({"unit": "micro"}, "/0/unit"),
        ({"quantity_min": 1_001}, "/0/quantity_min"),
        ({"quantity_max": ENGAGEMENT_MAX + 1}, "/0/quantity_max"),
        ({"quantity_min": -ENGAGEMENT_MAX - 1}, "/0/quantity_min"),
        ({"stream": "Video ads"}, "/0/stream"),
        ({"currency": "VND"}, "/0/currency"),
        ({"attributes": {"Topic": Attribute("string")}}, "/0/attributes/Topic"),
        ({"attributes": {"a/b": Attribute("string")}}, "/0/attributes/a~1b"),
        ({"attributes": {"x" * 33: Attribute("string")}}, f"/0/attributes/{'x' * 33}"),
        ({"attributes": {f"a{n}": Attribute("string") for n in range(17)}}, "/0/attributes"),
        ({"attributes": {"a": Attribute("boolean", (1,))}}, "/0/attributes/a/values"),
        ({"attributes": {"a": Attribute("integer", (1, 1))}}, "/0/attributes/a/values"),
        ({"attributes": {"a": Attribute("integer", tuple(range(65)))}}, "/0/attributes/a/values"),
        ({"attributes": {"a": Attribute("integer", (2**53,))}}, "/0/attributes/a/values/0"),
        ({"attributes": {"a": Attribute("string", ("x", ""))}}, "/0/attributes/a/values/1"),
        ({"attributes": {"a": Attribute("string", ("x\ny",))}}, "/0/attributes/a/values/0"),
        ({"attributes": {"a": Attribute("string", ("x" * 65,))}}, "/0/attributes/a/values/0"),
    ],
)
def test_what_no_engagement_can_be_is_refused(
    session: Session, changed: dict[str, Any], pointer: str
) -> None:
    """By its place, and nothing is stored, of its neighbours neither."""
    platform = worlds.found(session)

    with pytest.raises(Invalid) as fault:
        define(session, platform, replace(GIFT, **changed), AD)

    assert [pointer] == [one.pointer for one in fault.value.errors]
    assert "ad" not in types.of_platform(session, platform.id)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "com.tiktak.gift@v1:x-y_z"},
        {"unit": "x" * 32},
        {"quantity_min": -ENGAGEMENT_MAX, "quantity_max": ENGAGEMENT_MAX},
        {"quantity_min": 7, "quantity_max": 7},
        {"attributes": {"x" * 32: Attribute("string", ("x" * 64,))}},
        {"attributes": {f"a{n}": Attribute("boolean") for n in range(16)}},
        {"attributes": {"a": Attribute("integer", tuple(range(64)))}},
        {"attributes": {"a": Attribute("integer", (2**53 - 1, -(2**53) + 1))}},
    ],
)
def test_what_an_engagement_can_just_be_is_taken(session: Session, changed: dict[str, Any]) -> None:
    """The nearest good neighbours."""
    platform = worlds.found(session)
    wanted = replace(GIFT, **changed)

    define(session, platform, wanted)

    assert wanted == types.get(session, platform.id, wanted.name)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"unit": "ad"}, "/0/unit"),
        ({"currency": "USD"}, "/0/currency"),
        ({"currency": None}, "/0/currency"),
        ({"stream": None}, "/0/stream"),
        ({"stream": ""}, "/0/stream"),
        ({"stream": " Video ads"}, "/0/stream"),
        ({"quantity_max": ATTRIBUTED_MAX + 1}, "/0/quantity_max"),
    ],
)
def test_what_no_attributed_revenue_can_be_is_refused(
    session: Session, changed: dict[str, Any], pointer: str
) -> None:
    """It is of a stream, in the platform's currency, in micro-units."""
    platform = worlds.found(session)

    with pytest.raises(Invalid) as fault:
        define(session, platform, replace(AD, **changed))

    assert [pointer] == [one.pointer for one in fault.value.errors]


def test_a_request_names_each_type_once_and_a_platform_has_so_many(session: Session) -> None:
    """The registry is read with every batch."""
    platform = worlds.found(session)
    with pytest.raises(Invalid) as fault:
        define(session, platform, GIFT, AD, replace(GIFT, quantity_max=5))
    assert ["/2/name"] == [one.pointer for one in fault.value.errors]
    more = [replace(GIFT, name=f"gift-{number}") for number in range(TYPES_MAX - len(DEFAULTS))]

    define(session, platform, *more)
    with pytest.raises(Invalid, match=str(TYPES_MAX)):
        define(session, platform, GIFT)

    assert TYPES_MAX == len(types.of_platform(session, platform.id))


@pytest.mark.parametrize(
    ("known", "changed", "pointer"),
    [
        (GIFT, {"unit": "rose"}, "/0/unit"),
        (GIFT, {"kind": "attributed_revenue", "stream": "a", "currency": "VND", "unit": "micro"}, "/0/kind"),
        (AD, {"stream": "Other ads"}, "/0/stream"),
    ],
)
def test_what_a_type_means_stays_once_an_event_of_it_was_taken(
    session: Session, known: EventType, changed: dict[str, Any], pointer: str
) -> None:
    """Before, it may be put right; a rejected event binds nothing."""
    platform = worlds.found(session)
    define(session, platform, replace(known, **changed))
    define(session, platform, known)
    sample = {"type": known.name, "actor": "u-1" if known is GIFT else None}
    receive(session, platform, event("e-1", **sample, quantity=-1))
    define(session, platform, replace(known, **changed))
    define(session, platform, known)
    receive(session, platform, event("e-2", **sample))

    with pytest.raises(TypeInUse) as fault:
        define(session, platform, replace(known, **changed))

    assert pointer == fault.value.errors[0].pointer
    assert known == types.get(session, platform.id, known.name)


def test_bounds_actor_rule_and_attributes_of_a_type_in_use_change_from_now_on(session: Session) -> None:
    """The next batch is judged by them."""
    platform = worlds.found(session)
    define(session, platform, GIFT)
    first = receive(session, platform, event("e-1", type="gift"))
    define(
        session,
        platform,
        replace(
            GIFT, actor="none", quantity_min=5, attributes={"topic": Attribute("string", is_required=True)}
        ),
    )

    second = receive(session, platform, event("e-2", type="gift"))

    assert () == first.rejected
    assert ["/data/quantity", "/data/actor", "/data/attributes/topic"] == [
        error.pointer for error in second.rejected[0].errors
    ]


def test_a_change_of_meaning_waits_for_an_intake_in_flight_and_is_refused_after_it(
    database: Database,
) -> None:
    """Or else an event would have been taken as what it is not."""
    platform = worlds.founded(database)
    with db.transaction(database) as session:
        define(session, platform, GIFT)
    has_received, may_commit = threading.Event(), threading.Event()

    def slow_intake() -> None:
        with db.transaction(database) as session:
            receive(session, platform, event("e-1", type="gift"))
            has_received.set()
            may_commit.wait(20)

    def change() -> None:
        with db.transaction(database) as session:
            define(session, platform, replace(GIFT, unit="rose"))

    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(slow_intake)
        assert has_received.wait(20)
        changing = pool.submit(change)
        assert not wait([changing], timeout=0.3).done
        may_commit.set()
        taking.result()

    assert isinstance(changing.exception(), TypeInUse)


def test_an_intake_that_waited_for_a_change_of_meaning_judges_by_the_new_one(database: Database) -> None:
    """It read the old meaning before it had to wait."""
    platform = worlds.founded(database)
    with db.transaction(database) as session:
        define(session, platform, GIFT)
    has_changed, may_commit = threading.Event(), threading.Event()

    def slow_change() -> None:
        with db.transaction(database) as session:
            define(session, platform, replace(AD, name="gift"))
            has_changed.set()
            may_commit.wait(20)

    with ThreadPoolExecutor(2) as pool:
        changing = pool.submit(slow_change)
        assert has_changed.wait(20)
        sending = pool.submit(worlds.send, database, platform, event("e-1", type="gift"))
        assert not wait([sending], timeout=0.3).done
        may_commit.set()
        changing.result()
        receipt = sending.result()

    assert ["/data/actor"] == [error.pointer for error in receipt.rejected[0].errors]


def test_two_first_intakes_at_once_both_end(database: Database) -> None:
    """Each notes the use of the same types, named in another order."""
    platform = worlds.founded(database)
    names = [one.name for one in DEFAULTS]
    start = threading.Barrier(4)

    def send(number: int) -> int:
        order = names if number % 2 else names[::-1]
        start.wait()
        sent = [event(f"e-{number}-{name}", type=name) for name in order]
        return worlds.send(database, platform, *sent).accepted_count

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(send, range(4)))

    assert [len(names)] * 4 == counts
    with db.transaction(database) as session:
        assert all(one.is_used for one in types.of_platform(session, platform.id).values())


def test_a_minor_unit_is_a_whole_number_of_micro_units_in_every_currency() -> None:
    """By definition of a major unit: a dong is one million of them, a cent ten thousand."""
    assert {"VND": 1_000_000, "USD": 10_000, "KWD": 1_000, "CLF": 100} == {
        code: types.micro_per_minor(code) for code in ("VND", "USD", "KWD", "CLF")
    }
    assert all(types.micro_per_minor(code) * 10**places == 10**6 for code, places in EXPONENTS.items())
