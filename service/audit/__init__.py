"""Replay everything against everything and report the first difference."""
