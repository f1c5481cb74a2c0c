"""The quota of a minute: how much a platform may send, and how much of the present minute is leased."""

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHANGEABLE = ("platform_limit", "event_quota")


def upgrade() -> None:
    op.create_table(
        "platform_limit",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("events_per_minute", sa.BigInteger(), nullable=False),
        sa.Column("bytes_per_minute", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "events_per_minute > 0 AND bytes_per_minute > 0", name=op.f("platform_limit_positive_check")
        ),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("platform_limit_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", name=op.f("platform_limit_pk")),
    )
    op.create_table(
        "event_quota",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("window_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("events_leased", sa.BigInteger(), nullable=False),
        sa.Column("bytes_leased", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("event_quota_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", name=op.f("event_quota_pk")),
        prefixes=["UNLOGGED"],
    )
    grant(context.config.attributes["app_role"])


def downgrade() -> None:
    op.drop_table("event_quota")
    op.drop_table("platform_limit")


def grant(app_role: str) -> None:
    """Give the application role what it needs."""
    role = op.get_bind().dialect.identifier_preparer.quote(app_role)
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(CHANGEABLE)} TO {role}")
