"""Tables of the payouts room, and of the pretend bank of the `sandbox` provider.

The bank's tables (sandbox_*) are another house: nothing of the service refers to them, and only the provider
reads and writes them, through transactions of its own.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from service.payouts.transitions import State
from service.runtime.db import APPEND_ONLY, Currency, Instant, Minor, metadata

STATES = tuple(state.value for state in State)
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
    CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="approval"),
    CheckConstraint("approved_by IS NOT NULL OR state IN ('submitted', 'cancelled')", name="approved_first"),
    CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name="done"),
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
    Column("reason", Text, doc="Why it failed, was returned or cancelled, in the provider's word."),
    Column("provider_reference", Text),
    Column("due_at", Instant, doc="When the next step (send, look up) may be tried; empty: nothing to do."),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant, doc="When we learned that the provider took it."),
    Column("settled_at", Instant, doc="When we learned that it was paid."),
    ForeignKeyConstraint(["platform_id", "batch_id"], ["payout_batch.platform_id", "payout_batch.id"]),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint(
        "provider_reference IS NOT NULL OR state NOT IN ('sent', 'paid', 'returned')", name="reference"
    ),
    Index("payout_batch_idx", "platform_id", "batch_id", "id"),
    Index("payout_creator_idx", "platform_id", "creator_id", "id"),
    Index(
        "payout_in_flight_key",
        "platform_id",
        "creator_id",
        "currency",
        unique=True,
        postgresql_where="state IN ('ready', 'approved', 'sending', 'unknown', 'sent')",
    ),
    Index("payout_due_idx", "provider", "due_at", "id", postgresql_where="due_at IS NOT NULL"),
)

payout_attempt = Table(
    "payout_attempt",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("payout_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False, doc="The provider's idempotency key: payout and attempt."),
    Column(
        "request_sha256", LargeBinary, nullable=False, doc="Of the frozen request, sealed details included."
    ),
    Column("state", Text, nullable=False),
    Column("owner", Text, nullable=False, doc="The process that holds the claim."),
    Column(
        "claim_count", Integer, nullable=False, doc="How often it was claimed; fences off earlier holders."
    ),
    Column("lease_until", Instant, nullable=False),
    Column("claimed_at", Instant, nullable=False, doc="When it was first claimed."),
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
    Column("currency", Currency, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("is_overdraft_allowed", Boolean, nullable=False, doc="The bank's own accounts only."),
    Column("balance_minor", Minor, nullable=False, server_default="0", doc="Sum of its postings."),
    Column("opened_at", Instant, nullable=False),
    CheckConstraint("balance_minor >= 0 OR is_overdraft_allowed", name="funds"),
)

sandbox_transfer = Table(
    "sandbox_transfer",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text, nullable=False, unique=True, doc="The client's idempotency key."),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("group_id", Text, nullable=False, doc="The payout's id: what a look-up asks for."),
    Column("debit_number", Text, nullable=False, doc="Pays: the platform's settlement account."),
    Column("credit_number", Text, nullable=False, doc="Receives; opened when the first money arrives."),
    Column("holder", Text, nullable=False, doc="Of the receiving account, as the request names it."),
    Column("currency", Currency, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column("narrative", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("call_count", Integer, nullable=False, doc="How often the key was presented."),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False, doc="When it reached its present state."),
    Column("next_at", Instant, doc="When the bank moves it on; empty: never again."),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("state IN ('lost', 'rejected', 'pending', 'paid', 'failed', 'returned')", name="state"),
    Index("sandbox_transfer_group_idx", "group_id"),
    Index("sandbox_transfer_next_idx", "next_at", postgresql_where="next_at IS NOT NULL"),
)

sandbox_posting = Table(
    "sandbox_posting",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("cause", Text, nullable=False),
    Column("reference", Text, nullable=False, doc="The transfer's id, or the deposit's number."),
    Column("debit_number", Text, nullable=False, doc="Pays."),
    Column("credit_number", Text, nullable=False, doc="Receives."),
    Column("currency", Currency, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column("at", Instant, nullable=False),
    ForeignKeyConstraint(
        ["debit_number", "currency"],
        ["sandbox_account.number", "sandbox_account.currency"],
        name="sandbox_posting_debit_fk",
    ),
    ForeignKeyConstraint(
        ["credit_number", "currency"],
        ["sandbox_account.number", "sandbox_account.currency"],
        name="sandbox_posting_credit_fk",
    ),
    UniqueConstraint("cause", "reference", "credit_number", "currency"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("cause IN ('deposited', 'sent', 'arrived', 'came_back')", name="cause"),
    Index("sandbox_posting_debit_idx", "debit_number", "currency"),
    Index("sandbox_posting_credit_idx", "credit_number", "currency"),
    info=APPEND_ONLY,
)
