"""Platforms and sub-platforms: a tree of tenants. Law: everything else belongs to one of them."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.core.currencies import EXPONENTS
from service.core.errors import Conflict, FieldError, Invalid, NotFound
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.parties.tables import platform
from service.runtime import db

PERIOD_UNITS = ("month", "week", "day")
LOCALES = ("vi", "en")
UNKNOWN_CREATORS = ("reject", "register")
DEPTH_MAX = 4

_BY_ID = f"SELECT {db.columns_of(platform)} FROM platform WHERE id = %s"


class PlatformExists(Conflict):
    """The id is taken."""

    slug = "platform-exists"
    title = "There is a platform with this id"


@dataclass(frozen=True, slots=True)
class Platform:
    """One tenant: its currency, zone and period unit never change."""

    id: str
    parent_id: str | None
    name: str
    currency: str
    time_zone: str
    period_unit: str
    locale: str
    unknown_creators: str
    created_at: datetime

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose midnights begin its days and periods."""
        return ZoneInfo(self.time_zone)


def create(
    session: Session,
    *,
    platform_id: str,
    name: str,
    currency: str = "VND",
    time_zone: str = "Asia/Ho_Chi_Minh",
    period_unit: str = "month",
    locale: str = "vi",
    unknown_creators: str = "reject",
    parent_id: str | None = None,
    actor: Actor,
    now: datetime,
) -> Platform:
    """Create a platform, or a sub-platform of `parent_id` whose id begins with its parent's id and a dot.

    Raises:
        Invalid: a field that cannot be used, named with its remedy.
        NotFound: the parent does not exist.
        PlatformExists: the id is taken.
    """
    own = platform_id
    if parent_id is not None:
        parent = get(session, parent_id)
        prefix = f"{parent.id}."
        if not platform_id.startswith(prefix):
            raise _invalid("/id", f"begin a sub-platform's id with its parent's: {prefix}...")
        own = platform_id.removeprefix(prefix)
        if currency != parent.currency:
            raise _invalid("/currency", f"use {parent.currency}: a part shares in its parent's currency")
        if platform_id.count(".") >= DEPTH_MAX:
            raise _invalid("/id", f"platforms nest at most {DEPTH_MAX} deep")
    inputs.check_slug(own, "/id")
    _check_choice(currency, tuple(EXPONENTS), "/currency", "use an ISO 4217 code such as VND or USD")
    _check_choice(time_zone, available_timezones(), "/time_zone", "use an IANA zone such as Asia/Ho_Chi_Minh")
    _check_choice(period_unit, PERIOD_UNITS, "/period_unit", f"choose from {', '.join(PERIOD_UNITS)}")
    _check_choice(locale, LOCALES, "/locale", f"choose from {', '.join(LOCALES)}")
    _check_choice(unknown_creators, UNKNOWN_CREATORS, "/unknown_creators", "choose reject or register")
    if session.scalar(select(platform.c.id).where(platform.c.id == platform_id)):
        raise PlatformExists(f"There is a platform {platform_id}; choose another id.")
    made = Platform(
        id=platform_id,
        parent_id=parent_id,
        name=inputs.check_name(name, "/name"),
        currency=currency,
        time_zone=time_zone,
        period_unit=period_unit,
        locale=locale,
        unknown_creators=unknown_creators,
        created_at=now,
    )
    values = {column.name: getattr(made, column.name) for column in platform.columns}
    session.execute(insert(platform).values(values))
    after = {key: value for key, value in values.items() if key != "created_at"}
    trail.record(
        session, platform_id, actor, "platform.create", "platform", platform_id, after=after, now=now
    )
    return made


def get(session: Session, platform_id: str) -> Platform:
    """Read one platform.

    Raises:
        NotFound: there is none with this id.
    """
    found = db.rows(session, _BY_ID, platform_id)
    if not found:
        raise NotFound(
            f"There is no platform {platform_id!r}; `benefit-ledger platform list` names those there are."
        )
    return Platform(**found[0]._mapping)


def listing(session: Session) -> list[Platform]:
    """Read all platforms by id; a parent comes before its children."""
    return [Platform(**row) for row in session.execute(select(platform).order_by(platform.c.id)).mappings()]


def children(session: Session, platform_id: str) -> list[Platform]:
    """Read the direct sub-platforms of a platform by id."""
    rows = session.execute(
        select(platform).where(platform.c.parent_id == platform_id).order_by(platform.c.id)
    )
    return [Platform(**row) for row in rows.mappings()]


def _check_choice(value: str, choices: tuple[str, ...] | set[str], pointer: str, remedy: str) -> None:
    if value not in choices:
        raise _invalid(pointer, f"{value!r} is unknown; {remedy}")


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid(f"{pointer[1:]}: {detail}.", errors=[FieldError(pointer, detail)])
