"""Tables of the calendar room."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import APPEND_ONLY, Instant, metadata

STATES = ("open", "sealed", "scored", "split", "published", "approved", "posted")
"""A period's states, in the only order in which it passes through them."""

period = Table(
    "period",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", Text, primary_key=True, doc="Its name: 2026-11, 2026-W47 or 2026-11-21."),
    Column("start_at", Instant, nullable=False, doc="Frozen when the period was opened; inclusive."),
    Column("end_at", Instant, nullable=False, doc="Frozen when the period was opened; exclusive."),
    Column("time_zone", Text, nullable=False, doc="The zone whose midnights made the bounds."),
    Column("state", Text, nullable=False),
    Column("is_historic", Boolean, nullable=False, doc="Opened after its end, for history."),
    Column("opened_at", Instant, nullable=False),
    Column("sealed_at", Instant),
    Column("cut_seq", BigInteger, doc="The last event batch that the seal took; later ones are late."),
    Column("published_at", Instant, doc="From here the challenge window runs."),
    Column("posted_at", Instant),
    UniqueConstraint("platform_id", "start_at"),
    UniqueConstraint("platform_id", "end_at"),
    CheckConstraint("end_at > start_at", name="span"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint("(state = 'open') = (cut_seq IS NULL)", name="cut"),
    Index("period_open_idx", "platform_id", "start_at", postgresql_where=text("state = 'open'")),
)

period_step = Table(
    "period_step",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("platform_id", Text, nullable=False),
    Column("period_id", Text, nullable=False),
    Column("state", Text, nullable=False, doc="The state that was reached."),
    Column("at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    Index("period_step_period_idx", "platform_id", "period_id", "id"),
    info=APPEND_ONLY,
)
