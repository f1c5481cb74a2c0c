"""benefit-ledger: share a social network's revenue with the people who make it, by rules they can see.

Each folder is a room of the business, in the order in which the data flows; a room imports only from the
rooms before it (docs/architecture.md draws the floor plan, an import-linter contract keeps it true).
"""
