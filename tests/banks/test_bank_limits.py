"""Where the limits of banks and entries lie: the last value that is taken, the first that is not."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from bank_fixtures import BAD
from pictures import waves
from test_bank import hows, picture, sha_of

from zhentu.banks.bank import Banks
from zhentu.banks.entries import Bank, MatchKind, NewEntry
from zhentu.banks.hashing import colour_distance, fingerprint_of, pdq_hash
from zhentu.banks.store import BankStore
from zhentu.errors import UsageError
from zhentu.record.database import Database
from zhentu.types import BankKind, Fingerprint, Listing, Signal

COLOUR = bytes(range(48))


def flipped(pdq: bytes, bits: int) -> bytes:
    """The hash with its first bits turned over."""
    changed = np.unpackbits(np.frombuffer(pdq, np.uint8))
    changed[:bits] ^= 1
    return np.packbits(changed).tobytes()


def seen(number: int, pdq: bytes = bytes(32), colour: bytes = COLOUR, quality: int = 100) -> Fingerprint:
    return Fingerprint(f"{number:064x}", pdq, quality, colour)


@pytest.mark.parametrize(
    ("taken", "refused", "named"),
    [
        ({"name": "a" * 64}, {"name": "a" * 65}, "name"),
        ({"name": "a-B_9"}, {"name": ""}, "name"),
        ({"threshold": 31}, {"threshold": 32}, "threshold"),
        ({"threshold": 0}, {"threshold": -1}, "threshold"),
        ({"colour_limit": 1.0}, {"colour_limit": 1.01}, "colour_limit"),
        ({"colour_limit": 0.0}, {"colour_limit": -0.01}, "colour_limit"),
        ({"enabled_ratio": 1.0}, {"enabled_ratio": 1.01}, "enabled_ratio"),
        ({"enabled_ratio": 0.0}, {"enabled_ratio": -0.01}, "enabled_ratio"),
    ],
)
def test_a_bank_takes_the_last_value_in_range_and_not_the_next(taken: dict, refused: dict, named: str) -> None:
    plain = {"name": "bad", "kind": BankKind.KNOWN_BAD}
    assert Bank(**plain | taken).kind is BankKind.KNOWN_BAD
    with pytest.raises(UsageError, match=named):
        Bank(**plain | refused)


def test_only_a_bank_of_originals_needs_a_brand() -> None:
    assert Bank("fine", BankKind.ALLOWED).brand == ""
    with pytest.raises(UsageError, match="brand"):
        Bank("acme", BankKind.BRAND_ORIGINAL)


def test_a_hash_of_poor_quality_is_taken_only_beside_a_sha256() -> None:
    assert NewEntry(pdq=bytes(32), quality=50).quality == 50
    assert NewEntry("ab" * 32, bytes(32), quality=49).quality == 49
    with pytest.raises(UsageError, match="quality 49"):
        NewEntry(pdq=bytes(32), quality=49)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"sha256": "a" * 63}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"pdq": bytes(31)}, "pdq"),
        ({"sha256": "a" * 64, "colour": bytes(47)}, "colour"),
        ({"note": "nothing to match"}, "give a sha256"),
        ({"sha256": "a" * 64, "expires_at": datetime(2030, 1, 1)}, "time zone"),
    ],
)
def test_an_entry_that_could_match_nothing_or_the_wrong_thing_is_refused(entry: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        NewEntry(**entry)


def test_the_entry_of_a_flat_picture_is_its_bytes_alone() -> None:
    flat = NewEntry.of(seen(7, quality=49), "review")
    assert (flat.sha256, flat.pdq, flat.colour) == (f"{7:064x}", b"", b"")
    structured = NewEntry.of(seen(7, quality=50), "review")
    assert (structured.pdq, structured.colour) == (bytes(32), COLOUR)


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(("threshold", "bits", "matches"), [(8, 8, True), (8, 9, False), (31, 31, True), (0, 0, True)])
def test_as_many_bits_as_the_threshold_may_differ(
    banks: Banks, database: Database, threshold: int, bits: int, matches: bool, loaded: bool
) -> None:
    """Entries just added and entries loaded at start are looked up in different ways, with the same answer."""
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, threshold=threshold), "ann")
    banks.add("bad", [NewEntry(pdq=flipped(bytes(32), bits), colour=COLOUR)], "ann")
    looked = Banks(BankStore(database)) if loaded else banks
    assert hows(looked, seen(1)) == ([("bad", "near")] if matches else [])


def test_each_bank_keeps_to_its_own_threshold_beside_a_wider_one(banks: Banks) -> None:
    banks.put_bank(Bank("fine", BankKind.ALLOWED, threshold=4), "ann")
    entry = NewEntry(pdq=flipped(bytes(32), 5), colour=COLOUR)
    for bank in ("bad", "fine"):
        banks.add(bank, [entry], "ann")
    assert hows(banks, seen(1)) == [("bad", "near")]


def test_colours_as_far_apart_as_the_limit_still_agree(banks: Banks) -> None:
    other = bytes([COLOUR[0] + 60, *COLOUR[1:]])
    apart = colour_distance(COLOUR, other)
    banks.add("bad", [NewEntry(pdq=bytes(32), colour=other)], "ann")
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, colour_limit=apart), "ann")
    assert hows(banks, seen(1)) == [("bad", "near")]
    assert banks.dry_run(NewEntry(pdq=bytes(32), colour=other), BAD).looked_at == 0
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, colour_limit=apart - 1e-6), "ann")
    assert hows(banks, seen(1)) == []


def test_a_flat_picture_is_known_by_its_bytes_alone(banks: Banks) -> None:
    banks.add("bad", [NewEntry(pdq=bytes(32), colour=COLOUR), NewEntry(sha256=f"{2:064x}")], "ann")
    assert hows(banks, seen(1, quality=50)) == [("bad", "near")]
    assert hows(banks, seen(1, quality=49)) == []
    assert hows(banks, seen(2, quality=49)) == [("bad", "exact")]


def test_an_entry_is_in_force_up_to_its_expiry_and_not_at_it(database: Database) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    moment = [at.timestamp() - 1]
    banks = Banks(BankStore(database), clock=lambda: moment[0])
    banks.put_bank(BAD, "ann")
    banks.add("bad", [NewEntry(sha256=f"{1:064x}", expires_at=at)], "ann")
    assert hows(banks, seen(1)) == [("bad", "exact")]
    moment[0] = at.timestamp()
    assert hows(banks, seen(1)) == []


def test_files_whose_sums_begin_alike_are_different_files(banks: Banks, database: Database) -> None:
    held, other = "ab" * 8 + "0" * 48, "ab" * 8 + "1" * 48
    banks.add("bad", [NewEntry(sha256=held)], "ann")
    for looked in (banks, Banks(BankStore(database))):
        assert hows(looked, sha_of(seen(1, quality=0), held)) == [("bad", "exact")]
        assert hows(looked, sha_of(seen(1, quality=0), other)) == []


def test_the_surest_match_comes_first_and_of_equals_the_nearest(banks: Banks) -> None:
    banks.add("bad", [NewEntry(pdq=flipped(bytes(32), 2))], "ann")
    banks.add("acme", [NewEntry(pdq=flipped(bytes(32), 9), colour=COLOUR)], "ann")
    banks.add("bad", [NewEntry(pdq=flipped(bytes(32), 3), colour=COLOUR), NewEntry(sha256=f"{1:064x}")], "ann")
    found = [(match.how, match.distance) for match in banks.match(seen(1))]
    assert found == [
        (MatchKind.EXACT, 0),
        (MatchKind.NEAR, 3),
        (MatchKind.NEAR, 9),
        (MatchKind.UNCONFIRMED, 2),
    ]


def test_a_hit_says_which_signal_recognised_the_picture(banks: Banks) -> None:
    banks.add("bad", [NewEntry(sha256=f"{1:064x}", source="review"), NewEntry(pdq=flipped(bytes(32), 3))], "ann")
    hits = banks.lookup(seen(1), Listing())
    assert [(hit.signal, hit.distance) for hit in hits] == [(Signal.SHA256, 0), (Signal.PDQ, 3)]
    assert len(banks.hits(seen(1))[0].note) <= 300


def test_a_long_note_is_cut_where_a_record_has_no_room_for_it(banks: Banks) -> None:
    banks.add("bad", [NewEntry(sha256=f"{1:064x}", note="x" * 400)], "ann")
    (hit,) = banks.hits(seen(1))
    assert len(hit.note) == 300


def test_a_dry_run_counts_as_a_lookup_would(banks: Banks) -> None:
    for number, (bits, quality) in enumerate([(0, 100), (8, 100), (9, 100), (0, 49)]):
        banks.lookup(seen(number, flipped(bytes(32), bits), quality=quality), Listing())
    narrow = Bank("bad", BankKind.KNOWN_BAD, threshold=8)
    run = banks.dry_run(NewEntry(pdq=bytes(32), colour=COLOUR), narrow)
    assert (run.looked_at, run.near, run.unconfirmed) == (4, 2, 0)
    assert [distance for _, distance in run.examples] == [0, 8]
    assert banks.dry_run(NewEntry(pdq=bytes(32)), narrow).unconfirmed == 2
    by_bytes = banks.dry_run(NewEntry(sha256=f"{3:064x}"), narrow)
    assert (by_bytes.exact, by_bytes.examples) == (1, ((f"{3:064x}", 0),))


def test_a_dry_run_shows_fifty_examples_and_counts_all(banks: Banks) -> None:
    for number in range(53):
        banks.lookup(seen(number), Listing())
    run = banks.dry_run(NewEntry(pdq=bytes(32), colour=COLOUR), BAD)
    assert (run.near, len(run.examples)) == (53, 50)


def test_fingerprints_seen_are_stored_once_when_a_gate_stops(banks: Banks, database: Database) -> None:
    for number in (1, 2, 1):
        banks.lookup(seen(number), Listing())
    banks.hits(seen(3))
    store = BankStore(database)
    assert list(store.fingerprints_seen()) == [], "they wait for the next refresh"
    banks.stop()
    assert {each.sha256 for page in store.fingerprints_seen() for each in page} == {f"{1:064x}", f"{2:064x}"}
    assert store.fingerprint_of(f"{1:064x}") == seen(1)
    assert store.fingerprint_of(f"{3:064x}") is None


def test_entries_come_a_hundred_at_a_time_and_all_of_them_page_by_page(banks: Banks) -> None:
    added = banks.add("bad", [NewEntry(sha256=f"{number:064x}") for number in range(1101)], "ann")
    assert len(added) == 1101
    first = banks.store.entries("bad")
    assert [each.entry_id for each in first] == list(added[:100])
    following = banks.store.entries("bad", after=first[-1].entry_id)
    assert following[0].entry_id == added[100]
    assert [each.entry_id for each in banks.store.every_entry("bad")] == list(added)
    assert banks.store.counts() == {"bad": 1101}
    banks.remove(added[0], "ann")
    assert banks.store.counts() == {"bad": 1100}
    assert banks.store.entries("bad", limit=1)[0].entry_id == added[1]


def test_a_bank_keeps_its_kind_and_only_banks_that_exist_are_added_to(banks: Banks) -> None:
    with pytest.raises(UsageError, match="is of kind known_bad"):
        banks.put_bank(Bank("bad", BankKind.ALLOWED), "ann")
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, threshold=3, note="narrower"), "ann")
    assert (banks.store.bank("bad").threshold, banks.store.bank("bad").note) == (3, "narrower")
    for act in (lambda: banks.store.bank("wrong"), lambda: banks.add("wrong", [NewEntry(sha256="a" * 64)], "ann")):
        with pytest.raises(UsageError, match="there are: acme, bad, fine"):
            act()
    with pytest.raises(UsageError, match="no bank entry 77"):
        banks.store.entry(77)


def test_what_was_removed_may_be_added_again(banks: Banks) -> None:
    entry = NewEntry(sha256=f"{1:064x}")
    (first,) = banks.add("bad", [entry], "ann")
    banks.remove(first, "ann")
    (second,) = banks.add("bad", [entry], "ann")
    assert second != first
    assert hows(banks, seen(1)) == [("bad", "exact")]
    assert banks.store.entry(first).removed_at is not None


def test_the_same_look_with_other_bytes_is_another_entry(banks: Banks) -> None:
    banks.add("bad", [NewEntry(f"{1:064x}", bytes(32), 100, COLOUR)], "ann")
    assert len(banks.add("bad", [NewEntry(f"{2:064x}", bytes(32), 100, COLOUR)], "ann")) == 1
    assert banks.add("bad", [NewEntry(pdq=bytes(32))], "ann") == (), "a hash alone that is held says nothing new"


def test_the_version_moves_with_every_change_and_stays_without(banks: Banks) -> None:
    versions = [banks.version]
    (entry_id,) = banks.add("bad", [NewEntry(sha256="a" * 64)], "ann")
    versions.append(banks.version)
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, threshold=3), "ann")
    versions.append(banks.version)
    banks.remove(entry_id, "ann")
    versions.append(banks.version)
    assert len(set(versions)) == 4
    banks.match(seen(1))
    banks.refresh()
    assert banks.version == versions[-1]


def test_a_batch_longer_than_the_tail_is_indexed_as_after_a_restart(
    banks: Banks, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zhentu.banks.snapshot._TAIL", 5)
    empty = banks.state().byte_count
    banks.add("bad", [NewEntry(pdq=bytes([number]) * 32) for number in range(5)], "ann")
    in_the_tail = banks.state().byte_count - empty
    banks.add("bad", [NewEntry(pdq=bytes([100 + number]) * 32) for number in range(7)], "ann")
    assert banks.state().byte_count == Banks(BankStore(database)).state().byte_count
    assert banks.state().byte_count - empty > in_the_tail * 12 / 5, "an index takes more than a list"
    assert all(hows(banks, seen(1, bytes([number]) * 32)) for number in (0, 4, 100, 106))


def grey(columns: tuple[int, int]) -> np.ndarray:
    """64 x 64 pixels whose columns alternate between two levels: no filter stands between them and the quality."""
    return np.repeat(np.tile(np.array(columns, np.uint8), (64, 32))[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("columns", "quality"),
    [
        ((100, 102), 0),  # a step of 0.78 % of the range is none
        ((100, 103), 44),  # 64 rows of 63 steps, each 1 % and a bit: 4032 / 90
        ((100, 106), 89),  # each counts twice
        ((100, 120), 100),
    ],
)
def test_quality_counts_steps_of_whole_per_cents(columns: tuple[int, int], quality: int) -> None:
    assert pdq_hash(grey(columns))[1] == quality
    assert pdq_hash(grey(columns).swapaxes(0, 1).copy())[1] == quality


def test_half_the_bits_of_a_hash_are_set() -> None:
    assert sum(byte.bit_count() for byte in pdq_hash(waves(64, 64))[0]) == 128


def test_colours_lie_between_the_same_and_black_against_white() -> None:
    black, white = bytes(48), b"\xff" * 48
    assert colour_distance(black, black) == 0
    assert colour_distance(black, white) == pytest.approx(1, abs=1e-5)
    one_cell = b"\xff" * 3 + bytes(45)
    assert colour_distance(black, one_cell) == pytest.approx(1, abs=1e-5), "the largest of the cells, not their mean"


def test_a_recompressed_copy_of_a_large_picture_is_recognised(banks: Banks) -> None:
    banks.add("bad", [NewEntry.of(fingerprint_of(picture(3)), "review")], "ann")
    assert hows(banks, fingerprint_of(picture(3, "JPEG", quality=30))) == [("bad", "near")]
