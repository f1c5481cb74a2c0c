"""The rulebook: the document that says how a pool is shared, which people read and the service executes.

Owns the document's closed schema, its checks and its digest. Refuses unknown fields, numbers that are not
whole (booleans and texts included), and a rulebook that contradicts itself or the platform around it; every
fault is named at once. Laws: to_document(load(document)) == document; the digest depends on the content only,
not on the order or the spacing in which the document was written.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from service.core import digests
from service.core.errors import FieldError, Invalid
from service.parties import inputs

FORMAT: Final = "benefit-ledger/rulebook/1"
METHODS: Final = ("pro_rata",)
LOCALES: Final = ("vi", "en")
UNEARNED_TO: Final = ("unallocated", "platform")

WHOLE_BP: Final = 10_000
WEIGHT_MAX: Final = 1_000
WEIGHTS_MAX: Final = 64
PARTNERS_MAX: Final = 50
CAP_MAX: Final = 1_000_000_000
MINIMUM_POINTS_MAX: Final = 1_000_000_000_000
WAIT_H_MAX: Final = 90 * 24
PAYOUT_MINOR_MAX: Final = 10**15

EVENT_POINTS_MAX: Final = 1_000_000_000
"""The most points that one event can be worth, up or down; scoring leaves out an event beyond it."""

ACTOR_POINTS_MAX: Final = 9_000_000_000_000
"""The most points that one actor can give in a period; scoring leaves out an actor beyond it.

A share of 10**6 of it still fits 64 bits, which is what methods that divide an actor's voice need.
"""

Unearned = Literal["unallocated", "platform"]


class InvalidRulebook(Invalid):
    """The document is no rulebook, contradicts itself, or does not fit its platform."""

    slug = "invalid-rulebook"
    title = "The rulebook is not valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """A rulebook as the service executes it; shares in basis points of the pool, waits in hours."""

    title: Mapping[str, str]
    platform_bp: int
    parent_bp: int
    partners_bp: Mapping[str, int]
    creators_bp: int
    weights: Mapping[str, int]
    """Points per unit of quantity, by event type."""
    method: str
    actor_creator_day_points: int | None
    """The most points that one actor can give one creator in one day of the platform; None is no cap."""
    excludes_self_engagement: bool
    minimum_points: int
    unearned_to: Unearned
    grace_h: int
    challenge_window_h: int
    minimum_payout_minor: int
    """In minor units of the platform's currency; zero pays every amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a platform's rulebook has to fit."""

    quantity_max: Mapping[str, int]
    """By event type: the greatest quantity of one event, up or down."""
    partner_ids: Collection[str]
    has_parent: bool


def load(document: object, surroundings: Surroundings | None = None) -> Rulebook:
    """Read a rulebook from a document of JSON values.

    Args:
        document: what the JSON text says.
        surroundings: what it has to fit; None reads a document that was checked when it was published.

    Raises:
        InvalidRulebook: with a FieldError for everything that is wrong.
    """
    errors: list[FieldError] = []
    try:
        data = cast("dict[str, Any]", _Document().load(cast("Mapping[str, Any]", document)))
    except ValidationError as fault:
        errors += _field_errors(fault.messages, "")
        data = cast("dict[str, Any]", fault.valid_data or {})
    errors += _contradictions(data)
    if surroundings is not None:
        errors += _misfits(data, surroundings)
    if errors:
        first = errors[0]
        others = f" ({len(errors) - 1} more are listed in errors)" if len(errors) > 1 else ""
        place = first.pointer or "The document"
        raise InvalidRulebook(f"{place}: {first.detail}{others}.", errors=errors)
    return _rulebook(data)


def to_document(rulebook: Rulebook) -> dict[str, Any]:
    """Write a rulebook as the document that load reads back."""
    return {
        "format": FORMAT,
        "title": dict(rulebook.title),
        "shares_bp": {
            "platform": rulebook.platform_bp,
            "parent": rulebook.parent_bp,
            "partners": dict(rulebook.partners_bp),
            "creators": rulebook.creators_bp,
        },
        "weights": dict(rulebook.weights),
        "method": rulebook.method,
        "caps": {"actor_creator_day_points": rulebook.actor_creator_day_points},
        "exclude": {"self_engagement": rulebook.excludes_self_engagement},
        "minimum_points": rulebook.minimum_points,
        "unearned_to": rulebook.unearned_to,
        "grace_h": rulebook.grace_h,
        "challenge_window_h": rulebook.challenge_window_h,
        "minimum_payout_minor": rulebook.minimum_payout_minor,
    }


def sha256(document: Mapping[str, Any]) -> str:
    """Return the document's address: the hex SHA-256 of its canonical JSON.

    Raises:
        NotCanonical: the document holds something that JSON does not carry exactly.
    """
    return digests.digest_of(document)


def _whole(low: int, high: int, *, or_null: bool = False) -> fields.Integer:
    """A required integer from low to high, as such and not as text, truth value or decimal."""
    wanted = f"use a whole number from {low} to {high}" + (" or null" if or_null else "")
    return fields.Integer(
        strict=True,
        required=True,
        allow_none=or_null,
        validate=validate.Range(low, high, error=wanted),
        error_messages={"required": wanted, "null": wanted, "invalid": wanted},
    )


def _choice(*choices: str) -> fields.String:
    wanted = f"use {' or '.join(choices)}"
    return fields.String(
        required=True,
        validate=validate.OneOf(choices, error=wanted),
        error_messages={"required": wanted, "null": wanted, "invalid": wanted},
    )


def _title() -> fields.String:
    wanted = f"give a title of 1 to {inputs.NAME_LENGTH_MAX} visible characters without outer blanks, in NFC"

    def check(text: str) -> None:
        # A document is never rewritten, so what would have to be tidied is refused.
        try:
            is_tidy = inputs.check_name(text, "") == text
        except Invalid:
            is_tidy = False
        if not is_tidy:
            raise ValidationError(wanted)

    return fields.String(
        required=True,
        validate=check,
        error_messages={"required": wanted, "null": wanted, "invalid": wanted},
    )


def _part(schema: type[Schema], *, data_key: str | None = None) -> fields.Nested:
    return fields.Nested(
        schema,
        data_key=data_key,
        required=True,
        error_messages={"required": "give this part", "null": "give this part"},
    )


class _Truth(fields.Boolean):
    """true or false, and none of the texts and numbers that marshmallow takes for them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


class _ByName(fields.Dict):
    """Whole numbers by name; the faults of a name and of its number stand under that name."""

    def __init__(self, low: int, high: int, count_max: int) -> None:
        wanted = "give an object of names and whole numbers"
        super().__init__(
            keys=fields.String(validate=_check_name),
            values=_whole(low, high),
            required=True,
            validate=validate.Length(max=count_max, error=f"name at most {count_max}"),
            error_messages={"required": wanted, "null": wanted, "invalid": wanted},
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        except ValidationError as fault:
            if not isinstance(fault.messages, dict):
                raise
            flat = {name: [*chain(*parts.values())] for name, parts in fault.messages.items()}
            raise ValidationError(flat, valid_data=fault.valid_data) from fault


def _check_name(name: str) -> None:
    try:
        inputs.check_id(name, "")
    except Invalid as fault:
        raise ValidationError(fault.errors[0].detail) from fault


class _Closed(Schema):
    """An object with these fields and no others."""

    class Meta:
        unknown = RAISE

    error_messages = {  # noqa: RUF012 — marshmallow's own way to word a schema's faults.
        "unknown": "remove this field: the format does not know it",
        "type": "give a JSON object",
    }


class _Title(_Closed):
    vi = _title()
    en = _title()


class _Shares(_Closed):
    platform = _whole(0, WHOLE_BP)
    parent = _whole(0, WHOLE_BP)
    partners = _ByName(1, WHOLE_BP, PARTNERS_MAX)
    creators = _whole(0, WHOLE_BP)


class _Caps(_Closed):
    actor_creator_day_points = _whole(1, CAP_MAX, or_null=True)


class _Exclude(_Closed):
    self_engagement = _Truth(
        required=True,
        error_messages=dict.fromkeys(("required", "null", "invalid"), "use true or false"),
    )


class _Document(_Closed):
    format = _choice(FORMAT)
    title = _part(_Title)
    shares_bp = _part(_Shares)
    weights = _ByName(0, WEIGHT_MAX, WEIGHTS_MAX)
    method = _choice(*METHODS)
    caps = _part(_Caps)
    excluded = _part(_Exclude, data_key="exclude")
    minimum_points = _whole(0, MINIMUM_POINTS_MAX)
    unearned_to = _choice(*UNEARNED_TO)
    grace_h = _whole(0, WAIT_H_MAX)
    challenge_window_h = _whole(0, WAIT_H_MAX)
    minimum_payout_minor = _whole(0, PAYOUT_MINOR_MAX)


def _field_errors(messages: object, pointer: str) -> Iterator[FieldError]:
    """Turn marshmallow's nested messages into JSON pointers and sentences, in the document's order."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            yield from _field_errors(inner, pointer if name == "_schema" else _below(pointer, str(name)))
    else:
        for detail in cast("Sequence[str]", messages):
            yield FieldError(pointer, detail)


def _below(pointer: str, name: str) -> str:
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def _contradictions(data: Mapping[str, Any]) -> Iterator[FieldError]:
    """Find where the parts that could be read contradict each other."""
    shares = data.get("shares_bp", {})
    if shares.keys() == {"platform", "parent", "partners", "creators"}:
        total_bp = shares["platform"] + shares["parent"] + shares["creators"]
        total_bp += sum(shares["partners"].values())
        if total_bp != WHOLE_BP:
            yield FieldError("/shares_bp", f"the shares make {total_bp}; they have to make {WHOLE_BP}")
    weights = data.get("weights")
    if weights is None:
        return
    if not any(weights.values()):
        yield FieldError("/weights", "give at least one event type a weight above 0, or nobody can earn")
        return
    cap = data.get("caps", {}).get("actor_creator_day_points")
    name = max(weights, key=lambda name: (weights[name], name))
    if cap is not None and cap < weights[name]:
        yield FieldError(
            "/caps/actor_creator_day_points",
            f"one {name} is worth {weights[name]} points, more than the cap of {cap}, and could never count "
            "in full; raise the cap or lower the weight",
        )


def _misfits(data: Mapping[str, Any], surroundings: Surroundings) -> Iterator[FieldError]:
    """Find where the parts that could be read do not fit the platform."""
    shares = data.get("shares_bp", {})
    if shares.get("parent", 0) > 0 and not surroundings.has_parent:
        yield FieldError("/shares_bp/parent", "use 0: this platform has no parent")
    for name in shares.get("partners", {}):
        if name not in surroundings.partner_ids:
            yield FieldError(_below("/shares_bp/partners", name), "register this partner first")
    for name, points in data.get("weights", {}).items():
        if name not in surroundings.quantity_max:
            known = ", ".join(sorted(surroundings.quantity_max))
            yield FieldError(_below("/weights", name), f"choose a known event type: {known}")
        elif points * surroundings.quantity_max[name] > EVENT_POINTS_MAX:
            quantity = surroundings.quantity_max[name]
            yield FieldError(
                _below("/weights", name),
                f"use at most {EVENT_POINTS_MAX // quantity}: one event of {quantity} could otherwise be "
                f"worth more than {EVENT_POINTS_MAX} points",
            )


def _rulebook(data: Mapping[str, Any]) -> Rulebook:
    shares = data["shares_bp"]
    return Rulebook(
        title=MappingProxyType(dict(data["title"])),
        platform_bp=shares["platform"],
        parent_bp=shares["parent"],
        partners_bp=MappingProxyType(dict(sorted(shares["partners"].items()))),
        creators_bp=shares["creators"],
        weights=MappingProxyType(dict(sorted(data["weights"].items()))),
        method=data["method"],
        actor_creator_day_points=data["caps"]["actor_creator_day_points"],
        excludes_self_engagement=data["excluded"]["self_engagement"],
        minimum_points=data["minimum_points"],
        unearned_to=data["unearned_to"],
        grace_h=data["grace_h"],
        challenge_window_h=data["challenge_window_h"],
        minimum_payout_minor=data["minimum_payout_minor"],
    )
