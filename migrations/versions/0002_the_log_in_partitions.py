"""The event log in partitions by day; headers of batches that outlive it; what became of the lake's files."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("compacted", "lake_replacement", "lake_removal")
CHANGEABLE = ("compaction_mark", "event_retention")

HEADER = "received_at, channel, media_type, item_count, accepted_count, first_at, last_at, body_sha256"


def upgrade() -> None:
    op.execute("ALTER TABLE compacted RENAME TO compacted_before")
    op.execute("ALTER TABLE event_batch RENAME TO event_batch_before")
    for name in ("event_batch_pk", "event_batch_platform_id_id_key", "compacted_pk"):
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_before")
    op.execute("CREATE SEQUENCE event_batch_seq AS bigint")
    op.execute("SELECT setval('event_batch_seq', last_value, is_called) FROM event_batch_seq_seq")
    define_next_event_seq()
    create_event_batch()
    define_open_event_partition()
    define_refuse_batch()
    create_compacted()
    op.execute(
        "SELECT open_event_partition(day_on) FROM (SELECT DISTINCT CAST(received_at AT TIME ZONE 'UTC' AS date)"
        " AS day_on FROM event_batch_before ORDER BY day_on) AS days"
    )
    op.execute(
        f"""
        INSERT INTO event_batch (platform_id, seq, id, {HEADER}, body_zstd, rejections)
        SELECT platform_id, seq, id, {HEADER}, body_zstd, rejections FROM event_batch_before
        """
    )
    op.execute(
        f"""
        INSERT INTO compacted (platform_id, seq, run_id, compacted_at, batch_id, {HEADER}, rejections)
        SELECT platform_id, seq, run_id, coalesce(written.created_at, received_at), id, {HEADER}, rejections
          FROM compacted_before
          JOIN event_batch_before USING (platform_id, seq)
          LEFT JOIN (
              SELECT platform_id, run_id, min(created_at) AS created_at
                FROM lake_file
               WHERE run_id IS NOT NULL
               GROUP BY platform_id, run_id
          ) AS written USING (platform_id, run_id)
        """
    )
    op.execute("DROP TABLE compacted_before")
    op.execute("DROP TABLE event_batch_before")
    create_the_rest()
    op.create_index("event_receipt_created_idx", "event_receipt", ["created_at"], postgresql_using="brin")
    op.create_index("lake_file_created_idx", "lake_file", ["platform_id", "created_at"])
    protect()
    grant(context.config.attributes["app_role"])


def downgrade() -> None:
    op.drop_index("lake_file_created_idx", "lake_file")
    op.drop_index("event_receipt_created_idx", "event_receipt")
    for table in ("event_retention", "compaction_mark", "lake_removal", "lake_replacement"):
        op.drop_table(table)
    op.execute("ALTER TABLE compacted RENAME TO compacted_after")
    op.execute("ALTER TABLE event_batch RENAME TO event_batch_after")
    for name in ("event_batch_pk", "compacted_pk"):
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_after")
    op.create_table(
        "event_batch",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_batch_columns(),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("event_batch_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "seq", name=op.f("event_batch_pk")),
        sa.UniqueConstraint("platform_id", "id", name=op.f("event_batch_platform_id_id_key")),
    )
    op.create_table(
        "compacted",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "seq", name=op.f("compacted_pk")),
    )
    op.execute(
        f"""
        INSERT INTO event_batch (platform_id, seq, id, {HEADER}, body_zstd, rejections) OVERRIDING SYSTEM VALUE
        SELECT platform_id, seq, id, {HEADER}, body_zstd, rejections FROM event_batch_after
        """
    )
    op.execute(
        "SELECT setval(pg_get_serial_sequence('event_batch', 'seq'), last_value, is_called) FROM event_batch_seq"
    )
    op.execute(
        "INSERT INTO compacted (platform_id, seq, run_id) SELECT platform_id, seq, run_id FROM compacted_after"
    )
    # Not validated: of batches whose partition was dropped nothing is left to refer to.
    op.execute(
        "ALTER TABLE compacted ADD CONSTRAINT compacted_platform_id_seq_fk FOREIGN KEY (platform_id, seq)"
        " REFERENCES event_batch (platform_id, seq) NOT VALID"
    )
    op.drop_table("compacted_after")
    op.drop_table("event_batch_after")
    op.execute("DROP FUNCTION refuse_batch()")
    op.execute("DROP FUNCTION open_event_partition(date)")
    op.execute("DROP FUNCTION next_event_seq()")
    role = op.get_bind().dialect.identifier_preparer.quote(context.config.attributes["app_role"])
    for table in ("event_batch", "compacted"):
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {role}")


def _batch_columns() -> list[sa.Column]:
    return [
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
    ]


def define_next_event_seq() -> None:
    """Number batches such that a number is never given out by a transaction without an id of its own.

    A low-water mark of compaction relies on it: a number that was given out belongs to a transaction that
    ends before, or is seen to run by, whoever looks later.
    """
    op.execute(
        """
        CREATE FUNCTION next_event_seq() RETURNS bigint LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM pg_current_xact_id();
            RETURN nextval('public.event_batch_seq');
        END $$
        """
    )


def create_event_batch() -> None:
    op.create_table(
        "event_batch",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("next_event_seq()"), nullable=False),
        *_batch_columns(),
        sa.PrimaryKeyConstraint("platform_id", "seq", "received_at", name=op.f("event_batch_pk")),
        sa.UniqueConstraint(
            "platform_id", "id", "received_at", name=op.f("event_batch_platform_id_id_received_at_key")
        ),
        postgresql_partition_by="RANGE (received_at)",
    )
    op.execute("ALTER SEQUENCE event_batch_seq OWNED BY event_batch.seq")
    # Bodies are compressed already.
    op.execute("ALTER TABLE event_batch ALTER COLUMN body_zstd SET STORAGE EXTERNAL")
    op.execute(
        "CREATE TRIGGER event_batch_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON event_batch"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    # Rows are guarded in every partition, also in one that was attached by hand.
    op.execute(
        "CREATE TRIGGER event_batch_row_written_once BEFORE UPDATE OR DELETE ON event_batch"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def define_open_event_partition() -> None:
    """Let the application, which owns nothing, have the log's partition of a UTC day made.

    The table is made by itself and then attached, because making it as a partition would lock out intakes.
    """
    op.execute(
        """
        CREATE FUNCTION open_event_partition(day_on date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            part text := 'event_batch_' || to_char(day_on, 'YYYYMMDD');
        BEGIN
            IF day_on IS NULL OR day_on < DATE '2000-01-01' OR day_on > DATE '2199-12-31' THEN
                RAISE EXCEPTION 'the event log has no partition for %', day_on
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM pg_advisory_xact_lock(hashtextextended('open_event_partition', 0));
            IF to_regclass('public.' || part) IS NOT NULL THEN
                RETURN false;
            END IF;
            EXECUTE format(
                'CREATE TABLE public.%I (LIKE public.event_batch INCLUDING DEFAULTS INCLUDING CONSTRAINTS'
                ' INCLUDING INDEXES INCLUDING STORAGE)', part);
            EXECUTE format(
                'CREATE TRIGGER partition_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON public.%I'
                ' FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change()', part);
            EXECUTE format(
                'ALTER TABLE public.event_batch ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                part,
                to_char(day_on, 'YYYY-MM-DD') || ' 00:00:00+00',
                to_char(day_on + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
            RETURN true;
        END $$
        """
    )


def define_refuse_batch() -> None:
    """Keep batches out of a day that is about to leave the log."""
    op.execute(
        """
        CREATE FUNCTION refuse_batch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is closed: its day is in the lake', TG_TABLE_NAME
                USING ERRCODE = 'object_not_in_prerequisite_state';
        END $$
        """
    )


def create_compacted() -> None:
    op.create_table(
        "compacted",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("compacted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("accepted_count", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("rejections", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("compacted_platform_id_fk")),
        sa.PrimaryKeyConstraint("platform_id", "seq", name=op.f("compacted_pk")),
        sa.UniqueConstraint("platform_id", "batch_id", name=op.f("compacted_platform_id_batch_id_key")),
    )


def create_the_rest() -> None:
    op.create_table(
        "compaction_mark",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=True),
        sa.Column("next_xact", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("compaction_mark_platform_id_fk")
        ),
        sa.PrimaryKeyConstraint("platform_id", name=op.f("compaction_mark_pk")),
    )
    of_lake_file = (["platform_id", "path"], ["lake_file.platform_id", "lake_file.path"])
    op.create_table(
        "lake_replacement",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(*of_lake_file, name=op.f("lake_replacement_platform_id_path_fk")),
        sa.PrimaryKeyConstraint("platform_id", "path", name=op.f("lake_replacement_pk")),
    )
    op.create_table(
        "lake_removal",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("reason IN ('replaced', 'retention')", name=op.f("lake_removal_reason_check")),
        sa.ForeignKeyConstraint(*of_lake_file, name=op.f("lake_removal_platform_id_path_fk")),
        sa.PrimaryKeyConstraint("platform_id", "path", name=op.f("lake_removal_pk")),
    )
    op.create_table(
        "event_retention",
        sa.Column("platform_id", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.CheckConstraint("days >= 0", name=op.f("event_retention_days_check")),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platform.id"], name=op.f("event_retention_platform_id_fk")
        ),
        sa.PrimaryKeyConstraint("platform_id", name=op.f("event_retention_pk")),
    )


def protect() -> None:
    """Refuse every change of a written row, also by the owner."""
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def grant(app_role: str) -> None:
    """Give the application role what it needs; it owns nothing, and reaches partitions through the log alone."""
    role = op.get_bind().dialect.identifier_preparer.quote(app_role)
    op.execute(f"GRANT SELECT, INSERT ON event_batch, {', '.join(APPEND_ONLY)} TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(CHANGEABLE)} TO {role}")
    op.execute(f"GRANT SELECT, USAGE ON SEQUENCE event_batch_seq TO {role}")
    op.execute("REVOKE ALL ON FUNCTION open_event_partition(date) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION open_event_partition(date) TO {role}")
