"""A request is the same however its bytes are cut, and ends where it ends."""

import socket
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge

from service.server.reading import CHUNKS_MAX, Bytes, Progress, Reading
from service.server.writing import Outbox

LIMIT = 1_000
bodies = st.binary(max_size=LIMIT)


def with_length(body: bytes) -> bytes:
    """Frame a body by its length."""
    return b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(body: bytes) -> bytes:
    """Frame a body in chunks of seven bytes."""
    cut = [body[start : start + 7] for start in range(0, len(body), 7)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in cut)
    return b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def fed(pieces: list[bytes]) -> tuple[Progress, bytes, bytes]:
    """Feed pieces until the request is whole; give it, and what follows it and was fed."""
    reading, progress = Reading(LIMIT), Progress.PARTIAL
    left = list(pieces)
    while progress is Progress.PARTIAL and left:
        progress = reading.feed(left.pop(0))
    request, rest = reading.take(progress)
    return progress, request, rest + b"".join(left)


@settings(max_examples=200)
@given(
    body=bodies,
    frame=st.sampled_from([with_length, in_chunks]),
    rest=st.binary(max_size=50),
    data=st.data(),
)
def test_a_request_is_the_same_however_it_is_cut(body, frame, rest, data) -> None:
    """Law: request and rest are those of the uncut bytes; no byte is lost or moved."""
    everything = frame(body) + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(everything)), max_size=12)))
    edges = [0, *cuts, len(everything)]
    pieces = [everything[start:end] for start, end in pairwise(edges) if start < end]

    assert (Progress.WHOLE, frame(body), rest) == fed(pieces)


@settings(max_examples=50)
@given(body=bodies, data=st.data())
def test_a_request_that_is_cut_short_is_waited_for(body, data) -> None:
    """Law: no proper beginning of a request is whole."""
    everything = with_length(body + b"a")
    end = data.draw(st.integers(1, len(everything) - 1))

    assert Progress.PARTIAL is fed([everything[:end]])[0]


@pytest.mark.parametrize("frame", [with_length, in_chunks])
def test_a_body_beyond_the_limit_is_not_waited_for(frame) -> None:
    """A byte less is."""
    assert Progress.WHOLE is fed([frame(b"a" * LIMIT)])[0]
    assert Progress.HANDED_ON is fed([frame(b"a" * (LIMIT + 1))])[0]


def test_an_announced_length_beyond_the_limit_is_enough() -> None:
    """Nothing of the body has to come."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"

    assert Progress.PARTIAL is fed([head % LIMIT])[0]
    assert Progress.HANDED_ON is fed([head % (LIMIT + 1)])[0]


def test_framing_that_outweighs_its_content_is_not_waited_for() -> None:
    """Chunks of a byte each cost six times their content, or more."""
    reading = Reading(1_048_576)
    reading.feed(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    fed_chunks = [reading.feed(b"1\r\na\r\n" * 64) for _ in range(CHUNKS_MAX // 64)]

    assert {Progress.PARTIAL} == set(fed_chunks)
    assert Progress.HANDED_ON is reading.feed(b"1\r\na\r\n")


@given(data=st.binary(max_size=300), sizes=st.lists(st.integers(1, 40), max_size=20))
def test_what_is_unread_is_read_again(data, sizes) -> None:
    """Law: reading and giving back in any turns loses nothing."""
    source = Bytes(data)
    found = b""
    for size in sizes:
        piece = source.read(size)
        source.unread(piece[len(piece) // 2 :])
        found += piece[: len(piece) // 2]

    assert data == found + source.take_buffered()


def test_a_request_that_was_cut_never_looks_whole() -> None:
    """Who reads on is told; one that is whole just ends."""
    cut, whole = Bytes(b"abc", is_cut=True), Bytes(b"abc")

    assert (b"abc", b"abc", b"") == (cut.read(10), whole.read(10), whole.read(10))
    with pytest.raises(RequestEntityTooLarge):
        cut.read(1)


def test_an_answer_leaves_in_order_whatever_the_socket_takes(tmp_path) -> None:
    """Bytes, a file, bytes again; and nothing is held at the end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        outbox = Outbox(ours)
        parts = [bytes([number]) * 300_000 for number in range(3)]
        path = tmp_path / "file"
        path.write_bytes(parts[1])
        outbox.sendall(parts[0])
        with path.open("rb") as file:
            outbox.sendfile(file, offset=5, count=200_000)
        outbox.sendall(parts[2])
        held_bytes, found = outbox.held_bytes, b""
        while not outbox.is_empty:
            found += theirs.recv(65_536)
            outbox.flush()
        ours.close()
        while piece := theirs.recv(65_536):
            found += piece

    assert parts[0] + parts[1][:200_000] + parts[2] == found
    assert held_bytes > 0 == outbox.held_bytes
