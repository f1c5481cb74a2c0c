"""Calls to the service over HTTP: attempts, and when an attempt is repeated.

Repeated is what may be repeated: a call that got no answer or a cut one, 408, 429, and 5xx. Other answers
below 500 are final. Between attempts lies a random time that doubles in the mean, or what Retry-After says.
"""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlencode

import tenacity
import urllib3
from urllib3.exceptions import HTTPError

from benefit_ledger_client import events, forks
from benefit_ledger_client.errors import EventsRejected, Problem, Rejected, Unavailable
from benefit_ledger_client.events import Event, Receipt

ANSWER_BYTES_MAX: Final = 32 * 1024 * 1024
BACK_OFF_FIRST_S: Final = 0.25
BACK_OFF_MAX_S: Final = 30.0
RETRY_AFTER_MAX_S: Final = 3600.0
PIECE_BYTES: Final = 64 * 1024

T = TypeVar("T")

_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_OF_THE_BATCH: Final = frozenset({400, 413, 415, 422})
_IS_SAFE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    def document(self) -> Mapping[str, Any]:
        """Read the body as a JSON object; an empty one if it is none."""
        try:
            value = self.json()
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


class TooLarge(Exception):
    """The service wants the batch in smaller parts."""


class Again(Unavailable):
    """An attempt failed in a way that another one may not."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        """Keep what the service said about when."""
        super().__init__(reason)
        self.after_s = after_s


class Client:
    """A connection to a benefit-ledger under one key; for any number of threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        connect_timeout_s: float = 10.0,
        answer_timeout_s: float = 60.0,
        give_up_after_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a client; nothing is sent.

        Args:
            url: where the service is, without `/v1`.
            key: a secret of `benefit-ledger key create`.
            connect_timeout_s: bounds the connecting, and the writing of each 64 KiB.
            answer_timeout_s: bounds the wait for an answer and, again, the reading of it.
            give_up_after_s: bounds all attempts of one call together.
            sleep: waits between two attempts.
        """
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": "benefit-ledger-client/0.1"}
        self._timeout = urllib3.Timeout(connect=connect_timeout_s, read=answer_timeout_s)
        self._answer_timeout_s = answer_timeout_s
        self._give_up_after_s = give_up_after_s
        self._sleep = sleep
        self._codings = events.codings()
        self._connect()
        forks.in_every_child(self._connect)

    def _connect(self) -> None:
        # Open connections are left to whoever has them: a process that was forked makes its own.
        self._pool = urllib3.PoolManager(maxsize=8, retries=False, timeout=self._timeout)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        """Give the client; it is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Make any call of the contract, such as `POST /v1/revenues`.

        Args:
            idempotency_key: of a POST; a new one is made if none is given. All attempts of this call have
                the same one, so that it takes effect once; give your own to repeat a call across restarts.

        Raises:
            Problem: the service refused.
            Unavailable: it gave no answer within `give_up_after_s`.
        """
        given = {**self._headers, "Accept": "application/json", **(headers or {})}
        if method not in _IS_SAFE:
            given["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        body = b""
        if json is not None:
            body = _dumps(json)
            given["Content-Type"] = "application/json"
        address = f"{self._url}{quote(path, safe='/%:@')}" + (f"?{urlencode(query)}" if query else "")

        def attempt() -> Answer:
            answer = self._attempt(method, address, body, given)
            after_s = _after_s(answer.headers)
            if answer.status == 409 and after_s is not None:
                # The first attempt of this key is still at work.
                raise Again("the call is in flight", after_s)
            return answer

        answer = self._insist(attempt, self._sleep, self._give_up_after_s)
        if answer.status >= 300:
            raise Problem(answer.status, answer.document())
        return answer

    def post(self, many: Iterable[Event]) -> list[Receipt]:
        """Send events now, in as few batches as their limits allow, and wait for the receipts.

        Returns:
            A receipt for each batch: every event is durable at the service.

        Raises:
            BadEvent: one of them cannot be sent; nothing was.
            EventsRejected: the service did not take some of them; all others are received.
            Problem, Unavailable: as `request` says. Batches before it may have been received; sending all of
                them again counts none twice.
        """
        lines = [events.line(one) for one in many]
        waiting = list(events.batches(lines, events.BATCH_EVENTS_MAX, events.BATCH_BYTES_MAX))[::-1]
        receipts: list[Receipt] = []
        while waiting:
            body = waiting.pop()
            try:
                receipts.append(self.deliver(body))
            except TooLarge:
                waiting += reversed(events.halves(body))
        rejected: list[Rejected] = [one for receipt in receipts for one in receipt.rejected]
        if rejected:
            raise EventsRejected(rejected)
        return receipts

    def deliver(self, body: bytes, *, sleep: Callable[[float], None] | None = None) -> Receipt:
        """Send the bytes of one batch until there is a receipt.

        A batch that is refused as a whole has a receipt of ours, without a batch id: all of it rejected.

        Args:
            sleep: given, it waits between attempts, which then go on until it raises.

        Raises:
            TooLarge: it can be cut in two, and has to be.
            Problem, Unavailable: as `request` says.
        """
        if sleep is None:
            return self._insist(lambda: self._offer(body), self._sleep, self._give_up_after_s)
        return self._insist(lambda: self._offer(body), sleep, None)

    def _offer(self, body: bytes) -> Receipt:
        """Send a batch once, packed in the best way that the service takes."""
        while True:
            coding, pack = self._codings[0]
            headers = {**self._headers, "Content-Type": events.MEDIA_TYPE, "Prefer": "return=minimal"}
            if coding:
                headers["Content-Encoding"] = coding
            answer = self._attempt("POST", f"{self._url}/v1/events", pack(body), headers)
            if answer.status == 415 and coding:
                # A service, or a proxy before it, that does not unpack this; it will not do so later.
                self._codings = [one for one in self._codings if one[0] != coding]
                continue
            return self._judge(answer, body)

    def _judge(self, answer: Answer, body: bytes) -> Receipt:
        if answer.status in {200, 207}:
            receipt = events.receipt_of(answer.body, body)
            if receipt is None:
                raise Again("the answer is not the receipt of what was sent")
            return receipt
        if answer.status == 413 and body.count(b"\n") > 1:
            raise TooLarge
        if answer.status in _OF_THE_BATCH:
            return Receipt("", 0, events.refused(body, answer.document(), answer.status), is_replay=False)
        raise Problem(answer.status, answer.document())

    @staticmethod
    def _insist(attempt: Callable[[], T], sleep: Callable[[float], None], give_up_after_s: float | None) -> T:
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Again),
            wait=_pause_s,
            stop=tenacity.stop_never
            if give_up_after_s is None
            else tenacity.stop_before_delay(give_up_after_s),
            sleep=sleep,
            reraise=True,
        )
        return again(attempt)

    def _attempt(self, method: str, address: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send once and read the answer.

        Raises:
            Again: there was none, or none that is final.
        """
        ends_at = time.monotonic() + self._answer_timeout_s
        try:
            response = self._pool.request(
                method,
                address,
                # In pieces, because a socket's time-out bounds the writing of what it is given at once.
                body=[body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)],
                headers={**headers, "Content-Length": str(len(body))},
                preload_content=False,
                redirect=False,
            )
            try:
                content = _read(response, ends_at)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (HTTPError, OSError) as fault:
            raise Again(f"no whole answer from {self._url}: {fault}") from fault
        answer = Answer(response.status, dict(response.headers.items()), content)
        if answer.status in _AGAIN or answer.status < 200:
            raise Again(f"{self._url} answered {answer.status}", _after_s(answer.headers))
        return answer


def _read(response: urllib3.BaseHTTPResponse, ends_at: float) -> bytes:
    pieces: list[bytes] = []
    size_bytes = 0
    # What has arrived, not what was asked for: a trickle is noticed.
    while piece := response.read1(PIECE_BYTES):
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > ANSWER_BYTES_MAX or time.monotonic() > ends_at:
            raise Again("the answer is too long, or comes too slowly")
    return b"".join(pieces)


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _pause_s(state: tenacity.RetryCallState) -> float:
    """Choose how long to wait: as the service says and a little longer, or at random within what doubles."""
    fault = state.outcome.exception() if state.outcome is not None else None
    if isinstance(fault, Again) and fault.after_s is not None:
        return min(fault.after_s, RETRY_AFTER_MAX_S) + random.uniform(0, BACK_OFF_FIRST_S)  # noqa: S311
    most_s = min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(state.attempt_number, 16))
    return random.uniform(0, most_s)  # noqa: S311 — it spreads attempts, and keeps no secret.


def _after_s(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After: seconds, or an HTTP date."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


class Interrupted(Exception):
    """The wait between attempts was ended."""


def sleep_until(is_over: threading.Event) -> Callable[[float], None]:
    """Make a sleep that ends, raising Interrupted, when something is over."""

    def sleep(for_s: float) -> None:
        if is_over.wait(for_s):
            raise Interrupted

    return sleep
