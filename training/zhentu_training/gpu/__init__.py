"""Tuning the encoder on a machine with a GPU that has torch, timm, NumPy and OpenCV, and nothing else."""
