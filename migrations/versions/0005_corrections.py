"""Corrections of events, and what they take back."""

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

APPEND_ONLY = ("event_correction", "clawback_run", "clawback", "clawback_recovery")


def upgrade() -> None:
    corrections()
    clawbacks()
    protect()
    grant(context.config.attributes["app_role"])


def corrections() -> None:
    """Make the table of corrections."""
    op.create_table(
        "event_correction",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("day_on", sa.Date(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("attributes", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("kind IN ('void', 'replace')", name=op.f("event_correction_kind_check")),
        sa.CheckConstraint(
            "(kind = 'replace') = (type IS NOT NULL AND at IS NOT NULL AND day_on IS NOT NULL"
            " AND quantity IS NOT NULL AND fingerprint IS NOT NULL)",
            name=op.f("event_correction_replacement_check"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("event_correction_platform_id_fk")
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("event_correction_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "seq", "position", name=op.f("event_correction_pk")),
        sa.UniqueConstraint("platform_id", "id", name=op.f("event_correction_platform_id_id_key")),
    )
    op.create_index(
        "event_correction_identity_idx", "event_correction", ["platform_id", "identity", "seq"], unique=False
    )
    op.create_index(
        "event_correction_period_idx", "event_correction", ["platform_id", "period_id", "seq"], unique=False
    )


def clawbacks() -> None:
    """Make the tables of what was taken back, and of what was recovered."""
    op.create_table(
        "clawback_run",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("seq_last", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(amount_minor > 0) = (entry_id IS NOT NULL)", name=op.f("clawback_run_entry_check")
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id", "version"],
            ["split.platform_id", "split.period_id", "split.version"],
            name=op.f("clawback_run_platform_id_period_id_version_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "entry_id"],
            ["entry.platform_id", "entry.id"],
            name=op.f("clawback_run_platform_id_entry_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "period_id", "seq_last", name=op.f("clawback_run_pk")),
    )
    op.create_table(
        "clawback_recovery",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("clawback_recovery_amount_check")),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id"],
            ["period.platform_id", "period.id"],
            name=op.f("clawback_recovery_platform_id_period_id_fk"),
        ),
        sa.PrimaryKeyConstraint("platform_id", "period_id", "creator_id", name=op.f("clawback_recovery_pk")),
    )
    op.create_table(
        "clawback",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("period_id", sa.Text(), nullable=False),
        sa.Column("seq_last", sa.BigInteger(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("origin_period_id", sa.Text(), nullable=False),
        sa.Column("points_e4", sa.Numeric(38, 0), nullable=False),
        sa.Column("lost_e4", sa.Numeric(38, 0), nullable=False),
        sa.Column("line_minor", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("receivable_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "points_e4 > 0 AND lost_e4 > 0 AND lost_e4 <= points_e4", name=op.f("clawback_points_check")
        ),
        sa.CheckConstraint(
            "amount_minor > 0 AND total_minor >= amount_minor AND line_minor >= total_minor",
            name=op.f("clawback_amount_check"),
        ),
        sa.CheckConstraint(
            "receivable_minor BETWEEN 0 AND amount_minor", name=op.f("clawback_receivable_check")
        ),
        sa.ForeignKeyConstraint(
            ["platform_id", "period_id", "seq_last"],
            ["clawback_run.platform_id", "clawback_run.period_id", "clawback_run.seq_last"],
            name=op.f("clawback_platform_id_period_id_seq_last_fk"),
        ),
        sa.PrimaryKeyConstraint(
            "platform_id",
            "period_id",
            "seq_last",
            "creator_id",
            "origin_period_id",
            name=op.f("clawback_pk"),
        ),
    )
    op.create_index(
        "clawback_creator_idx", "clawback", ["platform_id", "creator_id", "period_id"], unique=False
    )


def protect() -> None:
    """Refuse every change of a written row, also by its owner."""
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def grant(app_role: str) -> None:
    """Give the application role what it needs."""
    role = op.get_bind().dialect.identifier_preparer.quote(app_role)
    op.execute(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {role}")


def downgrade() -> None:
    for table in ("clawback_recovery", "clawback", "clawback_run", "event_correction"):
        op.drop_table(table)
