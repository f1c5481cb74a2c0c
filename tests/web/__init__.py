"""Tests of the pages: what they say, what they refuse, and how they look in a browser."""
