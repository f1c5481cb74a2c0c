"""Mappings: how a row of somebody's file becomes events. Values and pure functions, but for `load`.

A mapping is a YAML or JSON document with a closed schema: the file's form and one or more templates, each of
which makes an event of every row. A text of a template takes the row's values by the names of their columns
in braces, such as "{channel}"; "{@digest}" is a digest of the whole row, for files without ids. Refuses
unknown fields, zones and columns before anything is imported. Law: the same row under the same mapping makes
the same events.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import yaml
from msgspec import Meta, Struct, field

from service.core.digests import canonical_json, framed, sha256
from service.core.errors import FieldError, Invalid
from service.core.spans import BadInstant, parse_instant, to_text

DOCUMENT_BYTES_MAX: Final = 64 * 1024
TEMPLATES_MAX: Final = 20
DAYS_CACHED: Final = 1024
DIGEST: Final = "@digest"

ATTRIBUTES_MAX: Final = 20

Format = Literal["csv", "tsv", "ndjson", "parquet"]
TimeForm = Literal["epoch_ms", "rfc3339", "local_day", "local_time"]
Text = Annotated[str, Meta(min_length=1, max_length=256)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHIPPED: Final = resources.files("service.events").joinpath("mappings")
_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}
_LOCAL: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)")
_MILLISECONDS: Final = re.compile(r"-?[0-9]{1,15}")


class BadMapping(Invalid):
    """The mapping cannot be used."""

    slug = "bad-mapping"
    title = "The mapping is not valid"


class TimeRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an event's time stands and how it is written.

    `local_day` means `hour` of that day in `zone`; `local_time` is what a clock in `zone` shows, and where it
    shows the same twice, the first time.
    """

    column: Text
    form: TimeForm = field(name="as")
    zone: str | None = None
    hour: Annotated[int, Meta(ge=0, le=23)] = 12


class AttributeRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an attribute's value stands, and of which kind it is."""

    column: Text
    kind: Literal["string", "integer", "boolean"] = field(name="as")


class Template(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event of a row. Without a column the quantity is 1.

    An attribute is a text with columns in braces, or a column that is read as a kind. An empty one is left
    out, as are empty contents and actors.
    """

    source: Text
    id: Text
    type: Text
    time: TimeRule
    creator: Text
    content: Text | None = None
    actor: Text | None = None
    quantity_column: Text | None = None
    skip_when_zero: bool = False
    attributes: Annotated[dict[Text, Text | AttributeRule], Meta(max_length=ATTRIBUTES_MAX)] = {}


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file's form and its events. `columns` names the values of a file that has no header."""

    title: Text
    format: Format
    columns: tuple[Text, ...] = ()
    register_creators: bool = False
    events: Annotated[tuple[Template, ...], Meta(min_length=1, max_length=TEMPLATES_MAX)]

    @property
    def sha256(self) -> bytes:
        """The digest of the mapping as values, however its document is written."""
        document = msgspec.to_builtins(self)
        for template in document["events"]:
            # Mappings had a digest before there were attributes; those without any keep it.
            if not template["attributes"]:
                del template["attributes"]
        return sha256(canonical_json(document))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file: its number from 1, its line, and its values as text in the order of the columns."""

    number: int
    line: int
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Made:
    """What a template made of a row: an event's members, a fault, or neither for a change of zero."""

    type: str
    event: dict[str, Any] | None = None
    error: FieldError | None = None


Maker = Callable[[Row], Iterator[Made]]


def load(name_or_path: str) -> Mapping:
    """Read a mapping: one that ships with the service by its name, or a YAML or JSON file.

    Raises:
        BadMapping: there is none, or it cannot be used; the pointer names the place.
    """
    path = Path(name_or_path)
    shipped = _SHIPPED.joinpath(f"{name_or_path}.yaml")
    if re.fullmatch(r"[a-z0-9_]+", name_or_path) and shipped.is_file() and not path.exists():
        return parse(shipped.read_text(encoding="utf-8"))
    try:
        with path.open("rb") as file:
            text = file.read(DOCUMENT_BYTES_MAX + 1)
        if len(text) > DOCUMENT_BYTES_MAX:
            raise _bad("", f"the document has more than {DOCUMENT_BYTES_MAX} bytes; is it a mapping?")
        return parse(text.decode())
    except OSError as fault:
        known = ", ".join(name for name, _ in shipped_mappings())
        reason = f"{name_or_path} cannot be read ({fault.strerror}), and those that ship are {known}"
        raise _bad("", reason) from fault
    except UnicodeDecodeError as fault:
        raise _bad("", "the document is not UTF-8") from fault


def shipped_mappings() -> list[tuple[str, str]]:
    """List the mappings that ship with the service: name and title, by name."""
    names = sorted(file.name.removesuffix(".yaml") for file in _SHIPPED.iterdir())
    return [(name, load(name).title) for name in names]


def parse(text: str) -> Mapping:
    """Read a mapping from YAML or JSON text.

    Raises:
        BadMapping: it cannot be used; the pointer names the place.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as fault:
        reason = " ".join(str(fault).split()) or "it nests too deep"
        raise _bad("", f"the document is neither YAML nor JSON: {reason}") from None
    # The templates are read one by one, so that a fault can say in which it is.
    templates = document.get("events") if isinstance(document, dict) else None
    if isinstance(templates, list):
        for index, template in enumerate(templates):
            _check_template(_convert(template, Template, f"/events/{index}"), f"/events/{index}")
    mapping: Mapping = _convert(document, Mapping, "")
    if len(set(mapping.columns)) < len(mapping.columns):
        raise _bad("/columns", "two columns have the same name")
    if mapping.format in {"ndjson", "parquet"} and mapping.columns:
        raise _bad("/columns", f"files of the format {mapping.format} name their values; leave this out")
    return mapping


def used_columns(mapping: Mapping) -> dict[str, str]:
    """Name the columns that a mapping takes values from, each with the pointer of its first use."""
    used: dict[str, str] = {}
    for column, pointer in _uses(mapping):
        used.setdefault(column, pointer)
    used.pop(DIGEST, None)
    return used


def uses_digest(mapping: Mapping) -> bool:
    """Tell whether a mapping takes the digest of whole rows."""
    return any(column == DIGEST for column, _ in _uses(mapping))


def _uses(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """List what a mapping takes from a row, with the pointer of the place."""
    for index, template in enumerate(mapping.events):
        pointer = f"/events/{index}"
        for name, text in _texts(template):
            for column in _HOLE.findall(text):
                yield column, f"{pointer}/{name}"
        yield template.time.column, f"{pointer}/time/column"
        if template.quantity_column is not None:
            yield template.quantity_column, f"{pointer}/quantity_column"
        for name, rule in template.attributes.items():
            if isinstance(rule, AttributeRule):
                yield rule.column, f"{pointer}/attributes/{_escaped(name)}/column"


def _texts(template: Template) -> Iterator[tuple[str, str]]:
    """List the texts of a template that may have holes, by their places."""
    for name in ("source", "id", "type", "creator", "content", "actor"):
        yield name, getattr(template, name) or ""
    for name, rule in template.attributes.items():
        if isinstance(rule, str):
            yield f"attributes/{_escaped(name)}", rule


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def maker(mapping: Mapping, columns: Sequence[str]) -> Maker:
    """Prepare the making of events from rows with these columns.

    Raises:
        BadMapping: a column that the mapping uses is not among them.
    """
    _check_columns(mapping, columns)
    makers = [_template_maker(template, columns) for template in mapping.events]

    def make(row: Row) -> Iterator[Made]:
        for one in makers:
            yield one(row)

    return make


def times(mapping: Mapping, columns: Sequence[str]) -> Callable[[Row], Iterator[datetime]]:
    """Prepare the reading of the times of rows alone; those that cannot be read are left out.

    Raises:
        BadMapping: as `maker` says.
    """
    _check_columns(mapping, columns)
    rules = {one.time for one in mapping.events}
    readers = [(columns.index(rule.column), _time_reader(rule)) for rule in rules]

    def read(row: Row) -> Iterator[datetime]:
        for place, reader in readers:
            at = reader(row.values[place])
            if at is not None:
                yield at

    return read


def _check_columns(mapping: Mapping, columns: Sequence[str]) -> None:
    for column, pointer in used_columns(mapping).items():
        if column not in columns:
            raise _bad(pointer, f"the file has no column {column!r}; it has {', '.join(columns)}")


def _template_maker(template: Template, columns: Sequence[str]) -> Callable[[Row], Made]:
    texts = {
        name: _text_reader(getattr(template, name), columns) for name in ("source", "id", "type", "creator")
    }
    optional = {
        name: _text_reader(text, columns)
        for name in ("content", "actor")
        if (text := getattr(template, name)) is not None
    }
    time_place, read_time = columns.index(template.time.column), _time_reader(template.time)
    quantity_place = None if template.quantity_column is None else columns.index(template.quantity_column)
    read_attributes = _attributes_reader(template, columns)

    def make(row: Row) -> Made:
        quantity = 1
        if quantity_place is not None:
            text = row.values[quantity_place]
            if not _WHOLE.fullmatch(text):
                return Made(template.type, error=_no_number("/data/quantity", text))
            quantity = int(text)
            if quantity == 0 and template.skip_when_zero:
                return Made(template.type)
        at = read_time(row.values[time_place])
        if at is None:
            reason = f"{_short(row.values[time_place])} is no time of the form {template.time.form}."
            return Made(template.type, error=FieldError("/time", reason))
        event = {name: read(row) for name, read in texts.items()}
        data: dict[str, Any] = {"creator": event.pop("creator")}
        data |= {name: value for name, read in optional.items() if (value := read(row))}
        data["quantity"] = quantity
        attributes = read_attributes(row)
        if isinstance(attributes, FieldError):
            return Made(template.type, error=attributes)
        if attributes:
            data["attributes"] = attributes
        return Made(template.type, event={"specversion": "1.0", **event, "time": to_text(at), "data": data})

    return make


def _attributes_reader(
    template: Template, columns: Sequence[str]
) -> Callable[[Row], dict[str, Any] | FieldError]:
    """Prepare the reading of the attributes that a row has; what is not of its kind is a fault."""
    readers = [
        (name, _attribute_reader(f"/data/attributes/{_escaped(name)}", rule, columns))
        for name, rule in template.attributes.items()
    ]

    def read(row: Row) -> dict[str, Any] | FieldError:
        found: dict[str, Any] = {}
        for name, reader in readers:
            value = reader(row)
            if isinstance(value, FieldError):
                return value
            if value != "":
                found[name] = value
        return found

    return read


def _attribute_reader(
    pointer: str, rule: str | AttributeRule, columns: Sequence[str]
) -> Callable[[Row], str | int | FieldError]:
    if isinstance(rule, str):
        return _text_reader(rule, columns)
    place = columns.index(rule.column)

    def read(row: Row) -> str | int | FieldError:
        text = row.values[place]
        if rule.kind == "string" or not text:
            return text
        if rule.kind == "integer":
            return int(text) if _WHOLE.fullmatch(text) else _no_number(pointer, text)
        value = _BOOLEANS.get(text.lower())
        reason = f"{_short(text)} is neither true nor false."
        return FieldError(pointer, reason) if value is None else value

    return read


def _text_reader(text: str, columns: Sequence[str]) -> Callable[[Row], str]:
    """Prepare the filling of a text's holes. Nothing comes of a text whose holes are all empty."""
    pieces = _HOLE.split(text)
    literals, holes = pieces[::2], pieces[1::2]
    if not holes:
        return lambda _: text
    places = [None if hole == DIGEST else columns.index(hole) for hole in holes]

    def read(row: Row) -> str:
        values = [_digest(row) if place is None else row.values[place] for place in places]
        if not any(values):
            return ""
        filled = literals[0]
        for value, literal in zip(values, literals[1:], strict=True):
            filled += value + literal
        return filled

    return read


def _digest(row: Row) -> str:
    values = framed(*(value.encode() for value in row.values))
    return blake2b(values, digest_size=16).hexdigest()


def _time_reader(rule: TimeRule) -> Callable[[str], datetime | None]:
    """Prepare the reading of a time from text; what is no time of this form gives None."""
    if rule.form == "epoch_ms":
        return _epoch_ms
    if rule.form == "rfc3339":
        return _rfc3339
    assert rule.zone is not None, "a mapping with local times names their zone"
    zone, hour = ZoneInfo(rule.zone), rule.hour
    if rule.form == "local_time":
        return partial(_local_time, zone=zone)

    @lru_cache(DAYS_CACHED)
    def local_day(text: str) -> datetime | None:
        if not _DATE.fullmatch(text):
            return None
        try:
            return datetime.combine(date.fromisoformat(text), time(hour), zone).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    return local_day


def _local_time(text: str, zone: ZoneInfo) -> datetime | None:
    match = _LOCAL.fullmatch(text)
    if match is None:
        return None
    try:
        shown = datetime.fromisoformat(f"{match[1]}T{match[2]}")
        at = shown.replace(tzinfo=zone).astimezone(UTC)
        # A time that the zone's clocks leave out comes back as another one.
        return at if at.astimezone(zone).replace(tzinfo=None) == shown else None
    except (ValueError, OverflowError):
        return None


def _epoch_ms(text: str) -> datetime | None:
    if not _MILLISECONDS.fullmatch(text):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=int(text))
    except OverflowError:
        return None


def _rfc3339(text: str) -> datetime | None:
    try:
        return parse_instant(text)
    except BadInstant:
        return None


def _check_template(template: Template, pointer: str) -> None:
    for name, text in _texts(template):
        if "{" in (rest := _HOLE.sub("", text)) or "}" in rest or "" in _HOLE.findall(text):
            raise _bad(f"{pointer}/{name}", "braces hold the name of a column, such as {video}")
    rule = template.time
    if rule.form in {"local_day", "local_time"}:
        if rule.zone not in available_timezones():
            raise _bad(f"{pointer}/time/zone", "local times need an IANA zone such as Asia/Ho_Chi_Minh")
    elif rule.zone is not None:
        raise _bad(f"{pointer}/time/zone", f"a time of the form {rule.form} has its zone; leave this out")
    if template.skip_when_zero and template.quantity_column is None:
        raise _bad(f"{pointer}/skip_when_zero", "this needs a quantity_column")


def _convert(document: object, shape: type[Any], pointer: str) -> Any:
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as fault:
        message, _, path = str(fault).partition(" - at `$")
        # A key of an object is not named: the pointer then ends at the object.
        where = pointer + path.rstrip("`").partition("[...]")[0].replace(".", "/")
        raise _bad(where, message) from None


def _bad(pointer: str, reason: str) -> BadMapping:
    place = f"At {pointer}: " if pointer else ""
    return BadMapping(f"{place}{reason}.", errors=[FieldError(pointer, f"{reason}.")])


def _no_number(pointer: str, text: str) -> FieldError:
    return FieldError(pointer, f"{_short(text)} is no whole number of at most 18 digits.")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
