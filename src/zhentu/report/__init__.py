"""The HTML page of a scan."""
