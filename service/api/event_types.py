"""The kinds of events that a platform may send: read, created, changed."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from service.api import paging
from service.api.answers import Answer, encode
from service.api.calls import Call
from service.api.schemas import Choice, Document, Id, Items, Part, Whole, Words
from service.closing import event_types
from service.core.digests import INTEGER_MAX
from service.core.errors import FieldError, Invalid
from service.events import schema as schemas
from service.events import types
from service.events.types import (
    ACTOR_RULES,
    ATTRIBUTE_KINDS,
    ATTRIBUTES_MAX,
    KINDS,
    MICRO,
    TYPES_MAX,
    EventType,
)


class _Attribute(Document):
    kind = Choice(*ATTRIBUTE_KINDS)
    values = Items(fields.Raw(), most=types.ATTRIBUTE_VALUES_MAX, required=False, load_default=list)
    is_required = fields.Boolean(
        truthy={True}, falsy={False}, load_default=False, error_messages={"invalid": "use true or false"}
    )

    @validates_schema
    def _check_values(self, data: dict[str, Any], **_options: Any) -> None:
        kind = {"string": str, "integer": int}.get(data.get("kind", ""))
        wrong = {
            index: ["use a value of the attribute's kind"]
            for index, value in enumerate(data["values"])
            if kind is None or type(value) is not kind
        }
        if wrong:
            raise ValidationError({"values": wrong})


class _Attributes(fields.Dict):
    """Attributes by name; what is wrong with one stands at its own place, not below `value`."""

    def __init__(self) -> None:
        super().__init__(
            keys=fields.String(),
            values=Part(_Attribute()),
            load_default=dict,
            validate=validate.Length(max=ATTRIBUTES_MAX, error=f"declare at most {ATTRIBUTES_MAX}"),
            error_messages={"invalid": "use a JSON object of names and what they may be"},
        )

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        except ValidationError as fault:
            if not isinstance(fault.messages, dict):
                raise
            placed = {name: parts.get("value", parts.get("key")) for name, parts in fault.messages.items()}
            raise ValidationError(placed) from fault


class _EventType(Document):
    kind = Choice(*KINDS, required=False, load_default="engagement")
    actor = Choice(*ACTOR_RULES)
    unit = Words(32, required=False, load_default=None)
    quantity_min = Whole(-INTEGER_MAX, INTEGER_MAX)
    quantity_max = Whole(-INTEGER_MAX, INTEGER_MAX)
    stream = Words(required=False, load_default=None, allow_none=True)
    currency = Words(3, required=False, load_default=None, allow_none=True)
    attributes = _Attributes()


class _NamedEventType(_EventType):
    name = Id()


class _EventTypeAtItsName(_EventType):
    """What a GET gave, a PUT takes: the name may be repeated."""

    name = Id(required=False, load_default=None)


class _EventTypes(Document):
    items = Items(Part(_NamedEventType()), most=TYPES_MAX, least=1)


def listing(call: Call) -> Answer:
    """List the platform's event types by name."""
    page = call.page()
    known = sorted(types.of_platform(call.session, call.platform.id).values(), key=_name)
    return paging.answer(page, paging.cut(page, known, _name), types.to_document, _name)


def get(call: Call) -> Answer:
    """Read one event type."""
    return Answer(value=types.to_document(_one(call)))


def schema(call: Call) -> Answer:
    """Give the JSON Schema of an event of one type."""
    content = encode(schemas.of_type(_one(call)))
    return Answer(content=content, media_type=schemas.MEDIA_TYPE)


def define(call: Call) -> Answer:
    """Create one event type, or change it."""
    name = call.parameters["event_type"]
    given = call.document(_EventTypeAtItsName())
    if given["name"] not in {None, name}:
        detail = f"this is the address of {name}: give this name, or leave it out"
        raise Invalid(f"/name: {detail}.", errors=[FieldError("/name", detail)])
    wanted = _read(name, given)
    is_new = name not in types.of_platform(call.session, call.platform.id)
    event_types.define(
        call.session,
        call.platform,
        [wanted],
        actor=call.actor,
        now=call.now,
        request_id=call.request_id,
    )
    headers = {"Location": call.location(f"event-types/{name}")} if is_new else {}
    return Answer(value=types.to_document(_one(call)), status=201 if is_new else 200, headers=headers)


def define_several(call: Call) -> Answer:
    """Create several event types, or change them: all or none; the platform's others stay."""
    given = call.document(_EventTypes())["items"]
    wanted = [_read(one["name"], one) for one in given]
    event_types.define(
        call.session,
        call.platform,
        wanted,
        pointers=[f"/items/{index}" for index in range(len(wanted))],
        actor=call.actor,
        now=call.now,
        request_id=call.request_id,
    )
    known = types.of_platform(call.session, call.platform.id)
    return Answer(value={"items": [types.to_document(known[one.name]) for one in wanted]})


def _one(call: Call) -> EventType:
    return types.get(call.session, call.platform.id, call.parameters["event_type"])


def _read(name: str, given: dict[str, Any]) -> EventType:
    unit = given["unit"] or (MICRO if given["kind"] == "attributed_revenue" else "count")
    return EventType(
        name=name,
        actor=given["actor"],
        quantity_min=given["quantity_min"],
        quantity_max=given["quantity_max"],
        unit=unit,
        kind=given["kind"],
        stream=given["stream"],
        currency=given["currency"],
        attributes=types.attributes_of(given["attributes"]),
    )


def _name(one: EventType) -> str:
    return one.name
