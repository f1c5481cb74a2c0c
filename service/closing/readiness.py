"""What has to hold before a period is sealed: attributed revenue adds up, and blocking totals match.

A seal cannot be undone, so this is looked at before: everything up to a mark of the log, taken while no
intake is in flight, is settled as the seal would settle it, and compared. The seal then takes place only if
nothing came after the mark that could change the answer; otherwise it is looked at again. Law: a period with
such demands is sealed exactly when they hold for what it takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session

from service.calendar import periods
from service.calendar.periods import LATE_PERIODS, Period
from service.closing import attributed, control_totals
from service.closing.attributed import Place
from service.closing.control_totals import ControlTotal
from service.closing.tools import Tools
from service.core.errors import Conflict
from service.events import compaction, sealing, types
from service.events.tables import event_batch
from service.parties.platforms import Platform

LOOKS_MAX: Final = 5
"""How often a close looks before it gives up."""

_OF_EVENTS: Final = ("http", "import", "retry")
"""Channels whose batches bring events at the times that they say; any other may change what counts."""


class SealContended(Conflict):
    """Events or revenue that matter kept arriving while it was looked whether the period may be sealed."""

    slug = "seal-contended"
    title = "The period changed while it was looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a seal has to agree with, as read in one transaction."""

    streams: Mapping[str, str]
    """The stream of each type of attributed revenue."""
    recorded_minor: Mapping[Place, int]
    totals: tuple[ControlTotal, ...]
    """The blocking ones."""

    @property
    def is_empty(self) -> bool:
        """Whether the seal needs no look."""
        return not self.streams and not self.totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A look that found everything in order: at what, and up to which batch."""

    demands: Demands
    mark_seq: int
    attributed_micro: Mapping[Place, int]

    def detail(self) -> dict[str, Any]:
        """Describe it for the step of the seal."""
        return {
            "attributed": [
                {"stream": stream, "origin_period": origin_id, "micro": str(micro)}
                for (stream, origin_id), micro in sorted(self.attributed_micro.items())
            ],
            "blocking_total_count": len(self.demands.totals),
        }


def demands(session: Session, period: Period) -> Demands:
    """Read what the seal of a period has to agree with."""
    streams = attributed.streams(session, period.platform_id)
    return Demands(
        streams=streams,
        recorded_minor=attributed.recorded(session, period, streams),
        totals=tuple(control_totals.listing(session, period.platform_id, period.id, is_blocking=True)),
    )


def look(
    tools: Tools, platform: Platform, period: Period, wanted: Demands, mark_seq: int, *, now: datetime
) -> Seen:
    """Settle for a look what lies before a mark of the log, and compare; long, outside of any transaction.

    Args:
        mark_seq: the log's last batch, read while no intake was in flight.

    Raises:
        AttributedRevenueDiffers, SenderTotalsDiffer: the period cannot be sealed as it stands.
        LakeAway: the lake cannot be read or written.
    """
    compaction.run(tools.database, tools.lake, platform.id, up_to_seq=mark_seq, now=now)
    found_micro: dict[Place, int] = {}
    with sealing.preview(tools.database, tools.lake, platform, period, cut_seq=mark_seq) as seen:
        if wanted.streams:
            found_micro = attributed.attributed(seen.location, wanted.streams)
            per_minor = types.micro_per_minor(platform.currency)
            attributed.check(
                platform,
                period,
                attributed.differences(wanted.recorded_minor, found_micro, micro_per_minor=per_minor),
            )
        if wanted.totals:
            found = control_totals.compare(
                tools.lake,
                period,
                wanted.totals,
                raw_locations=seen.raw_locations,
                verdicts_locations=[seen.verdicts_location],
                cut_seq=mark_seq,
                now=now,
            )
            control_totals.check(period, wanted.totals, found)
    return Seen(demands=wanted, mark_seq=mark_seq, attributed_micro=found_micro)


def still_holds(session: Session, period: Period, seen: Seen, wanted: Demands) -> bool:
    """Tell whether a look still tells what a seal would now find; the caller holds the seal lock alone."""
    return wanted == seen.demands and not _has_arrived(session, period, seen.mark_seq)


def _has_arrived(session: Session, period: Period, mark_seq: int) -> bool:
    """Tell whether the log has a batch after a mark that may change what the period's seal counts."""
    touched = [
        and_(event_batch.c.first_at < one.span.end_at, event_batch.c.last_at >= one.span.start_at)
        for one in [period, *_late_for(session, period)]
    ]
    query = select(
        exists().where(
            event_batch.c.platform_id == period.platform_id,
            event_batch.c.seq > mark_seq,
            or_(event_batch.c.channel.not_in(_OF_EVENTS), *touched),
        )
    )
    return bool(session.scalar(query))


def _late_for(session: Session, period: Period) -> list[Period]:
    """Find the periods whose late events the seal of this one would carry."""
    if period.is_historic:
        return []
    before = [
        one
        for one in periods.listing(session, period.platform_id)
        if not one.is_historic and one.span.end_at <= period.span.start_at
    ]
    return before[-LATE_PERIODS:]
