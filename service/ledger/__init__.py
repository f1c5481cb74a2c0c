"""The double-entry ledger: accounts by role and owner, append-only entries and lines, balances."""
