"""Scratch folders: room on this machine's disk for one piece of work, gone when it ends, however it ends.

A folder that a killed process left behind is removed by a later piece of work, once it is a day old. Law: the
folder of a piece of work that still goes on is never removed: its process holds the folder's lock, which the
kernel takes back when the process ends.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "benefit-ledger-scratch-"

KEPT_S: Final = 86_400


@contextmanager
def folder(room: Path | None = None) -> Iterator[Path]:
    """Make a folder of one's own, after removing what killed processes left long ago.

    Args:
        room: where; None is the system's folder for temporary files.
    """
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=room))
    # The clock of files is the file system's.
    sweep(path.parent, now_s=path.stat().st_mtime)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def sweep(room: Path, *, now_s: float) -> int:
    """Remove the folders that nobody works in and that are older than KEPT_S; return how many.

    Args:
        now_s: the present in seconds since 1970, as files are dated.
    """
    count = 0
    for path in room.glob(f"{PREFIX}*"):
        # Somebody else may remove it at the same time, or own it.
        with suppress(OSError):
            count += _remove(path, now_s)
    return count


def _remove(path: Path, now_s: float) -> bool:
    if path.is_symlink() or now_s - path.stat().st_mtime < KEPT_S:
        return False
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    finally:
        os.close(handle)
    return True
