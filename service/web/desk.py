"""Finance's desk: which member of staff sits there, for which platform, and with which roles."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.parties import platforms, staff
from service.parties.platforms import Platform
from service.parties.scopes import ROLES
from service.parties.staff import RoleMissing, Staff
from service.runtime import clock
from service.web import visit
from service.web.visit import Visit
from service.wiring import System

READERS = ("finance_maker", "finance_checker", "auditor")
"""The roles whose business payouts and books are."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One signed-in member of staff at work."""

    visit: Visit
    platform: Platform
    person: Staff

    def holds(self, role: str) -> bool:
        """Tell whether the person has a role."""
        return role in self.person.roles

    def is_me(self, actor: str | None) -> bool:
        """Tell whether `actor`, as the trail writes one, is this person."""
        return actor == str(self.person.actor)


def of_request(session: Session, system: System) -> Desk:
    """Find who sits at the desk.

    Raises:
        Unauthenticated: nobody of the staff is signed in.
        RoleMissing: somebody whose business this is not, or not any more.
    """
    seen = visit.of_request(session, system, "staff", clock.now(session))
    platform = platforms.get(session, seen.session.platform_id)
    person = staff.get(session, platform.id, seen.session.subject_id)
    if person.deactivated_at is not None or not set(READERS) & set(person.roles):
        needed = ", ".join(f"{role} ({ROLES[role]})" for role in READERS)
        raise RoleMissing(f"{person.id} holds none of the roles that finance's pages need: {needed}.")
    return Desk(visit=seen, platform=platform, person=person)
