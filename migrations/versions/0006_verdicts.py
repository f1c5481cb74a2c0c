"""Indexes of raw files, and the exceptions of a seal."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHECKS = {
    "kind": "kind IN ('raw', 'index', 'counted', 'verdicts', 'exceptions')",
    "day": "(kind IN ('raw', 'index')) = (day_on IS NOT NULL)",
    "period": "(kind IN ('raw', 'index')) = (period_id IS NULL)",
    "index": "(kind = 'index') = (raw_path IS NOT NULL)",
}


def upgrade() -> None:
    op.add_column("lake_file", sa.Column("raw_path", sa.Text(), nullable=True))
    for name, condition in CHECKS.items():
        if name != "index":
            op.drop_constraint(op.f(f"lake_file_{name}_check"), "lake_file", type_="check")
        op.create_check_constraint(op.f(f"lake_file_{name}_check"), "lake_file", condition)
    op.create_unique_constraint(
        op.f("lake_file_platform_id_raw_path_key"), "lake_file", ["platform_id", "raw_path"]
    )
    op.create_foreign_key(
        op.f("lake_file_platform_id_raw_path_fk"),
        "lake_file",
        "lake_file",
        ["platform_id", "raw_path"],
        ["platform_id", "path"],
    )
    op.create_index(
        "compacted_received_idx", "compacted", ["platform_id", "received_at", "seq"], unique=False
    )
