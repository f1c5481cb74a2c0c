"""Tests of what the business runs on."""
