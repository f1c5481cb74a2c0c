"""Long work: what was asked for, how far it is, and what came of it."""

from service.api.answers import Answer
from service.api.calls import Call, job
from service.jobs import queue


def get(call: Call) -> Answer:
    """Read one job."""
    return Answer(value=job(queue.get(call.session, call.platform.id, call.parameters["job"])))
