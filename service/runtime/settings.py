"""The settings: every variable of the environment that the service reads, its default, meaning and check.

Owns the table `SETTINGS` and the values read from it. Refuses to guess: a value that cannot be used stops
the start, and all such values are named at once. Laws: `read` writes nothing; a secret is never shown by a
repr, a message or `describe`; an empty variable counts as unset.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from service.core.errors import FieldError, Invalid

SECRET_LENGTH_MIN = 32
"""Characters of SECRET_KEY; fewer could be guessed."""

FILE_BYTES_MAX = 65_536
"""The largest file that a `*_FILE` variable may name."""

_ADDRESS = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<six>[0-9A-Fa-f:.]+)\]):(?P<port>[0-9]{1,5})")
_LEVELS = ("debug", "info", "warning", "error")
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 — these are recognised, not listened on.


class BadSetting(Invalid):
    """Settings that cannot be used: one line each, naming the setting, the reason and the remedy."""

    slug = "bad-setting"
    title = "A setting cannot be used"

    def __init__(self, lines: Mapping[str, str]) -> None:
        """Take one sentence for each setting's name; `detail` holds them as `NAME: sentence` lines."""
        super().__init__(
            "\n".join(f"{name}: {reason}" for name, reason in lines.items()),
            errors=[FieldError(pointer=f"/{name}", detail=reason) for name, reason in lines.items()],
        )


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as HOST:PORT, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def reachable(self) -> "Address":
        """Give an address to reach it at from this machine: the loopback one when it listens everywhere."""
        return Address("127.0.0.1", self.port) if self.host in _WILDCARDS else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, checked. Without `database_url` the database is the embedded one under `var_dir`."""

    var_dir: Path
    bind: Address
    metrics_bind: Address
    public_url: str
    database_url: str | None = field(repr=False)
    database_owner_url: str | None = field(repr=False)
    event_lake_url: str
    scoring_engine: str
    payout_provider: str
    secret_key: str | None = field(repr=False)
    encryption_keys: tuple[str, ...] | None = field(repr=False)
    web_workers: int
    events_per_minute: int
    event_bytes_per_minute: int
    scheduler_interval_s: int
    log_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The keys in force: `secret_key` signs; the first of `encryption_keys` encrypts, all of them decrypt."""

    secret_key: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table.

    `default` is the text used when the variable is unset (None: it stays unset) and may name earlier settings
    in braces. `parse` turns text into the value, or raises ValueError with a sentence of reason and remedy
    that does not repeat a secret. A secret may also be given as a file named by the variable NAME_FILE.
    """

    name: str
    default: str | None
    meaning: str
    parse: Callable[[str], object]
    is_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is shown of a setting: `value` is the text given, "" when it is unset, "(hidden)" for a secret."""

    name: str
    default: str
    meaning: str
    is_secret: bool
    value: str


def read(environ: Mapping[str, str]) -> Settings:
    """Read every setting from `environ`, check each and all together.

    Raises:
        BadSetting: one line for every setting that cannot be used.

    Law: no file is written; only files named by `*_FILE` variables are read.
    """
    faults: dict[str, str] = {}
    values: dict[str, Any] = {}
    shown: dict[str, object] = {"CPU_COUNT": _cpu_count()}
    for setting in SETTINGS:
        with _collecting(faults, setting.name):
            given = _given(setting, environ)
            text = given if given is not None else _default(setting, shown)
            values[setting.name] = None if text is None else setting.parse(text)
            value = values[setting.name]
            shown[setting.name] = value.reachable() if isinstance(value, Address) else value
    _check_together(values, faults)
    if faults:
        raise BadSetting(faults)
    return Settings(**{name.lower(): value for name, value in values.items()})


def describe(environ: Mapping[str, str]) -> tuple[Description, ...]:
    """List every setting with its default, its meaning and what `environ` says, in the table's order.

    Law: no secret is shown, and no value is judged: a bad one is listed as well.
    """
    return tuple(
        Description(
            name=setting.name,
            default=(setting.default or "").format_map(_NAMES),
            meaning=setting.meaning,
            is_secret=setting.is_secret,
            value=_shown(setting, environ),
        )
        for setting in SETTINGS
    )


def ensure_secrets(settings: Settings) -> Secrets:
    """Give the keys in force; with the embedded database, make those that are missing, once.

    They are kept under VAR_DIR/secrets, readable by their owner only; processes that start at the same moment
    end with the same keys.

    Raises:
        BadSetting: the folder cannot be written, or holds what is no key.
    """
    secret_key, encryption_keys = settings.secret_key, settings.encryption_keys
    if secret_key is None:
        secret_key = keep_secret(settings.var_dir, "secret_key", lambda: secrets.token_urlsafe(48))
    if encryption_keys is None:
        made = keep_secret(settings.var_dir, "encryption_keys", lambda: Fernet.generate_key().decode())
        try:
            encryption_keys = _parse_encryption_keys(made)
        except ValueError as fault:
            reason = (
                f"what is kept in {settings.var_dir / 'secrets' / 'encryption_keys'} cannot be used: {fault}"
            )
            raise BadSetting({"ENCRYPTION_KEYS": reason}) from fault
    return Secrets(secret_key=secret_key, encryption_keys=encryption_keys)


def keep_secret(var_dir: Path, name: str, make: Callable[[], str]) -> str:
    """Read VAR_DIR/secrets/NAME, or make it first: 0600, whole or not at all, the first maker wins.

    Raises:
        BadSetting: the folder or the file cannot be made or read, or the file is empty.
    """
    folder = make_var_dir(var_dir) / "secrets"
    path = folder / name
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            _write_once(path, make())
        kept = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        reason = f"{path} cannot be kept ({_why(fault)}). Give this user access, or set another VAR_DIR."
        raise BadSetting({"VAR_DIR": reason}) from fault
    if not kept:
        # It is written whole or not at all: somebody emptied it, and a new one opens nothing old.
        raise BadSetting({"VAR_DIR": f"{path} is empty. Bring its content back, or set another VAR_DIR."})
    return kept


def make_var_dir(var_dir: Path) -> Path:
    """Make VAR_DIR when it is missing, passable for the system user that the database runs as under root.

    Raises:
        BadSetting: it cannot be made, or is no folder.
    """
    try:
        if not var_dir.is_dir():
            var_dir.mkdir(parents=True, exist_ok=True)
            var_dir.chmod(0o755)
    except OSError as fault:
        reason = f"{var_dir} cannot be made ({_why(fault)}). Name a folder, new or existing, to write to."
        raise BadSetting({"VAR_DIR": reason}) from fault
    return var_dir


def _write_once(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all and never replaces one that is there."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # A link fails when the name is taken, where a rename would replace what another process wrote.
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        Path(draft).unlink()


@contextmanager
def _collecting(faults: dict[str, str], name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as fault:
        faults[name] = str(fault)
    except KeyError:
        # The default is made of an earlier setting that was refused: one line about that one is enough.
        return


def _default(setting: Setting, shown: Mapping[str, object]) -> str | None:
    return None if setting.default is None else setting.default.format_map(shown)


def _given(setting: Setting, environ: Mapping[str, str]) -> str | None:
    """Take the text of a setting from its variable, or a secret's from the file that NAME_FILE names."""
    text = environ.get(setting.name, "").strip() or None
    file = environ.get(f"{setting.name}_FILE", "").strip() if setting.is_secret else ""
    if not file:
        return text
    if text is not None:
        msg = f"both {setting.name} and {setting.name}_FILE are set. Keep one of them."
        raise ValueError(msg)
    try:
        with Path(file).open("rb") as stream:
            body = stream.read(FILE_BYTES_MAX + 1)
        text = body.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        msg = f"{file}, named by {setting.name}_FILE, cannot be read ({_why(fault)}). Name a readable file."
        raise ValueError(msg) from fault
    if not text or len(body) > FILE_BYTES_MAX:
        msg = f"{file}, named by {setting.name}_FILE, is empty or too large. Let it hold the secret alone."
        raise ValueError(msg)
    return text


def _shown(setting: Setting, environ: Mapping[str, str]) -> str:
    text = environ.get(setting.name, "").strip()
    if not setting.is_secret:
        return text
    file = environ.get(f"{setting.name}_FILE", "").strip()
    return f"(from {file})" if file else "(hidden)" if text else ""


def _why(fault: Exception) -> str:
    return (fault.strerror or "I/O error") if isinstance(fault, OSError) else "it is not text"


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_together(values: Mapping[str, Any], faults: dict[str, str]) -> None:
    """Add what is wrong between settings that are each right by themselves."""
    url, owner_url = values.get("DATABASE_URL"), values.get("DATABASE_OWNER_URL")
    if url is None and "DATABASE_URL" not in faults:
        if owner_url is not None:
            faults["DATABASE_OWNER_URL"] = (
                "is set without DATABASE_URL. Set both, or neither for the embedded database."
            )
    else:
        for name in ("SECRET_KEY", "ENCRYPTION_KEYS"):
            if name not in faults and values.get(name) is None:
                faults[name] = f"is needed with DATABASE_URL. Set it, or {name}_FILE: {_HOW_TO_MAKE[name]}."
    if url is not None and owner_url is not None and make_url(url).username == make_url(owner_url).username:
        faults["DATABASE_OWNER_URL"] = (
            "names the same role as DATABASE_URL. Let it name the role that owns the tables; "
            "the application's role owns nothing."
        )
    bind, metrics_bind = values.get("BIND"), values.get("METRICS_BIND")
    if isinstance(bind, Address) and isinstance(metrics_bind, Address) and bind.port == metrics_bind.port:
        faults["METRICS_BIND"] = f"takes the port {bind.port} of BIND. Choose another port for one of them."


def _parse_database_url(text: str) -> str:
    remedy = "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The parser's own words could repeat the password.
        msg = f"cannot be read as a database address. {remedy}"
        raise ValueError(msg) from None
    if url.drivername not in {"postgres", "postgresql", "postgresql+psycopg"}:
        msg = f"names the database kind {url.drivername!r}; this service runs on PostgreSQL only. {remedy}"
        raise ValueError(msg)
    if not url.username or not url.database:
        msg = f"names no {'database' if url.username else 'user'}. {remedy}"
        raise ValueError(msg)
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _parse_secret_key(text: str) -> str:
    if len(text) < SECRET_LENGTH_MIN:
        msg = f"is shorter than {SECRET_LENGTH_MIN} characters: {_HOW_TO_MAKE['SECRET_KEY']}."
        raise ValueError(msg)
    return text


def _parse_encryption_keys(text: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in text.split(","))
    for place, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            msg = f"key {place} of {len(keys)} is no Fernet key: {_HOW_TO_MAKE['ENCRYPTION_KEYS']}."
            raise ValueError(msg) from None
    if len(set(keys)) < len(keys):
        msg = "holds a key twice. Name each key once, the one that encrypts first."
        raise ValueError(msg)
    return keys


def _parse_address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        msg = f"{text!r} is no address to listen on. Write HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000."
        raise ValueError(msg)
    return Address(match["name"] or match["six"], int(match["port"]))


def _parse_public_url(text: str) -> str:
    remedy = "Write the address that people reach the service at, for example https://shares.example.org."
    try:
        url = urlsplit(text)
        is_whole = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        msg = f"{text!r} is no http or https address. {remedy}"
        raise ValueError(msg)
    if url.query or url.fragment or "@" in url.netloc:
        msg = f"has a query, a fragment or a password in it. {remedy}"
        raise ValueError(msg)
    return text.rstrip("/")


def _parse_folder(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if "\0" in text or (path.exists() and not path.is_dir()):
        msg = f"{text!r} is not a folder. Name a folder, new or existing, that this user may write."
        raise ValueError(msg)
    return path


def _parse_lake_url(text: str) -> str:
    scheme, separator, _ = text.partition("://")
    if not separator:
        return str(_parse_folder(text))
    # Only a lake outside this machine's folders needs the library at the start.
    import fsspec

    try:
        fsspec.get_filesystem_class(scheme)
    except ValueError:
        msg = f"{scheme!r} is no storage that is known here. Name a folder, or a URL such as s3://BUCKET/FOLDER."
        raise ValueError(msg) from None
    except ImportError as fault:
        msg = f"{scheme!r} storage needs a package that is not installed: {fault}."
        raise ValueError(msg) from fault
    return text.rstrip("/")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 15 and low <= int(text) <= high):
            msg = f"{text!r} is no whole number from {low} to {high}. Set one, or unset it for the default."
            raise ValueError(msg)
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            msg = f"{text!r} is none of {', '.join(choices)}. Set one of them, or unset it for the default."
            raise ValueError(msg)
        return text.lower()

    return parse


def _only(choice: str, noun: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() != choice:
            msg = f"{text!r} is not available: this build has the {choice} {noun}. Set {choice}, or unset it."
            raise ValueError(msg)
        return choice

    return parse


_HOW_TO_MAKE = {
    "SECRET_KEY": 'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"',
    "ENCRYPTION_KEYS": (
        "make one with: "
        'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
    ),
}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="VAR_DIR",
        default="./var",
        meaning="Folder for what the service keeps by itself: embedded database, lake, generated secrets.",
        parse=_parse_folder,
    ),
    Setting(
        name="BIND",
        default="127.0.0.1:8000",
        meaning="Address that the pages and the API listen on.",
        parse=_parse_address,
    ),
    Setting(
        name="METRICS_BIND",
        default="127.0.0.1:9100",
        meaning="Address that the metrics listen on; keep it off the open network.",
        parse=_parse_address,
    ),
    Setting(
        name="PUBLIC_URL",
        default="http://{BIND}",
        meaning="Address that people reach the service at; sign-in links begin with it.",
        parse=_parse_public_url,
    ),
    Setting(
        name="DATABASE_URL",
        default=None,
        meaning="PostgreSQL 16 or newer, as the application's role, which owns nothing. "
        "Unset: an embedded PostgreSQL runs under VAR_DIR.",
        parse=_parse_database_url,
        is_secret=True,
    ),
    Setting(
        name="DATABASE_OWNER_URL",
        default=None,
        meaning="The same database as the role that owns the tables; only migrations use it.",
        parse=_parse_database_url,
        is_secret=True,
    ),
    Setting(
        name="EVENT_LAKE_URL",
        default="{VAR_DIR}/lake",
        meaning="Folder, or object storage URL, for the Parquet files of events.",
        parse=_parse_lake_url,
    ),
    Setting(
        name="SCORING_ENGINE",
        default="duckdb",
        meaning="Engine that runs the scoring SQL: duckdb.",
        parse=_only("duckdb", "engine"),
    ),
    Setting(
        name="PAYOUT_PROVIDER",
        default="sandbox",
        meaning="Who pays out: sandbox, a pretend bank that moves no real money.",
        parse=_only("sandbox", "provider"),
    ),
    Setting(
        name="SECRET_KEY",
        default=None,
        meaning=f"Signs sessions and hashes keys; at least {SECRET_LENGTH_MIN} characters. "
        "With the embedded database it is made on first use; otherwise it is needed.",
        parse=_parse_secret_key,
        is_secret=True,
    ),
    Setting(
        name="ENCRYPTION_KEYS",
        default=None,
        meaning="Fernet keys for names and bank details, separated by commas; the first encrypts, "
        "all decrypt. With the embedded database one is made on first use; otherwise it is needed.",
        parse=_parse_encryption_keys,
        is_secret=True,
    ),
    Setting(
        name="WEB_WORKERS",
        default="{CPU_COUNT}",
        meaning="Processes that answer requests, 1 to 256.",
        parse=_whole(1, 256),
    ),
    Setting(
        name="EVENTS_PER_MINUTE",
        default="60000000",
        meaning="Events that a platform without a limit of its own may send in a minute, 10000 or more.",
        parse=_whole(10_000, 10**15 - 1),
    ),
    Setting(
        name="EVENT_BYTES_PER_MINUTE",
        default="17179869184",
        meaning="Bytes of events, unpacked, that such a platform may send in a minute, 8 MiB or more.",
        parse=_whole(8 * 1024 * 1024, 10**15 - 1),
    ),
    Setting(
        name="SCHEDULER_INTERVAL_S",
        default="5",
        meaning="Seconds between two looks of the scheduler for what is due, 1 to 3600.",
        parse=_whole(1, 3600),
    ),
    Setting(
        name="LOG_LEVEL",
        default="info",
        meaning="Least level that is logged: debug, info, warning or error.",
        parse=_one_of(*_LEVELS),
    ),
)
"""Every setting, each after those that its default is made of."""

_NAMES = {setting.name: setting.name for setting in SETTINGS} | {"CPU_COUNT": "number of CPUs"}
