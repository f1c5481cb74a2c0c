"""Staff: the people who close, approve and watch. What one prepared, another approves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.core.errors import Forbidden, NotFound
from service.parties import inputs, trail
from service.parties.actors import Actor
from service.parties.scopes import ROLES
from service.parties.tables import staff


class RoleMissing(Forbidden):
    """The member of staff does not hold the role that the act needs."""

    slug = "role-missing"
    title = "This needs a role that the person does not hold"


class SamePerson(Forbidden):
    """What one person prepared needs another person's approval."""

    slug = "same-person"
    title = "A second person has to approve this"


@dataclass(frozen=True, slots=True)
class Staff:
    """One member of a platform's staff."""

    platform_id: str
    id: str
    name: str
    roles: Sequence[str]
    created_at: datetime
    deactivated_at: datetime | None

    @property
    def actor(self) -> Actor:
        """This person as the audit trail names them."""
        return Actor("staff", self.id)


def register(
    session: Session,
    platform_id: str,
    staff_id: str,
    name: str,
    roles: Sequence[str],
    *,
    actor: Actor,
    now: datetime,
) -> Staff:
    """Register a member of staff, or change the name and roles of the one with this id.

    Raises:
        Invalid: an id, a name or a role that cannot be used.
    """
    inputs.check_id(staff_id, "/id")
    name = inputs.check_name(name, "/name")
    held = inputs.check_members(roles, ROLES, "/roles")
    before = _find(session, platform_id, staff_id)
    session.execute(
        insert(staff)
        .values(platform_id=platform_id, id=staff_id, name=name, roles=held, created_at=now)
        .on_conflict_do_update(index_elements=["platform_id", "id"], set_={"name": name, "roles": held})
    )
    trail.record(
        session,
        platform_id,
        actor,
        "staff.register" if before is None else "staff.change",
        "staff",
        staff_id,
        before=None if before is None else {"roles": list(before.roles)},
        after={"roles": held},
        now=now,
    )
    return get(session, platform_id, staff_id)


def get(session: Session, platform_id: str, staff_id: str) -> Staff:
    """Read one member of staff.

    Raises:
        NotFound: the platform has none with this id.
    """
    found = _find(session, platform_id, staff_id)
    if found is None:
        raise NotFound(
            f"Platform {platform_id} has no member of staff {staff_id!r}; `staff add` registers one."
        )
    return found


def listing(session: Session, platform_id: str) -> list[Staff]:
    """Read all members of a platform's staff by id."""
    rows = session.execute(select(staff).where(staff.c.platform_id == platform_id).order_by(staff.c.id))
    return [Staff(**row._mapping) for row in rows]


def require(session: Session, platform_id: str, actor: Actor, role: str) -> None:
    """Refuse an act that `actor` may not do.

    The operator of the machine, the service itself and keys are not people: keys are held back by scopes, and
    the two others may prepare but never approve (see `require_second`).

    Raises:
        RoleMissing: a member of staff without the role.
    """
    if actor.kind != "staff":
        return
    person = get(session, platform_id, actor.id)
    if person.deactivated_at is not None or role not in person.roles:
        raise RoleMissing(
            f"{person.id} does not hold the role {role} ({ROLES[role]}); ask a person who does."
        )


def require_second(session: Session, platform_id: str, actor: Actor, role: str, *, prepared_by: str) -> None:
    """Refuse an approval that is not a second person's.

    Args:
        role: what the approving person must hold.
        prepared_by: the actor who prepared it, as text.

    Raises:
        RoleMissing: not a member of staff, or one without the role.
        SamePerson: the one who prepared it.
    """
    if actor.kind != "staff":
        msg = f"An approval is a person's act: name a member of staff who holds {role}."
        raise RoleMissing(msg)
    if str(actor) == prepared_by:
        raise SamePerson(f"{actor.id} prepared this; another person who holds {role} has to approve it.")
    require(session, platform_id, actor, role)


def _find(session: Session, platform_id: str, staff_id: str) -> Staff | None:
    row = session.execute(
        select(staff).where(staff.c.platform_id == platform_id, staff.c.id == staff_id)
    ).one_or_none()
    return None if row is None else Staff(**row._mapping)
