"""What a backfill does to periods: the rulebook that it names, a preview of its effect, and its commit.

Owns nothing of its own; what is staged belongs to the events, periods to the calendar, pins to the registry.
Laws: a preview is computed by the code that seals, scores and divides; a commit opens what is missing, pins
the rulebook, and moves what was approved into the log, in one transaction: all of it or nothing, once.
Closing and posting the periods is left to people, as with all history.
"""

import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from service.calendar import periods, seal_lock
from service.calendar.periods import Period
from service.closing import computing
from service.closing.tools import Report, Tools, silent
from service.core.errors import FieldError, Invalid, NotFound
from service.core.spans import Span, to_text
from service.events import backfills, compaction, sealing, staging
from service.events.backfills import Backfill, WrongBackfillState
from service.events.lake import LakeAway
from service.events.sealing import Preview, StagedFile
from service.events.staging import STAGED_SEQ
from service.jobs import queue
from service.parties import platforms, staff
from service.parties.actors import Actor
from service.parties.platforms import Platform
from service.rules import registry
from service.rules.registry import Published
from service.runtime import db, duck
from service.splits.methods import Share

CREATORS_SHOWN: Final = 20

_OUTCOMES: Final = (
    "counted",
    "duplicate_present",
    "duplicate_within",
    "conflict_present",
    "conflict_within",
)


def create(
    session: Session,
    platform: Platform,
    *,
    span: Span,
    rulebook_sha256: str,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Backfill:
    """Begin a backfill under one of the platform's published rulebooks.

    Raises:
        Invalid: a rulebook that the platform has not published, or as `backfills.create` says.
        RoleMissing, BackfillSpan: as `backfills.create` says.
        OtherRulebookPinned: a period of the span has another one already.
    """
    try:
        registry.get(session, platform.id, rulebook_sha256)
    except NotFound as fault:
        raise Invalid(
            fault.detail, errors=[FieldError("/rulebook", "the platform has published no such rulebook")]
        ) from None
    made = backfills.create(
        session, platform, span=span, rulebook_sha256=rulebook_sha256, reason=reason, actor=actor, now=now
    )
    touched = backfills.touched(session, platform, span, now=now)
    registry.check_pins(session, platform.id, _spans(touched), rulebook_sha256)
    return made


def submit(
    session: Session, platform_id: str, backfill_id: uuid.UUID, *, actor: Actor, now: datetime
) -> Backfill:
    """Freeze what is staged, and ask for a preview of it.

    Raises:
        As `backfills.submit`.
    """
    submitted = backfills.submit(session, platform_id, backfill_id, actor=actor, now=now)
    _request_preview(session, platform_id, backfill_id, actor=actor, now=now)
    return submitted


def request_preview(
    session: Session, platform_id: str, backfill_id: uuid.UUID, *, actor: Actor, now: datetime
) -> uuid.UUID:
    """Ask for a preview as a job; `preview` does it.

    Raises:
        NotFound: the platform has no such backfill.
        WrongBackfillState: it is committed or dropped.
    """
    _check_previewable(backfills.get(session, platform_id, backfill_id))
    return _request_preview(session, platform_id, backfill_id, actor=actor, now=now)


def preview(
    tools: Tools, platform_id: str, backfill_id: uuid.UUID, *, now: datetime, report: Report = silent
) -> dict[str, Any]:
    """Compute what a commit would do now, and keep it with the backfill; nothing else is stored.

    Returns:
        JSON values: for each period the staged events by type and outcome, and what its pool would be divided
        into; the first creators by points; how many items were rejected, by code; which batches these were.

    Raises:
        NotFound: the platform has no such backfill.
        WrongBackfillState: it is committed or dropped.
        BackfillSpan, OtherRulebookPinned: a commit would be refused.
        LakeAway: the lake cannot be read.
    """
    with db.transaction(tools.database) as session:
        platform = platforms.get(session, platform_id)
        one = backfills.get(session, platform_id, backfill_id)
        _check_previewable(one)
        touched = backfills.touched(session, platform, one.span, now=now)
        registry.check_pins(session, platform_id, _spans(touched), one.rulebook_sha256)
        rule = registry.get(session, platform_id, one.rulebook_sha256)
        staged = staging.totals(session, platform_id, backfill_id)
        rejected = staging.rejected(session, platform_id, backfill_id)
        opened = {each.id for each in periods.listing(session, platform_id)}
    compaction.run(tools.database, tools.lake, platform_id, now=now)
    planned = [each for each in touched if each.id not in opened]
    effects = []
    made: list[Share] = []
    with tempfile.TemporaryDirectory(prefix="benefit-ledger-") as scratch:
        files = staging.files(tools.database, platform, backfill_id, Path(scratch))
        for number, period in enumerate(touched):
            report(number, len(touched))
            effect, shares = _effect(tools, platform, period, planned, files, rule)
            effects.append({**effect, "is_open": period.id in opened})
            made += shares
    document = {
        "as_of_at": to_text(now),
        "accepted_count": staged.accepted_count,
        "batches_sha256": staged.batches_sha256,
        "rejected": rejected,
        "periods": effects,
        "creator_count": len({share.party_id for share in made}),
        "creators": _first_creators(made),
    }
    with db.transaction(tools.database) as session:
        backfills.keep_preview(session, platform_id, backfill_id, document, now=now)
    return document


def commit(
    session: Session, platform: Platform, backfill_id: uuid.UUID, *, actor: Actor, now: datetime
) -> Backfill:
    """Let an approved backfill in: open its periods, pin its rulebook to them, move its batches into the log.

    Raises:
        RoleMissing: a member of staff who is no finance maker.
        WrongBackfillState: it is not approved, or committed already.
        BackfillChanged: what is staged is not what was approved.
        BackfillSpan: a period was closed meanwhile.
        OtherRulebookPinned: another backfill named another rulebook meanwhile.
    """
    staff.require(session, platform.id, actor, "finance_maker")
    # One commit of a platform at a time opens periods and pins rulebooks.
    db.lock(session, "backfill", platform.id)
    one = backfills.committing(session, platform.id, backfill_id)
    seal_lock.share(session, platform.id)
    touched = backfills.touched(session, platform, one.span, now=now)
    periods.open_history(session, platform, touched, actor=actor, now=now)
    registry.pin(
        session,
        platform.id,
        _spans(touched),
        one.rulebook_sha256,
        backfill_id=one.id,
        actor=actor,
        now=now,
    )
    return backfills.move(session, one, actor=actor, now=now)


def _check_previewable(one: Backfill) -> None:
    if one.state in {"committed", "dropped"}:
        raise WrongBackfillState(f"Backfill {one.id} is {one.state}; there is nothing to foresee any more.")


def _request_preview(
    session: Session, platform_id: str, backfill_id: uuid.UUID, *, actor: Actor, now: datetime
) -> uuid.UUID:
    return queue.request(
        session,
        platform_id=platform_id,
        job="preview",
        scope=str(backfill_id),
        due_at=now,
        requested_by=str(actor),
        now=now,
    )


def _spans(touched: Iterable[Period]) -> list[tuple[str, Span]]:
    return [(one.id, one.span) for one in touched]


def _effect(
    tools: Tools,
    platform: Platform,
    period: Period,
    planned: Sequence[Period],
    files: Sequence[StagedFile],
    rule: Published,
) -> tuple[dict[str, Any], list[Share]]:
    """Compute one period as if what is staged were in the log; give its creators' shares as well."""
    with sealing.preview(tools.database, tools.lake, platform, period, planned=planned, staged=files) as seen:
        with db.transaction(tools.database) as session:
            material = computing.gather(
                session,
                tools.lake,
                platform,
                period,
                origin_ids=seen.origins,
                own_locations=[seen.location],
                up_to_seq=seen.last_seq,
                planned=rule,
            )
            pool = computing.pool(session, platform, period)
        events = _outcomes(seen, files)
        scores = computing.score(tools, material)
    made = computing.divide(material, scores, pool.divided_minor)
    amounts_minor: Counter[str] = Counter()
    for share in made:
        amounts_minor[share.party_kind] += share.amount_minor
    own = [share for share in made if share.party_kind == "creator"]
    effect = {
        "period": period.id,
        "events": [{"type": kind, **counts} for kind, counts in sorted(events.items())],
        "counted_count": sum(seen.origins.values()),
        "points_e4": str(sum(share.points_e4 for share in own)),
        "creator_count": len({share.party_id for share in own}),
        "pool_minor": pool.divided_minor,
        "deficit_minor": pool.deficit_minor,
        "amounts_minor": dict(sorted(amounts_minor.items())),
    }
    return effect, own


def _outcomes(seen: Preview, files: Sequence[StagedFile]) -> dict[str, dict[str, int]]:
    """Count the staged rows of a period by type and by what would become of them."""
    import duckdb

    text = resources.files("service.events").joinpath("sql/staged.sql").read_text(encoding="utf-8")
    staged = [file.location for file in files if file.location in seen.raw_locations]
    found: dict[str, dict[str, int]] = {}
    if not staged:
        return found
    parameters = {"staged": staged, "verdicts": [seen.verdicts_location], "first_seq": STAGED_SEQ}
    with (
        tempfile.TemporaryDirectory(prefix="benefit-ledger-") as scratch,
        closing(duck.connect(temp_dir=Path(scratch))) as connection,
    ):
        try:
            tallies = connection.execute(text, parameters).fetchall()
        except duckdb.IOException as fault:
            raise LakeAway("The staged events could not be read.") from fault
    for kind, verdict, is_within, event_count in tallies:
        outcome = verdict if verdict == "counted" else f"{verdict}_{'within' if is_within else 'present'}"
        found.setdefault(kind, dict.fromkeys(_OUTCOMES, 0))[outcome] += event_count
    return found


def _first_creators(made: Iterable[Share]) -> list[Mapping[str, Any]]:
    """Choose the creators with the most points over all periods."""
    points_e4: Counter[str] = Counter()
    amounts_minor: Counter[str] = Counter()
    for share in made:
        points_e4[share.party_id] += share.points_e4
        amounts_minor[share.party_id] += share.amount_minor
    first = sorted(points_e4, key=lambda creator_id: (-points_e4[creator_id], creator_id))
    return [
        {
            "creator": creator_id,
            "points_e4": str(points_e4[creator_id]),
            "amount_minor": amounts_minor[creator_id],
        }
        for creator_id in first[:CREATORS_SHOWN]
    ]
