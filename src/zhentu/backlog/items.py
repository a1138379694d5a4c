"""One picture of a backlog, before it has been looked at."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field

from zhentu.types import Listing


@dataclass(frozen=True, slots=True)
class Item:
    """Where a picture is and what the platform says about it.

    path: a path of this machine or an fsspec URL, as the source gave it; undecodable bytes as surrogates (PEP 383).
    references: paths or URLs of pictures known to show the real goods.
    A picture is one item per listing that it is in: the policy may decide differently.
    """

    path: str
    listing: Listing = field(default_factory=Listing)
    references: tuple[str, ...] = ()

    def extras(self) -> str:
        """Everything but path and listing id as JSON, "" if there is nothing."""
        known = {name: value for name, value in asdict(self.listing).items() if value not in ("", None, {})}
        known.pop("listing_id", None)
        if self.references:
            known["references"] = list(self.references)
        if not known:
            return ""
        plain = all(each.isprintable() for each in self.references)  # surrogates of PEP 383 are not, and go as escapes
        return json.dumps(known, ensure_ascii=not plain)

    @staticmethod
    def from_extras(path: str, listing_id: str, extras: str) -> Item:
        """The item from which `extras` was written."""
        known = json.loads(extras) if extras else {}
        references = tuple(known.pop("references", ()))
        return Item(path, Listing(listing_id=listing_id, **known), references)


def shard_of(path: str, count: int) -> int:
    """Which of `count` shards a path belongs to, so that all machines agree without communicating."""
    return int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:8], "big") % count


@dataclass(frozen=True, slots=True)
class Numbered:
    """An item and its place in the job's listing, from 1."""

    seq: int
    item: Item


TEXT_COLUMNS = ("listing_id", "seller_id", "goods", "title")
