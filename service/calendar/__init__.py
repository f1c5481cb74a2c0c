"""Periods: frozen bounds, states, and the lock between an intake and a seal."""
