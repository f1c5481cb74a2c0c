"""Intake of events. The body's own digest is its key: sending the same bytes again changes nothing."""

from service.api.answers import Answer
from service.api.calls import Call
from service.events import intake
from service.runtime import metrics


def receive(call: Call) -> Answer:
    """Take a batch of events; every item is accepted, or named among the rejected with its reasons."""
    receipt = intake.receive(
        call.session,
        call.platform,
        call.body.content,
        call.body.media_type,
        channel="http",
        now=call.now,
    )
    if not receipt.is_replay:
        metrics.ingested(receipt.accepted_count, len(receipt.rejected))
    return Answer(value=receipt.to_document(), status=207 if receipt.rejected else 200)
