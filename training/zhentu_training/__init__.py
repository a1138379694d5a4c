"""Forge, train, calibrate, export and evaluate the detector."""
