"""Tables of the jobs room."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import Instant, metadata

job_run = Table(
    "job_run",
    metadata,
    Column("id", Uuid, primary_key=True, doc="Time-ordered."),
    Column("platform_id", Text, nullable=False, doc="Whose work it is; empty for work of the whole service."),
    Column(
        "job", Text, nullable=False, doc="What to do: compact, close, post, payouts, settle, estimate ..."
    ),
    Column("scope", Text, nullable=False, doc="What to do it to, such as a period's name."),
    Column("due_at", Instant, nullable=False, doc="The instant from which it may run; part of its identity."),
    Column("state", Text, nullable=False, server_default="due"),
    Column("owner", Text, doc="The process that holds the lease."),
    Column("lease_until", Instant, doc="After this instant another process may take the run over."),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("not_before_at", Instant, doc="After a failed attempt: when the next one may start."),
    Column("progress_done", BigInteger, nullable=False, server_default="0"),
    Column("progress_total", BigInteger),
    Column("arguments", JSONB, nullable=False, server_default="{}"),
    Column("result", JSONB),
    Column("fault", JSONB, doc="The last attempt's problem: slug, detail."),
    Column("requested_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    UniqueConstraint("platform_id", "job", "scope", "due_at"),
    CheckConstraint("state IN ('due', 'running', 'done', 'failed')", name="state"),
    Index("job_run_waiting_idx", "due_at", postgresql_where="state IN ('due', 'running')"),
)
