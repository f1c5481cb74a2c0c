"""The command line on a database and a folder of the test's own."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from service.cli import main
from service.runtime.postgres import Endpoint

Run = Callable[..., Result]


@pytest.fixture
def environment(database_urls: Endpoint, tmp_path: Path) -> dict[str, str]:
    """Give the settings of a service on this test's own database."""
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_urls.app_url,
        "DATABASE_OWNER_URL": database_urls.owner_url,
        "SECRET_KEY": "a secret key for tests, long enough to be one",
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "VAR_DIR": str(tmp_path / "var"),
        "LOG_LEVEL": "error",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Give a function that runs a command as a person would and returns what it printed and its exit code."""

    def call(*arguments: str, **settings: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={**environment, **settings})

    return call


@pytest.fixture
def ask(run: Run) -> Callable[..., Any]:
    """Give a function that runs a command with --json, expects success, and returns the values."""

    def call(*arguments: str) -> Any:
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call


@pytest.fixture
def network(ask: Callable[..., Any]) -> str:
    """Give a platform with a maker, a checker and the periods from September 2026 on."""
    ask("platform", "create", "sen", "--name", "Mạng Sen")
    ask("staff", "add", "lan", "--platform", "sen", "--name", "Lan", "--role", "finance_maker")
    ask("staff", "add", "minh", "--platform", "sen", "--name", "Minh", "--role", "finance_checker")
    ask("period", "open", "--platform", "sen", "--from", "2026-09-01")
    return "sen"
