"""Settings: read whole, judged whole, and never shown when they are secret."""

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from service.runtime import settings
from service.runtime.settings import Address, BadSetting, Settings

KEY = "k" * 32
FERNET = "Zm9ydHktdHdvIGlzIHRoZSBhbnN3ZXIsIHRoZXkgc2E="
OTHER_FERNET = Fernet.generate_key().decode()
APP_URL = "postgresql://app:pass%40word@db.example.org:5433/books"
OWNER_URL = "postgresql://owner:other@db.example.org:5433/books"
EXTERNAL = {"DATABASE_URL": APP_URL, "SECRET_KEY": KEY, "ENCRYPTION_KEYS": FERNET}


def _lines(environ: dict[str, str]) -> list[str]:
    with pytest.raises(BadSetting) as fault:
        settings.read(environ)
    return fault.value.detail.splitlines()


def test_nothing_set_means_the_embedded_database_on_this_machine() -> None:
    """A newcomer sets nothing."""
    var_dir = Path.cwd() / "var"
    expected = Settings(
        var_dir=var_dir,
        bind=Address("127.0.0.1", 8000),
        metrics_bind=Address("127.0.0.1", 9100),
        public_url="http://127.0.0.1:8000",
        database_url=None,
        database_owner_url=None,
        event_lake_url=f"{var_dir}/lake",
        scoring_engine="duckdb",
        payout_provider="sandbox",
        secret_key=None,
        encryption_keys=None,
        web_workers=len(os.sched_getaffinity(0)),
        events_per_minute=60_000_000,
        event_bytes_per_minute=17_179_869_184,
        scheduler_interval_s=5,
        log_level="info",
    )

    assert expected == settings.read({})


def test_everything_set_is_read(tmp_path: Path) -> None:
    """Each setting reaches its field, in the form the service uses."""
    environ = {
        "VAR_DIR": str(tmp_path / "v"),
        "BIND": "[::1]:80",
        "METRICS_BIND": "metrics.internal:9101",
        "PUBLIC_URL": "https://shares.example.org/",
        "DATABASE_URL": APP_URL,
        "DATABASE_OWNER_URL": OWNER_URL,
        "EVENT_LAKE_URL": "memory://lake/",
        "SCORING_ENGINE": "DuckDB",
        "PAYOUT_PROVIDER": "Sandbox",
        "SECRET_KEY": KEY,
        "ENCRYPTION_KEYS": f"{FERNET}, {OTHER_FERNET}",
        "WEB_WORKERS": "256",
        "EVENTS_PER_MINUTE": "10000",
        "EVENT_BYTES_PER_MINUTE": "8388608",
        "SCHEDULER_INTERVAL_S": "3600",
        "LOG_LEVEL": "WARNING",
    }
    expected = Settings(
        var_dir=tmp_path / "v",
        bind=Address("::1", 80),
        metrics_bind=Address("metrics.internal", 9101),
        public_url="https://shares.example.org",
        database_url="postgresql+psycopg://app:pass%40word@db.example.org:5433/books",
        database_owner_url="postgresql+psycopg://owner:other@db.example.org:5433/books",
        event_lake_url="memory://lake",
        scoring_engine="duckdb",
        payout_provider="sandbox",
        secret_key=KEY,
        encryption_keys=(FERNET, OTHER_FERNET),
        web_workers=256,
        events_per_minute=10_000,
        event_bytes_per_minute=8_388_608,
        scheduler_interval_s=3600,
        log_level="warning",
    )

    assert expected == settings.read(environ)


def test_the_table_and_the_values_have_the_same_settings() -> None:
    """No setting is read without being listed, or listed without being read."""
    listed = {setting.name.lower() for setting in settings.SETTINGS}

    assert {field.name for field in fields(Settings)} == listed


def test_reading_writes_nothing(tmp_path: Path) -> None:
    """Looking at settings is safe anywhere."""
    settings.read({"VAR_DIR": str(tmp_path / "var")})

    assert [] == list(tmp_path.iterdir())


def test_an_empty_variable_counts_as_unset() -> None:
    """Deployment tools set variables to nothing."""
    empty = {setting.name: " " for setting in settings.SETTINGS} | {"SECRET_KEY_FILE": ""}

    assert settings.read({}) == settings.read(empty)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_forms_of_a_database_address_mean_the_same(scheme: str) -> None:
    """Hosters write it in three ways."""
    read = settings.read({**EXTERNAL, "DATABASE_URL": APP_URL.replace("postgresql", scheme)})

    assert read.database_url == "postgresql+psycopg://app:pass%40word@db.example.org:5433/books"


def test_options_of_a_database_address_are_kept() -> None:
    """Managed databases demand TLS in the address."""
    read = settings.read({**EXTERNAL, "DATABASE_URL": f"{APP_URL}?sslmode=verify-full"})

    assert str(read.database_url).endswith("/books?sslmode=verify-full")


def test_listening_everywhere_is_reached_on_this_machine() -> None:
    """An address that cannot be clicked is not handed out."""
    read = settings.read({"BIND": "0.0.0.0:80"})

    assert (Address("0.0.0.0", 80), "http://127.0.0.1:80") == (read.bind, read.public_url)  # noqa: S104 — a container listens like this.


@pytest.mark.parametrize(
    "address", [Address("::1", 80), Address("a.example", 1), Address("127.0.0.1", 65535)]
)
def test_an_address_is_read_as_it_is_written(address: Address) -> None:
    """What is shown can be set again."""
    assert address == settings.read({"BIND": str(address)}).bind


def test_a_file_may_hold_a_secret(tmp_path: Path) -> None:
    """Containers mount secrets as files, often with a newline at the end."""
    file = tmp_path / "secret"
    file.write_text(f"{KEY}\n", encoding="utf-8")

    assert settings.read({"SECRET_KEY_FILE": str(file)}).secret_key == KEY


def test_a_file_for_what_is_no_secret_is_not_read(tmp_path: Path) -> None:
    """Only secrets have a _FILE form."""
    file = tmp_path / "level"
    file.write_text("debug", encoding="utf-8")

    assert settings.read({"LOG_LEVEL_FILE": str(file)}).log_level == "info"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is empty or too large"),
        (b" \n", "is empty or too large"),
        (b"k" * (settings.FILE_BYTES_MAX + 1), "is empty or too large"),
        (b"\xff" * 40, "cannot be read (it is not text)"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, body: bytes | None, reason: str) -> None:
    """A mistaken mount stops the start instead of being a weak key."""
    file = tmp_path / "secret"
    if body is not None:
        file.write_bytes(body)

    lines = _lines({"SECRET_KEY_FILE": str(file)})

    assert [f"SECRET_KEY: {file}, named by SECRET_KEY_FILE, {reason}"] == [
        line.partition(". ")[0] for line in lines
    ]


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two counts would be a guess."""
    lines = _lines({"SECRET_KEY": KEY, "SECRET_KEY_FILE": str(tmp_path / "secret")})

    assert ["SECRET_KEY: both SECRET_KEY and SECRET_KEY_FILE are set. Keep one of them."] == lines


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("VAR_DIR", __file__, "is not a folder"),
        ("BIND", "8000", "is no address to listen on"),
        ("BIND", ":8000", "is no address to listen on"),
        ("BIND", "127.0.0.1:", "is no address to listen on"),
        ("BIND", "127.0.0.1:0", "is no address to listen on"),
        ("BIND", "127.0.0.1:65536", "is no address to listen on"),
        ("BIND", "127.0.0.1:8000/", "is no address to listen on"),
        ("BIND", "::1:8000", "is no address to listen on"),
        ("BIND", "127.0.0.1:٨٠٠٠", "is no address to listen on"),
        ("METRICS_BIND", "http://127.0.0.1:9100", "is no address to listen on"),
        ("METRICS_BIND", "127.0.0.1:8000", "takes the port 8000 of BIND"),
        ("PUBLIC_URL", "shares.example.org", "is no http or https address"),
        ("PUBLIC_URL", "ftp://shares.example.org", "is no http or https address"),
        ("PUBLIC_URL", "https://", "is no http or https address"),
        ("PUBLIC_URL", "https://shares.example.org:port", "is no http or https address"),
        ("PUBLIC_URL", "https://[::1", "is no http or https address"),
        ("PUBLIC_URL", "https://shares.example.org/?a=b", "has a query, a fragment or a password"),
        ("PUBLIC_URL", "https://shares.example.org/#a", "has a query, a fragment or a password"),
        ("PUBLIC_URL", "https://me:pw@shares.example.org", "has a query, a fragment or a password"),
        ("DATABASE_OWNER_URL", OWNER_URL, "is set without DATABASE_URL"),
        ("EVENT_LAKE_URL", __file__, "is not a folder"),
        ("EVENT_LAKE_URL", "nowhere://lake", "is no storage that is known here"),
        ("EVENT_LAKE_URL", "s3://bucket/lake", "needs a package that is not installed"),
        ("SCORING_ENGINE", "spark", "this build has the duckdb engine"),
        ("PAYOUT_PROVIDER", "stripe", "this build has the sandbox provider"),
        ("SECRET_KEY", KEY[1:], "is shorter than 32 characters"),
        ("ENCRYPTION_KEYS", FERNET[1:], "key 1 of 1 is no Fernet key"),
        ("ENCRYPTION_KEYS", f"{FERNET},", "key 2 of 2 is no Fernet key"),
        ("ENCRYPTION_KEYS", f"{FERNET},{FERNET}", "holds a key twice"),
        ("WEB_WORKERS", "0", "is no whole number from 1 to 256"),
        ("WEB_WORKERS", "257", "is no whole number from 1 to 256"),
        ("WEB_WORKERS", "2.0", "is no whole number from 1 to 256"),
        ("WEB_WORKERS", "-1", "is no whole number from 1 to 256"),
        ("WEB_WORKERS", "9" * 5000, "is no whole number from 1 to 256"),
        ("SCHEDULER_INTERVAL_S", "3601", "is no whole number from 1 to 3600"),
        ("LOG_LEVEL", "verbose", "is none of debug, info, warning, error"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_clear_line(name: str, value: str, reason: str) -> None:
    """The line names the setting, the reason and, after it, the remedy."""
    lines = _lines({name: value})

    assert [name] == [line.partition(": ")[0] for line in lines]
    assert reason in lines[0]
    assert re.search(r"\b(Set|Write|Name|Choose|make one|Install)\b", lines[0].partition(reason)[2])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("mysql://app:hush@db/books", "names the database kind 'mysql'"),
        ("postgresql+psycopg2://app:hush@db/books", "names the database kind 'postgresql+psycopg2'"),
        ("postgresql://app:hush@db", "names no database"),
        ("postgresql://:hush@db/books", "names no user"),
        ("postgresql://app:hush@db:port/books", "cannot be read as a database address"),
        ("app:hush@db/books", "cannot be read as a database address"),
    ],
)
def test_a_bad_database_address_is_named_without_its_password(value: str, reason: str) -> None:
    """The log of a failed start is read by many."""
    lines = _lines({**EXTERNAL, "DATABASE_URL": value})

    assert 1 == len(lines)
    assert f"DATABASE_URL: {reason}" in lines[0]
    assert "hush" not in lines[0]


def test_a_database_of_ones_own_needs_keys_of_ones_own() -> None:
    """Keys made on one machine would be missing on the next."""
    lines = _lines({"DATABASE_URL": APP_URL})

    assert ["SECRET_KEY: is needed with DATABASE_URL", "ENCRYPTION_KEYS: is needed with DATABASE_URL"] == [
        line.partition(".")[0] for line in lines
    ]


def test_the_application_may_not_own_the_tables() -> None:
    """One role for both would undo the second wall between tenants."""
    lines = _lines({**EXTERNAL, "DATABASE_OWNER_URL": APP_URL})

    assert ["DATABASE_OWNER_URL: names the same role as DATABASE_URL"] == [
        line.partition(".")[0] for line in lines
    ]


def test_the_owner_is_only_needed_to_migrate() -> None:
    """A server knows no password of the owner."""
    assert settings.read(EXTERNAL).database_owner_url is None


def test_all_faults_are_told_at_once() -> None:
    """Nobody repairs settings one start at a time; a default made of a bad one adds no line of its own."""
    environ = {"BIND": "here", "LOG_LEVEL": "loud", "WEB_WORKERS": "many", "SECRET_KEY": "short"}

    with pytest.raises(BadSetting) as fault:
        settings.read(environ)

    names = ["BIND", "SECRET_KEY", "WEB_WORKERS", "LOG_LEVEL"]
    assert names == [line.partition(":")[0] for line in fault.value.detail.splitlines()]
    assert [f"/{name}" for name in names] == [error.pointer for error in fault.value.errors]


def test_a_repr_shows_no_secret() -> None:
    """Settings may be logged."""
    read = settings.read({**EXTERNAL, "DATABASE_OWNER_URL": OWNER_URL})
    shown = repr(read) + repr(settings.ensure_secrets(read))

    assert [] == [secret for secret in (KEY, FERNET, "pass%40word", "pass@word", "other") if secret in shown]


def test_describe_lists_every_setting_with_its_meaning() -> None:
    """The list is what an operator reads first."""
    rows = settings.describe({})

    assert [setting.name for setting in settings.SETTINGS] == [row.name for row in rows]
    assert all(row.meaning.endswith(".") and row.value == "" for row in rows)
    assert {"EVENT_LAKE_URL": "VAR_DIR/lake", "WEB_WORKERS": "number of CPUs", "DATABASE_URL": ""} == {
        row.name: row.default for row in rows if row.name in {"EVENT_LAKE_URL", "WEB_WORKERS", "DATABASE_URL"}
    }


def test_describe_shows_values_and_hides_secrets() -> None:
    """Also of settings that cannot be used: that is when one looks."""
    environ = {"BIND": "here", "SECRET_KEY": "short", "DATABASE_URL_FILE": "/run/secrets/db"}
    values = {row.name: row.value for row in settings.describe(environ)}

    assert ("here", "(hidden)", "(from /run/secrets/db)", "") == (
        values["BIND"],
        values["SECRET_KEY"],
        values["DATABASE_URL"],
        values["LOG_LEVEL"],
    )


def test_missing_keys_are_made_once_for_the_embedded_database(tmp_path: Path) -> None:
    """A second start, and another process, has the same keys."""
    read = settings.read({"VAR_DIR": str(tmp_path / "var")})

    first = settings.ensure_secrets(read)
    second = settings.ensure_secrets(read)

    assert first == second
    assert len(first.secret_key) >= settings.SECRET_LENGTH_MIN
    assert [Fernet(key).decrypt(Fernet(key).encrypt(b"name")) for key in first.encryption_keys] == [b"name"]


def test_keys_that_are_set_are_used_and_not_kept(tmp_path: Path) -> None:
    """What the environment gives stays in the environment."""
    environ = {"VAR_DIR": str(tmp_path / "var"), "SECRET_KEY": KEY, "ENCRYPTION_KEYS": FERNET}

    made = settings.ensure_secrets(settings.read(environ))

    assert (KEY, (FERNET,)) == (made.secret_key, made.encryption_keys)
    assert not (tmp_path / "var").exists()


def test_two_folders_have_different_keys(tmp_path: Path) -> None:
    """Keys are random, not derived."""
    made = {
        settings.ensure_secrets(settings.read({"VAR_DIR": str(tmp_path / name)})).secret_key for name in "ab"
    }

    assert len(made) == 2


def test_made_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Folder 0700, files 0600, whatever the umask, and no draft is left."""
    before = os.umask(0)
    try:
        settings.ensure_secrets(settings.read({"VAR_DIR": str(tmp_path / "var")}))
    finally:
        os.umask(before)
    folder = tmp_path / "var" / "secrets"

    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in [folder, *folder.iterdir()]}

    assert {"secrets": "0o700", "secret_key": "0o600", "encryption_keys": "0o600"} == modes


def test_makers_at_the_same_moment_end_with_one_secret(tmp_path: Path) -> None:
    """The first one wins, the others read it."""

    def make(number: int) -> str:
        return settings.keep_secret(tmp_path / "var", "shared", lambda: f"secret-{number}")

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(make, range(8)))

    assert {(tmp_path / "var" / "secrets" / "shared").read_text(encoding="utf-8").strip()} == made


def test_a_folder_that_cannot_be_made_is_a_bad_setting(tmp_path: Path) -> None:
    """The sentence names VAR_DIR, not a stack of calls."""
    (tmp_path / "file").touch()
    read = settings.read({"VAR_DIR": str(tmp_path / "file" / "var")})

    with pytest.raises(BadSetting, match=r"VAR_DIR: .* cannot be made \(Not a directory\)"):
        settings.ensure_secrets(read)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"\xff", r"VAR_DIR: \S*/encryption_keys cannot be kept \(it is not text\)"),
        (b"\n", r"VAR_DIR: \S*/encryption_keys is empty"),
        (b"key\n", r"ENCRYPTION_KEYS: what is kept in \S*/encryption_keys cannot be used: key 1 of 1 is no"),
    ],
)
def test_a_damaged_key_is_a_bad_setting(tmp_path: Path, body: bytes, line: str) -> None:
    """It is not replaced: what it encrypted would be lost without a word."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "encryption_keys").write_bytes(body)

    with pytest.raises(BadSetting, match=f"^{line}"):
        settings.ensure_secrets(settings.read({"VAR_DIR": str(tmp_path)}))

    assert body == (tmp_path / "secrets" / "encryption_keys").read_bytes()
