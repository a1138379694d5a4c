"""Forgeries of genuine pictures, one file a forgery category."""
