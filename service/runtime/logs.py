"""The log: one JSON object a line, for structlog's loggers and the standard library's alike.

Each line has ts (UTC, milliseconds), level, event, logger and whatever was bound to the context, such as
request_id. Refuses secrets: values under names that speak of them, API keys, bearer tokens and passwords in
addresses are replaced before a line is written, wherever in it they stand.
"""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"
"""What stands in the log where a secret stood."""

DEPTH_MAX = 8
"""Levels of a nested value that are written; deeper ones are hidden, since nobody looked at them."""

_HANDLER = "benefit-ledger"
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|authorization|cookie|credential|dsn|(?:api|private|encryption)[_-]?key"
    r"|database_(?:owner_)?url",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"\bbl_[A-Za-z0-9_-]{6,}|(?<=bearer )[^\s\"',]+", re.IGNORECASE)
_ADDRESS_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")


_CHATTY = ("alembic", "apscheduler")
"""Libraries whose everyday lines say nothing to those who run the service."""


def configure(level: str, stream: TextIO) -> None:
    """Send every log line of `level` (debug, info, warning, error) and above to `stream`.

    Calling it again replaces what was configured. Bind what all lines of a request or job carry
    with `structlog.contextvars.bind_contextvars`.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        _add_ts,
    ]
    handler = logging.StreamHandler(stream)
    handler.set_name(_HANDLER)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_line,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    for earlier in [known for known in root.handlers if known.get_name() == _HANDLER]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(value: object, *, name: str = "", depth: int = 0) -> Any:
    """Give a JSON value that says the same as `value`, without its secrets.

    Args:
        value: anything; what JSON has no form for is written as its repr.
        name: the name it stands under; text under a name that speaks of a secret is hidden whole.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name) or depth > DEPTH_MAX:
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): redact(item, name=str(key), depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth=depth + 1) for item in value]
    text = value if isinstance(value, str) else repr(value)
    return _ADDRESS_PASSWORD.sub(rf"\g<1>{HIDDEN}", _SECRET_TEXT.sub(HIDDEN, text))


def _redact_line(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    return {str(name): redact(value, name=str(name)) for name, value in line.items()}


def _add_ts(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    # A line says when this machine wrote it; no act decides by it, so the database's clock is not asked.
    line["ts"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return line
