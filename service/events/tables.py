"""Tables of the events room."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
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
    # No foreign key: dropping a partition that has one would lock `platform` against everybody.
    Column("platform_id", Text, nullable=False),
    Column(
        "seq",
        BigInteger,
        server_default=text("next_event_seq()"),
        nullable=False,
        doc="Given under the intake's lock; one sequence for all partitions.",
    ),
    Column("id", Uuid, nullable=False),
    Column("received_at", Instant, nullable=False, doc="Its UTC day is the batch's partition."),
    Column("channel", Text, nullable=False, doc="http or import."),
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
    PrimaryKeyConstraint("platform_id", "seq", "received_at"),
    UniqueConstraint("platform_id", "id", "received_at"),
    postgresql_partition_by="RANGE (received_at)",
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
    Index("event_receipt_created_idx", "created_at", postgresql_using="brin"),
)

compacted = Table(
    "compacted",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("run_id", Uuid, nullable=False),
    Column("compacted_at", Instant, nullable=False),
    # What is said of the batch in the log, but for its body: it stays when the log's partition is dropped.
    Column("batch_id", Uuid, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("channel", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("accepted_count", Integer, nullable=False),
    Column("first_at", Instant),
    Column("last_at", Instant),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("rejections", JSONB, nullable=False),
    UniqueConstraint("platform_id", "batch_id"),
    info=APPEND_ONLY,
)

compaction_mark = Table(
    "compaction_mark",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("seq", BigInteger, nullable=False, doc="No batch up to this one waits, or ever will."),
    Column("next_seq", BigInteger, doc="The last number that was given out when next_xact began."),
    Column("next_xact", BigInteger, doc="When every transaction before it has ended, next_seq is decided."),
)

lake_file = Table(
    "lake_file",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("path", Text, primary_key=True, doc="Below EVENT_LAKE_URL."),
    Column("kind", Text, nullable=False, doc="raw: as accepted; counted and verdicts: a seal's result."),
    Column("day_on", Date, doc="The platform's local day of a raw file's events."),
    Column("period_id", Text, doc="The period whose seal wrote the file."),
    Column("run_id", Uuid, doc="The compaction or the merge that wrote the file."),
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
    Index("lake_file_created_idx", "platform_id", "created_at"),
    info=APPEND_ONLY,
)

lake_replacement = Table(
    "lake_replacement",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("path", Text, primary_key=True, doc="A raw file whose rows are in the files of the merge."),
    Column("run_id", Uuid, nullable=False, doc="The merge; its files carry the same."),
    Column("replaced_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "path"], ["lake_file.platform_id", "lake_file.path"]),
    info=APPEND_ONLY,
)

lake_removal = Table(
    "lake_removal",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("sha256", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False, doc="replaced: by a merge; retention: by the platform's policy."),
    Column("removed_at", Instant, nullable=False),
    CheckConstraint("reason IN ('replaced', 'retention')", name="reason"),
    ForeignKeyConstraint(["platform_id", "path"], ["lake_file.platform_id", "lake_file.path"]),
    info=APPEND_ONLY,
)

event_retention = Table(
    "event_retention",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("days", Integer, nullable=False, doc="Events are kept so long after their period was posted."),
    CheckConstraint("days >= 0", name="days"),
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
