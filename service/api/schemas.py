"""Schemas of request bodies: closed, strict, and faulted by JSON pointer.

Refuses unknown members, truth values and texts for numbers, instants without a zone. Law: every fault of a
document is named at once, each with the pointer of its place.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final, cast

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from service.api.strict_json import INTEGER_MAX, escape
from service.core.errors import FieldError, Invalid
from service.core.spans import BadInstant, parse_instant

NAME_LENGTH_MAX: Final = 200
_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}"
_PERIOD: Final = r"[0-9]{4}-([0-9]{2}|W[0-9]{2}|[0-9]{2}-[0-9]{2})"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ID_REMEDY: Final = "use 1 to 64 letters, digits and . _ : @ -, beginning with a letter or a digit"
_MESSAGES: Final[dict[str, Any]] = {
    "required": "this member is needed",
    "null": "null is not taken here",
    "type": "use a JSON object",
    "unknown": "there is no such member",
}


class Document(Schema):
    """The base of every request body: a JSON object of known members."""

    error_messages = _MESSAGES

    class Meta:
        """Nothing is ignored."""

        unknown = RAISE


class Whole(fields.Integer):
    """A whole number from low to high; true and "1" are none."""

    default_error_messages = _MESSAGES

    def __init__(self, low: int = -INTEGER_MAX, high: int = INTEGER_MAX, **options: Any) -> None:
        """Take the bounds, both inclusive."""
        wanted = f"use a whole number from {low} to {high}"
        super().__init__(
            strict=True,
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            validate=validate.Range(low, high, error=wanted),
            error_messages={"invalid": wanted, "too_large": wanted},
            **options,
        )

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class PeriodName(fields.String):
    """The name of a month, an ISO week or a day."""

    default_error_messages = _MESSAGES | {"invalid": "use a text"}

    def __init__(self, **options: Any) -> None:
        """Take the form of names; whether there is such a period is for the act to say."""
        super().__init__(
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            validate=validate.Regexp(rf"{_PERIOD}\Z", error="use a name such as 2026-10"),
            **options,
        )


class Words(fields.String):
    """A text of 1 to `longest` characters; what it may hold is for the act to say."""

    default_error_messages = _MESSAGES | {"invalid": "use a text"}

    def __init__(self, longest: int = NAME_LENGTH_MAX, **options: Any) -> None:
        """Take the greatest length."""
        wanted = f"use 1 to {longest} characters"
        super().__init__(
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            validate=validate.Length(1, longest, error=wanted),
            **options,
        )


class Id(fields.String):
    """An id as platforms choose them for parties and contents."""

    default_error_messages = _MESSAGES | {"invalid": "use a text"}

    def __init__(self, **options: Any) -> None:
        """Take the form of ids."""
        super().__init__(
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            validate=validate.Regexp(rf"{_ID}\Z", error=_ID_REMEDY),
            **options,
        )


class Choice(fields.String):
    """One of a few words."""

    default_error_messages = _MESSAGES | {"invalid": "use a text"}

    def __init__(self, *choices: str, **options: Any) -> None:
        """Take the words."""
        super().__init__(
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            validate=validate.OneOf(choices, error=f"choose from {', '.join(choices)}"),
            **options,
        )


class At(fields.Field[datetime]):
    """An instant in the form of RFC 3339, with its zone; read as aware UTC."""

    default_error_messages = _MESSAGES

    def __init__(self, **options: Any) -> None:
        """Take the usual options."""
        super().__init__(
            required=options.pop("required", True), allow_none=options.pop("allow_none", False), **options
        )

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime:
        del attr, data, kwargs
        if not isinstance(value, str):
            raise ValidationError("use a text such as 2026-11-21T13:00:00Z")
        try:
            return parse_instant(value)
        except BadInstant as fault:
            raise ValidationError(fault.detail.rstrip(".")) from None


class DayOrAt(fields.Field[date | datetime]):
    """A local day of the platform, or an instant with its zone; read as a date, or as aware UTC."""

    default_error_messages = _MESSAGES

    def __init__(self, **options: Any) -> None:
        """Take the usual options."""
        super().__init__(
            required=options.pop("required", True), allow_none=options.pop("allow_none", False), **options
        )

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> date | datetime:
        del attr, data, kwargs
        wanted = "use a day such as 2026-11-21, or an instant such as 2026-11-21T13:00:00Z"
        if not isinstance(value, str):
            raise ValidationError(wanted)
        try:
            if re.fullmatch(_DAY, value):
                return date.fromisoformat(value)
            return parse_instant(value)
        except (ValueError, BadInstant):
            raise ValidationError(wanted) from None


class Items(fields.List[Any]):
    """A list of at most `most` values of one kind."""

    default_error_messages = _MESSAGES | {"invalid": "use a list"}

    def __init__(self, inner: fields.Field[Any], *, most: int, least: int = 0, **options: Any) -> None:
        """Take the kind of the items and how many there may be."""
        super().__init__(
            inner,
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            validate=validate.Length(least, most, error=f"give {least} to {most} items"),
            **options,
        )


class Part(fields.Nested):
    """An object within the document."""

    default_error_messages = _MESSAGES

    def __init__(self, schema: Schema, **options: Any) -> None:
        """Take the object's own schema."""
        super().__init__(
            schema,
            required=options.pop("required", True),
            allow_none=options.pop("allow_none", False),
            **options,
        )


class Money(Document):
    """An amount in minor units, and its currency."""

    amount_minor = Whole()
    currency = fields.String(
        required=True,
        validate=validate.Regexp(r"[A-Z]{3}\Z", error="use an ISO 4217 code such as VND"),
        error_messages=_MESSAGES | {"invalid": "use an ISO 4217 code such as VND"},
    )


def load(schema: Schema, document: Any) -> dict[str, Any]:
    """Read a document by its schema.

    Raises:
        Invalid: with every place that is wrong.
    """
    try:
        return cast("dict[str, Any]", schema.load(document))
    except ValidationError as fault:
        errors = list(_field_errors(fault.messages, ""))
        others = f" ({len(errors) - 1} more are listed in errors)" if len(errors) > 1 else ""
        place = errors[0].pointer or "The document"
        raise Invalid(f"{place}: {errors[0].detail}{others}.", errors=errors) from None


def _field_errors(messages: Any, pointer: str) -> Iterator[FieldError]:
    """Turn marshmallow's nested messages into pointers and sentences, in the order in which they stand."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            # `_schema` is the object itself; `key` and `value` are marshmallow's words for the two halves of
            # a mapping's member, which stand at the member's own place.
            is_place = name != "_schema" and not (name in {"key", "value"} and isinstance(inner, list))
            yield from _field_errors(inner, f"{pointer}/{escape(str(name))}" if is_place else pointer)
    elif isinstance(messages, list):
        for one in messages:
            yield from _field_errors(one, pointer)
    else:
        yield FieldError(pointer, str(messages).rstrip("."))
