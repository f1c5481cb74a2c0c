"""Tables of the payouts room."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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

from service.runtime.db import APPEND_ONLY, Currency, Instant, Minor, metadata

STATES = ("ready", "approved", "sending", "unknown", "sent", "paid", "failed", "returned", "cancelled")
"""States of a payout once it is in a batch; before that, what is due is a balance, not a row."""

BATCH_STATES = ("submitted", "approved", "cancelled", "done")

payee = Table(
    "payee",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("creator_id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("destination_sealed", LargeBinary, nullable=False, doc="Encrypted JSON in the provider's form."),
    Column("destination_hint", Text, nullable=False, doc="What people may see: the last four characters."),
    Column("updated_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
)

payout_batch = Table(
    "payout_batch",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("state", Text, nullable=False),
    Column("payout_count", Integer, nullable=False, doc="Control total, frozen at submission."),
    Column("amount_minor", Minor, nullable=False, doc="Control total, frozen at submission."),
    Column("payouts_sha256", Text, nullable=False, doc="Control total, frozen at submission."),
    Column("submitted_by", Text, nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", Instant),
    Column("done_at", Instant),
    CheckConstraint("approved_by <> submitted_by", name="two_people"),
    CheckConstraint(f"state IN {BATCH_STATES}", name="state"),
)

payout = Table(
    "payout",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("batch_id", Uuid, nullable=False),
    Column("creator_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column("destination_sealed", LargeBinary, nullable=False, doc="Frozen when the batch was submitted."),
    Column("destination_hint", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, doc="Why it failed, was returned or cancelled."),
    Column("provider_reference", Text),
    Column("due_at", Instant, doc="When the next step (send, look up) may be tried."),
    Column("created_at", Instant, nullable=False),
    Column("settled_at", Instant, doc="When it became paid."),
    ForeignKeyConstraint(["platform_id", "batch_id"], ["payout_batch.platform_id", "payout_batch.id"]),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    Index("payout_batch_idx", "platform_id", "batch_id"),
    Index("payout_creator_idx", "platform_id", "creator_id", "id"),
    Index(
        "payout_moving_idx", "due_at", postgresql_where="state IN ('approved', 'sending', 'unknown', 'sent')"
    ),
)

payout_attempt = Table(
    "payout_attempt",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("payout_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False, doc="The provider's idempotency key: payout and attempt."),
    Column("request_sha256", LargeBinary, nullable=False, doc="Of the frozen request, sealed details included."),
    Column("state", Text, nullable=False),
    Column("owner", Text, nullable=False, doc="The process that holds the claim."),
    Column("lease_until", Instant, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Column("recorded_at", Instant),
    Column("outcome", JSONB),
    ForeignKeyConstraint(["platform_id", "payout_id"], ["payout.platform_id", "payout.id"]),
    UniqueConstraint("platform_id", "key"),
    CheckConstraint("state IN ('claimed', 'accepted', 'rejected', 'unknown')", name="state"),
)

payout_step = Table(
    "payout_step",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("platform_id", Text, nullable=False),
    Column("payout_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    ForeignKeyConstraint(["platform_id", "payout_id"], ["payout.platform_id", "payout.id"]),
    Index("payout_step_payout_idx", "platform_id", "payout_id", "id"),
    info=APPEND_ONLY,
)

sandbox_account = Table(
    "sandbox_account",
    metadata,
    Column("number", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("is_overdraft_allowed", Integer, nullable=False, server_default="0"),
    Column("opened_at", Instant, nullable=False),
)

sandbox_transfer = Table(
    "sandbox_transfer",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False, unique=True, doc="The client's idempotency key."),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("group", Text, nullable=False, doc="The payout's id: what a look-up asks for."),
    Column("debit_number", Text, nullable=False),
    Column("credit_number", Text, nullable=False),
    Column("currency", Currency, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("created_at", Instant, nullable=False),
    Column("arrives_at", Instant, nullable=False),
    Column("returns_at", Instant),
    ForeignKeyConstraint(["debit_number"], ["sandbox_account.number"]),
    CheckConstraint("state IN ('pending', 'paid', 'returned', 'rejected')", name="state"),
    Index("sandbox_transfer_group_idx", "group"),
)

sandbox_posting = Table(
    "sandbox_posting",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("transfer_id", Uuid, nullable=False),
    Column("debit_number", Text, nullable=False, doc="Pays."),
    Column("credit_number", Text, nullable=False, doc="Receives."),
    Column("amount_minor", Minor, nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("amount_minor > 0", name="amount"),
    Index("sandbox_posting_debit_idx", "debit_number"),
    Index("sandbox_posting_credit_idx", "credit_number"),
    info=APPEND_ONLY,
)
