"""The audit: clean books have no finding; every kind of corruption is found, by the check that names it."""

from dataclasses import dataclass

import pytest
from sqlalchemy import text

from service.audit import replay
from service.audit.findings import FINDINGS_MAX
from service.core.errors import NotFound
from service.ledger import journal
from service.runtime import db
from tests.audit.conftest import Books
from tests.ledger.books import BANK, CLEARING, NOW, entry

ENTRY = "(SELECT id FROM entry WHERE key = '{}')"
POSTED = ENTRY.format("period_posted:2026-10")
UNDONE = ENTRY.format("undo:1")
AN = "(SELECT id FROM account WHERE role = 'creator_payable' AND owner = 'an')"
CLEARING_ID = "(SELECT id FROM account WHERE role = 'clearing')"
PAID = "(SELECT id FROM payout WHERE state = 'paid' AND creator_id = 'dung')"
READY = "(SELECT id FROM payout WHERE state = 'ready' AND creator_id = 'em')"
SHARE = "period_id = '2026-10' AND party_kind = 'creator' AND party_id"


@dataclass(frozen=True)
class Canary:
    """What somebody does to the tables, and the checks that must find it, the named one first."""

    act: str
    checks: frozenset[str]
    statements: tuple[str, ...]


def canary(act: str, checks: str, *statements: str) -> Canary:
    return Canary(act, frozenset(checks.split()), statements)


CANARIES = [
    canary(
        "raise a line's amount",
        "ledger.totals ledger.digests ledger.balances",
        f"UPDATE line SET amount_minor = amount_minor + 1 WHERE entry_id = {POSTED} AND position = 2",
    ),
    canary(
        "delete a line",
        "ledger.totals ledger.digests ledger.balances",
        f"DELETE FROM line WHERE entry_id = {POSTED} AND position = 3",
    ),
    canary(
        "delete all lines of an entry",
        "ledger.totals ledger.balances",
        f"DELETE FROM line WHERE entry_id = {POSTED}",
    ),
    canary(
        "add a line",
        "ledger.totals ledger.digests ledger.balances",
        "INSERT INTO line SELECT platform_id, entry_id, 99, debit_account_id, credit_account_id, 1, currency"
        f" FROM line WHERE entry_id = {POSTED} AND position = 1",
    ),
    canary(
        "number the lines of an entry with a gap",
        "ledger.totals",
        f"UPDATE line SET position = 99 WHERE entry_id = {POSTED}"
        f" AND position = (SELECT max(position) FROM line WHERE entry_id = {POSTED})",
    ),
    canary(
        "exchange two lines",
        "ledger.digests",
        f"UPDATE line SET position = -1 WHERE entry_id = {POSTED} AND position = 2",
        f"UPDATE line SET position = 2 WHERE entry_id = {POSTED} AND position = 3",
        f"UPDATE line SET position = 3 WHERE entry_id = {POSTED} AND position = -1",
    ),
    canary(
        "turn a line over",
        "ledger.digests ledger.balances",
        "UPDATE line SET debit_account_id = credit_account_id, credit_account_id = debit_account_id"
        f" WHERE entry_id = {POSTED} AND position = 2",
    ),
    canary(
        "let a line touch an account that is not there",
        "ledger.references ledger.digests ledger.balances",
        f"UPDATE line SET credit_account_id = -1 WHERE entry_id = {POSTED} AND position = 2",
    ),
    canary(
        "change a line's currency",
        "ledger.references",
        f"UPDATE line SET currency = 'USD' WHERE entry_id = {POSTED} AND position = 2",
    ),
    canary(
        "delete an entry's header",
        "ledger.references ledger.totals",
        "DELETE FROM entry WHERE key = 'adjustment:1'",
    ),
    canary(
        "date an entry back",
        "ledger.digests",
        f"UPDATE entry SET effective_at = effective_at - interval '1 day' WHERE id = {POSTED}",
    ),
    canary(
        "name another cause",
        "ledger.digests",
        "UPDATE entry SET cause_id = '2' WHERE key = 'adjustment:1'",
    ),
    canary(
        "change an entry's sum",
        "ledger.totals",
        "UPDATE entry SET amount_minor = amount_minor + 1 WHERE key = 'adjustment:1'",
    ),
    canary(
        "change an entry's digest",
        "ledger.digests",
        "UPDATE entry SET request_sha256 = '\\x00' WHERE key = 'adjustment:1'",
    ),
    canary(
        "change an account's owner",
        "ledger.digests",
        f"UPDATE account SET owner = 'other' WHERE id = {AN}",
    ),
    canary(
        "change an account's role",
        "ledger.accounts ledger.digests",
        f"UPDATE account SET role = 'bank' WHERE id = {AN}",
    ),
    canary(
        "give an account a role that does not exist",
        "ledger.accounts",
        "UPDATE account SET role = 'slush' WHERE role = 'suspense'",
    ),
    canary(
        "make a strict account a tally",
        "ledger.accounts",
        f"UPDATE account SET is_strict = FALSE WHERE id = {AN}",
    ),
    canary(
        "lift an account's floor",
        "ledger.accounts",
        f"UPDATE balance SET floor_minor = NULL WHERE account_id = {AN}",
    ),
    canary(
        "overdraw an account whose floor is lifted",
        "ledger.accounts ledger.balances",
        f"UPDATE balance SET floor_minor = NULL, debit_minor = credit_minor + 1 WHERE account_id = {AN}",
    ),
    canary(
        "raise a balance",
        "ledger.balances ledger.trial",
        f"UPDATE balance SET credit_minor = credit_minor + 1 WHERE account_id = {AN}",
    ),
    canary(
        "delete a balance",
        "ledger.accounts ledger.balances",
        f"DELETE FROM balance WHERE account_id = {AN}",
    ),
    canary(
        "change a tally",
        "ledger.balances ledger.trial",
        "UPDATE tally SET debit_minor = debit_minor + 1 WHERE id = (SELECT max(id) FROM tally)",
    ),
    canary(
        "delete a tally",
        "ledger.balances ledger.trial",
        "DELETE FROM tally WHERE id = (SELECT max(id) FROM tally)",
    ),
    canary(
        "put a tally on a strict account",
        "ledger.tallies",
        f"UPDATE tally SET account_id = {AN} WHERE id = (SELECT max(id) FROM tally)",
    ),
    canary(
        "let an entry reverse another",
        "ledger.reversals ledger.digests",
        f"UPDATE entry SET reverses_id = {POSTED} WHERE key = 'undo:1'",
    ),
    canary(
        "let a reversal give back less",
        "ledger.reversals ledger.digests",
        f"UPDATE line SET amount_minor = amount_minor - 1 WHERE entry_id = {UNDONE} AND position = 2",
    ),
    canary(
        "put a period back that is posted",
        "calendar.steps splits.postings closing.pools",
        "UPDATE period SET state = 'published', posted_at = NULL"
        " WHERE platform_id = 'sen' AND id = '2026-10'",
    ),
    canary(
        "leave out a period's approval",
        "calendar.steps",
        "DELETE FROM period_step WHERE platform_id = 'sen' AND period_id = '2026-10' AND state = 'approved'",
    ),
    canary(
        "change a rulebook",
        "rules.documents splits.divisions",
        "UPDATE rulebook SET document = jsonb_set(document, '{grace_h}', '1') WHERE platform_id = 'sen'",
    ),
    canary(
        "break a rulebook",
        "rules.documents splits.divisions",
        "UPDATE rulebook SET document = jsonb_set(document, '{grace_h}', '0.5') WHERE platform_id = 'sen'",
    ),
    canary(
        "raise a share",
        "splits.sums splits.digests splits.divisions splits.postings",
        f"UPDATE share SET amount_minor = amount_minor + 1 WHERE {SHARE} = 'an'",
    ),
    canary(
        "move money between two shares",
        "splits.digests splits.divisions splits.postings",
        f"UPDATE share SET amount_minor = amount_minor + CASE party_id WHEN 'an' THEN 1 ELSE -1 END"
        f" WHERE {SHARE} IN ('an', 'binh')",
    ),
    canary(
        "change the walk of a share",
        "splits.digests",
        f"UPDATE share SET walk = walk || '{{\"more\": 1}}' WHERE {SHARE} = 'an'",
    ),
    canary(
        "delete a share",
        "splits.sums splits.digests splits.divisions splits.postings",
        f"DELETE FROM share WHERE {SHARE} = 'an'",
    ),
    canary(
        "divide by other points",
        "splits.sums splits.digests splits.divisions",
        f"UPDATE share SET points_e4 = points_e4 * 2 WHERE {SHARE} = 'an'",
    ),
    canary(
        "raise a split's pool",
        "splits.sums splits.divisions",
        "UPDATE split SET pool_minor = pool_minor + 1 WHERE period_id = '2026-10'",
    ),
    canary(
        "lower a carried deficit",
        "splits.postings",
        "UPDATE split SET deficit_minor = deficit_minor - 1 WHERE period_id = '2026-11'",
    ),
    canary(
        "raise a revenue's net",
        "closing.revenues",
        "UPDATE revenue SET net_minor = net_minor + 1 WHERE reference = 'r-1'",
    ),
    canary(
        "delete a revenue",
        "closing.revenues",
        "DELETE FROM revenue WHERE reference = 'r-1'",
    ),
    canary(
        "put a revenue into another pool",
        "closing.revenues",
        "UPDATE revenue SET period_id = '2026-11' WHERE reference = 'r-1'",
    ),
    canary(
        "call a paid payout failed",
        "payouts.steps",
        f"UPDATE payout SET state = 'failed' WHERE id = {PAID}",
    ),
    canary(
        "call a payout sent that waits",
        "payouts.steps payouts.under_way",
        f"UPDATE payout SET state = 'sent', provider_reference = 'x' WHERE id = {READY}",
    ),
    canary(
        "leave out that a payout was sent",
        "payouts.steps payouts.bookings",
        f"DELETE FROM payout_step WHERE payout_id = {PAID} AND state IN ('sending', 'unknown', 'sent')",
    ),
    canary(
        "raise a payout",
        "payouts.bookings payouts.control_totals payouts.reserves",
        f"UPDATE payout SET amount_minor = amount_minor + 1 WHERE id = {PAID}",
    ),
    canary(
        "pay somebody else",
        "payouts.bookings payouts.control_totals payouts.reserves",
        f"UPDATE payout SET creator_id = 'em' WHERE id = {PAID}",
    ),
    canary(
        "send a payout somewhere else",
        "payouts.control_totals",
        f"UPDATE payout SET destination_sealed = '\\x00' WHERE id = {READY}",
    ),
    canary(
        "delete a payout",
        "payouts.bookings payouts.control_totals payouts.reserves",
        f"DELETE FROM payout WHERE id = {PAID}",
    ),
    canary(
        "delete the entry that paid",
        "payouts.bookings",
        f"DELETE FROM entry WHERE key = 'payout_paid:' || {PAID}",
    ),
    canary(
        "call a batch done that is not",
        "payouts.control_totals",
        "UPDATE payout_batch SET state = 'cancelled' WHERE state = 'submitted'",
    ),
    canary(
        "delete the entry that reserved",
        "payouts.reserves",
        "DELETE FROM entry WHERE kind = 'payout_reserved'",
    ),
    canary(
        "change what was sent in",
        "events.batches",
        "UPDATE event_batch SET body_zstd = (SELECT body_zstd FROM event_batch ORDER BY seq DESC LIMIT 1)"
        " WHERE seq = (SELECT min(seq) FROM event_batch)",
    ),
    canary(
        "damage what was sent in",
        "events.batches",
        "UPDATE event_batch SET body_zstd = '\\x00'",
    ),
    canary(
        "drop a verdict",
        "events.batches",
        "UPDATE event_batch SET rejections = '[]' WHERE jsonb_array_length(rejections) > 0",
    ),
    canary(
        "lose a file of events",
        "events.compaction",
        "DELETE FROM lake_file WHERE kind = 'raw'",
    ),
    canary(
        "change a file's digest",
        "events.files",
        "UPDATE lake_file SET sha256 = '\\x00' WHERE kind = 'counted'",
    ),
    canary(
        "change whom a correction names",
        "events.corrections",
        "UPDATE event_correction SET event_id = 'chi-1' WHERE event_id = 'chi-0'",
    ),
    canary(
        "change what a replacement counts",
        "events.corrections",
        "UPDATE event_correction SET quantity = 9 WHERE kind = 'replace'",
    ),
    canary(
        "take a correction away",
        "events.corrections",
        "DELETE FROM event_correction WHERE event_id = 'late'",
    ),
    canary(
        "bring a voided event back",
        "events.corrections",
        "UPDATE event_correction SET kind = 'void', type = NULL, at = NULL, day_on = NULL, quantity = NULL,"
        " fingerprint = NULL, seq = 0 WHERE kind = 'replace'",
        "INSERT INTO event_correction SELECT platform_id, 1, 0, gen_random_uuid(), kind, source, event_id,"
        " identity, period_id, creator_id, first_seq, first_position, reason, recorded_at, recorded_by"
        " FROM event_correction WHERE seq = 0",
    ),
    canary(
        "take back more than was lost",
        "closing.clawbacks closing.clawback_bookings",
        "UPDATE clawback SET amount_minor = amount_minor + 1, total_minor = total_minor + 1"
        " WHERE creator_id = 'chi'",
    ),
    canary(
        "name other points of a line",
        "closing.clawbacks",
        "UPDATE clawback SET points_e4 = points_e4 * 2, lost_e4 = lost_e4 * 2 WHERE creator_id = 'chi'",
    ),
    canary(
        "name another line's amount",
        "closing.clawbacks",
        "UPDATE clawback SET line_minor = line_minor + 1 WHERE creator_id = 'em'",
    ),
    canary(
        "take a line of a clawback away",
        "closing.clawback_bookings",
        "DELETE FROM clawback WHERE creator_id = 'em'",
    ),
    canary(
        "let a creator owe less",
        "closing.receivables closing.clawback_bookings",
        "UPDATE clawback SET receivable_minor = receivable_minor - 1 WHERE receivable_minor > 0",
    ),
    canary(
        "forget what was recovered",
        "closing.receivables closing.clawback_bookings",
        "DELETE FROM clawback_recovery WHERE creator_id = 'chi'",
    ),
    canary(
        "forget a run",
        "closing.clawback_bookings",
        "DELETE FROM clawback_run WHERE amount_minor > 0 AND period_id = '2026-10'",
    ),
]


def test_books_that_only_the_service_wrote_are_clean(played_books: Books) -> None:
    """Every check looked at something and found nothing."""
    said: list[str] = []
    report = replay.run(played_books.database, played_books.lake, say=said.append)

    assert () == report.findings
    assert report.is_clean
    assert [] == [check for check, seen_count in report.checks.items() if seen_count == 0]
    assert 2 * len(report.checks) == len(said)


@pytest.mark.parametrize("planted", CANARIES, ids=lambda planted: planted.act)
def test_what_was_planted_is_found(played_books: Books, planted: Canary) -> None:
    """Going around every guard is found by each check that covers what was changed."""
    played_books.spoil(*planted.statements)
    report = played_books.audit()

    assert planted.checks <= {finding.check for finding in report.findings}
    assert {"sen"} == {finding.platform_id for finding in report.findings}


def test_every_check_has_a_canary() -> None:
    """A check that nothing was planted for might find nothing ever."""
    assert {*replay.CHECKS, replay.FILES} == frozenset().union(*(planted.checks for planted in CANARIES))


@pytest.mark.parametrize("damage", ["lost", "cut", "other"])
def test_a_damaged_file_of_the_lake_is_found(played_books: Books, damage: str) -> None:
    """Gone, shorter, or of the same length with another byte."""
    with db.transaction(played_books.database) as session:
        path = session.scalar(text("SELECT path FROM lake_file ORDER BY path LIMIT 1"))
    file = played_books.root / str(path)
    whole = file.read_bytes()
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(whole[:-1] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    report = played_books.audit()

    assert {replay.FILES} == {finding.check for finding in report.findings}
    assert all(str(path) in finding.subject for finding in report.findings)


def test_a_finding_says_what_differs(played_books: Books) -> None:
    """The first row that differs, what it should be and what it is."""
    played_books.spoil("UPDATE entry SET line_count = 9 WHERE key = 'adjustment:1'")
    (finding,) = played_books.audit().findings

    assert ("ledger.totals", "9 lines of 15", "2 lines of 15") == (
        finding.check,
        finding.expected,
        finding.found,
    )
    assert finding.subject.endswith("adjustment:1")


def test_findings_are_listed_up_to_a_limit_and_counted_beyond_it(played_books: Books) -> None:
    """A report stays short, however much is wrong."""
    extra_count = 5
    with db.transaction(played_books.database) as session:
        made = [entry((BANK, CLEARING, 1), key=f"k-{n}") for n in range(FINDINGS_MAX + extra_count)]
        journal.post_all(session, made, now=NOW)
    played_books.spoil("UPDATE entry SET amount_minor = amount_minor + 1 WHERE kind = 'test'")
    report = played_books.audit()

    assert FINDINGS_MAX == len(report.findings)
    assert FINDINGS_MAX + extra_count == report.finding_count


def test_one_platform_is_audited_alone(played_books: Books) -> None:
    """Another platform's corruption is another platform's report."""
    played_books.spoil("UPDATE entry SET line_count = 9 WHERE key = 'adjustment:1'")

    assert replay.run(played_books.database, played_books.lake, platform_id="hoa").is_clean
    assert not replay.run(played_books.database, played_books.lake, platform_id="sen").is_clean


def test_a_platform_that_is_not_there_is_refused(played_books: Books) -> None:
    """Nothing to audit is not the same as nothing found."""
    with pytest.raises(NotFound):
        replay.run(played_books.database, played_books.lake, platform_id="nobody")


def test_an_audit_changes_nothing(played_books: Books) -> None:
    """Its transaction cannot write, and does not."""
    statements = []

    def note(moment: str, statement: str) -> None:
        if moment == "before":
            statements.append(statement.split(maxsplit=1)[0].upper())

    stop = db.on_statement(played_books.database, note)
    played_books.audit()
    stop()

    assert {"SELECT", "WITH"} == set(statements)
