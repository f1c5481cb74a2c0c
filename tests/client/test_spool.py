"""The spool: what is on disk when, in which order it leaves, and what a death leaves behind."""

import fcntl
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benefit_ledger_client import SpoolFull
from benefit_ledger_client.errors import Rejected
from benefit_ledger_client.spool import Spool, read_rejected


def spool_in(folder: Path, **options: int) -> Spool:
    """Open a spool with small batches."""
    given = {"events_max": 3, "bytes_max": 1000, "spool_bytes_max": 1_000_000, **options}
    return Spool(folder, is_synced=True, **given)


def die(spool: Spool, torn: bytes = b"") -> None:
    """End a spool as the death of its process does: locks and handles go, files stay, a line may be cut."""
    segment = spool._segment
    if segment is not None:
        os.pwrite(segment.handle, torn, segment.size_bytes)
    for handle in spool._handles:
        os.close(handle)
    spool._handles = set()
    spool._segment = None


def content(spool: Spool) -> list[bytes]:
    """Read the lines of all batches in order."""
    return [line for name in spool.names() for line in spool.read(name).splitlines()]


def line(number: int, size: int = 6) -> bytes:
    """Write a line."""
    return b"%0*d\n" % (size - 1, number)


def test_what_was_appended_is_in_a_file_at_once(tmp_path: Path) -> None:
    """Before it is a batch."""
    spool_in(tmp_path).append([line(1), line(2)])

    (path,) = tmp_path.glob("*.open")
    assert line(1) + line(2) == path.read_bytes()


def test_a_batch_is_full_by_count_or_by_bytes(tmp_path: Path) -> None:
    """A longer line than a batch may have is a batch by itself."""
    spool = spool_in(tmp_path, bytes_max=20)

    sealed = spool.append([line(1), line(2), line(3), line(4), line(5, 19), line(6, 40), line(7)])
    spool.seal()

    sizes = [[len(one) for one in spool.read(name).splitlines()] for name in spool.names()]
    assert [[5, 5, 5], [5], [18], [39], [5]] == sizes
    assert sealed == spool.names()[:4]


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_appended_and_whoever_dies_all_of_it_leaves_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Law: events come out in the order in which they were taken, each once; a line that was cut goes."""
    spool = spool_in(tmp_path_factory.mktemp("spool"), events_max=data.draw(st.integers(1, 5)))
    taken: list[bytes] = []
    left: list[bytes] = []
    number = 0
    for act in data.draw(st.lists(st.sampled_from(["append", "seal", "die", "drain"]), max_size=20)):
        if act == "append":
            count = data.draw(st.integers(1, 8))
            lines = [line(number + more) for more in range(count)]
            spool.append(lines)
            taken += [one.rstrip() for one in lines]
            number += count
        elif act == "seal":
            spool.seal()
        elif act == "die":
            die(spool, data.draw(st.sampled_from([b"", b"000", b"0000000000"])))
            spool = spool_in(spool.folder, events_max=3)
        else:
            spool.seal_orphans()
            for name in spool.names():
                left += spool.read(name).splitlines()
                spool.remove(name)
    die(spool)
    spool = spool_in(spool.folder)
    spool.seal_orphans()

    assert taken == left + content(spool)


def test_the_file_of_a_living_process_is_left_to_it(tmp_path: Path) -> None:
    """Its lock says that it lives."""
    mine, other = spool_in(tmp_path), spool_in(tmp_path)
    other.append([line(1)])

    mine.seal_orphans()
    assert [] == mine.names()
    die(other)
    mine.seal_orphans()

    assert [line(1).rstrip()] == content(mine)


def test_a_file_in_which_nothing_is_whole_is_removed(tmp_path: Path) -> None:
    """Its process died within its first line."""
    spool = spool_in(tmp_path)
    spool.append([line(1)])
    (path,) = tmp_path.glob("*.open")
    die(spool)
    path.write_bytes(b"{")

    spool.seal_orphans()

    assert [] == [one for one in tmp_path.iterdir() if one.suffix in {".open", ".ndjson"}]


def test_one_at_a_time_may_send(tmp_path: Path) -> None:
    """Until it lets go."""
    mine, other = spool_in(tmp_path), spool_in(tmp_path)

    with mine.draining() as is_mine, other.draining() as is_others:
        assert (True, False) == (is_mine, is_others)
    with other.draining() as is_others:
        assert is_others


def test_a_spool_is_bounded(tmp_path: Path) -> None:
    """What has no room is not taken, in no part; what was sent makes room."""
    spool = spool_in(tmp_path, spool_bytes_max=30)
    spool.append([line(number) for number in range(4)])

    with pytest.raises(SpoolFull, match="24 bytes of the 30"):
        spool.append([line(8), line(9)])
    spool.append([line(4)])
    for name in spool.names():
        spool.remove(name)
    spool._measured_s = float("-inf")
    spool.append([line(8), line(9)])
    spool.seal()

    assert [b"00003", b"00004", b"00008"] == content(spool)[:3]


def test_a_write_that_fails_in_the_middle_leaves_no_part_of_it(tmp_path: Path) -> None:
    """As on a full disk: here a limit to the size of files, in a process of its own."""
    child = os.fork()
    if not child:
        import resource

        spool = spool_in(tmp_path)
        spool.append([line(1)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            spool.append([line(2)])
        except OSError:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(child, 0)

    spool = spool_in(tmp_path)
    spool.seal_orphans()
    assert 7 == os.waitstatus_to_exitcode(status)
    assert [line(1).rstrip()] == content(spool)


def test_a_batch_that_is_cut_keeps_its_place_and_can_be_cut_again(tmp_path: Path) -> None:
    """A death in the middle leaves the whole one, which comes first and is cut the same way."""
    spool = spool_in(tmp_path)
    spool.append([line(number) for number in range(6)])
    first, second = spool.names()
    spool._write_whole(tmp_path / f"{first}.0.ndjson", line(0))

    assert [first, f"{first}.0", second] == spool.names()
    spool.split(first, [line(0), line(1) + line(2)])
    spool.split(f"{first}.1", [line(1), line(2)])

    assert [f"{first}.0", f"{first}.1.0", f"{first}.1.1", second] == spool.names()
    assert [b"%05d" % number for number in range(6)] == content(spool)


def test_what_was_rejected_is_read_as_it_was(tmp_path: Path) -> None:
    """And found by its batch, whole or in part."""
    spool = spool_in(tmp_path)
    one = Rejected({"id": "ế"}, 3, "ế", "invalid", ({"pointer": "/id", "detail": "No."},), "b")
    spool.put_aside("1-2-3.0", [one])
    spool.put_aside("1-2-4", [one])

    (path,) = spool.rejected_files({"1-2-3"})

    assert [one] == read_rejected(path)


def test_threads_share_a_file_and_a_wait_for_the_disk(tmp_path: Path) -> None:
    """Each line is whole, and each thread's are in its order."""
    spool = spool_in(tmp_path, events_max=7)

    def append(name: int) -> None:
        for number in range(40):
            spool.append([line(name * 100 + number)])

    threads = [threading.Thread(target=append, args=(name,)) for name in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    spool.seal()

    numbers = [int(one) for one in content(spool)]
    for name in range(4):
        assert [name * 100 + number for number in range(40)] == [one for one in numbers if one // 100 == name]


def test_a_forked_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    """It neither writes into its parent's nor keeps it locked when the parent is gone."""
    spool = spool_in(tmp_path)
    spool.append([line(1)])
    ready, told = os.pipe()
    over, done = os.pipe()
    child = os.fork()
    if not child:
        os.close(done)
        spool.append([line(2)])
        os.write(told, b"1")
        os.read(over, 1)
        os._exit(0)
    os.read(ready, 1)

    assert 2 == len(list(tmp_path.glob("*.open")))
    (mine,) = [path for path in tmp_path.glob("*.open") if path.read_bytes() == line(1)]
    die(spool)
    handle = os.open(mine, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
    os.close(done)
    os.waitpid(child, 0)
    spool.seal_orphans()
    assert [line(1).rstrip(), line(2).rstrip()] == content(spool)
    for one in (ready, told, over):
        os.close(one)


def test_order_survives_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """A batch from a later time of the clock stays before those that are begun after it."""
    spool = spool_in(tmp_path)
    (tmp_path / f"{2**62:020}-0000000001-00000000.ndjson").write_bytes(line(1))
    for number in (2, 3):
        spool.append([line(number)])
        spool.seal()

    assert [b"00001", b"00002", b"00003"] == content(spool)


def test_without_a_wait_for_the_disk_the_bytes_are_in_the_file_all_the_same(tmp_path: Path) -> None:
    """They outlive the process, if not the machine."""
    spool = Spool(tmp_path, events_max=3, bytes_max=1000, spool_bytes_max=10_000, is_synced=False)
    spool.append([line(number) for number in range(4)])
    die(spool)

    spool.seal_orphans()

    assert [b"%05d" % number for number in range(4)] == content(spool)
