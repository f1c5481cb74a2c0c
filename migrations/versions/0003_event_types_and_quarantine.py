"""Event types that say more, and a quarantine for events that were not taken."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGEABLE = ("quarantine", "quarantine_total")

UNITS = {
    "view": "view",
    "like": "like",
    "comment": "comment",
    "share": "share",
    "follow": "follow",
    "watch_second": "second",
}


def upgrade() -> None:
    """Add the columns and tables; a type of a platform that has taken events counts as used."""
    op.add_column("event_type", sa.Column("unit", sa.Text(), server_default="count", nullable=False))
    op.add_column("event_type", sa.Column("kind", sa.Text(), server_default="engagement", nullable=False))
    op.add_column("event_type", sa.Column("stream", sa.Text(), nullable=True))
    op.add_column("event_type", sa.Column("currency", sa.CHAR(length=3), nullable=True))
    op.add_column(
        "event_type",
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("event_type", sa.Column("first_event_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("event_type_kind_check"), "event_type", "kind IN ('engagement', 'attributed_revenue')"
    )
    for name in ("stream", "currency"):
        op.create_check_constraint(
            op.f(f"event_type_{name}_check"),
            "event_type",
            f"(kind = 'attributed_revenue') = ({name} IS NOT NULL)",
        )
    for name, unit in UNITS.items():
        op.execute(f"UPDATE event_type SET unit = '{unit}' WHERE name = '{name}'")
    op.execute(
        "UPDATE event_type SET first_event_at = used.at FROM ("
        " SELECT platform_id, min(received_at) AS at FROM event_batch WHERE accepted_count > 0"
        " GROUP BY platform_id) AS used WHERE used.platform_id = event_type.platform_id"
    )
    op.create_index(
        "period_open_idx",
        "period",
        ["platform_id", "start_at"],
        unique=False,
        postgresql_where="state = 'open'",
    )
    create_quarantine()
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["app_role"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(CHANGEABLE)} TO {role}")


def create_quarantine() -> None:
    """Make the tables of quarantined events and of their totals."""
    op.create_table(
        "quarantine",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("errors", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("conflict", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("retry_batch_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'retried', 'discarded')", name=op.f("quarantine_state_check")),
        sa.CheckConstraint(
            "(state = 'open') = (resolved_at IS NULL)", name=op.f("quarantine_resolved_check")
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("quarantine_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "id", name=op.f("quarantine_pk")),
    )
    op.create_index("quarantine_place_idx", "quarantine", ["platform_id", "received_at", "id"], unique=False)
    op.create_index("quarantine_batch_idx", "quarantine", ["platform_id", "batch_id"], unique=False)
    op.create_index("quarantine_event_idx", "quarantine", ["platform_id", "event_id", "source"], unique=False)
    op.create_index(
        "quarantine_resolved_idx",
        "quarantine",
        ["platform_id", "resolved_at"],
        unique=False,
        postgresql_where="state <> 'open'",
    )
    op.create_index(
        "quarantine_open_idx",
        "quarantine",
        ["platform_id", "received_at", "id"],
        unique=False,
        postgresql_where="state = 'open'",
    )
    op.create_table(
        "quarantine_total",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("open_count", sa.BigInteger(), nullable=False),
        sa.Column("open_bytes", sa.BigInteger(), nullable=False),
        sa.Column("missed_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("quarantine_total_platform_id_fk")
        ),
        sa.PrimaryKeyConstraint("platform_id", "shard", name=op.f("quarantine_total_pk")),
    )


def downgrade() -> None:
    """Give up what the new columns and tables hold."""
    op.drop_table("quarantine_total")
    op.drop_table("quarantine")
    op.drop_index("period_open_idx", table_name="period")
    for name in ("first_event_at", "attributes", "currency", "stream", "kind", "unit"):
        op.drop_column("event_type", name)
