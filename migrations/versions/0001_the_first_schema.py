"""The first schema."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "audit_trail",
    "sandbox_posting",
    "account",
    "entry",
    "event_batch",
    "lake_file",
    "rulebook",
    "compacted",
    "line",
    "period_step",
    "revenue",
    "split",
    "statement",
    "payout_step",
    "share",
)

CHANGEABLE = (
    "job_run",
    "payout_batch",
    "platform",
    "sandbox_account",
    "api_key",
    "creator",
    "event_import",
    "event_receipt",
    "event_type",
    "idempotency_record",
    "partner",
    "period",
    "sandbox_transfer",
    "sign_in_link",
    "staff",
    "web_session",
    "balance",
    "content",
    "creator_identity",
    "estimate_run",
    "payee",
    "payout",
    "tally",
    "contribution",
    "estimate",
    "payout_attempt",
)


def upgrade() -> None:
    op.create_table(
        "audit_trail",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "actor_kind IN ('operator', 'key', 'staff', 'creator', 'system')",
            name=op.f("audit_trail_actor_kind_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_trail_pk")),
    )
    op.create_index("audit_trail_platform_idx", "audit_trail", ["platform_id", "id"], unique=False)
    op.create_table(
        "job_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress_total", sa.BigInteger(), nullable=True),
        sa.Column("arguments", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("fault", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('due', 'running', 'done', 'failed')", name=op.f("job_run_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("job_run_pk")),
        sa.UniqueConstraint(
            "platform_id", "job", "scope", "due_at", name=op.f("job_run_platform_id_job_scope_due_at_key")
        ),
    )
    op.create_index(
        "job_run_waiting_idx",
        "job_run",
        ["due_at"],
        unique=False,
        postgresql_where="state IN ('due', 'running')",
    )
    op.create_table(
        "payout_batch",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payout_count", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("payouts_sha256", sa.Text(), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name=op.f("payout_batch_done_check")),
        sa.CheckConstraint(
            "approved_by IS NOT NULL OR state IN ('submitted', 'cancelled')",
            name=op.f("payout_batch_approved_first_check"),
        ),
        sa.CheckConstraint(
            "state IN ('submitted', 'approved', 'cancelled', 'done')", name=op.f("payout_batch_state_check")
        ),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL)", name=op.f("payout_batch_approval_check")
        ),
        sa.CheckConstraint("approved_by <> submitted_by", name=op.f("payout_batch_two_people_check")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("payout_batch_pk")),
    )
    op.create_table(
        "platform",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("period_unit", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("unknown_creators", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "id = parent_id || '.' || split_part(id, '.', -1) OR parent_id IS NULL",
            name=op.f("platform_path_check"),
        ),
        sa.CheckConstraint(
            "period_unit IN ('month', 'week', 'day')", name=op.f("platform_period_unit_check")
        ),
        sa.CheckConstraint(
            "unknown_creators IN ('reject', 'register')", name=op.f("platform_unknown_creators_check")
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["platform.id"], name=op.f("platform_parent_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("platform_pk")),
    )
    op.create_table(
        "sandbox_account",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("is_overdraft_allowed", sa.Boolean(), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "balance_minor >= 0 OR is_overdraft_allowed", name=op.f("sandbox_account_funds_check")
        ),
        sa.PrimaryKeyConstraint("number", "currency", name=op.f("sandbox_account_pk")),
    )
    op.create_table(
        "sandbox_posting",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("debit_number", sa.Text(), nullable=False),
        sa.Column("credit_number", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "cause IN ('deposited', 'sent', 'arrived', 'came_back')", name=op.f("sandbox_posting_cause_check")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("sandbox_posting_amount_check")),
        sa.ForeignKeyConstraint(
            ["credit_number", "currency"],
            ["sandbox_account.number", "sandbox_account.currency"],
            name="sandbox_posting_credit_fk",
        ),
        sa.ForeignKeyConstraint(
            ["debit_number", "currency"],
            ["sandbox_account.number", "sandbox_account.currency"],
            name="sandbox_posting_debit_fk",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("sandbox_posting_pk")),
        sa.UniqueConstraint(
            "cause",
            "reference",
            "credit_number",
            "currency",
            name=op.f("sandbox_posting_cause_reference_credit_number_currency_key"),
        ),
    )
    op.create_index(
        "sandbox_posting_credit_idx", "sandbox_posting", ["credit_number", "currency"], unique=False
    )
    op.create_index(
        "sandbox_posting_debit_idx", "sandbox_posting", ["debit_number", "currency"], unique=False
    )
    op.create_table(
        "account",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("is_strict", sa.Boolean(), nullable=False),
        sa.Column("is_debit_normal", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("account_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("account_pk")),
        sa.UniqueConstraint(
            "platform_id", "id", "currency", name=op.f("account_platform_id_id_currency_key")
        ),
        sa.UniqueConstraint(
            "platform_id",
            "role",
            "owner",
            "currency",
            name=op.f("account_platform_id_role_owner_currency_key"),
        ),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("secret_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("api_key_platform_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_key_pk")),
    )
    op.create_index("api_key_platform_idx", "api_key", ["platform_id"], unique=False)
    op.create_table(
        "creator",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("creator_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("creator_pk")),
    )
    op.create_table(
        "entry",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cause_kind", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=True),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("reverses_id", sa.BigInteger(), nullable=True),
        sa.Column("line_count", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("line_count > 0", name=op.f("entry_lines_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "reverses_id"],
            ["entry.platform_id", "entry.id"],
            name=op.f("entry_platform_id_reverses_id_fk"),
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("entry_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("entry_pk")),
        sa.UniqueConstraint("platform_id", "key", name=op.f("entry_platform_id_key_key")),
        sa.UniqueConstraint("platform_id", "reverses_id", name=op.f("entry_platform_id_reverses_id_key")),
    )
    op.create_index("entry_cause_idx", "entry", ["platform_id", "cause_kind", "cause_id"], unique=False)
    op.create_table(
        "event_batch",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("accepted_count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("body_zstd", sa.LargeBinary(), nullable=False),
        sa.Column("rejections", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("event_batch_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "seq", name=op.f("event_batch_pk")),
        sa.UniqueConstraint("platform_id", "id", name=op.f("event_batch_platform_id_id_key")),
    )
    op.create_table(
        "event_import",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("mapping_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("row_count_done", sa.BigInteger(), nullable=False),
        sa.Column("accepted_count", sa.BigInteger(), nullable=False),
        sa.Column("rejected_count", sa.BigInteger(), nullable=False),
        sa.Column("skipped_count", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("event_import_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "file_sha256", "mapping_sha256", name=op.f("event_import_pk")),
    )
    op.create_table(
        "event_receipt",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("event_receipt_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "body_sha256", name=op.f("event_receipt_pk")),
    )
    op.create_table(
        "event_type",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("quantity_min", sa.BigInteger(), nullable=False),
        sa.Column("quantity_max", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("actor IN ('required', 'optional', 'none')", name=op.f("event_type_actor_check")),
        sa.CheckConstraint("quantity_min <= quantity_max", name=op.f("event_type_quantity_check")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("event_type_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "name", name=op.f("event_type_pk")),
    )
    op.create_table(
        "idempotency_record",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("idempotency_record_platform_id_fk")
        ),
        sa.PrimaryKeyConstraint("platform_id", "key", name=op.f("idempotency_record_pk")),
    )
    op.create_index("idempotency_record_age_idx", "idempotency_record", ["created_at"], unique=False)
    op.create_table(
        "lake_file",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day_on", sa.Date(), nullable=True),
        sa.Column("period_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("seq_first", sa.BigInteger(), nullable=False),
        sa.Column("seq_last", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(kind = 'raw') = (day_on IS NOT NULL)", name=op.f("lake_file_day_check")),
        sa.CheckConstraint("(kind = 'raw') = (period_id IS NULL)", name=op.f("lake_file_period_check")),
        sa.CheckConstraint("kind IN ('raw', 'counted', 'verdicts')", name=op.f("lake_file_kind_check")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("lake_file_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "path", name=op.f("lake_file_pk")),
    )
    op.create_index("lake_file_day_idx", "lake_file", ["platform_id", "day_on"], unique=False)
    op.create_index("lake_file_period_idx", "lake_file", ["platform_id", "period_id"], unique=False)
    op.create_table(
        "partner",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("partner_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("partner_pk")),
    )
    op.create_table(
        "period",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_historic", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cut_seq", sa.BigInteger(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'open') = (cut_seq IS NULL)", name=op.f("period_cut_check")),
        sa.CheckConstraint(
            "state IN ('open', 'sealed', 'scored', 'split', 'published', 'approved', 'posted')",
            name=op.f("period_state_check"),
        ),
        sa.CheckConstraint("end_at > start_at", name=op.f("period_span_check")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("period_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("period_pk")),
        sa.UniqueConstraint("platform_id", "end_at", name=op.f("period_platform_id_end_at_key")),
        sa.UniqueConstraint("platform_id", "start_at", name=op.f("period_platform_id_start_at_key")),
    )
    op.create_table(
        "rulebook",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("in_force_from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("rulebook_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "sha256", name=op.f("rulebook_pk")),
        sa.UniqueConstraint(
            "platform_id", "in_force_from_at", name=op.f("rulebook_platform_id_in_force_from_at_key")
        ),
        sa.UniqueConstraint("platform_id", "version", name=op.f("rulebook_platform_id_version_key")),
    )
    op.create_table(
        "sandbox_transfer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("debit_number", sa.Text(), nullable=False),
        sa.Column("credit_number", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("narrative", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("call_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('lost', 'rejected', 'pending', 'paid', 'failed', 'returned')",
            name=op.f("sandbox_transfer_state_check"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("sandbox_transfer_amount_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("sandbox_transfer_pk")),
        sa.UniqueConstraint("key", name=op.f("sandbox_transfer_key_key")),
    )
    op.create_index("sandbox_transfer_group_idx", "sandbox_transfer", ["group_id"], unique=False)
    op.create_index(
        "sandbox_transfer_next_idx",
        "sandbox_transfer",
        ["next_at"],
        unique=False,
        postgresql_where="next_at IS NOT NULL",
    )
    op.create_table(
        "sign_in_link",
        sa.Column("token_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "subject_kind IN ('staff', 'creator')", name=op.f("sign_in_link_subject_kind_check")
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("sign_in_link_platform_id_fk")),
        sa.PrimaryKeyConstraint("token_hmac", name=op.f("sign_in_link_pk")),
    )
    op.create_table(
        "staff",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deactivated_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("staff_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("staff_pk")),
    )
    op.create_table(
        "web_session",
        sa.Column("token_hmac", sa.LargeBinary(), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "subject_kind IN ('staff', 'creator')", name=op.f("web_session_subject_kind_check")
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("web_session_platform_id_fk")),
        sa.PrimaryKeyConstraint("token_hmac", name=op.f("web_session_pk")),
    )
    op.create_table(
        "balance",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("debit_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("floor_minor", sa.BigInteger(), nullable=True),
        sa.Column("is_debit_normal", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "floor_minor IS NULL OR CASE WHEN is_debit_normal THEN debit_minor - credit_minor ELSE credit_minor - debit_minor END >= floor_minor",
            name=op.f("balance_floor_check"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "account_id"],
            ["account.platform_id", "account.id"],
            name=op.f("balance_platform_id_account_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "account_id", name=op.f("balance_pk")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "compacted",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "seq"],
            ["event_batch.platform_id", "event_batch.seq"],
            name=op.f("compacted_platform_id_seq_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "seq", name=op.f("compacted_pk")),
    )
    op.create_table(
        "content",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "creator_id"],
            ["creator.platform_id", "creator.id"],
            name=op.f("content_platform_id_creator_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("content_pk")),
    )
    op.create_table(
        "creator_identity",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("display_name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "creator_id"],
            ["creator.platform_id", "creator.id"],
            name=op.f("creator_identity_platform_id_creator_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "creator_id", name=op.f("creator_identity_pk")),
    )
    op.create_table(
        "estimate_run",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("as_of_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq_last", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("pool_minor", sa.BigInteger(), nullable=False),
        sa.Column("points_e4", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("estimate_run_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "period_id", name=op.f("estimate_run_pk")),
    )
    op.create_table(
        "line",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("debit_account_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_account_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("line_amount_check")),
        sa.CheckConstraint("debit_account_id <> credit_account_id", name=op.f("line_accounts_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "credit_account_id", "currency"],
            ["account.platform_id", "account.id", "account.currency"],
            name="line_credit_fk",
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "debit_account_id", "currency"],
            ["account.platform_id", "account.id", "account.currency"],
            name="line_debit_fk",
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "entry_id"],
            ["entry.platform_id", "entry.id"],
            name=op.f("line_platform_id_entry_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "entry_id", "position", name=op.f("line_pk")),
    )
    op.create_index("line_credit_idx", "line", ["platform_id", "credit_account_id", "entry_id"], unique=False)
    op.create_index("line_debit_idx", "line", ["platform_id", "debit_account_id", "entry_id"], unique=False)
    op.create_table(
        "payee",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("destination_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("destination_hint", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "creator_id"],
            ["creator.platform_id", "creator.id"],
            name=op.f("payee_platform_id_creator_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "creator_id", name=op.f("payee_pk")),
    )
    op.create_table(
        "payout",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("destination_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("destination_hint", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "provider_reference IS NOT NULL OR state NOT IN ('sent', 'paid', 'returned')",
            name=op.f("payout_reference_check"),
        ),
        sa.CheckConstraint(
            "state IN ('ready', 'approved', 'sending', 'unknown', 'sent', 'paid', 'failed', 'returned', 'cancelled')",
            name=op.f("payout_state_check"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("payout_amount_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "batch_id"],
            ["payout_batch.platform_id", "payout_batch.id"],
            name=op.f("payout_platform_id_batch_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "creator_id"],
            ["creator.platform_id", "creator.id"],
            name=op.f("payout_platform_id_creator_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("payout_pk")),
    )
    op.create_index("payout_batch_idx", "payout", ["platform_id", "batch_id", "id"], unique=False)
    op.create_index("payout_creator_idx", "payout", ["platform_id", "creator_id", "id"], unique=False)
    op.create_index(
        "payout_due_idx",
        "payout",
        ["provider", "due_at", "id"],
        unique=False,
        postgresql_where="due_at IS NOT NULL",
    )
    op.create_index(
        "payout_in_flight_key",
        "payout",
        ["platform_id", "creator_id", "currency"],
        unique=True,
        postgresql_where="state IN ('ready', 'approved', 'sending', 'unknown', 'sent')",
    )
    op.create_table(
        "period_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("period_step_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("period_step_pk")),
    )
    op.create_index("period_step_period_idx", "period_step", ["platform_id", "period_id", "id"], unique=False)
    op.create_table(
        "revenue",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("origin_period_id", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("gross_minor", sa.BigInteger(), nullable=False),
        sa.Column("deductions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("net_minor", sa.BigInteger(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint("end_at > start_at", name=op.f("revenue_span_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "entry_id"],
            ["entry.platform_id", "entry.id"],
            name=op.f("revenue_platform_id_entry_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("revenue_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("revenue_pk")),
        sa.UniqueConstraint("platform_id", "reference", name=op.f("revenue_platform_id_reference_key")),
    )
    op.create_index("revenue_period_idx", "revenue", ["platform_id", "period_id"], unique=False)
    op.create_table(
        "split",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rulebook_sha256", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("pool_minor", sa.BigInteger(), nullable=False),
        sa.Column("deficit_minor", sa.BigInteger(), nullable=False),
        sa.Column("points_e4", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("share_count", sa.Integer(), nullable=False),
        sa.Column("shares_sha256", sa.Text(), nullable=False),
        sa.Column("inputs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("pool_minor >= 0 AND deficit_minor >= 0", name=op.f("split_pool_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("split_platform_id_period_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "rulebook_sha256"],
            ["rulebook.platform_id", "rulebook.sha256"],
            name=op.f("split_platform_id_rulebook_sha256_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "period_id", "version", name=op.f("split_pk")),
    )
    op.create_table(
        "statement",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("values_sha256", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "creator_id"],
            ["creator.platform_id", "creator.id"],
            name=op.f("statement_platform_id_creator_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("statement_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "number", name=op.f("statement_pk")),
        sa.UniqueConstraint(
            "platform_id",
            "period_id",
            "creator_id",
            name=op.f("statement_platform_id_period_id_creator_id_key"),
        ),
        sa.UniqueConstraint(
            "platform_id", "period_id", "ordinal", name=op.f("statement_platform_id_period_id_ordinal_key")
        ),
    )
    op.create_table(
        "tally",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("debit_minor", sa.BigInteger(), nullable=False),
        sa.Column("credit_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "account_id"],
            ["account.platform_id", "account.id"],
            name=op.f("tally_platform_id_account_id_fk"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("tally_pk")),
    )
    op.create_index("tally_account_idx", "tally", ["platform_id", "account_id", "id"], unique=False)
    op.create_table(
        "contribution",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("content_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("share_bp", sa.Integer(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("share_bp BETWEEN 1 AND 10000", name=op.f("contribution_share_check")),
        sa.CheckConstraint("until_at > from_at", name=op.f("contribution_span_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "content_id"],
            ["content.platform_id", "content.id"],
            name=op.f("contribution_platform_id_content_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "creator_id"],
            ["creator.platform_id", "creator.id"],
            name=op.f("contribution_platform_id_creator_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "platform_id", "content_id", "creator_id", "from_at", name=op.f("contribution_pk")
        ),
    )
    op.create_table(
        "estimate",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("points_e4", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("walk", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["estimate_run.platform_id", "estimate_run.period_id"],
            name=op.f("estimate_platform_id_period_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("platform_id", "period_id", "creator_id", name=op.f("estimate_pk")),
    )
    op.create_table(
        "payout_attempt",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("claim_count", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "state IN ('claimed', 'accepted', 'rejected', 'unknown')", name=op.f("payout_attempt_state_check")
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "payout_id"],
            ["payout.platform_id", "payout.id"],
            name=op.f("payout_attempt_platform_id_payout_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "payout_id", "number", name=op.f("payout_attempt_pk")),
        sa.UniqueConstraint("platform_id", "key", name=op.f("payout_attempt_platform_id_key_key")),
    )
    op.create_table(
        "payout_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "payout_id"],
            ["payout.platform_id", "payout.id"],
            name=op.f("payout_step_platform_id_payout_id_fk"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("payout_step_pk")),
    )
    op.create_index("payout_step_payout_idx", "payout_step", ["platform_id", "payout_id", "id"], unique=False)
    op.create_table(
        "share",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("party_kind", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("origin_period_id", sa.Text(), nullable=False),
        sa.Column("points_e4", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("walk", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "party_kind IN ('platform', 'parent', 'partner', 'creator', 'unearned')",
            name=op.f("share_party_kind_check"),
        ),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("share_amount_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id", "version"],
            ["split.platform_id", "split.period_id", "split.version"],
            name=op.f("share_platform_id_period_id_version_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "platform_id",
            "period_id",
            "version",
            "party_kind",
            "party_id",
            "origin_period_id",
            name=op.f("share_pk"),
        ),
    )
    op.create_index(
        "share_party_idx", "share", ["platform_id", "party_kind", "party_id", "period_id"], unique=False
    )
    protect()
    grant(context.config.attributes["app_role"])


def protect() -> None:
    """Refuse every change of a written row of the append-only tables, also by their owner."""
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% on %: its rows are written once; correct them by adding', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def grant(app_role: str) -> None:
    """Give the application role what it needs, table by table; it owns nothing."""
    role = op.get_bind().dialect.identifier_preparer.quote(app_role)
    op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(CHANGEABLE)} TO {role}")
    op.execute(f"GRANT SELECT ON alembic_version TO {role}")
