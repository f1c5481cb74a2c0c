"""Rulebooks: documents that people read and the service executes; immutable once published."""
