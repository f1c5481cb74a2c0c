"""Revenue that a platform recognised, and its corrections."""

from typing import Any

from marshmallow import ValidationError, validates_schema

from service.api import paging, problems
from service.api.answers import Answer, instant, money, span
from service.api.calls import Call
from service.api.schemas import At, Document, Id, Items, Money, Part, PeriodName, Whole, Words
from service.closing import revenues
from service.closing.revenues import DEDUCTIONS_MAX, Deduction, Revenue
from service.core.errors import FieldError, Invalid
from service.core.spans import BadSpan, Span

_POINTERS = (("/currency", "/gross/currency"), ("/period_id", "/period"))


class _Span(Document):
    start_at = At()
    end_at = At()


class _Deduction(Document):
    name = Words()
    amount_minor = Whole()


class _Revenue(Document):
    stream = Words()
    reference = Id()
    gross = Part(Money())
    deductions = Items(Part(_Deduction()), most=DEDUCTIONS_MAX, required=False, load_default=list)
    span = Part(_Span(), required=False, load_default=None)
    period = PeriodName(required=False, load_default=None)

    @validates_schema
    def _check_time(self, data: dict[str, Any], **_options: Any) -> None:
        if (data["span"] is None) == (data["period"] is None):
            wrong = ["give either a span or a period"]
            raise ValidationError({"span": wrong, "period": wrong})


def record(call: Call) -> Answer:
    """Record revenue and book it to the pool of its period; the same reference again changes nothing."""
    wanted = call.document(_Revenue())
    try:
        made = revenues.record(
            call.session,
            call.platform,
            stream=wanted["stream"],
            reference=wanted["reference"],
            currency=wanted["gross"]["currency"],
            gross_minor=wanted["gross"]["amount_minor"],
            deductions=[Deduction(**one) for one in wanted["deductions"]],
            span=_span(wanted["span"]),
            period_id=wanted["period"],
            actor=call.actor,
            now=call.now,
        )
    except Invalid as fault:
        raise problems.at(fault, _POINTERS) from None
    status = 201 if made.recorded_at == call.now else 200
    return Answer(
        value=_show(made), status=status, headers={"Location": call.location(f"revenues/{made.id}")}
    )


def get(call: Call) -> Answer:
    """Read one record."""
    return Answer(value=_show(revenues.get(call.session, call.platform.id, call.parameters["revenue"])))


def listing(call: Call) -> Answer:
    """List records in the order in which they were made, of one period's pool or of all."""
    page = call.page()
    found = revenues.listing(
        call.session,
        call.platform.id,
        period_id=call.parameters["period"],
        after=page.after_uuid,
        limit=page.limit + 1,
    )
    return paging.answer(page, found, _show, lambda one: str(one.id))


def _span(given: dict[str, Any] | None) -> Span | None:
    if given is None:
        return None
    try:
        return Span(given["start_at"], given["end_at"])
    except BadSpan as fault:
        raise Invalid(fault.detail, errors=[FieldError("/span/end_at", fault.detail)]) from None


def _show(one: Revenue) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "period": one.period_id,
        "origin_period": one.origin_period_id,
        "is_late": one.is_late,
        "stream": one.stream,
        "reference": one.reference,
        "gross": money(one.gross_minor, one.currency),
        "deductions": [{"name": part.name, "amount_minor": part.amount_minor} for part in one.deductions],
        "net": money(one.net_minor, one.currency),
        "span": span(one.span),
        "entry": one.entry_id,
        "recorded_at": instant(one.recorded_at),
        "recorded_by": one.recorded_by,
    }
