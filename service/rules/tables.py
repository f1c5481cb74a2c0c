"""Tables of the rules room."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import APPEND_ONLY, Instant, metadata

rulebook = Table(
    "rulebook",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("sha256", Text, primary_key=True, doc="Hex SHA-256 of the document's canonical JSON."),
    Column("version", Integer, nullable=False, doc="1 is the founding rulebook."),
    Column("document", JSONB, nullable=False),
    Column("in_force_from_at", Instant, nullable=False, doc="Periods that start at or after it use it."),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False),
    UniqueConstraint("platform_id", "version"),
    UniqueConstraint("platform_id", "in_force_from_at"),
    info=APPEND_ONLY,
)

rulebook_pin = Table(
    "rulebook_pin",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("start_at", Instant, primary_key=True, doc="The start of a historic period."),
    Column("end_at", Instant, nullable=False, doc="Its end, exclusive."),
    Column("sha256", Text, nullable=False, doc="The rulebook that computes it, whatever was in force."),
    Column("backfill_id", Uuid, nullable=False, doc="The backfill that named it, approved by two people."),
    Column("pinned_at", Instant, nullable=False),
    Column("pinned_by", Text, nullable=False),
    ForeignKeyConstraint(["platform_id", "sha256"], ["rulebook.platform_id", "rulebook.sha256"]),
    ForeignKeyConstraint(["platform_id", "backfill_id"], ["backfill.platform_id", "backfill.id"]),
    CheckConstraint("start_at < end_at", name="span"),
    info=APPEND_ONLY,
)
