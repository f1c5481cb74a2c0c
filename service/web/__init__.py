"""Pages for creators, finance and the public, rendered on the server."""
