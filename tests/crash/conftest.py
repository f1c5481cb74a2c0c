"""Fixtures of the crash tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.runtime.postgres import Endpoint
from tests.crash import stand as stands
from tests.crash.stand import Stand


@pytest.fixture(scope="session")
def stand(
    postgres_endpoint: Endpoint,
    migrated_template: str,
    database_names: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """Give the prepared world and the process that plays on copies of it."""
    folder: Path = tmp_path_factory.mktemp("crash")
    with stands.opened(postgres_endpoint, migrated_template, next(database_names), folder) as opened:
        yield opened
