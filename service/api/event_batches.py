"""Batches of events: what each receipt said, and what has become of each item since.

The lake is read after the request's transaction, never within it.
"""

from typing import Any

from service.api import paging, standings
from service.api.answers import Answer, instant
from service.api.calls import Call
from service.core.spans import parse_instant
from service.earnings import events
from service.earnings.events import Clauses
from service.events import batch_verdicts, batches
from service.events.batch_verdicts import Item
from service.events.batches import Head
from service.runtime import db


def listing(call: Call) -> Answer:
    """List the batches that the platform sent, in the order in which they came."""
    page = call.page()
    found = batches.listing(
        call.session,
        call.platform.id,
        from_at=call.parameters["from"],
        until_at=call.parameters["until"],
        after=None if page.after is None else (parse_instant(page.after[0]), page.after[1]),
        limit=page.limit + 1,
    )
    return paging.answer(page, found, _head, lambda one: [instant(one.received_at), one.seq])


def get(call: Call) -> Answer:
    """Read one batch with the present verdict of each item."""
    system, platform, batch_id, page = call.system, call.platform, call.parameters["batch"], call.page()
    batches.get(call.session, platform.id, batch_id)

    def look() -> Answer:
        found = batch_verdicts.look_up(system.database, system.lake, platform, batch_id)
        following = [one for one in found.items if page.after is None or one.index > page.after]
        items = following[: page.limit + 1]
        with db.transaction(system.database) as session:
            clauses = events.clauses_of(session, platform, (one.standing for one in items))
        members = _head(found.head) | {"verdicts": found.counts}
        return paging.answer(page, items, lambda one: _item(one, clauses), lambda one: one.index, **members)

    return Answer(later=look)


def _head(one: Head) -> dict[str, Any]:
    rejected_count = sum("errors" in each for each in one.rejections)
    return {
        "id": str(one.id),
        "received_at": instant(one.received_at),
        "channel": one.channel,
        "media_type": one.media_type,
        "sha256": one.body_sha256.hex(),
        "counts": {
            "items": one.item_count,
            "accepted": one.accepted_count,
            "rejected": rejected_count,
            "replayed": one.item_count - one.accepted_count - rejected_count,
        },
        "span": None
        if one.first_at is None
        else {"first_at": instant(one.first_at), "last_at": instant(one.last_at)},
    }


def _item(one: Item, clauses: Clauses) -> dict[str, Any]:
    shown = {
        "index": one.index,
        "source": one.source,
        "id": one.event_id,
        **standings.standing(one.standing, events.clause_of(clauses, one.standing)),
        "event": None if one.sent is None else standings.sent(one.sent, names_actors=True),
    }
    if one.code is not None:
        shown |= {"code": one.code, "errors": list(one.errors)}
    return shown
