"""The lake: Parquet files below one folder or object store.

Owns how files get there, what they are called and how an engine reaches them; the manifest names them. Laws:
a file's name is the digest of its bytes, so that writing it twice changes nothing and no writer spoils
another's file; a file that was added is whole and on disk.
"""

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from service.core.errors import Unavailable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class LakeAway(Unavailable):
    """The event lake cannot be read or written now."""

    slug = "lake-unavailable"
    title = "The event lake is not available"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of the lake: where, below its root, how long, and the SHA-256 of its bytes."""

    path: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Lake:
    """A root: an absolute folder, or the URL of an object store's folder that fsspec knows."""

    url: str

    def add(self, folder: str, file: Path) -> Stored:
        """Copy a local Parquet file into a folder of the lake, named by its digest, whole or not at all.

        Raises:
            LakeAway: it could not be written; nothing was stored under that name.
        """
        with file.open("rb") as source:
            sha256 = hashlib.file_digest(source, "sha256")
        path = f"{folder}/{sha256.hexdigest()[:32]}.parquet"
        try:
            if self._is_local:
                _copy_durably(file, Path(self.location(path)))
            else:
                # An object store shows an object when all of it has arrived.
                self._filesystem().put_file(str(file), self.location(path))
        except OSError as fault:
            raise LakeAway(f"The file {path} could not be written to the lake: {fault.strerror}.") from fault
        return Stored(path, file.stat().st_size, sha256.digest())

    def digest(self, path: str) -> Stored:
        """Read a file and say what it is now.

        Raises:
            LakeAway: it is not there or cannot be read.
        """
        try:
            with self.open(path) as source:
                sha256, size_bytes = hashlib.sha256(), 0
                while piece := source.read(1 << 20):
                    sha256.update(piece)
                    size_bytes += len(piece)
        except OSError as fault:
            raise LakeAway(f"The file {path} of the lake could not be read: {fault.strerror}.") from fault
        return Stored(path, size_bytes, sha256.digest())

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading."""
        if self._is_local:
            return Path(self.location(path)).open("rb")
        return cast("IO[bytes]", self._filesystem().open(self.location(path), "rb"))

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is removed already.

        Raises:
            LakeAway: it could not be removed.
        """
        try:
            if self._is_local:
                Path(self.location(path)).unlink(missing_ok=True)
            else:
                with suppress(FileNotFoundError):
                    self._filesystem().rm_file(self.location(path))
        except OSError as fault:
            raise LakeAway(f"The file {path} of the lake could not be removed: {fault.strerror}.") from fault

    def paths(self, folder: str) -> list[str]:
        """List the files below a folder, unfinished ones included; none if there is no such folder.

        Raises:
            LakeAway: it could not be listed.
        """
        try:
            if self._is_local:
                root = Path(self.url)
                found = [str(file.relative_to(root)) for file in (root / folder).rglob("*") if file.is_file()]
            else:
                filesystem = self._filesystem()
                start = len(filesystem._strip_protocol(self.url)) + 1  # noqa: SLF001 — fsspec has no other.
                found = [name[start:] for name in filesystem.find(self.location(folder))]
        except OSError as fault:
            raise LakeAway(
                f"The folder {folder} of the lake could not be listed: {fault.strerror}."
            ) from fault
        return sorted(found)

    def modified_at(self, path: str) -> datetime | None:
        """Tell when a file was written; None if it is not there, or the store does not say."""
        try:
            if self._is_local:
                return datetime.fromtimestamp(Path(self.location(path)).stat().st_mtime, UTC)
            modified: datetime = self._filesystem().modified(self.location(path))
        except (FileNotFoundError, NotImplementedError):
            return None
        return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)

    def location(self, path: str) -> str:
        """Give the address at which an engine reads a file: a local path, or a URL."""
        return f"{self.url}/{path}"

    def attach(self, connection: "DuckDBPyConnection") -> None:
        """Let a DuckDB connection read this lake; nothing is needed for a local folder."""
        if not self._is_local:
            connection.register_filesystem(self._filesystem())

    @property
    def _is_local(self) -> bool:
        return "://" not in self.url

    def _filesystem(self) -> Any:
        import fsspec

        return fsspec.core.url_to_fs(self.url)[0]


def _copy_durably(source: Path, target: Path) -> None:
    """Copy beside the target, force it to the disk, and rename: a reader sees all of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
