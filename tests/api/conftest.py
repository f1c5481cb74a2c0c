"""Fixtures of the API's tests: an application over a small world, keys, a client held to the contract."""

from collections.abc import Iterator

import pytest
from flask import Flask

from service.app import create
from service.runtime.db import Database
from service.runtime.postgres import Endpoint
from tests.api import world as world_module
from tests.api.client import Client, Rules
from tests.api.world import World
from tests.conftest import _connected, _copy


@pytest.fixture(scope="session")
def rules() -> Rules:
    """Give the contract as validators, compiled once."""
    return Rules.load()


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
    """Give the small world, shared by the tests of one module."""
    return world_module.build(world_database, tmp_path_factory.mktemp("var"))


@pytest.fixture(scope="module")
def app(world: World) -> Flask:
    """Give the application over the small world."""
    return create(world.system)


@pytest.fixture(scope="module")
def client(app: Flask, rules: Rules, world: World) -> Client:
    """Give a client whose key holds every scope of the platform."""
    return Client(app, rules, world.key())
