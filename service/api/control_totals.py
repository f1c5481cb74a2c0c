"""Control totals: what senders say they sent, and what the close of the period found."""

from typing import Any

from marshmallow import fields, validate

from service.api import paging
from service.api.answers import Answer, instant, span
from service.api.calls import Call
from service.api.schemas import At, Document, Items, Part, Whole, Words
from service.closing import control_totals
from service.closing.control_totals import (
    COUNT_MAX,
    SOURCE_LENGTH_MAX,
    TOTALS_MAX,
    ControlTotal,
    Found,
    Given,
)
from service.core.errors import FieldError, Invalid
from service.core.spans import BadSpan, Span

TYPE_LENGTH_MAX = 200


class _Quantity(fields.String):
    """A whole number as decimal text: a sum may exceed what JSON keeps exact."""

    def __init__(self) -> None:
        wanted = 'use a whole number as text, such as "1200"'
        super().__init__(
            required=True,
            validate=validate.Regexp(r"-?[0-9]{1,31}\Z", error=wanted),
            error_messages={"required": "this member is needed", "null": wanted, "invalid": wanted},
        )


class _Flag(fields.Boolean):
    """true or false, and no word for them."""

    def __init__(self) -> None:
        wanted = "use true or false"
        super().__init__(
            truthy={True},
            falsy={False},
            load_default=False,
            error_messages={"null": wanted, "invalid": wanted},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class _Total(Document):
    source = Words(SOURCE_LENGTH_MAX)
    type = Words(TYPE_LENGTH_MAX)
    start_at = At()
    end_at = At()
    count = Whole(0, COUNT_MAX)
    quantity = _Quantity()
    is_blocking = _Flag()


class _Totals(Document):
    totals = Items(Part(_Total()), least=1, most=TOTALS_MAX)


def record(call: Call) -> Answer:
    """Record totals, all or none; a later one for the same source, type and span goes before."""
    wanted = call.document(_Totals())
    totals = [_given(index, one) for index, one in enumerate(wanted["totals"])]
    made = control_totals.record(call.session, call.platform, totals, actor=call.actor, now=call.now)
    return Answer(value={"items": [_show(one) for one in made]}, status=201)


def listing(call: Call) -> Answer:
    """List the totals in force of a period, with what its close found."""
    page = call.page()
    found = control_totals.listing(
        call.session,
        call.platform.id,
        call.parameters["period"],
        after=page.after or 0,
        limit=page.limit + 1,
    )
    return paging.answer(page, found, _show, lambda one: one.id)


def _given(index: int, one: dict[str, Any]) -> Given:
    try:
        within = Span(one["start_at"], one["end_at"])
    except BadSpan as fault:
        place = f"/totals/{index}/end_at"
        raise Invalid(fault.detail, errors=[FieldError(place, fault.detail)]) from None
    return Given(
        source=one["source"],
        type=one["type"],
        span=within,
        event_count=one["count"],
        quantity=int(one["quantity"]),
        is_blocking=one["is_blocking"],
    )


def _show(one: ControlTotal) -> dict[str, Any]:
    given, found = one.given, one.found
    return {
        "id": str(one.id),
        "period": one.period_id,
        "source": given.source,
        "type": given.type,
        "span": span(given.span),
        "count": given.event_count,
        "quantity": str(given.quantity),
        "is_blocking": given.is_blocking,
        "recorded_at": instant(one.recorded_at),
        "recorded_by": one.recorded_by,
        "comparison": None
        if found is None
        else {"verdict": one.verdict, **_gap(given, found), "compared_at": instant(found.compared_at)},
        "so_far": None
        if one.so_far is None
        else {**_gap(given, one.so_far), "as_of_at": instant(one.so_far.compared_at)},
    }


def _gap(given: Given, found: Found) -> dict[str, Any]:
    return {
        "count": found.event_count,
        "quantity": str(found.quantity),
        "count_difference": found.event_count - given.event_count,
        "quantity_difference": str(found.quantity - given.quantity),
    }
