"""Idempotency keys: a POST that is sent again is answered again, and done once.

Owns the records of answers. They are written in the act's own transaction, so that a crash leaves both or
neither, and hold only answers that say done (2xx): a refusal stores nothing and may be tried again with the
same key. Answers are sealed, since some of them name people. Laws: one key of a platform stands for one
method, path and body; two requests with one key are never at work at the same moment.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session
from werkzeug.datastructures import Headers

from service.api.answers import Answer
from service.api.tables import idempotency_record
from service.core import digests
from service.core.errors import Conflict, Fault, Invalid
from service.runtime import db
from service.runtime.vault import Vault

HEADER: Final = "Idempotency-Key"
REPLAY_HEADER: Final = "Idempotent-Replay"
KEPT_DAYS: Final = 30
"""How long an answer is kept at least."""

FORGOTTEN_AT_ONCE: Final = 10
RETRY_AFTER_S: Final = 1

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class KeyMissing(Fault):
    """The request carries no usable Idempotency-Key."""

    status = 400
    slug = "idempotency-key-missing"
    title = "An Idempotency-Key is needed"


class KeyReused(Invalid):
    """The key stands for another request."""

    slug = "idempotency-key-reused"
    title = "This Idempotency-Key stands for another request"


class KeyInFlight(Conflict):
    """A request with this key is at work."""

    slug = "idempotency-key-in-flight"
    title = "A request with this Idempotency-Key is at work"

    def __init__(self, detail: str) -> None:
        """Take the sentence; the other request is soon done."""
        super().__init__(detail)
        self.headers = {"Retry-After": str(RETRY_AFTER_S)}


def key_of(headers: Headers) -> str:
    """Take the key from a request's headers.

    Raises:
        KeyMissing: there is none, or what there is cannot be one.
    """
    key = headers.get(HEADER, "")
    if not _KEY.fullmatch(key):
        raise KeyMissing(
            f"Send the header {HEADER} with 1 to 255 visible ASCII characters, new for each act and the same"
            " when the act is sent again."
        )
    return key


def request_sha256(method: str, target: str, body: bytes) -> bytes:
    """Digest what a key stands for: method, path with query, and body."""
    return digests.sha256(digests.framed(method.encode(), target.encode(), body))


def once(
    session: Session,
    platform_id: str,
    key: str,
    request: bytes,
    act: Callable[[], Answer],
    *,
    vault: Vault,
    now: datetime,
) -> Answer:
    """Answer as the first request with this key was answered, or do the act and keep its answer.

    Args:
        request: the digest that `request_sha256` makes.

    Raises:
        KeyInFlight: another transaction holds the key.
        KeyReused: the key stands for another request.
    """
    if not db.try_lock(session, "idempotency", platform_id, key):
        raise KeyInFlight("A request with this Idempotency-Key is at work; send it again in a moment.")
    # Read after the lock is held: whoever held it before has committed what this statement looks for.
    row = session.execute(
        select(idempotency_record).where(
            idempotency_record.c.platform_id == platform_id, idempotency_record.c.key == key
        )
    ).one_or_none()
    if row is not None:
        if bytes(row.request_sha256) != request:
            raise KeyReused(
                "This Idempotency-Key was sent with another method, address or body;"
                " use a new key for a new act."
            )
        headers = {**row.headers, REPLAY_HEADER: "true"}
        media_type = headers.pop("Content-Type")
        content = vault.open(bytes(row.body)).encode()
        return Answer(content=content, media_type=media_type, status=row.status, headers=headers)
    answer = act()
    _forget(session, platform_id, now)
    session.execute(
        insert(idempotency_record).values(
            platform_id=platform_id,
            key=key,
            request_sha256=request,
            status=answer.status,
            headers={**answer.headers, "Content-Type": answer.media_type},
            body=vault.seal(answer.kept_body().decode()),
            created_at=now,
        )
    )
    return answer


def _forget(session: Session, platform_id: str, now: datetime) -> None:
    """Drop a few answers that were kept long enough; each new one makes room, so the table does not grow."""
    old = (
        select(idempotency_record.c.key)
        .where(
            idempotency_record.c.platform_id == platform_id,
            idempotency_record.c.created_at < now - timedelta(days=KEPT_DAYS),
        )
        .order_by(idempotency_record.c.created_at)
        .limit(FORGOTTEN_AT_ONCE)
        # Another request may be dropping the same ones: it shall not be waited for.
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(idempotency_record).where(
            idempotency_record.c.platform_id == platform_id, idempotency_record.c.key.in_(old)
        )
    )
