"""Engagement events: intake, the log of what was sent, compaction into the lake, importers.

Intake says `accepted` or `rejected` for every item and commits before it answers. What was accepted is never
changed; what it counts for is settled by compaction and by the seal.
"""
