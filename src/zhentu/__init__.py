"""zhentu (真图, "true picture"): recognise, stop and label AI-forged product pictures."""

__version__ = "0.13.0"
