"""The books as a dictionary: what the ledger must agree with, in the fewest words."""

from collections import Counter
from dataclasses import dataclass, field, replace

from service.ledger import entries
from service.ledger.accounts import AccountRef
from service.ledger.entries import Entry

Outcome = str
"""posted, replay, or the slug of the fault that refuses it."""


@dataclass
class Model:
    """Everything that was posted, by key, and what it adds up to."""

    posted: dict[str, Entry] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)
    """The key of each reversal, to the key of its original."""
    debits: Counter[AccountRef] = field(default_factory=Counter)
    credits: Counter[AccountRef] = field(default_factory=Counter)

    def balance(self, ref: AccountRef) -> int:
        """Read what an account holds on its normal side."""
        held = self.debits[ref] - self.credits[ref]
        return held if ref.role.is_debit_normal else -held

    def post(self, asked: Entry, original_key: str | None = None) -> Outcome:
        """Post an entry, or the reversal of an original."""
        if asked.key in self.posted:
            same = self.posted[asked.key] == asked and self.originals.get(asked.key) == original_key
            return "replay" if same else "entry-key-reused"
        if original_key is not None and original_key in self.originals.values():
            return "already-reversed"
        after = replace(self, debits=self.debits.copy(), credits=self.credits.copy())
        for line in asked.lines:
            after.debits[line.debit] += line.amount_minor
            after.credits[line.credit] += line.amount_minor
        refs = {ref for line in asked.lines for ref in (line.debit, line.credit)}
        if any(ref.role.floor is not None and after.balance(ref) < ref.role.floor for ref in refs):
            return "insufficient-balance"
        self.posted[asked.key] = asked
        self.debits, self.credits = after.debits, after.credits
        if original_key is not None:
            self.originals[asked.key] = original_key
        return "posted"

    def reverse(self, original_key: str, key: str) -> Outcome:
        """Reverse what was posted under a key."""
        if original_key not in self.posted:
            return "entry-not-found"
        if original_key in self.originals:
            return "not-reversible"
        original = self.posted[original_key]
        undone = entries.reversal(original, key=key, cause_kind="test", cause_id="1")
        return self.post(undone, original_key)
