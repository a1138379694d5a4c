"""Score the same bytes once: what earlier scans know, and which worker of this scan is scoring what."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from zhentu.record.known import KnownStore, decision_digest
from zhentu.types import Fingerprint, Listing, Record

_WAIT_S = 30.0  # seconds for another worker's claim to be written


class Standing(StrEnum):
    """What is known about a picture's bytes."""

    NEW = "new"  # score them: nobody else will
    UNDER_WAY = "under way"  # another worker of this scan is scoring them; ask again later
    SCORED = "scored"  # the verdict is known, the decision is not
    DECIDED = "decided"  # exactly this decision is on record


@dataclass(frozen=True, slots=True)
class Question:
    """A picture, and what its decision depends on. references: those it would be compared with."""

    seq: int
    sha256: str
    path: str
    listing: Listing
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """record: set if the standing is `scored` or `decided`; so is fingerprint, unless a bank decided alone."""

    standing: Standing
    record: Record | None = None
    fingerprint: Fingerprint | None = None


class KnownPicturesPort(Protocol):
    """Knows pictures; each worker has its own, or asks a shared one over the network."""

    def ask(self, question: Question) -> Answer:
        """What is known about a picture. Raises StoreError."""
        ...


class Claims:
    """Which worker scores which bytes in this run, in a file shared by all workers of a machine."""

    def __init__(self, path: Path) -> None:
        self._sql = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        self._sql.execute("PRAGMA journal_mode=WAL")
        self._sql.execute("PRAGMA synchronous=OFF")  # worthless after a crash
        self._sql.execute("CREATE TABLE IF NOT EXISTS claims (sha256 TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID")

    def take(self, sha256: str, seq: int) -> bool:
        """Whether `seq` is the one to score these bytes; asking again gives the same answer."""
        if self._sql.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (sha256, seq)).rowcount == 1:
            return True
        return bool(self._sql.execute("SELECT seq = ? FROM claims WHERE sha256 = ?", (seq, sha256)).fetchone()[0])

    def clear(self) -> None:
        """Begin a pass: claims of a killed run or of an earlier pass must not block anything."""
        self._sql.execute("DELETE FROM claims")

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    @staticmethod
    def remove(path: Path) -> None:
        """Remove the file after a run."""
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


class KnownPictures:
    """What the store and this run's claims know.

    rules: by sha256 of each model whose scores count (see `--rescan-below`), the digest of what decides with it.
    alone: the digest of what decides if banks may have decided without scores; "" without banks.
    """

    def __init__(self, store: KnownStore, claims: Claims, rules: Mapping[str, str], alone: str = "") -> None:
        self._store, self._claims, self._rules, self._alone = store, claims, dict(sorted(rules.items())), alone

    def ask(self, question: Question) -> Answer:
        """What is known about a picture; if its bytes are new, the caller must score them."""
        known = self._store.verdict(question.sha256, list(self._rules))
        if known and known.record.verdict:
            record = self._store.decision(digest_for(question, self._rules[known.record.verdict.model.sha256]))
            standing = Standing.DECIDED if record else Standing.SCORED
            return Answer(standing, record or known.record, known.fingerprint)
        if self._alone and (record := self._store.decision(digest_for(question, self._alone))):
            return Answer(Standing.DECIDED, record)
        return Answer(Standing.NEW if self._claims.take(question.sha256, question.seq) else Standing.UNDER_WAY)


def digest_for(question: Question, rules: str) -> str:
    """The decision a question asks for, under these rules."""
    return decision_digest(question.sha256, rules, question.path, question.listing, question.references)
