"""Tables of the closing room."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import APPEND_ONLY, Currency, Instant, Minor, Points, metadata

revenue = Table(
    "revenue",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column(
        "period_id", Text, nullable=False, doc="Whose pool it joined: its own, or the open one when late."
    ),
    Column("origin_period_id", Text, nullable=False, doc="The period that its span lies in."),
    Column("stream", Text, nullable=False),
    Column("reference", Text, nullable=False, doc="The platform's own number for it; recorded once."),
    Column("currency", Currency, nullable=False),
    Column("gross_minor", Minor, nullable=False, doc="Below zero for a correction."),
    Column("deductions", JSONB, nullable=False, doc="[{name, amount_minor}]"),
    Column("net_minor", Minor, nullable=False, doc="Gross less deductions; what the pool receives."),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("entry_id", BigInteger, doc="Empty when net is zero."),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    ForeignKeyConstraint(["platform_id", "entry_id"], ["entry.platform_id", "entry.id"]),
    UniqueConstraint("platform_id", "reference"),
    CheckConstraint("end_at > start_at", name="span"),
    Index("revenue_period_idx", "platform_id", "period_id"),
    info=APPEND_ONLY,
)

estimate_run = Table(
    "estimate_run",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True),
    Column("as_of_at", Instant, nullable=False, doc="Events compacted by then are counted."),
    Column("seq_last", BigInteger, nullable=False, doc="The last batch that is counted."),
    Column("currency", Currency, nullable=False),
    Column("pool_minor", Minor, nullable=False),
    Column("points_e4", Points, nullable=False),
    Column("event_count", BigInteger, nullable=False),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
)

estimate = Table(
    "estimate",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True),
    Column("creator_id", Text, primary_key=True),
    Column("points_e4", Points, nullable=False),
    Column("amount_minor", Minor, nullable=False, doc="Provisional."),
    Column("walk", JSONB, nullable=False),
    ForeignKeyConstraint(
        ["platform_id", "period_id"],
        ["estimate_run.platform_id", "estimate_run.period_id"],
        ondelete="CASCADE",
    ),
)
