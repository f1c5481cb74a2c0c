"""Scoring by plain SQL and the exact split of a pool over all its parties."""
