"""Fixtures of the pages' tests: a small world that is built once and copied, an application, visitors."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask

from service.app import create
from service.runtime.postgres import Endpoint
from tests.conftest import _connected, _copy
from tests.web import world as world_module
from tests.web.visitor import Visitor
from tests.web.world import World

Visit = Callable[..., Visitor]


@dataclass(frozen=True)
class Mould:
    """A world that nobody uses, and what copies are made of: its database and its files."""

    world: World
    database_name: str
    var_dir: Path


@pytest.fixture(scope="session")
def mould(
    postgres_endpoint: Endpoint,
    migrated_template: str,
    database_names: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mould]:
    """Build the small world once; building it takes seconds, copying it does not."""
    name, var_dir = next(database_names), tmp_path_factory.mktemp("mould")
    with _copy(postgres_endpoint, migrated_template, name) as urls:
        with _connected(urls.app_url) as opened:
            world = world_module.build(opened, var_dir)
        yield Mould(world, name, var_dir)


@contextmanager
def _cast(mould: Mould, endpoint: Endpoint, names: Iterator[str], var_dir: Path) -> Iterator[World]:
    shutil.copytree(mould.var_dir, var_dir, dirs_exist_ok=True)
    with (
        _copy(endpoint, mould.database_name, next(names)) as urls,
        _connected(urls.app_url) as opened,
    ):
        yield mould.world.over_database(opened, var_dir)


@pytest.fixture(scope="module")
def world(
    mould: Mould,
    postgres_endpoint: Endpoint,
    database_names: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Give the small world, shared by the tests of one module, which leave it as it is."""
    with _cast(mould, postgres_endpoint, database_names, tmp_path_factory.mktemp("var")) as made:
        yield made


@pytest.fixture
def own_world(
    mould: Mould, postgres_endpoint: Endpoint, database_names: Iterator[str], tmp_path: Path
) -> Iterator[World]:
    """Give the small world to one test alone, for acts."""
    with _cast(mould, postgres_endpoint, database_names, tmp_path) as made:
        yield made


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
