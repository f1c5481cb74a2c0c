"""Tables of the events room."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import APPEND_ONLY, Instant, metadata

event_type = Table(
    "event_type",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("actor", Text, nullable=False, doc="Whether an event of this type names an actor."),
    Column("quantity_min", BigInteger, nullable=False),
    Column("quantity_max", BigInteger, nullable=False),
    CheckConstraint("actor IN ('required', 'optional', 'none')", name="actor"),
    CheckConstraint("quantity_min <= quantity_max", name="quantity"),
)

event_batch = Table(
    "event_batch",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("seq", BigInteger, Identity(always=True), primary_key=True, doc="Given under the intake's lock."),
    Column("id", Uuid, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("channel", Text, nullable=False, doc="http, import or correction."),
    Column("media_type", Text, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("accepted_count", Integer, nullable=False),
    Column("first_at", Instant, doc="The earliest time of an accepted event."),
    Column("last_at", Instant, doc="The latest time of an accepted event."),
    Column("body_sha256", LargeBinary, nullable=False, doc="Of the bytes as sent, uncompressed."),
    Column("body_zstd", LargeBinary, nullable=False, doc="The bytes as sent."),
    Column(
        "rejections", JSONB, nullable=False, doc="[{index, id, code, errors}] of the items it does not bring."
    ),
    UniqueConstraint("platform_id", "id"),
    info=APPEND_ONLY,
)

event_receipt = Table(
    "event_receipt",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("body_sha256", LargeBinary, primary_key=True),
    Column("batch_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("receipt", JSONB, nullable=False, doc="The answer as it was given."),
)

compacted = Table(
    "compacted",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("run_id", Uuid, nullable=False),
    ForeignKeyConstraint(["platform_id", "seq"], ["event_batch.platform_id", "event_batch.seq"]),
    info=APPEND_ONLY,
)

lake_file = Table(
    "lake_file",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("path", Text, primary_key=True, doc="Below EVENT_LAKE_URL."),
    Column("kind", Text, nullable=False, doc="raw: as accepted; counted and verdicts: a seal's result."),
    Column("day_on", Date, doc="The platform's local day of a raw file's events."),
    Column("period_id", Text, doc="The period whose seal wrote the file."),
    Column("run_id", Uuid, doc="The compaction that wrote the file."),
    Column("row_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("seq_first", BigInteger, nullable=False),
    Column("seq_last", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("kind IN ('raw', 'counted', 'verdicts')", name="kind"),
    CheckConstraint("(kind = 'raw') = (day_on IS NOT NULL)", name="day"),
    CheckConstraint("(kind = 'raw') = (period_id IS NULL)", name="period"),
    Index("lake_file_day_idx", "platform_id", "day_on"),
    Index("lake_file_period_idx", "platform_id", "period_id"),
    info=APPEND_ONLY,
)

event_correction = Table(
    "event_correction",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, doc="Its batch's number: its place in the order of the log."),
    Column("position", Integer, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("identity", LargeBinary, nullable=False),
    Column("period_id", Text, nullable=False, doc="The period that the event lies in."),
    Column("creator_id", Text, nullable=False, doc="Whose content the event is about."),
    Column("first_seq", BigInteger, nullable=False, doc="The batch of the event that it names."),
    Column("first_position", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("type", Text, doc="This and what follows: the replacement; empty for a void."),
    Column("at", Instant),
    Column("day_on", Date, doc="The platform's local day of the replacement."),
    Column("content", Text),
    Column("actor", Text),
    Column("quantity", BigInteger),
    Column("fingerprint", LargeBinary),
    ForeignKeyConstraint(["platform_id", "period_id"], ["period.platform_id", "period.id"]),
    UniqueConstraint("platform_id", "id"),
    CheckConstraint("kind IN ('void', 'replace')", name="kind"),
    CheckConstraint(
        "(kind = 'replace') = (type IS NOT NULL AND at IS NOT NULL AND day_on IS NOT NULL"
        " AND quantity IS NOT NULL AND fingerprint IS NOT NULL)",
        name="replacement",
    ),
    Index("event_correction_identity_idx", "platform_id", "identity", "seq"),
    Index("event_correction_period_idx", "platform_id", "period_id", "seq"),
    info=APPEND_ONLY,
)

event_import = Table(
    "event_import",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("file_sha256", LargeBinary, primary_key=True),
    Column("mapping_sha256", LargeBinary, primary_key=True),
    Column("file_name", Text, nullable=False),
    Column("row_count_done", BigInteger, nullable=False, doc="Rows whose batches are committed."),
    Column("accepted_count", BigInteger, nullable=False),
    Column("rejected_count", BigInteger, nullable=False),
    Column("skipped_count", BigInteger, nullable=False, doc="Values that make no event: a change of zero."),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
