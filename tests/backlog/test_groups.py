from __future__ import annotations

import numpy as np
from PIL import Image

from zhentu.backlog.groups import Grouper, group_looks
from zhentu.backlog.rows import ScanRow
from zhentu.banks.hashing import colour_signature, pdq_hash
from zhentu.detect.models import samples_folder


def look(picture: np.ndarray) -> dict[str, str]:
    return {"pdq": pdq_hash(picture)[0].hex(), "colour": colour_signature(picture).hex()}


def photo_of(number: int) -> np.ndarray:
    return np.asarray(Image.open(sorted(samples_folder().glob("genuine_*.jpg"))[number]).convert("RGB"))


def flagged(name: str, picture: np.ndarray, forged: float = 0.9, action: str = "review") -> ScanRow:
    return ScanRow(name, action=action, forged=forged, **look(picture))


def test_copies_are_one_group_and_speak_by_their_gravest() -> None:
    grouper, base = Grouper(), photo_of(1)
    noisy = np.clip(base + np.random.default_rng(0).normal(0, 4, base.shape), 0, 255).astype(np.uint8)
    grouper.add(1, flagged("small", base[::2, ::2].copy(), 0.7))
    grouper.add(2, flagged("other", photo_of(2)))
    grouper.add(3, flagged("noisy", noisy, 0.95))
    grouper.add(4, flagged("allowed", base, action="allow"))
    (group,) = grouper.groups()
    assert (group.first.path, group.seqs) == ("noisy", (3, 1))


def test_recoloured_goods_are_other_goods() -> None:
    base = photo_of(1)
    recoloured = np.roll(base, 1, axis=2)
    colours = [look(each)["colour"] for each in (base, recoloured)]
    same = [look(base)["pdq"]] * 2
    assert group_looks(same, [colours[0]] * 2) == [[0, 1]]
    assert group_looks(same, colours) == [[0], [1]]


def test_groups_do_not_drift() -> None:
    """A chain of pictures, each near the next: the far ends are no copies of each other."""
    chain = [bytes([255] * (3 * step) + [0] * (32 - 3 * step)).hex() for step in range(5)]  # 24 bits apart
    assert group_looks(chain, ["00" * 48] * 5) == [[0, 1], [2, 3], [4]]


def test_memory_of_a_grouper_is_bounded_and_keeps_the_gravest() -> None:
    grouper = Grouper(most=4)
    for seq in range(100):
        grouper.add(seq, flagged(str(seq), photo_of(1), forged=seq / 100))
    (group,) = grouper.groups()
    assert sorted(group.seqs) == [96, 97, 98, 99]
