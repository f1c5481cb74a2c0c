"""Crash tests: a process may die at any point, and whoever goes on ends where an undisturbed run ends."""
