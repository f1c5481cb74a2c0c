"""Fixtures of the ledger's tests."""

import pytest
from sqlalchemy.orm import Session

from service.parties.platforms import Platform
from service.runtime import db
from service.runtime.db import Database
from tests.world import bare_platform


@pytest.fixture
def platform(session: Session) -> Platform:
    """Give a platform with empty books, in the session that is rolled back."""
    return bare_platform(session)


@pytest.fixture
def books(database: Database) -> Database:
    """Give a database of this test's own, in which a platform has empty books."""
    with db.transaction(database) as session:
        bare_platform(session)
    return database
