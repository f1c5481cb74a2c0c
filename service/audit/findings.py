"""Findings: what a check saw, and where two things that must agree do not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, TextClause
from sqlalchemy.orm import Session

from service.ledger import posting
from service.ledger.entries import Entry

FINDINGS_MAX: Final = 100
"""Findings of one check and platform that are kept, the first ones; the rest is only counted."""

STREAMED_ROWS: Final = 5_000

BOOK: Final = "book AS MATERIALIZED (SELECT CAST(:platform_id AS text) AS platform_id)"
"""What statements join the platform out of. A new platform is in no statistics yet; seeing its name, the
planner expects a single row and may loop over all pairs of a large table."""

KEPT: Final = """
    unfolded AS MATERIALIZED (
        SELECT tally.account_id, sum(tally.debit_minor) AS debit_minor,
               sum(tally.credit_minor) AS credit_minor
          FROM book
          JOIN tally USING (platform_id)
         GROUP BY tally.account_id
    ),
    kept AS MATERIALIZED (
        SELECT account.id, account.role, account.owner, account.currency,
               coalesce(balance.debit_minor, 0) + coalesce(unfolded.debit_minor, 0) AS debit_minor,
               coalesce(balance.credit_minor, 0) + coalesce(unfolded.credit_minor, 0) AS credit_minor
          FROM book
          JOIN account USING (platform_id)
          LEFT JOIN balance
            ON balance.platform_id = account.platform_id AND balance.account_id = account.id
          LEFT JOIN unfolded ON unfolded.account_id = account.id
    )
"""
"""What balance rows and unfolded tallies say of every account, with `BOOK` before it."""

Fact = str | int | None
"""What is compared, as a report shows it; None: there is no such thing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Two things that must agree and do not: what the rest of the books calls for, and what is there."""

    check: str
    platform_id: str
    subject: str
    expected: Fact
    found: Fact


@dataclass(slots=True, kw_only=True)
class Notes:
    """What one check sees of one platform, noted while it looks."""

    check: str
    platform_id: str
    seen_count: int = 0
    """Subjects looked at."""
    finding_count: int = 0
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What a reader should know though nothing is wrong."""

    def see(self, count: int = 1) -> None:
        """Note that so many subjects were looked at."""
        self.seen_count += count

    def remark(self, text: str) -> None:
        """Note what a reader should know though nothing is wrong."""
        self.remarks.append(text)

    def compare(self, subject: str, expected: Fact, found: Fact) -> None:
        """Note a finding if the two differ."""
        if expected == found:
            return
        self.finding_count += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(self.check, self.platform_id, subject, expected, found))


def differences(session: Session, notes: Notes, statement: TextClause) -> None:
    """Note every row of a statement that lists differences as (subject, expected, found)."""
    for row in stream(session, notes.platform_id, statement):
        notes.compare(row.subject, row.expected, row.found)


def compare_entries(
    notes: Notes, subject: str, expected: Sequence[Entry], booked: Mapping[str, bytes]
) -> None:
    """Note every entry that should be booked and is not so, or is booked and should not be.

    Args: booked: the digests of what is booked, by key; the books' own check ties them to lines.
    """
    wanted = {asked.key: posting.request_sha256(asked).hex() for asked in expected}
    found = {key: digest.hex() for key, digest in booked.items()}
    for key in sorted(wanted.keys() | found.keys()):
        notes.compare(f"{subject} entry {key}", wanted.get(key), found.get(key))


def stream(session: Session, platform_id: str, statement: TextClause) -> Iterator[Row[Any]]:
    """Read a statement's rows a few thousand at a time."""
    values, options = {"platform_id": platform_id}, {"yield_per": STREAMED_ROWS}
    # Closed also where the reader stops early.
    with session.execute(statement, values, execution_options=options) as rows:
        yield from rows
