"""Payouts: what is due, batched and approved, then sent by claim, call, record; never twice, never lost."""
