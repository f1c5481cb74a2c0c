"""The wire: bytes of a batch in, typed events and reasoned rejections out. Pure.

Owns the forms of CloudEvents 1.0 that intake takes, their limits and their checks. Refuses a whole body only
when it cannot be cut into items; a bad item never harms its neighbours. Laws: whether an item is accepted
depends on its own bytes and the types given, never on its neighbours; an accepted event is free of control
characters, lies within the calendar to the microsecond and within the bounds of its type; no text that is
given back holds a character that the database cannot store. A key that stands twice in an object counts as
it stands last.

Extension attributes of CloudEvents that mean nothing here are taken and left aside if they are what the
standard allows: a name of lower-case letters and digits, and a text, a whole number, a truth value or null.
An item that has one is read a second time, which costs those without one nothing.

Sources: CloudEvents 1.0.2 (spec and JSON format), RFC 3339, RFC 8259, read 2026-11-21.
"""

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Raw, Struct

from service.core.errors import Fault, FieldError, TooLarge, Unreadable
from service.core.spans import FIRST_YEAR, LAST_YEAR
from service.events.types import ATTRIBUTES_MAX, EventType

ITEMS_MAX: Final = 10_000
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
ITEM_BYTES_MAX: Final = 64 * 1024
ID_LENGTH_MAX: Final = 64
SOURCE_LENGTH_MAX: Final = 128
IGNORED_LENGTH_MAX: Final = 1024

LIMITS: Final[Mapping[str, int]] = {
    "items_max": ITEMS_MAX,
    "body_bytes_max": BODY_BYTES_MAX,
    "item_bytes_max": ITEM_BYTES_MAX,
}
"""What a client has to know to cut its batches, by the names under which it is told."""

SEPARATORS_MAX: Final = 1_000_000
"""Commas (or line ends) of a body: more would make so many items that they fill the memory uncounted."""

BATCH: Final = "application/cloudevents-batch+json"
SINGLE: Final = "application/cloudevents+json"
LINES: Final = "application/x-ndjson"

Code = Literal[
    "unreadable",
    "too_large",
    "invalid",
    "unknown_type",
    "type_mismatch",
    "unknown_creator",
    "in_future",
    "too_old",
    "no_period",
]
"""Why an item is rejected: the first three for good, the others for the platform's present state."""

Id = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
Source = Annotated[str, Meta(min_length=1, max_length=SOURCE_LENGTH_MAX)]
Ignored = Annotated[str, Meta(max_length=IGNORED_LENGTH_MAX)] | int | None


AttributeName = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
Attributes = Annotated[dict[AttributeName, str | int | bool], Meta(max_length=ATTRIBUTES_MAX)]


class Data(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What happened: whose content was engaged with, by whom (a pseudonym), how much, what else is known."""

    creator: Id
    content: Id | None = None
    actor: Id | None = None
    quantity: int = 1
    attributes: Attributes | None = None


class Event(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A CloudEvent as it is taken. What follows `data` is known and has no meaning here."""

    specversion: Literal["1.0"]
    id: Id
    source: Source
    type: Id
    time: Annotated[datetime, Meta(tz=True)]
    data: Data
    datacontenttype: Literal["application/json"] | None = None
    dataschema: Ignored = None
    subject: Ignored = None
    partitionkey: Ignored = None
    sequence: Ignored = None
    recordedtime: Ignored = None
    traceparent: Ignored = None
    tracestate: Ignored = None


class _Extended(Struct, frozen=True):
    """An event with members that `Event` does not know; these are looked at by `_extension_error`."""

    specversion: Literal["1.0"]
    id: Id
    source: Source
    type: Id
    time: Annotated[datetime, Meta(tz=True)]
    data: Data


class _Named(Struct):
    id: str | None = None


class _Timed(Struct):
    time: str


class _Zoned(Struct):
    time: Annotated[datetime, Meta(tz=True)]


class _Sourced(Struct):
    source: str | None = None


class UnknownMediaType(Fault):
    """The body says that it is something that intake does not read."""

    status = 415
    slug = "unknown-media-type"
    title = "The media type is not one that is read here"


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that is not taken: its place in the body, its id where it has a usable one, and why."""

    index: int
    id: str | None
    code: Code
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body's items: the good ones by index, ascending, and the rejected ones by index, ascending."""

    item_count: int
    events: dict[int, Event]
    rejected: list[Rejection]


_FIRST_AT: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_END_AT: Final = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
_ITEMS: Final = msgspec.json.Decoder(list[Raw])
_EVENT: Final = msgspec.json.Decoder(Event)
_NAMED: Final = msgspec.json.Decoder(_Named)
_TIMED: Final = msgspec.json.Decoder(_Timed)
_EXTENDED: Final = msgspec.json.Decoder(_Extended)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_ZONED: Final = msgspec.json.Decoder(_Zoned)
_SOURCED: Final = msgspec.json.Decoder(_Sourced)
_SCALAR: Final = msgspec.json.Decoder(Ignored | bool)
_OF_DATA: Final = frozenset({"specversion", "id", "source", "type", "time", "data"})
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,64}")
_JSON_TYPE: Final = re.compile(r"[a-z0-9.+-]+/(?:[a-z0-9.+-]*\+)?json(?:\s*;.*)?", re.IGNORECASE | re.DOTALL)
_FINE: Final = re.compile(rb"\.[0-9]{7}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_FIELD: Final = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_DETAIL_LENGTH_MAX: Final = 200
_SENTENCES: Final = {
    "Expected `datetime` with a timezone component": (
        "The time names no zone; end it with Z or an offset such as +07:00."
    ),
    "Invalid RFC3339 encoded datetime": "This is no time of RFC 3339; write it as 2026-11-21T13:00:00Z.",
}


def decode(body: bytes, media_type: str, types: Mapping[str, EventType]) -> Decoded:
    """Cut a body into items and judge each by itself.

    Args:
        body: as sent, without transfer or content coding.
        media_type: the Content-Type header; parameters other than a charset of UTF-8 are not looked at.
        types: the platform's registry by name.

    Raises:
        UnknownMediaType: neither a batch, a single event nor NDJSON, or in another charset than UTF-8.
        TooLarge: beyond BODY_BYTES_MAX or ITEMS_MAX.
        Unreadable: the body is not JSON of the shape that its media type promises.
    """
    items = _cut(body, media_type)
    events: dict[int, Event] = {}
    rejected: list[Rejection] = []
    read = _EVENT.decode
    for index, item in enumerate(items):
        try:
            events[index] = read(item)
        except (ValueError, RecursionError) as fault:
            second = _read_extended(index, bytes(item), fault)
            if isinstance(second, Event):
                events[index] = second
            else:
                rejected.append(second)
    if events and not (_is_plain(body, items) and _is_within(events.values(), types)):
        for index, event in list(events.items()):
            rejection = _judge(index, bytes(items[index]), event, types)
            if rejection is not None:
                rejected.append(rejection)
                del events[index]
        rejected.sort(key=lambda one: one.index)
    return Decoded(item_count=len(items), events=events, rejected=rejected)


def read_again(body: bytes, media_type: str, skipped: Container[int]) -> dict[int, Event]:
    """Read the accepted events of a body that intake judged before, by index, ascending.

    Args:
        skipped: the indices of the items that were rejected.

    Law: what intake took can be read; a fault here is a fault of ours.
    """
    return {
        index: _read_taken(item) for index, item in enumerate(_cut(body, media_type)) if index not in skipped
    }


def cut(body: bytes, media_type: str) -> list[bytes]:
    """Give the bytes of each item of a body that `decode` took."""
    return [bytes(item) for item in _cut(body, media_type)]


def name_of(item: bytes) -> tuple[str | None, str | None]:
    """Read the source and the id of an item that was rejected, each where it has a usable one."""
    try:
        source = _SOURCED.decode(item).source
    except (ValueError, RecursionError):
        source = None
    is_usable = source and len(source) <= SOURCE_LENGTH_MAX and not _CONTROL.search(source)
    return (source if is_usable else None), _id_of(item)


def time_of(item: bytes) -> datetime | None:
    """Read the time of an item that was rejected, if it has one within the calendar."""
    try:
        time = _ZONED.decode(item).time
    except (ValueError, RecursionError):
        return None
    return time if _FIRST_AT <= time < _END_AT else None


def ids(body: bytes, media_type: str) -> list[str | None]:
    """Read what the items of a body that intake judged before are called; None where that is not usable."""
    return [_id_of(bytes(item)) for item in _cut(body, media_type)]


def media_type_of(header: str) -> str:
    """Name the kind of body that a Content-Type header announces.

    Returns:
        BATCH, SINGLE or LINES.

    Raises:
        UnknownMediaType: it is another one, or another charset than UTF-8.
    """
    kind, *parameters = (part.strip().lower() for part in header.split(";"))
    charsets = [
        value.strip(' "')
        for name, _, value in (part.partition("=") for part in parameters)
        if name.strip() == "charset"
    ]
    if kind not in _CUTS or any(charset not in {"utf-8", "utf8"} for charset in charsets):
        known = ", ".join(_CUTS)
        raise UnknownMediaType(
            f"The Content-Type is not one that intake reads; send UTF-8 as one of {known}."
        )
    return kind


def _cut(body: bytes, media_type: str) -> Sequence[Raw | bytes]:
    """Cut a body into its items, unread."""
    cut = _CUTS[media_type_of(media_type)]
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"The body has {len(body)} bytes; send at most {BODY_BYTES_MAX} at a time.")
    try:
        items = cut(body)
    except RecursionError:
        raise Unreadable("The body nests too deep; an event is an object that holds one object.") from None
    except ValueError as fault:
        reason = _printable(str(fault))
        raise Unreadable(f"The body is not what its Content-Type says: {reason}.") from None
    if len(items) > ITEMS_MAX:
        raise TooLarge(f"The body has {len(items)} events; send at most {ITEMS_MAX} at a time.")
    return items


def _cut_batch(body: bytes) -> Sequence[Raw]:
    _check_separators(body.count(b","))
    return _ITEMS.decode(body)


def _cut_single(body: bytes) -> Sequence[bytes]:
    # Only a look whether this is JSON at all: a body that is not has no item that could be rejected.
    msgspec.json.decode(body, type=Raw)
    return [body]


def _cut_lines(body: bytes) -> Sequence[bytes]:
    """Cut at line ends. Bytes are cut at LF, CR and CRLF only; text would also be at U+0085 and U+2028."""
    _check_separators(body.count(b"\n") + body.count(b"\r"))
    return [line for line in body.splitlines() if line.strip()]


def _check_separators(count: int) -> None:
    if count > SEPARATORS_MAX:
        raise TooLarge(
            f"The body has more than {SEPARATORS_MAX} commas or lines; send at most {ITEMS_MAX} events.",
        )


_CUTS: Final[Mapping[str, Callable[[bytes], Sequence[Raw | bytes]]]] = {
    BATCH: _cut_batch,
    SINGLE: _cut_single,
    LINES: _cut_lines,
}


def _is_plain(body: bytes, items: Iterable[Raw | bytes]) -> bool:
    """Tell, from the bytes of the whole, that no item holds what `_judge` looks for in an item's bytes."""
    return (
        body.isascii()
        and b"\\" not in body
        and b"\x7f" not in body
        and (b"." not in body or _FINE.search(body) is None)
        and (len(body) <= ITEM_BYTES_MAX or max(map(len, map(bytes, items))) <= ITEM_BYTES_MAX)
    )


def _is_within(events: Iterable[Event], types: Mapping[str, EventType]) -> bool:
    """Tell, from extremes, that no event holds what `_judge` looks for in an event's values."""
    events = list(events)
    times = [event.time for event in events]
    if min(times) < _FIRST_AT or max(times) >= _END_AT:
        return False
    used = [types.get(name) for name in {event.type for event in events}]
    if any(one is None or not one.is_plain for one in used):
        return False
    known = cast("list[EventType]", used)
    quantities = [one.quantity for event in events if not (one := event.data).attributes]
    if len(quantities) < len(events):
        return False
    return max(one.quantity_min for one in known) <= min(quantities) and max(quantities) <= min(
        one.quantity_max for one in known
    )


def _judge(index: int, item: bytes, event: Event, types: Mapping[str, EventType]) -> Rejection | None:
    """Find what is wrong with an item that has the right shape."""
    if len(item) > ITEM_BYTES_MAX:
        return _reject_large(index, item)
    one = types.get(event.type)
    errors = (*_text_errors(item, event), *_time_errors(item, event))
    if errors:
        return Rejection(index, _usable_id(event.id), "invalid", errors)
    if one is None:
        error = FieldError("/type", "The platform has no event type of this name; register it first.")
        return Rejection(index, event.id, "unknown_type", (error,))
    misfits = tuple(_type_errors(event, one))
    return Rejection(index, event.id, "type_mismatch", misfits) if misfits else None


def _text_errors(item: bytes, event: Event) -> Iterable[FieldError]:
    if item.isascii() and b"\\" not in item and b"\x7f" not in item:
        return
    data = event.data
    texts = {
        "/id": event.id,
        "/source": event.source,
        "/type": event.type,
        "/data/creator": data.creator,
        "/data/content": data.content,
        "/data/actor": data.actor,
    }
    for name, value in (data.attributes or {}).items():
        texts[_below_attributes(name)] = value if isinstance(value, str) else None
    for pointer, text in texts.items():
        if text is not None and _CONTROL.search(text):
            yield FieldError(pointer, "The text holds a control character; remove it.")


def _below_attributes(name: str) -> str:
    return _printable(f"/data/attributes/{_escaped(name)}")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _time_errors(item: bytes, event: Event) -> Iterable[FieldError]:
    # The decoder rounds what is finer than a microsecond, which could move an event into the next period.
    if (b"\\" in item or _FINE.search(item)) and _FINE.search(_TIMED.decode(item).time.encode()):
        yield FieldError("/time", "The time is finer than a microsecond; give at most 6 fractional digits.")
    elif not _FIRST_AT <= event.time < _END_AT:
        yield FieldError("/time", f"The time lies outside the years {FIRST_YEAR} to {LAST_YEAR} (UTC).")


def _type_errors(event: Event, one: EventType) -> Iterable[FieldError]:
    if not one.quantity_min <= event.data.quantity <= one.quantity_max:
        yield FieldError(
            "/data/quantity",
            f"The quantity of a {one.name} lies from {one.quantity_min} to {one.quantity_max}.",
        )
    if one.actor == "required" and event.data.actor is None:
        yield FieldError("/data/actor", f"A {one.name} names its actor.")
    if one.actor == "none" and event.data.actor is not None:
        yield FieldError("/data/actor", f"A {one.name} names no actor.")
    if one.needs_content and event.data.content is None:
        yield FieldError("/data/content", f"A {one.name} names the content that it pays for.")
    yield from _attribute_errors(event.data.attributes or {}, one)


def _attribute_errors(given: Mapping[str, str | int | bool], one: EventType) -> Iterable[FieldError]:
    for name, value in given.items():
        declared = one.attributes.get(name)
        if declared is None:
            yield FieldError(_below_attributes(name), f"A {one.name} has no such attribute; declare it.")
        elif not declared.admits(value):
            wanted = f"one of {', '.join(map(str, declared.values))}" if declared.values else declared.kind
            detail = f"The attribute of a {one.name} is not what its type takes: {wanted}"
            yield FieldError(_below_attributes(name), f"{detail[:_DETAIL_LENGTH_MAX]}.")
    for name, declared in one.attributes.items():
        if declared.is_required and name not in given:
            yield FieldError(_below_attributes(name), f"A {one.name} has this attribute.")


def _read_extended(index: int, item: bytes, fault: Exception) -> Event | Rejection:
    """Read an item that has members which `Event` does not know, or reject it for the fault that it has."""
    if isinstance(fault, msgspec.ValidationError) and len(item) <= ITEM_BYTES_MAX:
        try:
            read = _EXTENDED.decode(item)
            error = _extension_error(_MEMBERS.decode(item))
        except (ValueError, RecursionError) as own:
            # What is wrong with the event itself says more than what stands around it.
            return _reject_unread(index, item, own)
        if error is None:
            return _plainly(read)
        return Rejection(index, _usable_id(read.id), "invalid", (error,))
    return _reject_unread(index, item, fault)


def _read_taken(item: Raw | bytes) -> Event:
    try:
        return _EVENT.decode(item)
    except msgspec.ValidationError:
        return _plainly(_EXTENDED.decode(item))


def _plainly(read: _Extended) -> Event:
    return Event(read.specversion, read.id, read.source, read.type, read.time, read.data)


def _extension_error(members: Mapping[str, Raw]) -> FieldError | None:
    """Find the first member beside the event's own that CloudEvents does not allow."""
    for name, raw in members.items():
        if name in _OF_DATA:
            continue
        pointer = _printable(f"/{_escaped(name)}")
        if name == "data_base64":
            return FieldError(pointer, "Binary data is not read; send `data` as a JSON object.")
        if not _EXTENSION.fullmatch(name):
            return FieldError(pointer, "This field is not known; remove it.")
        try:
            value = _SCALAR.decode(raw)
        except ValueError as fault:
            return FieldError(pointer, f"{_printable(str(fault))}.")
        if name == "datacontenttype" and not (value is None or _is_json_type(value)):
            return FieldError(pointer, "The data is read as JSON; say application/json or leave it out.")
    return None


def _is_json_type(value: object) -> bool:
    return isinstance(value, str) and _JSON_TYPE.fullmatch(value) is not None


def _reject_unread(index: int, item: bytes, fault: Exception) -> Rejection:
    if len(item) > ITEM_BYTES_MAX:
        return _reject_large(index, item)
    if not isinstance(fault, msgspec.ValidationError):
        reason = "it nests too deep" if isinstance(fault, RecursionError) else _printable(str(fault))
        return Rejection(index, None, "unreadable", (FieldError("", f"The item is not JSON: {reason}."),))
    return Rejection(index, _id_of(item), "invalid", (_field_error(str(fault)),))


def _reject_large(index: int, item: bytes) -> Rejection:
    detail = f"The item has {len(item)} bytes; at most {ITEM_BYTES_MAX} are taken."
    return Rejection(index, None, "too_large", (FieldError("", detail),))


def _field_error(text: str) -> FieldError:
    """Turn words such as "Expected `int`, got `str` - at `$.data.quantity`" into a pointer and a sentence."""
    message, _, path = (
        text.rpartition(" - at `$") if text.endswith("`") and " - at `$" in text else (text, "", "")
    )
    # A member of an object with free names is written as [...]: the object is the place that can be named.
    pointer = path.rstrip("`").partition("[")[0].replace(".", "/")
    for pattern, detail in (
        (_UNKNOWN_FIELD, "This field is not known; remove it."),
        (_MISSING_FIELD, "This field is missing."),
    ):
        if match := pattern.fullmatch(message):
            return FieldError(_printable(f"{pointer}/{_escaped(match[1])}"), detail)
    return FieldError(_printable(pointer), _SENTENCES.get(message) or f"{_printable(message)}.")


def _id_of(item: bytes) -> str | None:
    """Read the id of an item that has another fault, if it has a usable one."""
    try:
        return _usable_id(_NAMED.decode(item).id)
    except (ValueError, RecursionError):
        return None


def _usable_id(text: str | None) -> str | None:
    is_usable = text and len(text) <= ID_LENGTH_MAX and not _CONTROL.search(text)
    return text if is_usable else None


def _printable(text: str) -> str:
    """Shorten text that a sender may have made, and replace what no database and no terminal should get."""
    text = text.removeprefix("JSON is malformed: ")[:_DETAIL_LENGTH_MAX]
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).rstrip(".")
