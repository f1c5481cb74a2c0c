"""Batches as a platform's pipeline sends them: of one form, with ids of their own, some of it not perfect.

Ids, contents and actors are as hard to compress as those of a platform that draws them at random. In every
batch one item in fifty repeats one of the batch before; in every tenth, one item in a hundred names a creator
that nobody knows; every fiftieth request sends the batch before once more, as after a time-out.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Final

MEDIA_TYPE: Final = "application/cloudevents-batch+json"
EVENTS: Final = 1_000
CREATORS: Final = 1_000
REPEAT_EVERY: Final = 50
BAD_BATCH_EVERY: Final = 10
BAD_EVERY: Final = 100
REPLAY_EVERY: Final = 50
SHARES: Final = (
    f"repeated items {1 / REPEAT_EVERY:.1%}, rejected items {1 / BAD_BATCH_EVERY / BAD_EVERY:.1%} "
    f"(all in {1 / BAD_BATCH_EVERY:.0%} of the batches), replayed batches {1 / REPLAY_EVERY:.0%}"
)

_OWN: Final = "@own-batch@"
_BEFORE: Final = "@before@@@@"


def stream(name: str, now: datetime, *, is_clean: bool = False) -> Iterator[bytes]:
    """Give batches without end, under ids that begin with a name of this stream.

    Making one costs a search and replace, so that the sender leaves the cores to who is measured.
    """
    good, bad = _form(now, is_clean, has_bad=False), _form(now, is_clean, has_bad=not is_clean)
    before = f"{name}-x"
    body = b""
    for number in range(1_000_000_000):
        own = f"{name}-{number}"
        form = bad if number % BAD_BATCH_EVERY == BAD_BATCH_EVERY - 1 else good
        body = form.replace(_OWN.encode(), own.encode()).replace(_BEFORE.encode(), before.encode())
        before = own
        yield body
        if not is_clean and number % REPLAY_EVERY == REPLAY_EVERY - 1:
            yield body


def _form(now: datetime, is_clean: bool, *, has_bad: bool) -> bytes:
    items = []
    for number in range(EVENTS):
        is_repeat = not is_clean and number % REPEAT_EVERY == 0
        is_bad = has_bad and number % BAD_EVERY == 1
        items.append(
            {
                "specversion": "1.0",
                "id": f"{_BEFORE if is_repeat else _OWN}-{_drawn('event', number + is_repeat)}",
                "source": "bench",
                "type": "view",
                "time": now.isoformat(),
                "data": {
                    "creator": "nobody" if is_bad else creator(number * 7919 % CREATORS),
                    "content": f"v{_drawn('content', number % 400)}",
                    "actor": f"a{_drawn('actor', number)}",
                },
            }
        )
    return json.dumps(items, separators=(",", ":")).encode()


def _drawn(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()[:12]


def creator(number: int) -> str:
    """Name the creator of a number, as `stage.platform` does."""
    return f"c{number:07}"
