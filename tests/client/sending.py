"""A process that sends: events of a name, one by one or together, for ever or to an end.

Run as `python -m tests.client.sending`. It writes the number of each event to its standard output once `send`
returned for it, so that whoever reads knows what was taken.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from benefit_ledger_client import Client, Sender, event


def main(arguments: dict[str, Any]) -> None:
    """Send events NAME-0, NAME-1, ... and write down each that was taken."""
    client = Client(arguments["url"], arguments["key"])
    sender = Sender(client, arguments["folder"], events_max=arguments["events_max"], age_s=arguments["age_s"])
    number = 0
    while number < arguments["count"]:
        sender.send(
            event(
                id=f"{arguments['name']}-{number}",
                source="app",
                type="view",
                time=datetime.now(UTC),
                creator=arguments.get("creator", "linh"),
            )
        )
        print(number, flush=True)  # noqa: T201 — it is how this process speaks.
        number += 1
    if arguments.get("is_closed", True):
        sender.close(60)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
