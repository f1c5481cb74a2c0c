"""Tables of the closing room."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
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

clawback_run = Table(
    "clawback_run",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True, doc="The posted period whose lines were looked at."),
    Column("seq_last", BigInteger, primary_key=True, doc="Corrections up to this batch are applied."),
    Column("version", Integer, nullable=False, doc="Of the posted split."),
    Column("currency", Currency, nullable=False),
    Column("amount_minor", Minor, nullable=False, doc="What its lines take back together."),
    Column("effective_at", Instant, nullable=False),
    Column("entry_id", BigInteger, doc="Empty when nothing was taken back."),
    Column("recorded_at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["platform_id", "period_id", "version"], ["split.platform_id", "split.period_id", "split.version"]
    ),
    ForeignKeyConstraint(["platform_id", "entry_id"], ["entry.platform_id", "entry.id"]),
    CheckConstraint("(amount_minor > 0) = (entry_id IS NOT NULL)", name="entry"),
    info=APPEND_ONLY,
)

clawback = Table(
    "clawback",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True),
    Column("seq_last", BigInteger, primary_key=True),
    Column("creator_id", Text, primary_key=True),
    Column("origin_period_id", Text, primary_key=True),
    Column("points_e4", Points, nullable=False, doc="Of the line, as it was posted."),
    Column("lost_e4", Points, nullable=False, doc="Of these, what the line has not without what is void."),
    Column("line_minor", Minor, nullable=False, doc="The line's amount, as it was posted."),
    Column(
        "total_minor", Minor, nullable=False, doc="Taken back of the line, this and earlier runs together."
    ),
    Column("amount_minor", Minor, nullable=False, doc="Taken back by this run."),
    Column(
        "receivable_minor", Minor, nullable=False, doc="Of this, what the creator's payable did not cover."
    ),
    ForeignKeyConstraint(
        ["platform_id", "period_id", "seq_last"],
        ["clawback_run.platform_id", "clawback_run.period_id", "clawback_run.seq_last"],
    ),
    CheckConstraint("points_e4 > 0 AND lost_e4 > 0 AND lost_e4 <= points_e4", name="points"),
    CheckConstraint(
        "amount_minor > 0 AND total_minor >= amount_minor AND line_minor >= total_minor", name="amount"
    ),
    CheckConstraint("receivable_minor BETWEEN 0 AND amount_minor", name="receivable"),
    Index("clawback_creator_idx", "platform_id", "creator_id", "period_id"),
    info=APPEND_ONLY,
)

clawback_recovery = Table(
    "clawback_recovery",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("period_id", Text, primary_key=True, doc="The period whose posting recovered it."),
    Column("creator_id", Text, primary_key=True),
    Column("amount_minor", Minor, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    CheckConstraint("amount_minor > 0", name="amount"),
    info=APPEND_ONLY,
)
control_total = Table(
    "control_total",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True, doc="A later one goes before."),
    Column(
        "period_id", Text, nullable=False, doc="The period that the span lies in; it may not be open yet."
    ),
    Column("source", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant, nullable=False),
    Column("event_count", BigInteger, nullable=False, doc="How many events the sender sent, each once."),
    Column("quantity", Numeric(38, 0), nullable=False, doc="The sum of their quantities."),
    Column(
        "is_blocking", Boolean, nullable=False, doc="Whether a difference keeps the period from its seal."
    ),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
    CheckConstraint("start_at < end_at", name="span"),
    CheckConstraint("event_count >= 0", name="event_count"),
    Index("control_total_period_idx", "platform_id", "period_id"),
    info=APPEND_ONLY,
)

control_comparison = Table(
    "control_comparison",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("total_id", BigInteger, primary_key=True),
    Column("period_id", Text, nullable=False, doc="Whose close compared it."),
    Column("event_count", BigInteger, nullable=False, doc="How many events were settled."),
    Column("quantity", Numeric(38, 0), nullable=False, doc="The sum of their quantities."),
    Column("compared_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "total_id"], ["control_total.platform_id", "control_total.id"]),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    Index("control_comparison_period_idx", "platform_id", "period_id"),
    info=APPEND_ONLY,
)

control_look = Table(
    "control_look",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("total_id", BigInteger, primary_key=True),
    Column("event_count", BigInteger, nullable=False, doc="How many events the estimate counts so far."),
    Column("quantity", Numeric(38, 0), nullable=False, doc="The sum of their quantities."),
    Column("as_of_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "total_id"], ["control_total.platform_id", "control_total.id"]),
)
"""What the latest estimate of the open period found so far; replaced as a whole."""
