"""The process that plays flows: it reads requests and writes answers, a JSON value a line.

Its random bytes come from dice, so that a run that is to be killed takes the very same way as the one before
it whose points were counted. A run that goes on after a death begins later, and with another throw.
"""

import json
import os
import sys
from datetime import datetime
from pathlib import Path

from tests.crash.dice import Dice


def main() -> None:
    """Answer requests until there are no more; the first line is the server's address."""
    dice = Dice()
    # Before the service is imported: its ids take their random bytes from there.
    os.urandom = dice
    from tests.crash import player

    plays = player.opened(json.loads(sys.stdin.readline()), dice)
    for line in sys.stdin:
        asked = json.loads(line)
        plays.turn(asked["database"], Path(asked["folder"]))
        play = plays.play_apart if asked["is_apart"] else plays.play
        code = play(asked["flow"], datetime.fromisoformat(asked["starts_at"]), asked["dies_at"])
        print(json.dumps(code or 0), flush=True)  # noqa: T201 — the answer.


if __name__ == "__main__":
    main()
