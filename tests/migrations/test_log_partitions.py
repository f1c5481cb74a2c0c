"""The log moves into partitions, and back, with every batch, number and header."""

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, text

from service.core import ids
from service.runtime import migrations, postgres
from service.runtime.postgres import Endpoint
from tests.conftest import database_at
from tests.world import NOW

FILLED = """
INSERT INTO platform VALUES ('sen', NULL, 'Sen', 'VND', 'Asia/Ho_Chi_Minh', 'month', 'vi', 'reject', now());
INSERT INTO event_batch (platform_id, id, received_at, channel, media_type, item_count, accepted_count,
                         body_sha256, body_zstd, rejections)
SELECT 'sen', gen_random_uuid(),
       TIMESTAMPTZ '2026-10-31 23:59:59.999999+00' + number * interval '1 microsecond',
       'http', 'x', 1, 1, '\\x01', '\\x02', '[]'
  FROM generate_series(0, 3) AS number;
INSERT INTO compacted SELECT 'sen', seq, gen_random_uuid() FROM event_batch WHERE seq <= 3;
SELECT nextval('event_batch_seq_seq');
"""

BATCHES = "SELECT platform_id, seq, id, received_at, body_sha256, body_zstd FROM event_batch ORDER BY seq"
COMPACTED = "SELECT platform_id, seq, run_id FROM compacted ORDER BY seq"


@pytest.fixture
def empty(postgres_endpoint: Endpoint) -> Endpoint:
    """Give a database with nothing in it."""
    name = f"empty_{ids.new(NOW).hex}"
    postgres.create_database(postgres_endpoint.superuser_url, name)
    return database_at(postgres_endpoint, name)


def _read(endpoint: Endpoint, *statements: str) -> list[list[object]]:
    engine = create_engine(endpoint.owner_url)
    with engine.begin() as connection:
        found = [_rows(connection, statement) for statement in statements]
    engine.dispose()
    return found


def _rows(connection: Connection, statement: str) -> list[object]:
    result = connection.execute(text(statement))
    return list(result.all()) if result.returns_rows else []


def _downgrade(endpoint: Endpoint, revision: str) -> None:
    engine = create_engine(endpoint.owner_url)
    with engine.connect() as connection:
        config = migrations._config()
        config.attributes.update(connection=connection, app_role=postgres.APP_ROLE)
        command.downgrade(config, revision)
        connection.commit()
    engine.dispose()


def test_a_log_that_is_there_moves_into_partitions_and_back(empty: Endpoint) -> None:
    """Both ways nothing is lost, and numbers go on where they were."""
    migrations.upgrade(empty.owner_url, to="0001")
    _read(empty, *FILLED.strip().split(";\n"))
    before = _read(empty, BATCHES, COMPACTED)
    assert [4, 3] == [len(rows) for rows in before]

    migrations.upgrade(empty.owner_url, to="0002")
    after = _read(empty, BATCHES, COMPACTED)
    days, headers, given_out = _read(
        empty,
        "SELECT CAST(CAST(tableoid AS regclass) AS text), count(*) FROM event_batch GROUP BY 1 ORDER BY 1",
        "SELECT count(*) FROM compacted JOIN event_batch USING (platform_id, seq, received_at, body_sha256)"
        " WHERE batch_id = event_batch.id AND compacted_at = compacted.received_at",
        "SELECT next_event_seq()",
    )
    _downgrade(empty, "0001")
    back = _read(empty, BATCHES, COMPACTED)
    next_seq = _read(empty, "SELECT nextval(pg_get_serial_sequence('event_batch', 'seq'))")

    assert before == after == back
    assert [("event_batch_20261031", 1), ("event_batch_20261101", 3)] == days
    assert ([(3,)], [(6,)], [[(7,)]]) == (headers, given_out, next_seq)


def test_an_empty_log_goes_back_and_forth(empty: Endpoint) -> None:
    """And is at the newest schema again."""
    migrations.upgrade(empty.owner_url, to="0002")
    _downgrade(empty, "0001")

    assert migrations.head() == migrations.upgrade(empty.owner_url)
