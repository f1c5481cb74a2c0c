"""The ticker: finds what is due and runs it."""
