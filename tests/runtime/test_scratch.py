"""Scratch folders go with their work, and what a kill left behind goes later."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.runtime import scratch

DAY_S = 86_400.0


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Give a folder for the scratch folders of this test."""
    return tmp_path


def aged(path: Path) -> None:
    """Make a folder look two days old."""
    before = path.stat().st_mtime - 2 * DAY_S
    os.utime(path, (before, before))


def test_a_folder_goes_when_its_work_ends(room: Path) -> None:
    """Also when that ends badly."""
    with scratch.folder(room) as folder:
        (folder / "file").write_text("x")
    with pytest.raises(ZeroDivisionError), scratch.folder(room):
        _ = 1 // 0

    assert [] == list(room.iterdir())


def test_what_a_killed_process_left_goes_after_a_day(room: Path) -> None:
    """A younger one stays, and so does what is not ours."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from service.runtime import scratch\n"
        "with scratch.folder(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", program, str(room)], check=False)
        assert -signal.SIGKILL == ended.returncode
    old, young = sorted(room.iterdir())
    other = room / "somebody-elses"
    other.mkdir()
    aged(old)
    aged(other)

    with scratch.folder(room):
        assert not old.exists()

    assert {young, other} == set(room.iterdir())


def test_a_folder_that_is_worked_in_stays_however_old(room: Path) -> None:
    """Its lock says so."""
    with scratch.folder(room) as folder:
        now_s = folder.stat().st_mtime
        aged(folder)
        assert 0 == scratch.sweep(room, now_s=now_s)
        assert [folder] == list(room.iterdir())
