"""The log: one JSON object a line, with its context, and without secrets."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from service.runtime import logs
from service.runtime.logs import HIDDEN

API_KEY = "bl_k3y1d000_0123456789abcdefghijklmnop"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Give the log's stream; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    structlog.contextvars.clear_contextvars()
    logs.configure("info", written)
    yield written
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_where_and_what(stream: io.StringIO) -> None:
    """The instant is UTC in milliseconds; the rest stands as it was given."""
    structlog.get_logger("service.payouts").warning("payout held", payout_id="po_1", amount_minor=5)
    (line,) = _lines(stream)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    expected = {
        "event": "payout held",
        "level": "warning",
        "logger": "service.payouts",
        "payout_id": "po_1",
        "amount_minor": 5,
    }
    assert expected == line


def test_the_standard_librarys_lines_look_the_same(stream: io.StringIO) -> None:
    """Libraries log as we do."""
    logging.getLogger("apscheduler").error("missed %s", "a tick")
    (line,) = _lines(stream)

    assert ("missed a tick", "error", "apscheduler") == (line["event"], line["level"], line["logger"])


def test_what_is_bound_is_on_every_line(stream: io.StringIO) -> None:
    """One request can be followed through rooms and libraries, and the next one is not mixed up with it."""
    with bound_contextvars(request_id="rq_1"):
        structlog.get_logger().info("ours")
        logging.getLogger("theirs").info("theirs")
    structlog.get_logger().info("later")

    assert ["rq_1", "rq_1", None] == [line.get("request_id") for line in _lines(stream)]


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    """debug is silent at info, for both kinds of logger."""
    structlog.get_logger().debug("ours")
    logging.getLogger("theirs").debug("theirs")
    structlog.get_logger().info("kept")

    assert ["kept"] == [line["event"] for line in _lines(stream)]


def test_configuring_again_replaces(stream: io.StringIO) -> None:
    """No line is written twice."""
    second = io.StringIO()
    logs.configure("debug", second)
    structlog.get_logger().debug("once")

    assert ([], ["once"]) == (_lines(stream), [line["event"] for line in _lines(second)])


def test_an_exception_is_one_line_without_secrets(stream: io.StringIO) -> None:
    """A traceback often quotes the address that could not be reached."""
    fault = ConnectionError(f"no route to postgresql://app:hush@db/books for {API_KEY}")
    structlog.get_logger().error("failed", exc_info=fault)
    (line,) = _lines(stream)

    assert (
        f"ConnectionError: no route to postgresql://app:{HIDDEN}@db/books for {HIDDEN}" in line["exception"]
    )


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "DATABASE_URL",
        "SECRET_KEY",
        "api_key",
        "credentials",
        "database_owner_url",
        "dsn",
        "encryption_keys",
        "new_password",
        "password",
        "private_key",
        "set-cookie",
        "token",
    ],
)
def test_text_under_a_name_that_speaks_of_a_secret_is_hidden(stream: io.StringIO, name: str) -> None:
    """Also inside of what was given."""
    structlog.get_logger().info("said", **{name: "hush", "given": {"parts": [{name: ["hush"]}]}})
    (line,) = _lines(stream)

    assert (HIDDEN, {"parts": [{name: HIDDEN}]}) == (line[name], line["given"])


@pytest.mark.parametrize("name", ["idempotency_key", "key_id", "path", "monkey", "compass"])
def test_text_under_another_name_is_kept(stream: io.StringIO, name: str) -> None:
    """A log that hides everything helps nobody."""
    structlog.get_logger().info("said", **{name: "plain"})

    assert [line[name] for line in _lines(stream)] == ["plain"]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f"key {API_KEY} refused", f"key {HIDDEN} refused"),
        ("Authorization: Bearer abc.def-ghi, again", f"Authorization: Bearer {HIDDEN}, again"),
        ("at postgresql://app:p%40ss@db:5432/books", f"at postgresql://app:{HIDDEN}@db:5432/books"),
        ("at https://shares.example.org/a:b@c", "at https://shares.example.org/a:b@c"),
        ("a table bl_x and tbl_something_long", "a table bl_x and tbl_something_long"),
    ],
)
def test_secrets_inside_text_are_hidden(stream: io.StringIO, said: str, written: str) -> None:
    """Wherever they stand: in the event, in a value, in a repr."""
    structlog.get_logger().info(said, value=said, listed=[said], odd=Exception(said))
    (line,) = _lines(stream)

    assert (written, written, [written], f"Exception({written!r})") == (
        line["event"],
        line["value"],
        line["listed"],
        line["odd"],
    )


def test_counts_of_secrets_are_no_secrets(stream: io.StringIO) -> None:
    """Numbers and truth values are kept under any name."""
    structlog.get_logger().info("said", token_count=3, has_password=True, secret=None)
    (line,) = _lines(stream)

    assert (3, True, None) == (line["token_count"], line["has_password"], line["secret"])


def test_what_is_nested_too_deep_is_hidden() -> None:
    """Limit everything: a value of any depth, also one that holds itself, ends."""
    ring: list[Any] = []
    ring.append(ring)

    assert f"{'[' * (logs.DEPTH_MAX + 1)}'{HIDDEN}'{']' * (logs.DEPTH_MAX + 1)}" == str(logs.redact(ring))


def test_vietnamese_is_written_as_it_is(stream: io.StringIO) -> None:
    """A line can be read by those whom it is about."""
    structlog.get_logger().info("Nguyễn")

    assert '"event": "Nguyễn"' in stream.getvalue()
