"""Comparison with references: whether a picture shows the goods that the reference shows."""
