"""A client for those who send events to a benefit-ledger: no event lost, none counted twice.

`Sender` keeps events on this machine's disk until the service has them; `Client` speaks to the service
directly. Laws: an event that `Sender.send` returned for reaches the service once the service can be reached,
whatever dies meanwhile; what may have been received is sent again as the same bytes, which the service
knows again; nothing that the service refused is dropped unseen.
"""

from benefit_ledger_client.calls import Answer, Client
from benefit_ledger_client.errors import (
    BadEvent,
    Closed,
    EventsRejected,
    LedgerError,
    Problem,
    Rejected,
    SpoolFull,
    Unavailable,
    Undelivered,
)
from benefit_ledger_client.events import Receipt, event
from benefit_ledger_client.sender import Sender

__all__ = [
    "Answer",
    "BadEvent",
    "Client",
    "Closed",
    "EventsRejected",
    "LedgerError",
    "Problem",
    "Receipt",
    "Rejected",
    "Sender",
    "SpoolFull",
    "Unavailable",
    "Undelivered",
    "event",
]
