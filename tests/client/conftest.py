"""Fixtures of the client's tests."""

from collections.abc import Iterator

import pytest

from tests.client import ledger as ledgers
from tests.client.ledger import Ledger


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """Give a small server that takes events."""
    with ledgers.running() as running:
        yield running
