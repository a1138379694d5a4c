"""Records in a store, and a queue over them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fakes import thresholds, verdict
from pictures import waves

from zhentu.banks.hashing import colour_signature, pdq_hash
from zhentu.decide.policy import decide
from zhentu.ids import new_id
from zhentu.types import Action, Decision, Fingerprint, Listing, Mode, Picture, Record

SHIPPED = thresholds({"cutout_artifact": {"review": 0.9}, "ai_generated": {"label": 0.8}})


def record(
    number: int,
    score: float = 0.95,
    action: Action = Action.REVIEW,
    seller: str = "shop",
    goods: str = "apparel",
    sha256: str = "",
    path: str = "",
    policy=None,
    **scores: float,
) -> Record:
    """A record as the gate writes it; `policy` decides where it is given."""
    said = verdict(score, **scores)
    listing = Listing(f"listing-{number}", seller, goods, f"goods {number}")
    decision = Decision(
        action, action, Mode.ENFORCE, (), "test", "0" * 64, None, thresholds({"cutout_artifact": {"review": 0.9}})
    )
    if policy is not None:
        decision = decide(said, (), listing, policy, SHIPPED)
    return Record(
        record_id=new_id(),
        created_at=datetime.now(UTC) + timedelta(microseconds=number),
        path=path or f"{number}.png",
        picture_sha256=sha256 or f"{number * 2654435761 % 2**32:08x}" * 8,
        picture_format="PNG",
        width=64,
        height=64,
        byte_count=100,
        notes=(),
        listing=listing,
        verdict=said,
        evidence=(),
        decision=decision,
        latency_ms=1.0,
    )


def fingerprint_of(record: Record) -> Fingerprint:
    """A look of its own per listing number, ten numbers alike."""
    rgb = waves(64, 64, int(record.listing.listing_id.split("-")[1]) // 10)
    return Fingerprint(record.picture_sha256, *pdq_hash(rgb), colour_signature(rgb))


def no_print(_: Record) -> None:
    return None


def picture(number: int = 1) -> Picture:
    return Picture(waves(160, 200, number), f"{number:064x}", "PNG", 1)
