"""Attributed revenue: what events attribute to contents has to be what was recorded of its stream.

Events of a type of attributed revenue carry micro-units, millionths of the currency's major unit, of one
recorded stream. Law: for each such stream, and each period that revenue or events of a pool are of, the sum
of the counted micro-units is the recorded net revenue, exactly; a period where it is not is not sealed.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.calendar.periods import Period
from service.closing.tables import revenue
from service.core.errors import Conflict
from service.events import types
from service.events.lake import LakeAway
from service.parties.platforms import Platform
from service.runtime import duck

Place = tuple[str, str]
"""A stream and the period that its revenue or events are of."""


class AttributedRevenueDiffers(Conflict):
    """What events attribute of a stream is not what was recorded of it."""

    slug = "attributed-revenue-differs"
    title = "Attributed and recorded revenue differ"


@dataclass(frozen=True, slots=True)
class Difference:
    """A stream whose attributed and recorded revenue are not the same; both in micro-units."""

    stream: str
    origin_period_id: str
    recorded_micro: int
    attributed_micro: int


def streams(session: Session, platform_id: str) -> dict[str, str]:
    """Read which types attribute revenue, and of which stream."""
    return {
        name: one.stream
        for name, one in types.of_platform(session, platform_id).items()
        if one.kind == "attributed_revenue" and one.stream is not None
    }


def recorded(session: Session, period: Period, wanted: Mapping[str, str]) -> dict[Place, int]:
    """Read the net revenue in a period's pool of the streams that are attributed, in minor units."""
    if not wanted:
        return {}
    rows = session.execute(
        select(revenue.c.stream, revenue.c.origin_period_id, func.sum(revenue.c.net_minor))
        .where(
            revenue.c.platform_id == period.platform_id,
            revenue.c.period_id == period.id,
            revenue.c.stream.in_(set(wanted.values())),
        )
        .group_by(revenue.c.stream, revenue.c.origin_period_id)
    )
    return {(stream, origin_id): int(net_minor) for stream, origin_id, net_minor in rows}


def attributed(counted_location: str, wanted: Mapping[str, str]) -> dict[Place, int]:
    """Add up what counted events attribute, in micro-units; outside of any transaction.

    Raises:
        LakeAway: the file could not be read.
    """
    import duckdb
    import pyarrow as pa

    text = resources.files("service.closing").joinpath("sql/attributed.sql").read_text(encoding="utf-8")
    sums: Counter[Place] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="benefit-ledger-") as scratch,
        closing(duck.connect(temp_dir=Path(scratch))) as connection,
    ):
        connection.register("attributed", pa.table({"type": pa.array(sorted(wanted), pa.string())}))
        try:
            rows = connection.execute(text, {"counted": [counted_location]}).fetchall()
        except duckdb.IOException as fault:
            raise LakeAway("The counted events could not be read.") from fault
    for name, origin_id, quantity in rows:
        sums[wanted[name], origin_id] += int(quantity)
    return dict(sums)


def differences(
    recorded_minor: Mapping[Place, int], attributed_micro: Mapping[Place, int], *, micro_per_minor: int
) -> list[Difference]:
    """Compare by stream and period; nothing recorded and nothing attributed are equal. Pure.

    Args:
        micro_per_minor: how many micro-units make one minor unit of the currency.
    """
    found = []
    for place in sorted({*recorded_minor, *attributed_micro}):
        recorded_micro = recorded_minor.get(place, 0) * micro_per_minor
        if recorded_micro != attributed_micro.get(place, 0):
            found.append(Difference(*place, recorded_micro, attributed_micro.get(place, 0)))
    return found


def check(platform: Platform, period: Period, found: Sequence[Difference]) -> None:
    """Refuse a seal while a stream differs.

    Raises:
        AttributedRevenueDiffers: names the first difference and lists them all.
    """
    if not found:
        return
    first = found[0]
    others = f" ({len(found) - 1} more are listed in differences)" if len(found) > 1 else ""
    gap = first.attributed_micro - first.recorded_micro
    remedy = (
        "record the revenue that is missing, or send events below zero for what is too much"
        if gap > 0
        else "send the events that are missing, or record a correction below zero"
    )
    unit = f"millionths of {platform.currency}"
    raise AttributedRevenueDiffers(
        f"Stream {first.stream} of {first.origin_period_id}: recorded are {first.recorded_micro} {unit}, "
        f"attributed {first.attributed_micro}, difference {gap}{others}. To close {period.id}: {remedy}.",
        differences=[_shown(one) for one in found],
    )


def _shown(one: Difference) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "origin_period": one.origin_period_id,
        "recorded_micro": str(one.recorded_micro),
        "attributed_micro": str(one.attributed_micro),
        "difference_micro": str(one.attributed_micro - one.recorded_micro),
    }
