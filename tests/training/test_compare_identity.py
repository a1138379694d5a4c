from __future__ import annotations

import numpy as np

from zhentu_training.compare.identity import WIDTH, alike, crossed, identity_of
from zhentu_training.compare.pairing import Pair

_PRODUCTS, _EACH, _DEEP = 60, 4, 40


def _photographs() -> tuple[np.ndarray, list[Pair]]:
    """Goods that differ a little in eight directions, in photographs that differ much in eight others."""
    rng = np.random.default_rng(4)
    goods = np.zeros((_PRODUCTS, 1, _DEEP))
    goods[..., :8] = rng.standard_normal((_PRODUCTS, 1, 8))
    photograph = np.zeros((_PRODUCTS, _EACH, _DEEP))
    photograph[..., 8:16] = 6 * rng.standard_normal((_PRODUCTS, _EACH, 8))
    noise = 0.05 * rng.standard_normal((_PRODUCTS, _EACH, _DEEP))
    summaries = (goods + photograph + noise).reshape(-1, 1, _DEEP).astype(np.float32)
    pairs = []
    for product in range(_PRODUCTS):
        split, here = "judge" if product >= 45 else "train", product * _EACH
        other = (product + 1) % 45 if product < 45 else 45 + (product - 44) % 15
        pairs += [Pair(here, here + k, "match", "s", split, f"g{product}") for k in (1, 2, 3)]
        pairs += [Pair(here, other * _EACH + k, "look-alike", "s", split, f"g{product}") for k in (1, 2, 3)]
    return summaries, pairs


def test_directions_tell_goods_apart_where_the_tokens_themselves_do_not() -> None:
    summaries, pairs = _photographs()
    match = np.array([not pair.mismatch for pair in pairs])
    judged = np.array([pair.split == "judge" for pair in pairs])
    unit = summaries[:, 0] / np.linalg.norm(summaries[:, 0], axis=1, keepdims=True)
    plain = np.array([float(unit[pair.first] @ unit[pair.second]) for pair in pairs])
    _, found = crossed(summaries, pairs, np.ones(len(pairs)))
    for part in (judged, ~judged):
        ahead = found[part & match, 0][:, None] > found[part & ~match, 0]
        assert ahead.mean() > 0.95
        assert (plain[part & match][:, None] > plain[part & ~match]).mean() < 0.75


def test_pairs_that_fit_are_measured_by_directions_that_never_saw_their_group() -> None:
    summaries, pairs = _photographs()
    everything, found = crossed(summaries, pairs, np.ones(len(pairs)))
    direct = alike(everything, summaries, pairs)
    judged = np.array([pair.split == "judge" for pair in pairs])
    assert np.allclose(found[judged], direct[judged], atol=1e-5)
    assert not np.allclose(found[~judged], direct[~judged], atol=1e-3)
    # Another product's photographs may be anything: the fold that leaves them out is not moved by them.
    moved = summaries.copy()
    moved[45 * _EACH :] *= 3
    assert np.allclose(crossed(moved, pairs, np.ones(len(pairs)))[1][~judged], found[~judged], atol=1e-4)


def test_a_copy_is_wholly_alike_and_few_sights_give_few_directions() -> None:
    summaries, _ = _photographs()
    matches = np.array([(0, 1), (4, 5), (8, 9)])
    few = identity_of(summaries, matches, np.ones(3), np.arange(12))
    assert few.directions.shape == (1, _DEEP, 11)
    whole = identity_of(summaries, matches, np.ones(3), np.arange(len(summaries)))
    assert whole.directions.shape[2] == min(WIDTH, _DEEP)
    assert np.allclose(np.linalg.norm(whole.of(summaries), axis=2), 1, atol=1e-4)
