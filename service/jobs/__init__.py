"""Due runs as rows: claimed with a lease, fenced by owner, finished in the transaction of their effect."""
