"""Tests: a folder for each room, beside the fixtures that give them a real PostgreSQL."""
