"""What the business runs on: settings, database, clock, log, and the embedded PostgreSQL."""
