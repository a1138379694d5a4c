from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from bank_fixtures import BAD, BRAND
from conftest import encoded
from pictures import recoloured, waves
from PIL import Image
from review_fixtures import record
from served import until

from zhentu.banks.bank import Banks
from zhentu.banks.entries import Bank, MatchKind, NewEntry
from zhentu.banks.exchange import read_entries, write_entries
from zhentu.banks.hashing import fingerprint_of
from zhentu.banks.store import BankStore
from zhentu.errors import UsageError
from zhentu.ids import new_id
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.record import audit
from zhentu.record.database import Database
from zhentu.record.known import KnownStore, ScannedRecord
from zhentu.types import BankKind, Fingerprint, Listing, Picture, Signal

LIMITS = DecodeLimits(30 << 20, 50_000_000, 20_000, 32)


def picture(seed: int = 1, form: str = "PNG", **options: object) -> Picture:
    return decode(encoded(Image.fromarray(waves(240, 320, seed)), form, **options), LIMITS)


def other_colours(original: Picture) -> Picture:
    return Picture(recoloured(original.rgb), "c" * 64, "PNG", 1)


def sha_of(fingerprint: Fingerprint, sha256: str) -> Fingerprint:
    return Fingerprint(sha256, fingerprint.pdq, fingerprint.quality, fingerprint.colour)


def hows(banks: Banks, fingerprint: Fingerprint, seller: str = "") -> list[tuple[str, str]]:
    return [(match.bank.name, match.how.value) for match in banks.match(fingerprint, seller)]


def test_the_same_file_and_a_recompressed_copy_match(banks: Banks):
    banks.add("bad", [NewEntry.of(fingerprint_of(picture()), "review")], "ann")
    assert hows(banks, fingerprint_of(picture())) == [("bad", "exact")]
    assert hows(banks, fingerprint_of(picture(form="JPEG", quality=40))) == [("bad", "near")]
    assert hows(banks, fingerprint_of(picture(seed=2))) == []


def test_one_shape_in_two_colours_is_no_match_with_a_known_bad_picture(banks: Banks):
    banks.add("bad", [NewEntry.of(fingerprint_of(picture()), "review")], "ann")
    assert hows(banks, fingerprint_of(other_colours(picture()))) == []


def test_a_recoloured_brand_original_is_an_altered_copy_and_the_brand_may_use_its_own(banks: Banks):
    banks.add("acme", [NewEntry.of(fingerprint_of(picture()), "brand")], "ann")
    assert hows(banks, fingerprint_of(other_colours(picture()))) == [("acme", "altered")]
    assert hows(banks, fingerprint_of(picture()), "other-shop") == [("acme", "exact")]
    assert hows(banks, fingerprint_of(picture()), "acme-shop") == []


def test_a_hash_from_elsewhere_without_colours_stays_unconfirmed(banks: Banks):
    fingerprint = fingerprint_of(picture())
    banks.add("bad", [NewEntry(pdq=fingerprint.pdq, source="partner")], "ann")
    assert hows(banks, fingerprint) == [("bad", "unconfirmed")]


def test_thresholds_are_the_banks_own(banks: Banks):
    fingerprint = fingerprint_of(picture())
    other = bytes([fingerprint.pdq[0] ^ 0xFF, *fingerprint.pdq[1:]])  # eight bits away
    banks.add("bad", [NewEntry(pdq=other, colour=fingerprint.colour)], "ann")
    assert hows(banks, fingerprint) == [("bad", "near")]
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, threshold=7), "ann")
    assert hows(banks, fingerprint) == []


def test_expired_and_removed_entries_are_out_of_force(banks: Banks):
    one, two = fingerprint_of(picture(1)), fingerprint_of(picture(2))
    past = datetime.now(UTC) - timedelta(seconds=1)
    banks.add("bad", [NewEntry(sha256=one.sha256, expires_at=past)], "ann")
    (entry_id,) = banks.add("bad", [NewEntry(sha256=two.sha256)], "ann")
    assert hows(banks, one) == []
    assert hows(banks, two) == [("bad", "exact")]
    banks.remove(entry_id, "ann")
    assert hows(banks, two) == []
    with pytest.raises(UsageError, match="in force"):
        banks.remove(entry_id, "ann")


def test_a_staged_bank_asks_about_the_same_share_of_pictures_every_time(banks: Banks):
    fingerprint = fingerprint_of(picture())
    banks.add("bad", [NewEntry(pdq=fingerprint.pdq, colour=fingerprint.colour)], "ann")
    banks.put_bank(Bank("bad", BankKind.KNOWN_BAD, enabled_ratio=0.25), "ann")
    prints = [sha_of(fingerprint, f"{number:08x}" + "0" * 56) for number in range(400)]
    asked = [bool(banks.match(each)) for each in prints]
    assert asked == [bool(banks.match(each)) for each in prints]
    assert abs(np.mean(asked) - 0.25) < 0.06


def test_other_processes_take_changes_over_when_they_refresh(banks: Banks, database: Database):
    other = Banks(BankStore(database))
    fingerprint = fingerprint_of(picture())
    (entry_id,) = banks.add("bad", [NewEntry.of(fingerprint, "review")], "ann")
    assert hows(other, fingerprint) == []
    assert other.refresh()
    assert hows(other, fingerprint) == [("bad", "exact")]
    banks.remove(entry_id, "ann")
    other.refresh()
    assert hows(other, fingerprint) == []
    assert not other.refresh()


def test_a_restarted_process_loads_everything(banks: Banks, database: Database):
    banks.add("bad", [NewEntry.of(fingerprint_of(picture(seed)), "review") for seed in range(20)], "ann")
    again = Banks(BankStore(database))
    assert again.state().entries == {"acme": 0, "bad": 20, "fine": 0}
    assert all(hows(again, fingerprint_of(picture(seed))) == [("bad", "exact")] for seed in range(20))


def test_refresh_goes_on_by_itself_at_random_moments(banks: Banks, database: Database, monkeypatch):
    drawn: list[tuple[float, float]] = []
    monkeypatch.setattr("random.uniform", lambda low, high: drawn.append((low, high)) or 0.01)
    other = Banks(BankStore(database))
    other.start()
    banks.add("bad", [NewEntry.of(fingerprint_of(picture()), "review")], "ann")
    until(lambda: bool(hows(other, fingerprint_of(picture()))))
    other.stop()
    assert hows(other, fingerprint_of(picture())) == [("bad", "exact")]
    low, high = drawn[0]
    assert low < high <= 45  # live within a minute, and not all at once


def test_adding_an_entry_twice_keeps_one(banks: Banks):
    entry = NewEntry.of(fingerprint_of(picture()), "review")
    assert len(banks.add("bad", [entry, entry], "ann")) == 1
    assert banks.add("bad", [entry], "ann") == ()


def test_a_dry_run_says_what_an_entry_would_have_hit(banks: Banks):
    for each in (picture(), picture(form="JPEG", quality=50), other_colours(picture()), picture(seed=5)):
        banks.lookup(fingerprint_of(each), Listing())
    entry = NewEntry.of(fingerprint_of(picture()), "review")
    run = banks.dry_run(entry, BAD)
    assert (run.looked_at, run.exact, run.near, run.altered) == (4, 1, 1, 0)
    assert run.examples[0] == (picture().sha256, 0)
    assert banks.dry_run(entry, BRAND).altered == 1
    assert banks.state().entries["bad"] == 0


def test_hits_name_bank_signal_source_and_what_differs(banks: Banks):
    banks.add("acme", [NewEntry.of(fingerprint_of(picture()), "Acme Ltd", note="spring catalogue")], "ann")
    (hit,) = banks.lookup(fingerprint_of(other_colours(picture())), Listing(seller_id="other"))
    assert (hit.bank, hit.kind, hit.signal, hit.source) == ("acme", BankKind.BRAND_ORIGINAL, Signal.PDQ, "Acme Ltd")
    assert "altered copy" in hit.note
    assert "brand Acme" in hit.note
    assert "spring catalogue" in hit.note


def test_csv_gives_the_same_bank_back(banks: Banks):
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    full = NewEntry.of(fingerprint_of(picture()), "review", "seller-1", 'a, "note"\nin two lines')
    entries = [full, NewEntry(pdq=bytes(range(32)), source="partner"), NewEntry(sha256="ab" * 32, expires_at=expires)]
    banks.add("bad", entries, "ann")
    stream = io.StringIO()
    assert write_entries(stream, BAD, banks.store.every_entry("bad")) == 3
    assert stream.getvalue().startswith("signal_type,signal_str,collab,category,tags,")
    stream.seek(0)
    again, problems = read_entries(stream, "file")
    assert problems == []
    assert again == [entries[0], entries[1], NewEntry(sha256="ab" * 32, source="file", expires_at=expires)]


def test_csv_of_other_tools_is_taken_and_bad_lines_are_named():
    lines = ["signal_type,signal_str,collab,category,tags", f"pdq,{'F0' * 32},Sample,seed,bully", "pdq,xyz,,,"]
    lines += ["video_md5,abc,,,", f"sha256,{'1' * 64},,,"]
    entries, problems = read_entries(io.StringIO("\n".join(lines)), "partner.csv")
    assert [(each.pdq.hex(), each.sha256, each.source) for each in entries] == [
        ("f0" * 32, "", "bully"),
        ("", "1" * 64, "partner.csv"),
    ]
    assert [problem.line for problem in problems] == [3, 4]
    with pytest.raises(UsageError, match="signal_type"):
        read_entries(io.StringIO("a,b\n1,2\n"), "x")


@pytest.mark.parametrize("text", ["a\rb,c\n", "signal_type,signal_str\nsha256,a\rb\n", "x" * 200_000])
def test_what_is_no_csv_is_said_wherever_it_breaks(text: str) -> None:
    """A stray line end in the header once answered 500: the header is read before the first row."""
    with pytest.raises(UsageError, match=r"not a CSV file|must begin with a header"):
        read_entries(io.StringIO(text), "partner.csv")


def test_every_problem_of_a_bank_or_an_entry_is_named():
    with pytest.raises(UsageError, match=r"name.*threshold.*enabled_ratio.*brand"):
        Bank("a b", BankKind.BRAND_ORIGINAL, threshold=40, enabled_ratio=2)
    with pytest.raises(UsageError, match=r"sha256.*colour"):
        NewEntry(sha256="XYZ", colour=b"1")
    with pytest.raises(UsageError, match="quality 10"):
        NewEntry(pdq=bytes(32), quality=10)


def test_changes_of_banks_are_audited(banks: Banks, database: Database):
    banks.add("bad", [NewEntry(sha256="ab" * 32)], "ann")
    acts = [(each.actor, each.act) for each in audit.entries(database, "bank:bad")]
    assert acts == [("ann", "bank.put"), ("ann", "bank.add")]
    assert audit.verify(database).broken_at is None


def test_a_long_tail_becomes_part_of_the_index(banks: Banks, monkeypatch):
    monkeypatch.setattr("zhentu.banks.snapshot._TAIL", 5)
    prints = [fingerprint_of(picture(seed)) for seed in range(12)]
    for each in prints:
        banks.add("bad", [NewEntry.of(each, "review")], "ann")
    assert all(hows(banks, each) == [("bad", MatchKind.EXACT.value)] for each in prints)
    assert banks.state().entries["bad"] == 12


def test_a_dry_run_looks_at_what_scans_kept_too(banks: Banks):
    asked, scanned = fingerprint_of(picture()), fingerprint_of(picture(form="JPEG", quality=50))
    banks.lookup(asked, Listing())
    for model in ("a" * 64, "b" * 64):  # scored by two models, and counted once
        told = replace(record(1, sha256=scanned.sha256), record_id=new_id())
        told = replace(told, verdict=replace(told.verdict, model=replace(told.verdict.model, sha256=model)))
        KnownStore(banks.store.database).keep([ScannedRecord(told, model, scanned)])
    KnownStore(banks.store.database).keep([ScannedRecord(record(2, sha256=asked.sha256), "c" * 64, asked)])
    flat = Fingerprint("f" * 64, bytes(32), 0, bytes(48))
    KnownStore(banks.store.database).keep([ScannedRecord(record(3, sha256=flat.sha256), "d" * 64, flat)])
    run = banks.dry_run(NewEntry.of(asked, "review"), BAD)
    assert (run.looked_at, run.exact, run.near) == (3, 1, 1)
    assert banks.dry_run(NewEntry(pdq=bytes(32), colour=bytes(48)), BAD).near == 0  # a flat picture is like no other
