"""Backfills: what is staged, and the rulebooks that they name. Control totals and what came of them."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

APPEND_ONLY = ("rulebook_pin", "control_total", "control_comparison")
CHANGEABLE = ("backfill", "backfill_batch", "backfill_receipt", "control_look")


def upgrade() -> None:
    op.create_table(
        "backfill",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rulebook_sha256", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("committed_by", sa.Text(), nullable=True),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dropped_by", sa.Text(), nullable=True),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("batch_count", sa.BigInteger(), nullable=True),
        sa.Column("accepted_count", sa.BigInteger(), nullable=True),
        sa.Column("rejected_count", sa.BigInteger(), nullable=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("batches_sha256", sa.Text(), nullable=True),
        sa.Column("preview", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("previewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'submitted', 'approved', 'committed', 'dropped')",
            name=op.f("backfill_state_check"),
        ),
        sa.CheckConstraint("from_at < until_at", name=op.f("backfill_span_check")),
        sa.CheckConstraint("(state = 'open') = (batches_sha256 IS NULL)", name=op.f("backfill_frozen_check")),
        sa.CheckConstraint(
            "approved_by <> created_by AND approved_by <> submitted_by",
            name=op.f("backfill_two_people_check"),
        ),
        sa.CheckConstraint(
            "(state = 'committed') = (committed_at IS NOT NULL)", name=op.f("backfill_committed_check")
        ),
        sa.CheckConstraint(
            "committed_at IS NULL OR approved_at IS NOT NULL", name=op.f("backfill_approved_first_check")
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("backfill_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("backfill_pk")),
    )
    op.create_table(
        "backfill_batch",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("backfill_id", sa.Uuid(), nullable=False),
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
        sa.ForeignKeyConstraint(
            ["platform_id", "backfill_id"],
            ["backfill.platform_id", "backfill.id"],
            name=op.f("backfill_batch_platform_id_backfill_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "backfill_id", "seq", name=op.f("backfill_batch_pk")),
    )
    op.create_table(
        "backfill_receipt",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("backfill_id", sa.Uuid(), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "backfill_id"],
            ["backfill.platform_id", "backfill.id"],
            name=op.f("backfill_receipt_platform_id_backfill_id_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "platform_id", "backfill_id", "body_sha256", name=op.f("backfill_receipt_pk")
        ),
    )
    op.create_table(
        "rulebook_pin",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("backfill_id", sa.Uuid(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pinned_by", sa.Text(), nullable=False),
        sa.CheckConstraint("start_at < end_at", name=op.f("rulebook_pin_span_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "sha256"],
            ["rulebook.platform_id", "rulebook.sha256"],
            name=op.f("rulebook_pin_platform_id_sha256_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "backfill_id"],
            ["backfill.platform_id", "backfill.id"],
            name=op.f("rulebook_pin_platform_id_backfill_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "start_at", name=op.f("rulebook_pin_pk")),
    )
    op.create_table(
        "control_total",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("is_blocking", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.CheckConstraint("start_at < end_at", name=op.f("control_total_span_check")),
        sa.CheckConstraint("event_count >= 0", name=op.f("control_total_event_count_check")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("control_total_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("control_total_pk")),
    )
    op.create_index("control_total_period_idx", "control_total", ["platform_id", "period_id"], unique=False)
    op.create_table(
        "control_comparison",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("total_id", sa.BigInteger(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "total_id"],
            ["control_total.platform_id", "control_total.id"],
            name=op.f("control_comparison_platform_id_total_id_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("control_comparison_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "total_id", name=op.f("control_comparison_pk")),
    )
    op.create_index(
        "control_comparison_period_idx", "control_comparison", ["platform_id", "period_id"], unique=False
    )
    op.create_table(
        "control_look",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("total_id", sa.BigInteger(), nullable=False),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=38, scale=0), nullable=False),
        sa.Column("as_of_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id", "total_id"],
            ["control_total.platform_id", "control_total.id"],
            name=op.f("control_look_platform_id_total_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "total_id", name=op.f("control_look_pk")),
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    grant(context.config.attributes["app_role"])


def downgrade() -> None:
    for table in (
        "control_comparison",
        "control_total",
        "rulebook_pin",
        "backfill_receipt",
        "backfill_batch",
        "backfill",
    ):
        op.drop_table(table)


def grant(app_role: str) -> None:
    """Give the application role what it needs, table by table."""
    role = op.get_bind().dialect.identifier_preparer.quote(app_role)
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(CHANGEABLE)} TO {role}")
