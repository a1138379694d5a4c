"""Append-only records of every decision."""
