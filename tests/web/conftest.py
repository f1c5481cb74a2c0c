"""Fixtures of the pages' tests: an application over a small world, and visitors."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from service.app import create
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.conftest import _connected, _copy
from tests.web import world as world_module
from tests.web.visitor import Visitor
from tests.web.world import World

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def world_database(
    postgres_endpoint: Endpoint, migrated_template: str, database_names: Iterator[str]
) -> Iterator[Database]:
    """Give a database that the tests of one module share."""
    with (
        _copy(postgres_endpoint, migrated_template, next(database_names)) as urls,
        _connected(urls.app_url) as opened,
    ):
        yield opened


@pytest.fixture(scope="module")
def world(world_database: Database, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Give the small world, shared by the tests of one module, which leave it as it is."""
    return world_module.build(world_database, tmp_path_factory.mktemp("var"))


@pytest.fixture(scope="module")
def app(world: World) -> Flask:
    """Give the application over the small world."""
    return create(world.system)


@pytest.fixture(scope="module")
def visit(app: Flask, world: World) -> Visit:
    """Give visitors: `visit()` is anyone, `visit("staff", "lan")` is signed in."""

    def come(*who: str, locale: str = "en") -> Visitor:
        visitor = Visitor(app, world, locale=locale)
        return visitor.sign_in(*who) if who else visitor

    return come
