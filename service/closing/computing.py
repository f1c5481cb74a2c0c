"""From counted events to shares: the one computation behind closes, estimates and recomputations.

Law: the same files, rulebooks, contributions and pool give the same shares, whoever asks and whenever.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import Period
from service.closing.pool import Pool, pool_of
from service.closing.tools import Tools
from service.events import corrections, exceptions, manifest
from service.events.exceptions import Exceptions
from service.events.lake import Lake
from service.events.manifest import LakeFile
from service.events.sealing import Settled
from service.ledger import balances, entries
from service.ledger.accounts import AccountRef, Role
from service.parties import contributions
from service.parties.platforms import Platform
from service.rules import registry
from service.rules.registry import Published
from service.runtime import scratch
from service.splits import methods, scoring, shares
from service.splits.methods import Share
from service.splits.scoring import Origin, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a period's shares are computed from; read in one transaction, used outside of it."""

    platform: Platform
    period: Period
    published: Published
    origins: Sequence[Origin]
    files: Mapping[str, LakeFile]


def gather(
    session: Session,
    lake: Lake,
    platform: Platform,
    period: Period,
    *,
    origin_ids: Iterable[str],
    own_locations: Sequence[str] | None = None,
    up_to_seq: int | None = None,
    known_at: datetime | None = None,
    planned: Published | None = None,
) -> Material:
    """Read the rulebooks, contributions, corrections and files that a period's shares depend on.

    Args:
        origin_ids: the periods whose events it counts: itself, and those that it carries late events of.
        own_locations: the files of its own counted events where they are not in the manifest (an estimate).
        up_to_seq: the last batch whose corrections hold; None stands for the last one of the period's seal.
        known_at: when the split was computed that is looked at again; later contributions are left out.

    Raises:
        EventsRemoved: the platform's policy had events of one of them removed.
        planned: the rulebook that would compute a historic period, which may not be opened yet.
    """
    last_seq = period.cut_seq if up_to_seq is None else up_to_seq
    assert last_seq is not None, "an open period has no cut: say up to where"
    files: dict[str, LakeFile] = {}
    own = own_locations if own_locations is not None else _locations(session, lake, period, files)
    known = periods.listing(session, platform.id)
    by_id = {period.id: period} | {one.id: one for one in known}
    origins = []
    for origin_id in sorted({period.id, *origin_ids}):
        origin = by_id[origin_id]
        rule = (planned or registry.in_force(session, platform.id, origin.span.start_at)).rulebook
        held = contributions.in_force_rows(session, platform.id, origin.span, known_at=known_at)
        settled: list[str] = []
        settled_seq = 0
        if origin_id != period.id:
            for one in known:
                if _settled_part_of(one, origin, period):
                    settled += _locations(session, lake, one, files)
                    settled_seq = max(settled_seq, one.cut_seq or 0)
        origins.append(
            Origin(
                period_id=origin_id,
                rulebook=rule,
                contributions=held,
                locations=(*settled, *own),
                settled_locations=tuple(settled),
                voided=_voided(session, origin, last_seq),
                settled_seq=settled_seq,
            )
        )
    return Material(
        platform=platform,
        period=period,
        published=planned or registry.in_force(session, platform.id, period.span.start_at),
        origins=origins,
        files=files,
    )


def score(tools: Tools, material: Material) -> list[Score]:
    """Score all events of the material; long, outside of any transaction."""
    return scoring.score(tools.engine, material.origins)


def find_exceptions(
    tools: Tools, material: Material, settled: Settled, scores: Sequence[Score]
) -> Exceptions:
    """Gather every settled event that does not plainly count, and name the clause of those left out; long.

    Raises:
        LakeAway: the file could not be written to the lake.
    """
    with scratch.folder() as folder:
        excluded = scoring.exclude(tools.engine, material.origins, scores, folder)
        return exceptions.gather(tools.lake, material.period, settled, excluded, folder)


def inputs(tools: Tools, material: Material) -> dict[str, Any]:
    """Describe what was computed from what, as it is published."""
    return scoring.inputs(tools.engine, material.origins, material.files)


def divide(material: Material, scores: Sequence[Score], pool_minor: int) -> list[Share]:
    """Divide a pool by the scores under the rulebook in force for the period."""
    platform, period = material.platform, material.period
    return methods.divide(
        platform_id=platform.id,
        period_id=period.id,
        pool_minor=pool_minor,
        points=scores,
        rulebook=material.published.rulebook,
        seed=methods.seed_of(platform.id, period.id),
        has_parent=platform.parent_id,
    )


def pool(session: Session, platform: Platform, period: Period) -> Pool:
    """Read what a period has to share now.

    A deficit that another period's split counts on already, though it is not posted, is not recovered twice.
    """
    balance_minor = pool_balance(session, platform, period.id)
    carried_minor = balances.of(session, platform.id, AccountRef(Role.DEFICIT_CARRIED), platform.currency)
    for other in periods.listing(session, platform.id):
        if other.id != period.id and other.state in {"split", "published", "approved"}:
            split = shares.latest(session, platform.id, other.id)
            assert split is not None, "a period in these states has a split"
            other_minor = pool_balance(session, platform, other.id)
            carried_minor -= max(other_minor, 0) - split.pool_minor
    return pool_of(balance_minor, max(carried_minor, 0))


def pool_balance(session: Session, platform: Platform, period_id: str) -> int:
    """Read the balance of a period's pool account."""
    return balances.of(session, platform.id, entries.pool_account(period_id), platform.currency)


def _settled_part_of(one: Period, origin: Period, period: Period) -> bool:
    """Tell whether the seal of `one`, before that of `period`, may hold counted events of `origin`."""
    if one.id == origin.id:
        return True
    if one.cut_seq is None or one.is_historic or one.span.start_at <= origin.span.start_at:
        return False
    return one.span.start_at < period.span.start_at


def _voided(session: Session, origin: Period, up_to_seq: int) -> list[tuple[bytes, int]]:
    """Read what was taken back of a period after its own seal; what was before, that seal knew."""
    if origin.cut_seq is None:
        return []
    return corrections.since_seal(
        session, origin.platform_id, origin.id, after_seq=origin.cut_seq, up_to_seq=up_to_seq
    )


def _locations(session: Session, lake: Lake, one: Period, files: dict[str, LakeFile]) -> list[str]:
    found = []
    known = manifest.files_of_period(session, one.platform_id, one.id, "counted")
    manifest.check_there(session, one.platform_id, known)
    for file in known:
        location = lake.location(file.stored.path)
        files[location] = file
        found.append(location)
    return found
