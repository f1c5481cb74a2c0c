"""Tables of the ledger room.

A line moves a positive amount from its credit account to its debit account, in one currency that both
accounts share: entries balance by construction. A strict account carries a balance row that is locked and
limited; a tally account collects deltas that are folded into its balance row later.
"""

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
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from service.runtime.db import APPEND_ONLY, Currency, Instant, Minor, metadata

account = Table(
    "account",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("role", Text, nullable=False),
    Column("owner", Text, nullable=False, doc="A party's or a period's id; empty for the platform's own."),
    Column("currency", Currency, nullable=False),
    Column("is_strict", Boolean, nullable=False),
    Column("is_debit_normal", Boolean, nullable=False, doc="Whether debits raise it (assets, receivables)."),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("platform_id", "role", "owner", "currency"),
    UniqueConstraint("platform_id", "id", "currency"),
    info=APPEND_ONLY,
)

entry = Table(
    "entry",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("cause_kind", Text, nullable=False, doc="What made it: revenue, split, payout, funding ..."),
    Column("cause_id", Text, nullable=False),
    Column("period_id", Text, doc="The period that it belongs to, where it belongs to one."),
    Column("currency", Currency, nullable=False),
    Column("effective_at", Instant, nullable=False, doc="When it counts."),
    Column("recorded_at", Instant, nullable=False, doc="When we wrote it."),
    Column("key", Text, nullable=False, doc="Idempotency key: the same key posts once."),
    Column("request_sha256", LargeBinary, nullable=False, doc="Of the whole entry as asked for."),
    Column("reverses_id", BigInteger, doc="The entry that this one reverses."),
    Column("line_count", Integer, nullable=False),
    Column("amount_minor", Minor, nullable=False, doc="Sum of its lines."),
    ForeignKeyConstraint(["platform_id", "reverses_id"], ["entry.platform_id", "entry.id"]),
    UniqueConstraint("platform_id", "key"),
    UniqueConstraint("platform_id", "reverses_id"),
    CheckConstraint("line_count > 0", name="lines"),
    Index("entry_cause_idx", "platform_id", "cause_kind", "cause_id"),
    info=APPEND_ONLY,
)

line = Table(
    "line",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("entry_id", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("debit_account_id", BigInteger, nullable=False),
    Column("credit_account_id", BigInteger, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column("currency", Currency, nullable=False),
    ForeignKeyConstraint(["platform_id", "entry_id"], ["entry.platform_id", "entry.id"]),
    ForeignKeyConstraint(
        ["platform_id", "debit_account_id", "currency"],
        ["account.platform_id", "account.id", "account.currency"],
        name="line_debit_fk",
    ),
    ForeignKeyConstraint(
        ["platform_id", "credit_account_id", "currency"],
        ["account.platform_id", "account.id", "account.currency"],
        name="line_credit_fk",
    ),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("debit_account_id <> credit_account_id", name="accounts"),
    Index("line_debit_idx", "platform_id", "debit_account_id", "entry_id"),
    Index("line_credit_idx", "platform_id", "credit_account_id", "entry_id"),
    info=APPEND_ONLY,
)

balance = Table(
    "balance",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("debit_minor", Minor, nullable=False, server_default="0"),
    Column("credit_minor", Minor, nullable=False, server_default="0"),
    Column("floor_minor", Minor, doc="The least its balance on the normal side may be; empty: no limit."),
    Column("is_debit_normal", Boolean, nullable=False),
    ForeignKeyConstraint(["platform_id", "account_id"], ["account.platform_id", "account.id"]),
    CheckConstraint(
        "floor_minor IS NULL OR CASE WHEN is_debit_normal THEN debit_minor - credit_minor"
        " ELSE credit_minor - debit_minor END >= floor_minor",
        name="floor",
    ),
    # Rows are updated again and again: with room on their page an update touches no index.
    postgresql_with={"fillfactor": 50},
)

tally = Table(
    "tally",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("platform_id", Text, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("entry_id", BigInteger, nullable=False),
    Column("debit_minor", Minor, nullable=False),
    Column("credit_minor", Minor, nullable=False),
    ForeignKeyConstraint(["platform_id", "account_id"], ["account.platform_id", "account.id"]),
    Index("tally_account_idx", "platform_id", "account_id", "id"),
)
