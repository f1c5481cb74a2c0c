"""Tables of the rules room."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text, UniqueConstraint
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
