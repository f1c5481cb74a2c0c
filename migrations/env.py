"""Run migrations on the connection that `service.runtime.migrations.upgrade` opened."""

import importlib

from alembic import context

from service.runtime.db import metadata

ROOMS_WITH_TABLES = (
    "jobs",
    "parties",
    "calendar",
    "events",
    "rules",
    "splits",
    "ledger",
    "closing",
    "payouts",
    "statements",
    "api",
)

for room in ROOMS_WITH_TABLES:
    importlib.import_module(f"service.{room}.tables")

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
