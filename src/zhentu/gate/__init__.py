"""Block at the source: the HTTP service."""
