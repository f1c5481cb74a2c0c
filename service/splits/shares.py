"""Splits and their shares: written once, read by everyone.

Owns the tables of the splits room. Laws: a split's shares sum to its pool, and its digest covers every field
of every share in order; a split is never changed: an upheld challenge makes the next version.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import Row, Select, case, collate, func, insert, select, tuple_
from sqlalchemy.orm import Session

from service.core.digests import framed
from service.core.errors import NotFound
from service.runtime import db
from service.splits.methods import KINDS, PartyKind, Share
from service.splits.tables import share as share_table
from service.splits.tables import split as split_table

STREAM_ROWS = 5_000

_ORDER: Final = (
    case({kind: number for number, kind in enumerate(KINDS)}, value=share_table.c.party_kind),
    # By code point, as Python sorts.
    collate(share_table.c.party_id, "C"),
    collate(share_table.c.origin_period_id, "C"),
)
"""The order of a split's shares: kind, party, period of origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One division of one period's pool; version 1 is the first."""

    platform_id: str
    period_id: str
    version: int
    rulebook_sha256: str
    currency: str
    pool_minor: int
    deficit_minor: int
    points_e4: int
    """All points that took part in the division, in ten-thousandths."""
    share_count: int
    shares_sha256: str
    inputs: Mapping[str, Any]
    """What the points were computed from; see service.splits.scoring.inputs."""
    computed_at: datetime


@dataclass(frozen=True, slots=True)
class Earned:
    """A share and the period and version of the split that it belongs to."""

    period_id: str
    version: int
    currency: str
    share: Share


def compose(
    *,
    platform_id: str,
    period_id: str,
    version: int,
    rulebook_sha256: str,
    currency: str,
    pool_minor: int,
    deficit_minor: int,
    shares: Sequence[Share],
    inputs: Mapping[str, Any],
    computed_at: datetime,
) -> Split:
    """Describe a division: what its shares say of themselves is computed from them."""
    return Split(
        platform_id=platform_id,
        period_id=period_id,
        version=version,
        rulebook_sha256=rulebook_sha256,
        currency=currency,
        pool_minor=pool_minor,
        deficit_minor=deficit_minor,
        points_e4=sum(one.points_e4 for one in shares),
        share_count=len(shares),
        shares_sha256=digest(shares),
        inputs=inputs,
        computed_at=computed_at,
    )


def digest(shares: Iterable[Share]) -> str:
    """Compute the hex SHA-256 of shares in the order in which divide returns them.

    Each is framed (service.core.digests): kind, party, origin, points, amount, walk; numbers are decimal
    text, the walk is canonical JSON.
    """
    sha256 = hashlib.sha256()
    for one in shares:
        sha256.update(_frame(one, _walk_text(one.walk)))
    return sha256.hexdigest()


def save(session: Session, split: Split, shares: Sequence[Share]) -> None:
    """Write a split and all its shares, in the order in which divide returns them."""
    assert sum(one.amount_minor for one in shares) == split.pool_minor, "the shares sum to the pool"
    values = {column.name: getattr(split, column.name) for column in split_table.columns}
    session.execute(insert(split_table).values({**values, "inputs": dict(split.inputs)}))
    columns = [column.name for column in share_table.columns]
    sha256 = hashlib.sha256()

    def rows() -> Iterator[tuple[Any, ...]]:
        for one in shares:
            walk = _walk_text(one.walk)
            sha256.update(_frame(one, walk))
            party = (one.party_kind, one.party_id, one.origin_period_id)
            yield (
                split.platform_id,
                split.period_id,
                split.version,
                *party,
                one.points_e4,
                one.amount_minor,
                walk,
            )

    copied = db.copy_rows(session, share_table, columns, rows())
    assert copied == split.share_count, "every share is written"
    assert sha256.hexdigest() == split.shares_sha256, "these are the shares that the split describes"


def get(session: Session, platform_id: str, period_id: str, version: int) -> Split:
    """Read one version of a period's split.

    Raises:
        NotFound: there is none.
    """
    found = [one for one in versions(session, platform_id, period_id) if one.version == version]
    if not found:
        raise NotFound(f"Period {period_id} of {platform_id} has no split of version {version}.")
    return found[0]


def latest(session: Session, platform_id: str, period_id: str) -> Split | None:
    """Read the newest version of a period's split, if the period is split."""
    known = versions(session, platform_id, period_id)
    return known[-1] if known else None


def versions(session: Session, platform_id: str, period_id: str) -> list[Split]:
    """Read every version of a period's split, the first one first."""
    rows = session.execute(
        select(split_table)
        .where(split_table.c.platform_id == platform_id, split_table.c.period_id == period_id)
        .order_by(split_table.c.version)
    )
    return [_split(row) for row in rows]


def stream(session: Session, split: Split) -> Iterator[Share]:
    """Read a split's shares in their order, a few thousand at a time."""
    rows = session.execute(_ordered(split).execution_options(yield_per=STREAM_ROWS))
    return (_share(row) for row in rows)


def page(
    session: Session, split: Split, *, after: tuple[str, str, str] | None = None, limit: int = 100
) -> list[Share]:
    """Read some of a split's shares in their order.

    Args:
        after: kind, party and period of origin of the share before the first one.
    """
    query = _ordered(split)
    if after is not None:
        kind, party_id, origin_period_id = after
        place = (KINDS.index(cast("PartyKind", kind)), party_id, origin_period_id)
        query = query.where(tuple_(*_ORDER) > tuple_(*place))
    return [_share(row) for row in session.execute(query.limit(limit))]


def of_period(session: Session, platform_id: str, period_id: str, version: int | None = None) -> list[Share]:
    """Read the shares of a period's split in their order: of its newest version, or of the one named.

    Returns:
        Nothing if the period is not split.

    Raises:
        NotFound: the version named is not there.
    """
    if version is None:
        split = latest(session, platform_id, period_id)
    else:
        split = get(session, platform_id, period_id, version)
    return [] if split is None else list(stream(session, split))


def of_creator(
    session: Session, platform_id: str, creator_id: str, period_id: str | None = None
) -> list[Earned]:
    """Read a creator's shares in each period's newest split, the latest period first.

    Args:
        period_id: only this period's; None reads all.
    """
    newest = (
        select(split_table.c.period_id, func.max(split_table.c.version).label("version"))
        .where(split_table.c.platform_id == platform_id)
        .group_by(split_table.c.period_id)
        .subquery()
    )
    query = (
        select(share_table, split_table.c.currency)
        .join(
            newest,
            (newest.c.period_id == share_table.c.period_id) & (newest.c.version == share_table.c.version),
        )
        .join(split_table)
        .where(
            share_table.c.platform_id == platform_id,
            share_table.c.party_kind == "creator",
            share_table.c.party_id == creator_id,
        )
        .order_by(share_table.c.period_id.desc(), share_table.c.origin_period_id.desc())
    )
    if period_id is not None:
        query = query.where(share_table.c.period_id == period_id)
    return [Earned(row.period_id, row.version, row.currency, _share(row)) for row in session.execute(query)]


def totals(session: Session, split: Split) -> dict[str, int]:
    """Sum a split's amounts by kind of party, in minor units."""
    rows = session.execute(
        select(share_table.c.party_kind, func.sum(share_table.c.amount_minor))
        .where(
            share_table.c.platform_id == split.platform_id,
            share_table.c.period_id == split.period_id,
            share_table.c.version == split.version,
        )
        .group_by(share_table.c.party_kind)
    )
    return {kind: int(amount_minor) for kind, amount_minor in rows}


def _frame(one: Share, walk: str) -> bytes:
    parts = (
        one.party_kind,
        one.party_id,
        one.origin_period_id,
        str(one.points_e4),
        str(one.amount_minor),
        walk,
    )
    return framed(*(part.encode() for part in parts))


def _ordered(split: Split) -> Select[Any]:
    return (
        select(share_table)
        .where(
            share_table.c.platform_id == split.platform_id,
            share_table.c.period_id == split.period_id,
            share_table.c.version == split.version,
        )
        .order_by(*_ORDER)
    )


def _walk_text(walk: Mapping[str, Any]) -> str:
    """Write a walk as canonical JSON.

    The standard encoder does so for a walk, in a tenth of the time of canonical_json: its keys are ASCII, so
    that the order of code points is that of UTF-16, and its integers are counts.
    """
    return json.dumps(walk, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _split(row: Row[Any]) -> Split:
    return Split(**{**row._mapping, "points_e4": int(row.points_e4)})


def _share(row: Row[Any]) -> Share:
    return Share(
        row.party_kind, row.party_id, row.origin_period_id, int(row.points_e4), row.amount_minor, row.walk
    )
