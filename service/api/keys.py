"""API keys: made, listed, revoked. A secret is shown in the answer that makes it, and never again."""

from typing import Any

from marshmallow import fields

from service.api import paging
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.api.schemas import At, Document, Items, Words
from service.parties import keys
from service.parties.keys import Key
from service.parties.scopes import SCOPES


class _Key(Document):
    label = Words()
    scopes = Items(fields.String(), least=1, most=len(SCOPES))
    expires_at = At(required=False, load_default=None, allow_none=True)


def listing(call: Call) -> Answer:
    """List the platform's keys, oldest first."""
    page = call.page()
    known = keys.listing(call.session, call.platform.id)
    return paging.answer(page, paging.cut(page, known, _place), _show, _place)


def create(call: Call) -> Answer:
    """Make a key with some of the scopes."""
    wanted = call.document(_Key())
    made, secret = keys.create(
        call.session,
        call.platform.id,
        label=wanted["label"],
        scopes=wanted["scopes"],
        pepper=call.system.pepper,
        expires_at=wanted["expires_at"],
        actor=call.actor,
        now=call.now,
    )
    # A replay shows that the key was made, but the secret is nowhere to be shown from.
    shown = _show(made)
    return Answer(
        value=shown | {"secret": secret},
        kept=shown | {"secret": None},
        status=201,
        headers={"Location": call.location("keys")},
    )


def revoke(call: Call) -> Answer:
    """Revoke a key; the next request with it is refused."""
    key_id = call.parameters["key"]
    return Answer(
        value=_show(keys.revoke(call.session, call.platform.id, key_id, actor=call.actor, now=call.now))
    )


def _place(one: Key) -> list[str]:
    return [str(instant(one.created_at)), one.id]


def _show(one: Key) -> dict[str, Any]:
    return {
        "id": one.id,
        "label": one.label,
        "scopes": list(one.scopes),
        "created_at": instant(one.created_at),
        "expires_at": instant(one.expires_at),
        "revoked_at": instant(one.revoked_at),
        "last_used_at": instant(one.last_used_at),
    }
