"""One file per revision; see the package above for naming."""
