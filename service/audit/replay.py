"""The audit: replay everything against everything, and report what does not agree.

Refuses to change anything: it reads one snapshot of a platform, in a transaction that cannot write, and then
the files of the lake. Law: on books that only this service wrote there is no finding, whenever it is asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy.orm import Session

from service.audit import books, clawed, divisions, logged, payments
from service.audit.findings import Finding, Notes
from service.core.errors import Fault
from service.events import manifest
from service.events.lake import Lake
from service.parties import platforms
from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database

FILES: Final = "events.files"
"""The check of the lake, which reads files and therefore runs after the transaction."""

CHECKS: Final[Mapping[str, Callable[[Session, Platform, Notes], None]]] = MappingProxyType(
    {**books.CHECKS, **divisions.CHECKS, **payments.CHECKS, **logged.CHECKS, **clawed.CHECKS}
)


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit saw.

    `checks` tells for each check how many subjects it looked at. Of one check and platform the first
    FINDINGS_MAX findings are listed; `finding_count` counts all. `remarks` are no findings: that events were
    removed by policy, for one.
    """

    checks: Mapping[str, int]
    finding_count: int
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return self.finding_count == 0


def run(
    database: Database,
    lake: Lake,
    *,
    platform_id: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run every check on one platform, or on all.

    Args: say: is told of each check when it is through.
    Raises: NotFound: no such platform.
    """
    with db.transaction(database) as session:
        chosen = platforms.listing(session)
        if platform_id is not None:
            chosen = [platforms.get(session, platform_id)]
    made = [notes for platform in chosen for notes in _of_platform(database, lake, platform, say)]
    seen = dict.fromkeys((*CHECKS, FILES), 0)
    for notes in made:
        seen[notes.check] += notes.seen_count
    return Report(
        checks=seen,
        finding_count=sum(notes.finding_count for notes in made),
        findings=tuple(finding for notes in made for finding in notes.findings),
        remarks=tuple(f"{notes.platform_id}: {text}" for notes in made for text in notes.remarks),
    )


def _of_platform(
    database: Database, lake: Lake, platform: Platform, say: Callable[[str], None]
) -> list[Notes]:
    made = [Notes(check=name, platform_id=platform.id) for name in CHECKS]
    with db.transaction(database) as session:
        # One snapshot for all checks: what is posted meanwhile is seen by all of them or by none.
        session.connection(
            execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        for notes in made:
            _look(session, platform, notes)
            _tell(say, notes)
        known = manifest.listing(session, platform.id)
        removed = manifest.removals(session, platform.id)
    notes = Notes(check=FILES, platform_id=platform.id)
    logged.files(lake, known, removed, notes)
    _tell(say, notes)
    return [*made, notes]


def _look(session: Session, platform: Platform, notes: Notes) -> None:
    """Run one check; one that stumbles over what it reads has found something too."""
    try:
        CHECKS[notes.check](session, platform, notes)
    except (ArithmeticError, AssertionError, Fault, LookupError, TypeError, ValueError) as fault:
        notes.compare("the check itself", "to come to its end", f"{type(fault).__name__}: {fault}")


def _tell(say: Callable[[str], None], notes: Notes) -> None:
    result = f"{notes.finding_count} findings" if notes.finding_count else "all agree"
    say(f"{notes.platform_id} {notes.check}: {notes.seen_count} seen, {result}.")
