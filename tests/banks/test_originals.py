"""Brands' own pictures are kept beside their entries, other banks keep fingerprints alone."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import waves

from zhentu.banks.bank import Banks
from zhentu.banks.entries import NewEntry
from zhentu.banks.originals import add_picture, original
from zhentu.errors import PictureNotFound, UsageError
from zhentu.intake.decode import decode
from zhentu.types import Picture


def picture(width: int, height: int, seed: int = 1) -> Picture:
    return Picture(waves(height, width, seed), f"{seed:064x}", "PNG", 1)


def test_a_brands_own_picture_is_kept_as_it_looks(banks: Banks) -> None:
    given = picture(320, 240)
    (entry_id,) = add_picture(banks, "acme", given, "ann")
    kept = decode(original(banks.store, entry_id))
    assert (kept.format, kept.width, kept.height) == ("JPEG", 320, 240)
    assert np.abs(kept.rgb.astype(int) - given.rgb).mean() < 4


@pytest.mark.parametrize(
    ("size", "kept_as"), [((1600, 90), (1600, 90)), ((3200, 1800), (1600, 900)), ((400, 2000), (320, 1600))]
)
def test_a_large_original_is_kept_at_1600_pixels_in_its_own_proportions(
    banks: Banks, size: tuple[int, int], kept_as: tuple[int, int]
) -> None:
    (entry_id,) = add_picture(banks, "acme", picture(*size), "ann")
    kept = decode(original(banks.store, entry_id))
    assert (kept.width, kept.height) == kept_as


@pytest.mark.parametrize("bank", ["bad", "fine"])
def test_other_banks_keep_no_pictures(banks: Banks, bank: str) -> None:
    (entry_id,) = add_picture(banks, bank, picture(320, 240), "ann")
    with pytest.raises(PictureNotFound, match="without its picture"):
        original(banks.store, entry_id)


def test_a_picture_that_is_held_is_neither_added_nor_kept_again(banks: Banks) -> None:
    assert len(add_picture(banks, "acme", picture(320, 240), "ann")) == 1
    assert add_picture(banks, "acme", picture(320, 240), "ann") == ()


def test_the_entry_may_say_more_than_the_picture(banks: Banks) -> None:
    entry = NewEntry(sha256="ab" * 32, source="Acme Ltd", note="spring")
    (entry_id,) = add_picture(banks, "acme", picture(320, 240), "ann", entry)
    assert banks.store.entry(entry_id).entry == entry
    (plain,) = add_picture(banks, "acme", picture(320, 240, seed=2), "ann")
    assert (banks.store.entry(plain).entry.source, banks.store.entry(plain).entry.sha256) == ("ann", f"{2:064x}")
    with pytest.raises(UsageError, match="no bank"):
        add_picture(banks, "wrong", picture(320, 240), "ann")
