"""The sender: events are on this machine's disk when `send` returns, and at the service soon after.

A thread of its own seals what is old enough and sends what is sealed. It holds the folder's right to send
while it does, so that of several processes one sends at a time and the order of batches is kept.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from benefit_ledger_client import events, forks, spool
from benefit_ledger_client.calls import Client, Interrupted, TooLarge, sleep_until
from benefit_ledger_client.errors import (
    Closed,
    EventsRejected,
    Problem,
    Rejected,
    Undelivered,
)
from benefit_ledger_client.events import Event, Receipt
from benefit_ledger_client.spool import Spool

LOOK_S: Final = 0.02
"""How often a `flush` looks whether another process has sent what it waits for."""

OnRejected = Callable[[tuple[Rejected, ...]], None]

_LOG: Final = logging.getLogger("benefit_ledger_client")


class Sender:
    """Sends events through a spool; for any number of threads and, on one folder, of processes."""

    def __init__(
        self,
        client: Client,
        folder: str | Path,
        *,
        events_max: int = 1_000,
        bytes_max: int = 1024 * 1024,
        age_s: float = 1.0,
        spool_bytes_max: int = 1024 * 1024 * 1024,
        is_synced: bool = True,
        on_rejected: OnRejected | None = None,
    ) -> None:
        """Open a spool and begin to send what is in it.

        Args:
            client: how the service is reached; it stays the caller's to close, after the sender.
            folder: on a local disk; made if it is not there. One folder holds what goes to one platform.
            events_max, bytes_max, age_s: a batch is sent when it has so many events, so many bytes, or its
                first event is so old; while earlier ones wait, it grows on.
            spool_bytes_max: bounds the folder, to within what all processes write in a second.
            is_synced: False spares the wait for the disk: `send` then survives the death of the process, not
                that of the machine.
            on_rejected: is given the rejected events of a batch, in the sender's thread, before the batch is
                removed, and after a crash again. Without it, or when it raises, they are written to the
                folder `rejected` and raised by `flush` and `close`.
        """
        if not (0 < events_max <= events.BATCH_EVENTS_MAX and 0 < bytes_max <= events.BATCH_BYTES_MAX):
            raise ValueError(
                f"A batch has up to {events.BATCH_EVENTS_MAX} events and {events.BATCH_BYTES_MAX} bytes."
            )
        self._client = client
        self._age_s = age_s
        self._on_rejected = on_rejected
        self._spool = Spool(
            Path(folder),
            events_max=events_max,
            bytes_max=bytes_max,
            spool_bytes_max=spool_bytes_max,
            is_synced=is_synced,
        )
        self._is_over = threading.Event()
        self._begin()
        forks.in_every_child(self._begin_anew)
        self._start()

    def _begin(self) -> None:
        self._problem: Problem | None = None
        self._lock = threading.Lock()
        self._mine: set[str] = set()
        self._rejected: dict[Path, None] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def _begin_anew(self) -> None:
        """Stand as new in a forked process, which has no thread yet: the first event starts one."""
        was_over, self._is_over = self._is_over.is_set(), threading.Event()
        if was_over:
            self._is_over.set()
        self._begin()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="benefit-ledger-sender", daemon=True)
                self._thread.start()

    def send(self, event: Event) -> None:
        """Take an event: when this returns, it is on disk and will be sent.

        Raises:
            BadEvent, SpoolFull, Closed: as they say; the event was not taken.
            OSError: the disk refused. The event may be sent; sending it again does not count it twice.
        """
        self.send_all([event])

    def send_all(self, many: Iterable[Event]) -> None:
        """Take several events with one wait for the disk; all of them, or none where `send` takes none."""
        lines = [events.line(one) for one in many]
        if self._is_over.is_set():
            raise Closed("The sender was closed.")
        if lines:
            self._start()
            self._note(self._spool.append(lines))

    def flush(self, timeout_s: float | None = None) -> None:
        """Send what this sender has taken, and wait until all of it is received.

        Raises:
            EventsRejected: the service did not take some of it; each is raised once.
            Undelivered: time was up; what is left is sent later.
            Problem: the service refuses the key or the address. What is left stays in the spool; the sender
                tries again with the next `flush`.
        """
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        self._start()
        self._problem = None
        self._note(self._spool.seal())
        self._wake.set()
        while waiting := self._settle():
            if self._problem is not None:
                raise self._problem
            if self._is_over.is_set() or (ends_at is not None and time.monotonic() >= ends_at):
                self._raise_rejected()
                raise Undelivered(waiting)
            self._is_over.wait(LOOK_S)
        self._raise_rejected()

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what can be sent in the time that is given, and stop.

        What is not received by then stays in the spool, for the next sender that opens the folder; a warning
        is logged.

        Raises:
            EventsRejected: as `flush` says.
        """
        if self._is_over.is_set():
            return
        try:
            self.flush(timeout_s)
        except (Undelivered, Problem) as fault:
            _LOG.warning("%s: %s", self._spool.folder, fault)
        finally:
            self._is_over.set()
            self._wake.set()
            if self._thread not in {None, threading.current_thread()}:
                self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        """Give the sender; it is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def problem(self) -> Problem | None:
        """Why nothing is sent until the next `flush`, if that is so: for a health check."""
        return self._problem

    def _note(self, sealed: list[str]) -> None:
        if sealed:
            with self._lock:
                self._mine.update(sealed)
            self._wake.set()

    def _run(self) -> None:
        """Seal what is old enough and send what is sealed, until the sender is closed."""
        while not self._is_over.is_set():
            self._wake.wait(self._age_s)
            self._wake.clear()
            try:
                # While batches wait, more of them would only be smaller ones.
                if not self._spool.names():
                    self._note(self._spool.seal(older_than_s=self._age_s))
                if self._problem is None and not self._is_over.is_set():
                    self._drain()
                self._settle()
            except Interrupted:
                return
            except Problem as fault:
                _LOG.error("Nothing is sent from %s: %s", self._spool.folder, fault)
                self._problem = fault
            except Exception:
                # Such as a full disk. The thread lives on: what is in the spool is sent when it can be.
                _LOG.exception("The sender of %s could not go on; it tries again.", self._spool.folder)

    def _drain(self) -> None:
        """Send batches in order until there is none, unless another process does."""
        with self._spool.draining() as is_ours:
            if not is_ours:
                return
            self._spool.seal_orphans()
            while not self._is_over.is_set() and (names := self._spool.names()):
                self._send(names[0])

    def _send(self, name: str) -> None:
        """Send one batch until there is a receipt, and remove it; or put two halves in its place."""
        body = self._spool.read(name)
        try:
            receipt = self._client.deliver(body, sleep=sleep_until(self._is_over))
        except TooLarge:
            self._spool.split(name, events.halves(body))
            return
        if receipt.rejected:
            self._tell(name, receipt)
        self._spool.remove(name)

    def _tell(self, name: str, receipt: Receipt) -> None:
        if self._on_rejected is not None:
            try:
                self._on_rejected(receipt.rejected)
            except Exception:
                _LOG.exception("Rejected events could not be handed over; they are put aside.")
            else:
                return
        self._spool.put_aside(name, receipt.rejected)
        _LOG.warning(
            "%d events were rejected; see %s", len(receipt.rejected), self._spool.folder / "rejected"
        )

    def _settle(self) -> int:
        """Find which batches of this sender are gone, and what was put aside of them.

        Returns:
            How many batches of this sender are there yet, whole or in part.
        """
        with self._lock:
            if not self._mine:
                return 0
            waiting = self._waiting()
            # While a batch is cut in two, one look at the folder may see neither it nor its parts.
            gone = self._mine - {spool.root_of(name) for name in (*waiting, *self._waiting())}
            if gone:
                self._rejected.update(dict.fromkeys(self._spool.rejected_files(gone)))
                self._mine -= gone
            return len(self._mine)

    def _waiting(self) -> list[str]:
        return [name for name in self._spool.names() if spool.root_of(name) in self._mine]

    def _raise_rejected(self) -> None:
        with self._lock:
            files, self._rejected = list(self._rejected), {}
        rejected: list[Rejected] = []
        for path in files:
            with suppress(FileNotFoundError):  # Somebody has dealt with it.
                rejected += spool.read_rejected(path)
        if rejected:
            raise EventsRejected(rejected, [str(path) for path in files])
