"""Statements and exports: gathered values, then formats; numbered documents."""
