"""Tables of the events room."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
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

from service.runtime.db import APPEND_ONLY, Currency, Instant, metadata

event_type = Table(
    "event_type",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("actor", Text, nullable=False, doc="Whether an event of this type names an actor."),
    Column("quantity_min", BigInteger, nullable=False),
    Column("quantity_max", BigInteger, nullable=False),
    Column("unit", Text, nullable=False, server_default="count", doc="What a quantity counts."),
    Column("kind", Text, nullable=False, server_default="engagement"),
    Column("stream", Text, doc="The revenue stream that attributed revenue distributes."),
    Column("currency", Currency, doc="Of attributed revenue: the platform's."),
    Column("attributes", JSONB, nullable=False, server_default="{}", doc="{name: {kind, ...}}."),
    Column("first_event_at", Instant, doc="When its first event was taken; its meaning stays since."),
    CheckConstraint("actor IN ('required', 'optional', 'none')", name="actor"),
    CheckConstraint("quantity_min <= quantity_max", name="quantity"),
    CheckConstraint("kind IN ('engagement', 'attributed_revenue')", name="kind"),
    CheckConstraint("(kind = 'attributed_revenue') = (stream IS NOT NULL)", name="stream"),
    CheckConstraint("(kind = 'attributed_revenue') = (currency IS NOT NULL)", name="currency"),
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
    Column("channel", Text, nullable=False, doc="http, import, retry, backfill or correction."),
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

quarantine = Table(
    "quarantine",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column(
        "id", Uuid, primary_key=True, doc="Derived from where the event was sent, so that it is kept once."
    ),
    Column("state", Text, nullable=False),
    Column("code", Text, nullable=False, doc="Why the event was rejected, or conflict."),
    Column("errors", JSONB, nullable=False, doc="[{pointer, detail}]"),
    Column("batch_id", Uuid, doc="The batch that brought it."),
    Column("position", Integer, nullable=False, doc="Its index in that batch."),
    Column("source", Text, doc="Where it could be read."),
    Column("event_id", Text, doc="Where it could be read."),
    Column("happened_at", Instant, nullable=False, doc="Its own time, or else when it was received."),
    Column("received_at", Instant, nullable=False),
    Column("raw", LargeBinary, doc="Its bytes, or the first of too many; none once it has left open."),
    Column("size_bytes", Integer, nullable=False, doc="Of the whole event as it was sent."),
    Column("is_whole", Boolean, nullable=False, doc="Whether all its bytes were kept."),
    Column("conflict", JSONB, doc="Of a conflict: both fingerprints, and the place of the first event."),
    Column("tried_at", Instant, doc="When it was last tried again."),
    Column("resolved_at", Instant),
    Column("resolved_by", Text),
    Column("reason", Text),
    Column("retry_batch_id", Uuid, doc="The batch in which it was accepted."),
    CheckConstraint("state IN ('open', 'retried', 'discarded')", name="state"),
    CheckConstraint("(state = 'open') = (resolved_at IS NULL)", name="resolved"),
    Index("quarantine_place_idx", "platform_id", "received_at", "id"),
    Index("quarantine_batch_idx", "platform_id", "batch_id"),
    Index("quarantine_event_idx", "platform_id", "event_id", "source"),
    Index(
        "quarantine_resolved_idx",
        "platform_id",
        "resolved_at",
        postgresql_where=text("state <> 'open'"),
    ),
    Index(
        "quarantine_open_idx",
        "platform_id",
        "received_at",
        "id",
        postgresql_where=text("state = 'open'"),
    ),
)

quarantine_total = Table(
    "quarantine_total",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("shard", Integer, primary_key=True, doc="Several rows a platform, so that intakes seldom wait."),
    Column("open_count", BigInteger, nullable=False),
    Column("open_bytes", BigInteger, nullable=False, doc="Of what is kept of open events."),
    Column("missed_count", BigInteger, nullable=False, doc="Events that were beyond the limit."),
)

platform_limit = Table(
    "platform_limit",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("events_per_minute", BigInteger, nullable=False),
    Column("bytes_per_minute", BigInteger, nullable=False),
    CheckConstraint("events_per_minute > 0 AND bytes_per_minute > 0", name="positive"),
)

event_quota = Table(
    "event_quota",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("window_at", Instant, nullable=False, doc="The start of the minute that the counts are of."),
    Column("events_leased", BigInteger, nullable=False),
    Column("bytes_leased", BigInteger, nullable=False),
    # What is spent of a minute is worth nothing after it: no log, no flush.
    prefixes=["UNLOGGED"],
)

BACKFILL_STATES = ("open", "submitted", "approved", "committed", "dropped")
"""In the order in which a backfill passes through them; it can be dropped until it is committed."""

backfill = Table(
    "backfill",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("from_at", Instant, nullable=False, doc="The first time that it takes."),
    Column("until_at", Instant, nullable=False, doc="The first time after it that it does not."),
    Column("rulebook_sha256", Text, nullable=False, doc="The rulebook that will compute its periods."),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("submitted_by", Text),
    Column("submitted_at", Instant),
    Column("approved_by", Text),
    Column("approved_at", Instant),
    Column("committed_by", Text),
    Column("committed_at", Instant),
    Column("dropped_by", Text),
    Column("dropped_at", Instant),
    Column("batch_count", BigInteger, doc="Frozen, as the four below, when it was submitted or dropped."),
    Column("accepted_count", BigInteger),
    Column("rejected_count", BigInteger),
    Column("first_at", Instant),
    Column("last_at", Instant),
    Column("batches_sha256", Text, doc="Of the staged batches in order; what is approved is exactly this."),
    Column("preview", JSONB, doc="What a commit would do, as it was last computed."),
    Column("previewed_at", Instant),
    CheckConstraint(f"state IN {BACKFILL_STATES}", name="state"),
    CheckConstraint("from_at < until_at", name="span"),
    CheckConstraint("(state = 'open') = (batches_sha256 IS NULL)", name="frozen"),
    CheckConstraint("approved_by <> created_by AND approved_by <> submitted_by", name="two_people"),
    CheckConstraint("(state = 'committed') = (committed_at IS NOT NULL)", name="committed"),
    CheckConstraint("committed_at IS NULL OR approved_at IS NOT NULL", name="approved_first"),
)

backfill_batch = Table(
    "backfill_batch",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("backfill_id", Uuid, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), primary_key=True, doc="Its order within the backfill."),
    Column("id", Uuid, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("channel", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("item_count", Integer, nullable=False),
    Column("accepted_count", Integer, nullable=False),
    Column("first_at", Instant),
    Column("last_at", Instant),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("body_zstd", LargeBinary, nullable=False),
    Column("rejections", JSONB, nullable=False),
    ForeignKeyConstraint(["platform_id", "backfill_id"], ["backfill.platform_id", "backfill.id"]),
)
"""Batches that wait for a commit: as those of the log, and seen by nobody who reads the log."""

backfill_receipt = Table(
    "backfill_receipt",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("backfill_id", Uuid, primary_key=True),
    Column("body_sha256", LargeBinary, primary_key=True),
    Column("batch_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("receipt", JSONB, nullable=False, doc="The answer as it was given."),
    ForeignKeyConstraint(["platform_id", "backfill_id"], ["backfill.platform_id", "backfill.id"]),
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
    Index("compacted_received_idx", "platform_id", "received_at", "seq"),
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
    Column(
        "kind",
        Text,
        nullable=False,
        doc="raw: as accepted; index: of a raw file; counted, verdicts and exceptions: a seal's result.",
    ),
    Column("day_on", Date, doc="The platform's local day of the events of a raw file, or of its index."),
    Column("raw_path", Text, doc="The raw file that an index leads into."),
    Column("period_id", Text, doc="The period whose seal wrote the file."),
    Column("run_id", Uuid, doc="The compaction or the merge that wrote the file."),
    Column("row_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("seq_first", BigInteger, nullable=False),
    Column("seq_last", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "raw_path"], ["lake_file.platform_id", "lake_file.path"]),
    UniqueConstraint("platform_id", "raw_path"),
    CheckConstraint("kind IN ('raw', 'index', 'counted', 'verdicts', 'exceptions')", name="kind"),
    CheckConstraint("(kind IN ('raw', 'index')) = (day_on IS NOT NULL)", name="day"),
    CheckConstraint("(kind IN ('raw', 'index')) = (period_id IS NULL)", name="period"),
    CheckConstraint("(kind = 'index') = (raw_path IS NOT NULL)", name="index"),
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
    Column("attributes", Text, doc="Canonical JSON, as in the lake."),
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
