"""Exports as CSV: the journal, the trial balance, payouts, shares.

A table is read within its transaction into a file that grows on disk, and sent after the transaction ended:
a slow reader holds no connection, memory stays flat, and a fault while reading is a problem instead of half a
table.
"""

from tempfile import SpooledTemporaryFile
from typing import IO, Final, cast

from service.api.answers import Answer
from service.api.calls import Call
from service.ledger.journal import Filters
from service.statements import exports
from service.statements.exports import Table
from service.statements.formats import csv

MEMORY_MAX_BYTES: Final = 1_048_576
"""Beyond it an export goes on on disk."""


def journal(call: Call) -> Answer:
    """Export every line of the journal that the filters let through."""
    filters = Filters(
        period_id=call.parameters["period"],
        effective_from_at=call.parameters["effective_from"],
        effective_until_at=call.parameters["effective_until"],
    )
    return _file(call, "journal", exports.journal(call.session, call.platform.id, filters))


def trial_balance(call: Call) -> Answer:
    """Export the trial balance, of the present or of an instant."""
    table = exports.trial_balance(call.session, call.platform.id, at=call.parameters["at"])
    return _file(call, "trial-balance", table)


def payouts(call: Call) -> Answer:
    """Export payouts, of one batch or all."""
    table = exports.payouts(call.session, call.platform.id, batch_id=call.parameters["batch"])
    return _file(call, "payouts", table)


def shares(call: Call) -> Answer:
    """Export the shares of a period's split."""
    period_id = call.parameters["period"]
    table = exports.shares(call.session, call.platform.id, period_id=period_id)
    return _file(call, f"shares-{period_id}", table)


def _file(call: Call, name: str, table: Table) -> Answer:
    spool = SpooledTemporaryFile(max_size=MEMORY_MAX_BYTES)  # noqa: SIM115 — the response closes it.
    for piece in csv.stream(table.header, table.rows):
        spool.write(piece.encode())
    spool.seek(0)
    file_name = f"{call.platform.id}-{name}.csv"
    return Answer(
        file=cast("IO[bytes]", spool),
        media_type=csv.MEDIA_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )
