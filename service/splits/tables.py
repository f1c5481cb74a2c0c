"""Tables of the splits room."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import APPEND_ONLY, Currency, Instant, Minor, Points, metadata

PARTY_KINDS = ("platform", "parent", "partner", "creator", "unearned")
"""Who a share is for; `unearned` is what nobody earned, booked by the rule and never lost."""

split = Table(
    "split",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("rulebook_sha256", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("pool_minor", Minor, nullable=False, doc="What was divided; zero or more."),
    Column("deficit_minor", Minor, nullable=False, doc="What the pool was short by, carried; zero or more."),
    Column("points_e4", Points, nullable=False, doc="All creators' points."),
    Column("share_count", Integer, nullable=False),
    Column("shares_sha256", Text, nullable=False, doc="Over all shares in order."),
    Column("inputs", JSONB, nullable=False, doc="Files with digests, counts, engine: what recomputes it."),
    Column("computed_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    ForeignKeyConstraint(["platform_id", "rulebook_sha256"], ["rulebook.platform_id", "rulebook.sha256"]),
    CheckConstraint("pool_minor >= 0 AND deficit_minor >= 0", name="pool"),
    info=APPEND_ONLY,
)

share = Table(
    "share",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("party_kind", Text, primary_key=True),
    Column("party_id", Text, primary_key=True),
    Column(
        "origin_period_id", Text, primary_key=True, doc="Earlier than the period for late events' points."
    ),
    Column("points_e4", Points, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column(
        "walk", JSONB, nullable=False, doc="By type: events, quantity, points; what was excluded by clause."
    ),
    ForeignKeyConstraint(
        ["platform_id", "period_id", "version"], ["split.platform_id", "split.period_id", "split.version"]
    ),
    CheckConstraint("amount_minor >= 0", name="amount"),
    CheckConstraint(f"party_kind IN {PARTY_KINDS}", name="party_kind"),
    Index("share_party_idx", "platform_id", "party_kind", "party_id", "period_id"),
    info=APPEND_ONLY,
)
