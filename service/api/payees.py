"""Where a creator is paid. Details go in and never come out; what is shown is a hint."""

from typing import Any

from marshmallow import fields, validate

from service.api import problems
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import Document, Words
from service.core.errors import FieldError, Invalid
from service.parties import creators
from service.payouts import payees
from service.payouts.payees import Payee

FIELDS_MAX = 20


class _Payee(Document):
    provider = Words(32, required=False, load_default=None)
    destination = fields.Dict(
        keys=fields.String(validate=validate.Length(1, 64)),
        values=Words(200),
        required=True,
        validate=validate.Length(1, FIELDS_MAX, error=f"give 1 to {FIELDS_MAX} fields"),
        error_messages={"invalid": "use a JSON object of texts", "required": "this member is needed"},
    )


def get(call: Call) -> Answer:
    """Read where a creator is paid, as a hint."""
    creators.get(call.session, call.platform.id, call.parameters["creator"])
    return Answer(value=_show(payees.get(call.session, call.platform.id, call.parameters["creator"])))


def declare(call: Call) -> Answer:
    """Declare where a creator is paid from the next payout batch on."""
    wanted = call.document(_Payee())
    provider = call.system.provider
    if wanted["provider"] not in {None, provider.name}:
        detail = f"this service pays by {provider.name}"
        raise Invalid(f"provider: {detail}.", errors=[FieldError("/provider", detail)])
    try:
        made = payees.declare(
            call.session,
            call.platform.id,
            call.parameters["creator"],
            provider=provider,
            destination=wanted["destination"],
            vault=call.system.vault,
            actor=call.actor,
            now=call.now,
        )
    except Invalid as fault:
        raise problems.at(fault, (("", "/destination"),)) from None
    return Answer(value=_show(made))


def _show(one: Payee) -> dict[str, Any]:
    return {
        "creator": one.creator_id,
        "provider": one.provider,
        "currency": one.currency,
        "destination_hint": one.destination_hint,
        "updated_at": instant(one.updated_at),
    }
