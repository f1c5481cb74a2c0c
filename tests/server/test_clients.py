"""Slow, silent, broken and hostile clients: none of them keeps another one waiting."""

import hashlib
import http.client
import json
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email.message import Message

import pytest

from service.api import problems
from tests.server.conftest import Serve, Served
from tests.server.process import LARGE_BYTES, large

UPLOAD = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"a" * 1_000
ASKING = b"POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
HALF_HEAD = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Le"
CHUNKED = b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
TWO_FRAMINGS = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL_BUFFER_BYTES = 4_096


def get(served: Served, count: int = 1) -> list[int]:
    """Send some sound requests over one connection; give the statuses."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    statuses = []
    for number in range(count):
        body = b"b" * (number % 3) * 100_000
        connection.request("POST", "/good", body)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert (len(body), hashlib.sha256(body).hexdigest()) == (found["size"], found["sha256"])
        statuses.append(answer.status)
    connection.close()
    return statuses


def read(client: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    parts = []
    while part := client.recv(1_048_576):
        parts.append(part)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Message
    body: bytes


def answer_of(client: socket.socket) -> Answer:
    """Read one answer."""
    with http.client.HTTPResponse(client) as answer:
        answer.begin()
        return Answer(answer.status, answer.headers, answer.read())


def is_open(client: socket.socket) -> bool:
    """Tell whether the server neither said anything nor ended the connection."""
    client.setblocking(False)
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


def test_stalled_uploads_and_half_sent_heads_hold_nobody_up(patient: Served, clients: ExitStack) -> None:
    """Many more than there are threads, and all of them wait on while a good client is answered."""
    kinds = [UPLOAD, HALF_HEAD, CHUNKED, b""]
    bad = [clients.enter_context(patient.open(kinds[number % 4])) for number in range(200)]

    assert [200] * 30 == get(patient, 30)
    assert [True] * 200 == [is_open(one) for one in bad]


@pytest.mark.parametrize("path", ["/memory", "/pieces", "/file"])
def test_readers_that_do_not_read_hold_nobody_up(path: str, serve: Serve, clients: ExitStack) -> None:
    """An answer waits without a thread, from memory, in pieces or from a file."""
    served = serve(held_bytes_max=2**40)
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    bad = [clients.enter_context(served.open(asked, receive_bytes=SMALL_BUFFER_BYTES)) for _ in range(24)]
    begun = [one.recv(4) for one in bad]

    assert [b"HTTP"] * 24 == begun
    assert [200] * 30 == get(served, 30)


@pytest.mark.parametrize("path", ["/memory", "/pieces", "/file"])
def test_a_slow_reader_gets_the_whole_answer(path: str, patient: Served, clients: ExitStack) -> None:
    """Every byte, in order, and then the next answer on the same connection."""
    client = clients.enter_context(
        patient.open(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), receive_bytes=SMALL_BUFFER_BYTES)
    )
    get(patient, 3)

    answer = answer_of(client)
    assert large() == answer.body
    client.sendall(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "/next" == json.loads(answer_of(client).body)["path"]


def test_a_reader_that_never_reads_is_given_up(serve: Serve, clients: ExitStack) -> None:
    """What was held for it is let go."""
    served = serve(reader_silence_s=0.5)
    client = clients.enter_context(
        served.open(b"GET /memory HTTP/1.1\r\nHost: x\r\n\r\n", receive_bytes=SMALL_BUFFER_BYTES)
    )
    client.recv(4)
    while _established(served):
        time.sleep(0.05)

    assert len(_read_to_the_break(client)) < LARGE_BYTES
    assert [200] == get(served)


def _established(served: Served) -> bool:
    return any(one.status == "ESTABLISHED" for one in served.worker().net_connections("tcp"))


def _read_to_the_break(client: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError):
        while part := client.recv(1_048_576):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("sent", [UPLOAD, HALF_HEAD, CHUNKED], ids=["upload", "head", "chunked"])
def test_a_client_that_falls_silent_is_told_and_left(sent: bytes, serve: Serve, clients: ExitStack) -> None:
    """408, as a problem; then the connection ends."""
    served = serve(silence_s=0.5)
    answer = answer_of(clients.enter_context(served.open(sent)))
    problem = json.loads(answer.body)

    assert (408, "close", problems.MEDIA_TYPE) == (
        answer.status,
        answer.headers["Connection"],
        answer.headers["Content-Type"],
    )
    assert ("/problems/too-slow", 408) == (problem["type"], problem["status"])


def test_a_client_that_asks_nothing_is_left_without_a_word(serve: Serve, clients: ExitStack) -> None:
    """There is nothing to answer."""
    served = serve(silence_s=0.5)

    assert b"" == read(clients.enter_context(served.open()))


@pytest.mark.parametrize("sent", [UPLOAD, HALF_HEAD], ids=["upload", "head"])
def test_a_client_that_trickles_is_told_and_left(sent: bytes, serve: Serve, clients: ExitStack) -> None:
    """A byte now and then is no progress."""
    served = serve(silence_s=300, head_s=1.0, grace_s=1.0)
    client = clients.enter_context(served.open(sent))
    is_over = threading.Event()

    def trickle() -> None:
        while not is_over.wait(0.05):
            try:
                client.sendall(b"a")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    status = answer_of(client).status
    is_over.set()
    thread.join()

    assert 408 == status


def test_what_is_held_for_all_together_is_bounded(serve: Serve, clients: ExitStack) -> None:
    """The slowest make room, told so; who comes after them is served."""
    served = serve(silence_s=300, grace_s=300, held_bytes_max=1_048_576)
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
    bad = [clients.enter_context(served.open(head + b"a" * 200_000)) for _ in range(16)]

    assert [200] * 10 == get(served, 10)
    told = [answer_of(one).status for one in bad if not is_open(one) and one.setblocking(True) is None]
    assert {503} == set(told)
    assert 10 <= len(told) < 16


def test_the_number_of_connections_is_bounded(serve: Serve, clients: ExitStack) -> None:
    """Somebody who waits makes room for somebody who asks."""
    served = serve(silence_s=300, head_s=300, grace_s=300, connections_max=40)
    for number in range(120):
        clients.enter_context(served.open([HALF_HEAD, b""][number % 2]))

    assert [200] * 10 == get(served, 10)
    assert len(served.worker().net_connections("tcp")) <= 41


def test_a_body_that_is_announced_too_long_is_answered_unread(patient: Served, clients: ExitStack) -> None:
    """Without being asked for either; its nearest good neighbour is waited for."""
    head = "POST /unread HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"
    limit = 8 * 1_048_576
    long = answer_of(clients.enter_context(patient.open(head.format(limit + 1).encode())))
    client = clients.enter_context(patient.open(head.format(limit).encode()))
    asked = client.recv(1_000)

    assert (200, "close") == (long.status, long.headers["Connection"])
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == asked
    client.sendall(b"a" * limit)
    assert 200 == answer_of(client).status


def test_a_body_in_chunks_is_waited_for_up_to_the_limit(patient: Served, clients: ExitStack) -> None:
    """What is longer goes to the application cut, which reads as far as it takes anything."""
    chunk = b"100000\r\n" + b"a" * 1_048_576 + b"\r\n"
    head = b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = answer_of(clients.enter_context(patient.open(head + chunk * 8 + b"0\r\n\r\n")))
    client = clients.enter_context(patient.open(head + chunk * 8))
    client.sendall(b"1\r\na\r\n")

    assert 8 * 1_048_576 == json.loads(whole.body)["size"]
    assert b"HTTP/1.1 500" == client.recv(12)


def test_requests_that_are_sent_together_are_answered_in_their_order(
    patient: Served, clients: ExitStack
) -> None:
    """Pipelined, with and without bodies, however they are cut."""
    requests = [
        f"POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {number * 7}\r\n\r\n".encode()
        + b"c" * number * 7
        for number in range(5)
    ] + [b"POST /5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
    everything = b"".join(requests) + b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for cut in (len(everything), 1, 50, 97):
        client = clients.enter_context(patient.open())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(everything), cut):
            client.sendall(everything[start : start + cut])
        said = read(client)
        found = [json.loads(b"{" + part.split(b"}")[0] + b"}") for part in said.split(b"{")[1:]]

        paths = [(f"/{number}", number * 7) for number in range(5)] + [("/5", 3), ("/last", 0)]
        assert paths == [(one["path"], one["size"]) for one in found]


def test_a_body_that_the_application_left_does_not_become_the_next_request(
    patient: Served, clients: ExitStack
) -> None:
    """It is passed over, also when it looks like one."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: {len(hidden)}\r\n\r\n".encode()
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    said = read(clients.enter_context(patient.open(head + hidden + last)))

    assert (1, 1, 0) == (said.count(b'"/unread"'), said.count(b'"/last"'), said.count(b'"/hidden"'))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: " + b"a" * 70_000,
        TWO_FRAMINGS + b"0\r\n\r\nGET /hidden",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["tls", "no colon", "endless header", "two framings", "two lengths", "no chunk", "http/2"],
)
def test_what_is_no_plain_request_is_refused_and_ends_the_connection(
    sent: bytes, patient: Served, clients: ExitStack
) -> None:
    """At once; nothing of it is taken for another request."""
    said = _read_to_the_break(clients.enter_context(patient.open(sent)))

    assert said == b"" or said.split(b" ")[1][:1] in {b"4", b"5"}
    assert b"/hidden" not in said


def test_a_server_that_is_told_to_stop_answers_what_it_began_to_read(
    serve: Serve, clients: ExitStack
) -> None:
    """And does not wait for those who asked nothing."""
    served = serve()
    clients.enter_context(served.open())
    client = clients.enter_context(served.open(ASKING))
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == client.recv(1_024)  # The head is read.
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    client.sendall(b"a" * 100_000)
    answer = answer_of(client)

    assert (200, 100_000) == (answer.status, json.loads(answer.body)["size"])
    assert 0 == served.process.wait(20)
