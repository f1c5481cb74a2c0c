"""Backfills: history that is staged, looked at, approved by a second person, and let in as a whole."""

from datetime import date, datetime
from typing import Any

from marshmallow import fields, validate

from service.api import paging
from service.api.answers import Answer, instant, money, span
from service.api.calls import Call
from service.api.schemas import DayOrAt, Document, Id, Whole, Words
from service.closing import backfilling
from service.core import spans
from service.core.errors import FieldError, Invalid, NotFound
from service.core.spans import BadSpan, Span
from service.events import backfills, staging
from service.events.backfills import REASON_LENGTH_MAX, Backfill
from service.events.staging import Totals
from service.statements.statement import points_text


class _Sha256(fields.String):
    """The SHA-256 of something, in hex."""

    def __init__(self, **options: Any) -> None:
        wanted = "use 64 digits and letters from a to f"
        super().__init__(
            required=True,
            validate=validate.Regexp(r"[0-9a-f]{64}\Z", error=wanted),
            error_messages={"required": "this member is needed", "null": wanted, "invalid": wanted},
            **options,
        )


class _Creation(Document):
    from_at = DayOrAt(data_key="from")
    until_at = DayOrAt(data_key="until")
    rulebook = _Sha256()
    reason = Words(REASON_LENGTH_MAX)
    staff = Id(data_key="as")


class _Acting(Document):
    staff = Id(data_key="as")


class _Approval(Document):
    staff = Id(data_key="as")
    accepted_count = Whole(0)
    batches_sha256 = _Sha256()


def create(call: Call) -> Answer:
    """Begin a backfill of a span of history, under a named rulebook."""
    wanted = call.document(_Creation())
    made = backfilling.create(
        call.session,
        call.platform,
        span=_span(call, wanted),
        rulebook_sha256=wanted["rulebook"],
        reason=wanted["reason"],
        actor=call.acting(wanted["staff"]),
        now=call.now,
    )
    return Answer(
        value=_show(call, made), status=201, headers={"Location": call.location(f"backfills/{made.id}")}
    )


def listing(call: Call) -> Answer:
    """List backfills, newest first."""
    page = call.page()
    found = backfills.listing(
        call.session,
        call.platform.id,
        state=call.parameters["state"],
        after=page.after_uuid,
        limit=page.limit + 1,
    )
    return paging.answer(page, found, lambda one: _show(call, one), lambda one: str(one.id))


def get(call: Call) -> Answer:
    """Read one backfill with the totals of what is staged."""
    return Answer(value=_show(call, _named(call)))


def submit(call: Call) -> Answer:
    """Freeze what is staged, and ask for its preview."""
    actor = call.acting(call.document(_Acting())["staff"])
    submitted = backfilling.submit(
        call.session, call.platform.id, call.parameters["backfill"], actor=actor, now=call.now
    )
    return Answer(value=_show(call, submitted))


def preview(call: Call) -> Answer:
    """Read what a commit would do, as it was last computed."""
    one = _named(call)
    if one.preview is None:
        raise NotFound(
            f"Backfill {one.id} has no preview yet; a POST to this address asks for one, as submitting does."
        )
    return Answer(value=_foreseen(call, one.preview))


def foresee(call: Call) -> Answer:
    """Ask for a preview of what a commit would do now."""
    run_id = backfilling.request_preview(
        call.session, call.platform.id, call.parameters["backfill"], actor=call.actor, now=call.now
    )
    return call.accepted(run_id)


def approve(call: Call) -> Answer:
    """Approve exactly what was submitted, in the name of a person who did not prepare it."""
    wanted = call.document(_Approval())
    approved = backfills.approve(
        call.session,
        call.platform.id,
        call.parameters["backfill"],
        accepted_count=wanted["accepted_count"],
        batches_sha256=wanted["batches_sha256"],
        actor=call.acting(wanted["staff"]),
        now=call.now,
    )
    return Answer(value=_show(call, approved))


def commit(call: Call) -> Answer:
    """Let an approved backfill in: its periods, its rulebook, its batches."""
    actor = call.acting(call.document(_Acting())["staff"])
    committed = backfilling.commit(
        call.session, call.platform, call.parameters["backfill"], actor=actor, now=call.now
    )
    return Answer(value=_show(call, committed))


def drop(call: Call) -> Answer:
    """Remove what is staged, and keep the record of it."""
    actor = call.acting(call.document(_Acting())["staff"])
    dropped = backfills.drop(
        call.session, call.platform.id, call.parameters["backfill"], actor=actor, now=call.now
    )
    return Answer(value=_show(call, dropped))


def _named(call: Call) -> Backfill:
    return backfills.get(call.session, call.platform.id, call.parameters["backfill"])


def _span(call: Call, wanted: dict[str, Any]) -> Span:
    try:
        return Span(_bound(call, wanted["from_at"]), _bound(call, wanted["until_at"]))
    except BadSpan as fault:
        raise Invalid(fault.detail, errors=[FieldError("/until", fault.detail)]) from None


def _bound(call: Call, given: date | datetime) -> datetime:
    if isinstance(given, datetime):
        return given
    return spans.day_span(given, call.platform.zone).start_at


def _show(call: Call, one: Backfill) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "state": one.state,
        "span": span(one.span),
        "rulebook_sha256": one.rulebook_sha256,
        "reason": one.reason,
        "totals": _totals(one.frozen or staging.totals(call.session, one.platform_id, one.id)),
        "is_frozen": one.frozen is not None,
        "created_by": one.created_by,
        "created_at": instant(one.created_at),
        "submitted_by": one.submitted_by,
        "submitted_at": instant(one.submitted_at),
        "approved_by": one.approved_by,
        "approved_at": instant(one.approved_at),
        "committed_by": one.committed_by,
        "committed_at": instant(one.committed_at),
        "dropped_by": one.dropped_by,
        "dropped_at": instant(one.dropped_at),
        "previewed_at": instant(one.previewed_at),
    }


def _totals(found: Totals) -> dict[str, Any]:
    return {
        "batch_count": found.batch_count,
        "accepted_count": found.accepted_count,
        "rejected_count": found.rejected_count,
        "first_at": instant(found.first_at),
        "last_at": instant(found.last_at),
        "batches_sha256": found.batches_sha256,
    }


def _foreseen(call: Call, known: Any) -> dict[str, Any]:
    currency = call.platform.currency
    return {
        "as_of_at": known["as_of_at"],
        "accepted_count": known["accepted_count"],
        "batches_sha256": known["batches_sha256"],
        "rejected": [{"code": code, "count": count} for code, count in known["rejected"].items()],
        "periods": [
            {
                "period": one["period"],
                "is_open": one["is_open"],
                "events": one["events"],
                "counted_count": one["counted_count"],
                "points": points_text(int(one["points_e4"])),
                "creator_count": one["creator_count"],
                "pool": money(one["pool_minor"], currency),
                "deficit": money(one["deficit_minor"], currency),
                "totals": {
                    kind: money(amount_minor, currency) for kind, amount_minor in one["amounts_minor"].items()
                },
            }
            for one in known["periods"]
        ],
        "creator_count": known["creator_count"],
        "creators": [
            {
                "creator": one["creator"],
                "points": points_text(int(one["points_e4"])),
                "amount": money(one["amount_minor"], currency),
            }
            for one in known["creators"]
        ],
    }
