"""The spool: a folder of batches on this machine's disk, shared by any number of its processes.

Each process appends to a file of its own, `NAME.open`, which it holds locked. A full or old one is renamed to
`NAME.ndjson`: from then on it never changes, and its bytes are a batch. Names sort in the order of their
making. Who holds the lock of `drain.lock` sends, in the order of names, and removes what was received. Locks
are the kernel's (flock): they end with their process, however it ends, and what an ended process left open is
sealed by the next one that sends. Laws: what `append` returned for is on disk, in a file that will be a
batch; a batch leaves the folder by `remove` alone; a line that was not written whole is cut off before its
file becomes a batch. The folder is on a local disk of a POSIX system.
"""

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benefit_ledger_client import forks
from benefit_ledger_client.errors import Rejected, SpoolFull

REJECTED: Final = "rejected"
RESCAN_S: Final = 0.1
"""How often, at most, a full spool is measured again."""

_OPEN: Final = ".open"
_BATCH: Final = ".ndjson"
_DRAFT: Final = ".part"


@dataclass
class _Segment:
    """The file that this process appends to, and how far it is written and on disk."""

    name: str
    handle: int
    begun_s: float
    event_count: int = 0
    size_bytes: int = 0
    synced_bytes: int = 0
    # Of several threads that wait for the disk, the first asks it for all.
    sync_lock: threading.Lock = field(default_factory=threading.Lock)


class Spool:
    """The folder, and this process's place in it."""

    def __init__(
        self, folder: Path, *, events_max: int, bytes_max: int, spool_bytes_max: int, is_synced: bool
    ) -> None:
        """Open or make the folder.

        Args:
            events_max, bytes_max: of one batch.
            spool_bytes_max: of the folder, to within what all processes write in a second.
            is_synced: whether what was appended survives a loss of power, not only the death of the process.
        """
        self.folder = folder
        self._events_max, self._bytes_max = events_max, bytes_max
        self._spool_bytes_max = spool_bytes_max
        self._is_synced = is_synced
        self._segment: _Segment | None = None
        self._used_bytes = 0
        self._measured_s = float("-inf")
        self._last_ns = 0
        self._lock = threading.Lock()
        self._handles: set[int] = set()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / REJECTED).mkdir(mode=0o700, exist_ok=True)
        forks.in_every_child(self._begin_anew)

    def _begin_anew(self) -> None:
        """Leave files and locks to the process that this one was forked from; both would hold them else."""
        for handle in self._handles:
            with suppress(OSError):
                os.close(handle)
        self._handles = set()
        self._segment = None
        self._lock = threading.Lock()

    def append(self, lines: Sequence[bytes]) -> list[str]:
        """Add events, in order; when it returns they are on disk.

        Returns:
            The names of the batches that became full and were sealed.

        Raises:
            SpoolFull: there is no room for all of them; none was added.
            OSError: the disk refused. Those that were written whole may be sent.
        """
        sealed: list[str] = []
        with self._lock:
            self._check_room(sum(map(len, lines)))
            start = 0
            while start < len(lines):
                segment = self._segment or self._begin()
                end = self._fitting(segment, lines, start)
                if end == start:
                    sealed += self._seal()
                    continue
                _write(segment, b"".join(lines[start:end]))
                segment.event_count += end - start
                start = end
            if segment.event_count >= self._events_max or segment.size_bytes >= self._bytes_max:
                sealed += self._seal()
            end_bytes = segment.size_bytes
        if self._is_synced:
            _sync(segment, end_bytes)
        return sealed

    def seal(self, *, older_than_s: float = 0.0) -> list[str]:
        """Make a batch of what this process has appended, if that began so long ago."""
        with self._lock:
            is_old = self._segment and time.monotonic() - self._segment.begun_s >= older_than_s
            return self._seal() if is_old else []

    def seal_orphans(self) -> None:
        """Make batches of what processes left that are gone."""
        for path in sorted(self.folder.glob(f"*{_OPEN}")):
            try:
                handle = self._open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                with suppress(BlockingIOError, FileNotFoundError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # It may have been sealed by its own process between the opening and the lock.
                    if os.path.samestat(path.stat(), os.fstat(handle)):
                        self._take_over(path, handle)
            finally:
                self._close(handle)

    def names(self) -> list[str]:
        """List the batches in the order in which they are sent."""
        found = (entry.name for entry in os.scandir(self.folder))
        return sorted(name.removesuffix(_BATCH) for name in found if name.endswith(_BATCH))

    def read(self, name: str) -> bytes:
        """Read a batch."""
        return self._path(name).read_bytes()

    def remove(self, name: str) -> None:
        """Remove a batch that was received."""
        self._path(name).unlink()

    def split(self, name: str, parts: Sequence[bytes]) -> None:
        """Put parts of a batch in its place; done again after a crash, it gives the same files."""
        for number, part in enumerate(parts):
            self._write_whole(self._path(f"{name}.{number}"), part)
        self._path(name).unlink()
        self._sync_folder(self.folder)

    def put_aside(self, name: str, rejected: Sequence[Rejected]) -> None:
        """Write down which events of a batch the service did not take."""
        text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in rejected)
        self._write_whole(self.folder / REJECTED / f"{name}{_BATCH}", text.encode())

    def rejected_files(self, names: Container[str]) -> list[Path]:
        """Find what was put aside of batches and of their parts, in order."""
        found = sorted((self.folder / REJECTED).glob(f"*{_BATCH}"), key=lambda path: path.stem)
        return [path for path in found if root_of(path.stem) in names]

    @contextmanager
    def draining(self) -> Iterator[bool]:
        """Hold the right to send; False if another process has it."""
        handle = self._open(self.folder / "drain.lock", os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            self._close(handle)

    def _begin(self) -> _Segment:
        """Begin a file; it gets its name when it is locked."""
        # Behind all that is there, also when the clock was set back meanwhile.
        newest_ns = max((_number(entry.name) for entry in os.scandir(self.folder)), default=0)
        self._last_ns = max(time.time_ns(), newest_ns + 1, self._last_ns + 1)
        name = f"{self._last_ns:020}-{os.getpid():010}-{secrets.token_hex(4)}"
        draft = self.folder / f"{name}{_DRAFT}"
        handle = self._open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(self.folder / f"{name}{_OPEN}")
        if self._is_synced:
            self._sync_folder(self.folder)
        self._segment = _Segment(name, handle, time.monotonic())
        return self._segment

    def _seal(self) -> list[str]:
        segment, self._segment = self._segment, None
        if segment is None:
            return []
        try:
            if self._is_synced:
                _sync(segment, segment.size_bytes)
            (self.folder / f"{segment.name}{_OPEN}").rename(self._path(segment.name))
            if self._is_synced:
                self._sync_folder(self.folder)
        finally:
            self._close(segment.handle)
        return [segment.name]

    def _take_over(self, path: Path, handle: int) -> None:
        content = os.pread(handle, os.fstat(handle).st_size, 0)
        whole_bytes = content.rfind(b"\n") + 1
        if not whole_bytes:
            path.unlink()
            return
        os.ftruncate(handle, whole_bytes)
        os.fsync(handle)
        path.rename(path.with_suffix(_BATCH))
        self._sync_folder(self.folder)

    def _fitting(self, segment: _Segment, lines: Sequence[bytes], start: int) -> int:
        """Tell up to which line the file has room; an empty one takes a line of any length."""
        room = min(self._events_max - segment.event_count, len(lines) - start)
        size_bytes, end = segment.size_bytes, start
        while end < start + room and (not size_bytes or size_bytes + len(lines[end]) <= self._bytes_max):
            size_bytes += len(lines[end])
            end += 1
        return end

    def _check_room(self, size_bytes: int) -> None:
        is_full = self._used_bytes + size_bytes > self._spool_bytes_max
        if time.monotonic() - self._measured_s > (RESCAN_S if is_full else 10 * RESCAN_S):
            self._used_bytes = _size_of(self.folder) + _size_of(self.folder / REJECTED)
            self._measured_s = time.monotonic()
            is_full = self._used_bytes + size_bytes > self._spool_bytes_max
        if is_full:
            raise SpoolFull(
                f"The spool {self.folder} holds {self._used_bytes} bytes of the {self._spool_bytes_max} "
                "that it may."
            )
        self._used_bytes += size_bytes

    def _write_whole(self, path: Path, content: bytes) -> None:
        draft = path.with_name(path.name + _DRAFT)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        self._sync_folder(path.parent)

    def _open(self, path: Path, flags: int) -> int:
        handle = os.open(path, flags, 0o600)
        self._handles.add(handle)
        return handle

    def _close(self, handle: int) -> None:
        self._handles.discard(handle)
        os.close(handle)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{_BATCH}"

    @staticmethod
    def _sync_folder(folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_rejected(path: Path) -> list[Rejected]:
    """Read a file of rejected events."""

    def one(document: dict[str, Any]) -> Rejected:
        return Rejected(**{**document, "errors": tuple(document["errors"])})

    return [one(json.loads(text)) for text in path.read_bytes().splitlines()]


def _number(file_name: str) -> int:
    digits = file_name.partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def root_of(name: str) -> str:
    """Name the batch that a part was cut from; a whole one is its own."""
    return name.partition(".")[0]


def _write(segment: _Segment, content: bytes) -> None:
    """Write behind what is known to be whole; what was written in part is cut off again."""
    done = 0
    try:
        while done < len(content):
            done += os.pwrite(segment.handle, content[done:], segment.size_bytes + done)
    except OSError:
        with suppress(OSError):
            os.ftruncate(segment.handle, segment.size_bytes)
        raise
    segment.size_bytes += len(content)


def _sync(segment: _Segment, up_to_bytes: int) -> None:
    with segment.sync_lock:
        if segment.synced_bytes < up_to_bytes:
            written_bytes = segment.size_bytes
            os.fsync(segment.handle)
            segment.synced_bytes = written_bytes


def _size_of(folder: Path) -> int:
    size_bytes = 0
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            size_bytes += entry.stat().st_size if entry.is_file() else 0
    return size_bytes
