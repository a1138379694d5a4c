"""Builds everything the entry points work with, from settings; nothing is built at import, and nothing is decided here.

One module for each thing that is built, so that a scan's workers load neither the review desk nor a web framework.
"""
