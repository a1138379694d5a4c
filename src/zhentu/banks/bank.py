"""The banks as a process uses them: looked up in memory, changed in the database, in step within a minute."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zhentu.banks.entries import Bank, BankState, Match, MatchKind, NewEntry
from zhentu.banks.hashing import HASH_BYTES, MATCH_DISTANCE, colour_distance
from zhentu.banks.index import distances
from zhentu.banks.snapshot import Snapshot
from zhentu.banks.store import BankStore, Changes
from zhentu.errors import StoreError
from zhentu.types import BankHit, BankKind, Fingerprint, Listing, Signal

_log = logging.getLogger(__name__)
_SEEN = 20_000  # fingerprints waiting for the next refresh; while the database is down the oldest are dropped
_REFRESH_S = (15.0, 45.0)  # drawn anew each time, so that a hundred gates do not ask the database at once

HOW = {  # for BankHit.note, and so for a record's evidence
    MatchKind.EXACT: "the same file",
    MatchKind.NEAR: "plain copy: shape and colours agree",
    MatchKind.ALTERED: "altered copy: the shape agrees, the colours do not",
    MatchKind.UNCONFIRMED: "shape alone agrees; the entry has no colours to confirm it",
}


@dataclass(frozen=True, slots=True)
class DryRun:
    """What an entry would have matched among pictures seen. examples: sha256 of the nearest, at most 50."""

    looked_at: int
    exact: int
    near: int
    altered: int
    unconfirmed: int
    examples: tuple[tuple[str, int], ...]


class Banks:
    """All banks; a BankPort. Lookups never touch the database, except for the words of a hit.

    clock: seconds since 1970. Several threads may ask at once. Raises StoreError if the banks cannot be loaded.
    """

    def __init__(self, store: BankStore, clock: Callable[[], float] = time.time) -> None:
        self.store, self._clock = store, clock
        self._snapshot = _first(store.changes(-1))
        self._changing = threading.Lock()
        self._seen: deque[Fingerprint] = deque(maxlen=_SEEN)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def match(self, fingerprint: Fingerprint, seller_id: str = "") -> tuple[Match, ...]:
        """Every entry in force that the picture matches, surest first.

        A brand's own sellers use its originals freely: no match for them. seller_id: as `Listing.seller` names it.
        """
        found = self._snapshot.match(fingerprint, self._clock())
        return tuple(each for each in found if not (seller_id and seller_id in each.bank.owners))

    def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
        """The same as a BankPort; needs no database, so the gate keeps working while it is down.

        The fingerprint is kept, at the next refresh, for dry runs and near-duplicate groups.
        """
        self._seen.append(fingerprint)
        return self.hits(fingerprint, listing.seller)

    def hits(self, fingerprint: Fingerprint, seller_id: str = "") -> tuple[BankHit, ...]:
        """The same as `lookup`, without keeping the fingerprint."""
        return tuple(self._hit(match) for match in self.match(fingerprint, seller_id))

    @property
    def version(self) -> str:
        """A text that differs after every change of the banks."""
        return str(self._snapshot.revision)

    def put_bank(self, bank: Bank, by: str) -> None:
        """Make a bank or change its settings. Raises UsageError."""
        self.store.put_bank(bank, by)
        self.refresh()

    def add(self, bank: str, entries: list[NewEntry], by: str) -> tuple[int, ...]:
        """Add entries that the bank does not hold yet; returns their ids. Raises UsageError."""
        added = self.store.add(bank, entries, by)
        self.refresh()
        return added

    def remove(self, entry_id: int, by: str) -> None:
        """Take an entry out of force. Raises UsageError."""
        self.store.remove(entry_id, by)
        self.refresh()

    def state(self) -> BankState:
        """What is in force in this process."""
        return self._snapshot.state()

    def refresh(self) -> bool:
        """Load changes from the database; True if there were any. Lookups continue meanwhile."""
        with self._changing:
            self._keep_seen()
            old = self._snapshot
            if self.store.revision() == old.revision:
                return False
            new = self.store.changes(old.revision, old.names)
            self._snapshot = old.updated(new.banks, new.names, new.columns, set(new.gone), new.revision)
            return True

    def start(self) -> None:
        """Refresh in the background, every 15 to 45 seconds, until `stop`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_fresh, name="bank-refresh", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the background refresh, and store the fingerprints seen."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            with self._changing:
                self._keep_seen()
        except StoreError as error:  # a store that is down must not keep a gate from stopping
            _log.warning("fingerprints of the last pictures were not kept: %s", error)

    def dry_run(self, entry: NewEntry, bank: Bank) -> DryRun:
        """What an entry would match among the pictures seen, under a bank's settings (except its enabled ratio)."""
        self.refresh()
        counts = dict.fromkeys(MatchKind, 0)
        looked_at, examples = 0, []
        sought = np.frombuffer(entry.pdq, np.uint8) if entry.pdq else None
        for page in self.store.fingerprints_seen():
            looked_at += len(page)
            bits = np.full(len(page), 255, np.uint8)
            if sought is not None:
                hashes = b"".join(each.pdq or bytes(HASH_BYTES) for each in page)  # scans keep no unusable ones
                words = np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES).view(np.uint64)
                bits = distances(words, sought)
            for place in range(len(page)):
                how = _would_match(entry, bank, page[place], int(bits[place]))
                if how is not None:
                    counts[how] += 1
                    examples.append((page[place].sha256, 0 if how is MatchKind.EXACT else int(bits[place])))
        examples.sort(key=lambda each: each[1])
        exact, near, altered, unconfirmed = (counts[how] for how in MatchKind)
        return DryRun(looked_at, exact, near, altered, unconfirmed, tuple(examples[:50]))

    def _hit(self, match: Match) -> BankHit:
        try:
            entry = self.store.database.patiently(lambda: self.store.entry(match.entry_id)).entry
        except StoreError:  # the match counts without its note
            entry = NewEntry(sha256="0" * 64)
        words = [HOW[match.how]]
        if match.colour_distance is not None:
            words.append(f"colour distance {match.colour_distance:.2f}")
        if match.bank.brand:
            words.append(f"brand {match.bank.brand}")
        words += [each for each in (entry.note, match.bank.note) if each]
        signal = Signal.SHA256 if match.how is MatchKind.EXACT else Signal.PDQ
        note = "; ".join(words)[:300]
        return BankHit(
            match.bank.name, match.bank.kind, str(match.entry_id), signal, match.distance, entry.source, note
        )

    def _keep_seen(self) -> None:
        seen = {}
        while self._seen:
            fingerprint = self._seen.popleft()
            seen[fingerprint.sha256] = fingerprint
        self.store.remember(list(seen.values()))

    def _keep_fresh(self) -> None:
        while not self._stop.wait(random.uniform(*_REFRESH_S)):  # noqa: S311 - jitter, not a secret
            try:
                self.refresh()
            except StoreError as error:  # the banks known so far stay in force; the next round tries again
                _log.warning("banks were not refreshed: %s", error)


def _first(changes: Changes) -> Snapshot:
    return Snapshot(changes.banks, changes.names, changes.columns, changes.revision)


def _would_match(entry: NewEntry, bank: Bank, fingerprint: Fingerprint, distance: int) -> MatchKind | None:
    if entry.sha256 and entry.sha256 == fingerprint.sha256:
        return MatchKind.EXACT
    if not entry.pdq or not fingerprint.usable or distance > min(bank.threshold, MATCH_DISTANCE):
        return None
    if not entry.colour:
        return MatchKind.UNCONFIRMED
    if colour_distance(entry.colour, fingerprint.colour) <= bank.colour_limit:
        return MatchKind.NEAR
    return MatchKind.ALTERED if bank.kind is BankKind.BRAND_ORIGINAL else None
