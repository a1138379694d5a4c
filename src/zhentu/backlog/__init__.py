"""The bulk scanner, for pictures that are already online."""
