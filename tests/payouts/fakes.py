"""A wire to the pretend bank that tests cut where they like, and a process that dies when told to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from service.payouts.providers.base import (
    Destination,
    Outcome,
    Provider,
    TransferRequest,
    TransferView,
    Verdict,
)


class Killed(BaseException):
    """The process died here; nothing of ours may catch it."""


class Cut(StrEnum):
    """What happens to a call."""

    NONE = "none"
    CALL_LOST = "the call is lost"
    ANSWER_LOST = "the answer is lost"
    UNCLEAR = "the answer says nothing"
    REJECTED = "rejected before it reaches the bank"
    DEATH_BEFORE = "the caller dies before the call"
    DEATH_AFTER = "the caller dies before it hears the answer"


@dataclass
class Wire:
    """A provider that passes calls on to another one, with the next cut of its scripts for each."""

    bank: Provider
    sends: list[Cut] = field(default_factory=list)
    look_ups: list[Cut] = field(default_factory=list)
    during_send: Callable[[TransferRequest, str], None] = lambda request, key: None
    calls: list[tuple[str, bytes]] = field(default_factory=list)
    """Each key that was presented, with the digest of its request."""

    @property
    def name(self) -> str:
        """The bank's name."""
        return self.bank.name

    def admit(self, destination: Mapping[str, object]) -> Destination:
        """Check as the bank does."""
        return self.bank.admit(destination)

    def send(self, request: TransferRequest, key: str) -> Outcome:
        """Pass an order on, or not."""
        self.calls.append((key, request.sha256()))
        cut = self.sends.pop(0) if self.sends else Cut.NONE
        self.during_send(request, key)
        # A rejection proves that nothing moved: nobody gives that answer to an order that was carried out.
        if cut is Cut.REJECTED and not self.bank.look_up(request.group):
            return Outcome(verdict=Verdict.REJECTED, reason="refused_on_the_wire")
        _before(cut)
        outcome = self.bank.send(request, key)
        _after(cut)
        if cut is Cut.UNCLEAR:
            return Outcome(verdict=Verdict.UNKNOWN, reason="unclear")
        return outcome

    def look_up(self, group: str) -> Sequence[TransferView]:
        """Pass a question on, or not."""
        cut = self.look_ups.pop(0) if self.look_ups else Cut.NONE
        _before(cut)
        views = self.bank.look_up(group)
        _after(cut)
        return [] if cut is Cut.UNCLEAR else views

    def balance(self, platform_id: str, currency: str) -> int:
        """Ask the bank."""
        return self.bank.balance(platform_id, currency)


@dataclass
class Showing:
    """A provider whose look-ups show what a test says; it sends nothing."""

    bank: Provider
    views: Sequence[TransferView]

    @property
    def name(self) -> str:
        """The bank's name."""
        return self.bank.name

    def admit(self, destination: Mapping[str, object]) -> Destination:
        """Check as the bank does."""
        return self.bank.admit(destination)

    def send(self, request: TransferRequest, key: str) -> Outcome:
        """Refuse: a test that shows does not send."""
        raise AssertionError("nothing is to be sent here")

    def look_up(self, group: str) -> Sequence[TransferView]:
        """Show."""
        return self.views

    def balance(self, platform_id: str, currency: str) -> int:
        """Ask the bank."""
        return self.bank.balance(platform_id, currency)


def _before(cut: Cut) -> None:
    if cut is Cut.DEATH_BEFORE:
        raise Killed
    if cut is Cut.CALL_LOST:
        raise ConnectionResetError("the call did not get through")


def _after(cut: Cut) -> None:
    if cut is Cut.DEATH_AFTER:
        raise Killed
    if cut is Cut.ANSWER_LOST:
        raise TimeoutError("no answer in time")
