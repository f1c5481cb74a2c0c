"""Tables of the statements room."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, Table, Text, UniqueConstraint

from service.runtime.db import APPEND_ONLY, Instant, metadata

statement = Table(
    "statement",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("number", Text, primary_key=True, doc="Gapless within a platform and period: 2026-10/000001."),
    Column("period_id", Text, nullable=False),
    Column("creator_id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("values_sha256", Text, nullable=False, doc="Of the gathered values; every format shows the same."),
    Column("issued_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
    UniqueConstraint("platform_id", "period_id", "creator_id"),
    UniqueConstraint("platform_id", "period_id", "ordinal"),
    info=APPEND_ONLY,
)
