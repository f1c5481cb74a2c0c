"""Packed batches: the same batch however it is packed; bombs and damage cost little and are named."""

import gzip
import json
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from service.api import inflating
from service.api.inflating import MEMBERS_MAX, WINDOW_BYTES_MAX
from service.core.errors import TooLarge, Unreadable
from service.events import wire
from tests.api.client import Client
from tests.api.world import World
from tests.world import event

PACK = {"gzip": gzip.compress, "zstd": zstandard.compress}
LIMIT = 100_000


def batch(world: World, *ids: str) -> bytes:
    """Write a batch."""
    return json.dumps([event(one, "view", world.now(), "linh") for one in ids]).encode()


def send(client: Client, content: bytes, coding: str | None = None) -> TestResponse:
    """Send a batch, packed as it says."""
    headers = {"Content-Type": wire.BATCH} | ({} if coding is None else {"Content-Encoding": coding})
    return client.send("POST", "/v1/events", data=content, headers=headers)


def body(response: TestResponse) -> dict[str, Any]:
    """Read an answer."""
    found: dict[str, Any] = json.loads(response.data)
    return found


def told(response: TestResponse) -> tuple[int, str]:
    """Give status and type of a problem."""
    return response.status_code, body(response)["type"].removeprefix("/problems/")


def test_the_same_batch_packed_otherwise_is_a_replay(client: Client, world: World) -> None:
    """The digest is that of the unpacked bytes; identity is a coding as well."""
    content = batch(world, "p-1", "p-2")
    first = send(client, gzip.compress(content, 1), "gzip")
    others = [
        send(client, gzip.compress(content, 9), "GZIP"),
        send(client, gzip.compress(content[:9]) + gzip.compress(content[9:]), "x-gzip"),
        send(client, zstandard.compress(content), "zstd"),
        send(client, content, "identity"),
        send(client, content),
    ]

    assert (200, False) == (first.status_code, body(first)["replayed"])
    assert [True] * 5 == [body(one)["replayed"] for one in others]
    assert {body(first)["batch_id"]} == {body(one)["batch_id"] for one in others}
    assert {body(first)["sha256"]} == {body(one)["sha256"] for one in others}


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "gzip,zstd", "zip"])
def test_an_unknown_coding_is_refused_with_those_that_are_known(
    client: Client, world: World, coding: str
) -> None:
    """RFC 9110 section 12.5.3."""
    response = send(client, batch(world, "u-1"), coding)

    assert (415, "unsupported-media-type") == told(response)
    assert "gzip, zstd" == response.headers["Accept-Encoding"]


@pytest.mark.parametrize("coding", PACK)
def test_what_is_damaged_is_refused_by_name(client: Client, world: World, coding: str) -> None:
    """Cut short, followed by something, not packed at all, empty; the sound one beside it is taken."""
    packed = PACK[coding](batch(world, f"d-{coding}"))
    wrong = {
        "cut short": packed[:-1],
        "cut short ": packed[: len(packed) // 2],
        "follows": packed + b"rubbish, at least four bytes",
        f"no {coding}": b"[]",
        "empty": b"",
    }
    found = {words: send(client, content, coding) for words, content in wrong.items()}

    assert {(400, "unreadable")} == {told(one) for one in found.values()}
    assert [] == [words for words, one in found.items() if words.strip() not in body(one)["detail"]]
    assert 200 == send(client, packed, coding).status_code


def test_a_checksum_that_does_not_fit_is_damage(client: Client, world: World) -> None:
    """One bit of gzip's own digest."""
    packed = bytearray(gzip.compress(batch(world, "c-1")))
    packed[-5] ^= 1

    assert (400, "unreadable") == told(send(client, bytes(packed), "gzip"))


@pytest.mark.parametrize("coding", PACK)
def test_a_bomb_is_refused_at_the_limit(client: Client, coding: str) -> None:
    """Gigabytes of zeros in some kilobytes: time and memory are those of the largest batch."""
    bomb = _bomb(coding)
    tracemalloc.start()
    response = send(client, bomb, coding)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(bomb) < wire.BODY_BYTES_MAX
    assert (413, "too-large") == told(response)
    assert peak_bytes < 6 * wire.BODY_BYTES_MAX
    problem = body(response)
    assert {**wire.LIMITS, "limits": "/v1/limits"} == {
        name: problem[name] for name in (*wire.LIMITS, "limits")
    }


def _bomb(coding: str) -> bytes:
    """Pack gigabytes of zeros, or what a decoder takes for them."""
    if coding == "zstd":
        # A block of one repeated byte: 4 bytes make 128 KiB (RFC 8878 section 3.1.1.2).
        rle = struct.pack("<I", (1 << 1 | 131_072 << 3))[:3] + b"\0"
        header = b"\x28\xb5\x2f\xfd" + bytes([0, (27 - 10 - 4) << 3 & 0xFF])
        return header + rle * 32_000
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()


def test_what_is_packed_twice_is_no_batch(client: Client, world: World) -> None:
    """It is unpacked once."""
    twice = gzip.compress(gzip.compress(batch(world, "t-1")))

    assert (400, "unreadable") == told(send(client, twice, "gzip"))


@pytest.mark.parametrize("coding", PACK)
def test_a_batch_of_the_largest_size_is_taken_and_a_byte_more_is_not(client: Client, coding: str) -> None:
    """The limit is that of the unpacked bytes."""
    content = b"[]".ljust(wire.BODY_BYTES_MAX)

    assert 200 == send(client, PACK[coding](content), coding).status_code
    assert (413, "too-large") == told(send(client, PACK[coding](content + b" "), coding))


def unpacked(content: bytes, coding: str) -> bytes:
    """Unpack under a small limit."""
    return inflating.inflate(content, coding, size_bytes_max=LIMIT)


@settings(max_examples=60)
@given(
    pieces=st.lists(st.binary(max_size=2_000), min_size=1, max_size=5),
    coding=st.sampled_from(list(PACK)),
    zeros=st.integers(0, LIMIT - 10_000),
)
def test_any_number_of_members_is_the_content_one_after_another(pieces, coding, zeros) -> None:
    """Law: packing and unpacking changes nothing, whatever the cuts."""
    parts = [*pieces, bytes(zeros)]

    assert b"".join(parts) == unpacked(b"".join(PACK[coding](one) for one in parts), coding)


@settings(max_examples=60)
@given(content=st.binary(min_size=1, max_size=2_000), coding=st.sampled_from(list(PACK)), data=st.data())
def test_no_proper_beginning_is_taken(content, coding, data) -> None:
    """Law: whatever was cut off, it is noticed."""
    packed = PACK[coding](content)
    end = data.draw(st.integers(1, len(packed) - 1))

    with pytest.raises(Unreadable):
        unpacked(packed[:end], coding)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), coding=st.sampled_from(list(PACK)))
def test_rubbish_is_refused_or_read_within_the_limit(seed, coding) -> None:
    """Law: no bytes whatever make anything but a fault or a result within the limit."""
    chance = random.Random(seed)
    packed = bytearray(PACK[coding](chance.randbytes(500) + bytes(chance.randrange(5_000))))
    for _ in range(chance.randrange(1, 4)):
        packed[chance.randrange(len(packed))] = chance.randrange(256)
    with suppress(Unreadable, TooLarge):
        assert len(unpacked(bytes(packed), coding)) <= LIMIT


@pytest.mark.parametrize("coding", PACK)
def test_members_without_content_are_counted(coding: str) -> None:
    """As many as are taken, and one more."""
    empty = PACK[coding](b"")

    assert b"" == unpacked(empty * MEMBERS_MAX, coding)
    with pytest.raises(Unreadable, match="members"):
        unpacked(empty * (MEMBERS_MAX + 1), coding)


def test_a_window_beyond_the_limit_is_refused() -> None:
    """It would be reserved before a byte is read."""

    def packed(window_log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return packer.compress(b"x" * 1_000) + packer.flush()

    window_log = WINDOW_BYTES_MAX.bit_length() - 1
    assert b"x" * 1_000 == unpacked(packed(window_log), "zstd")
    with pytest.raises(Unreadable, match="window"):
        unpacked(packed(window_log + 1), "zstd")
