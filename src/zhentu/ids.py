"""Identifiers: unique without coordination, and sortable by time."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """UUIDv7 (RFC 9562) as 36 characters: sorts by time, for records, jobs, items, messages and the like."""
    return str(uuid_utils.uuid7())
