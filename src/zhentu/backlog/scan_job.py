"""Jobs on disk: their folder, their description, and the lock that shows that somebody is at work."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from zhentu.atomic import write_whole
from zhentu.backlog.ledger import Ledger, Shard
from zhentu.backlog.outputs import is_folder
from zhentu.backlog.reading import is_url
from zhentu.backlog.sources import QUERY
from zhentu.errors import UsageError
from zhentu.record.private import private_folder

_DESCRIPTION = "job.json"
_LISTING_FIELDS = ("sources", "limit", "shard", "exclude", "look_inside", "encoding", "delimiter", "schemes")


@dataclass(frozen=True, slots=True)
class ScanJob:
    """What to scan and where rows go.

    output: a file (.csv, .jsonl, .parquet), or a folder for Parquet parts and all views; None = rows are only shown.
    workers: 0 = one per core.  resume: continue an interrupted job of the same output.  goods: goods category of
    pictures whose manifest gives none.  store: keep records, and recognise pictures that have them.  limit: at most
    this many pictures.  shard: which part of the backlog.  database: SQLAlchemy URL for "sql:" sources.
    rescan_below: scores of this model from this version on count as known; "" = only those of the model in force.
    engine: "local" or "ray".  reads_per_second: requests to the source, 0 = no limit.  attempts: per read.
    max_load: no picture is started while the machine's one-minute load is above this, 0 = no limit.
    exclude: patterns of paths that are left out.  look_inside: identify objects with an unclear name by their first
    bytes. encoding, delimiter: of CSV sheets, "" = guessed.  schemes: of URLs that sheets may name in addition to the
    usual stores.  overwrite: an output may replace a file that is none of a scan.
    """

    sources: tuple[str, ...]
    output: Path | None = None
    workers: int = 0
    resume: bool = True
    goods: str = ""
    store: bool = True
    limit: int | None = None
    shard: Shard = field(default_factory=Shard)
    database: str = ""
    rescan_below: str = ""
    engine: str = "local"
    ray_address: str = ""
    reads_per_second: float = 0.0
    attempts: int = 5
    max_load: float = 0.0
    exclude: tuple[str, ...] = ()
    look_inside: bool = True
    encoding: str = ""
    delimiter: str = ""
    schemes: tuple[str, ...] = ()
    overwrite: bool = False

    def same_pictures(self, other: ScanJob) -> bool:
        """Whether both mean the same pictures, so that one may continue where the other was stopped."""
        return all(getattr(self, name) == getattr(other, name) for name in _LISTING_FIELDS)


@dataclass(frozen=True, slots=True)
class JobPlace:
    """A job on disk. versions: what its rows depend on besides pictures.  cwd: what its paths are relative to."""

    job_id: str
    folder: Path
    versions: str
    started_at: datetime
    job: ScanJob
    cwd: str = ""

    @property
    def parts(self) -> Path:
        """Where its Parquet parts are."""
        output = self.job.output
        return (output if output and is_folder(output) else self.folder) / "parts"

    @property
    def claims(self) -> Path:
        """The file of the claims of a run."""
        return self.folder / "claims.db"

    def ledger(self, looking: bool = False) -> Ledger:
        """Open its ledger; `looking` only reads it."""
        return Ledger(self.folder, self.parts, looking)

    def save(self) -> None:
        """Write the description. A password in a database URL is not written and must be given again."""
        private_folder(self.folder)
        job = asdict(replace(self.job, database=""))
        job["output"] = str(self.job.output.resolve()) if self.job.output else None
        described = {
            "job_id": self.job_id,
            "versions": self.versions,
            "started_at": self.started_at.isoformat(),
            "cwd": self.cwd,
            "job": job,
        }
        path = self.folder / _DESCRIPTION
        write_whole(path, json.dumps(described, indent=1).encode())

    @staticmethod
    def load(folder: Path) -> JobPlace:
        """The job described in `folder`. Raises UsageError if there is none."""
        try:
            described = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            known = {each.name for each in fields(ScanJob)}
            job: dict[str, Any] = {name: value for name, value in described["job"].items() if name in known}
            output = job["output"]
            job |= {
                "sources": tuple(job["sources"]),
                "exclude": tuple(job.get("exclude", ())),
                "schemes": tuple(job.get("schemes", ())),
                "output": Path(output) if output else None,
                "shard": Shard(**job["shard"]),
            }
            return JobPlace(
                described["job_id"],
                folder,
                described["versions"],
                datetime.fromisoformat(described["started_at"]),
                ScanJob(**job),
                described["cwd"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{folder}: holds no readable job: {error}") from error

    def check_folder(self) -> None:
        """Raise UsageError if its paths would mean other pictures from here."""
        relative = [each for each in self.job.sources if not (is_url(each) or each.startswith(("/", QUERY)))]
        if relative and Path(self.cwd) != Path.cwd():
            raise UsageError(f"{self.job_id}: its paths are relative to {self.cwd}; run the command there")

    def remove(self) -> None:
        """Remove everything of the job except its output."""
        shutil.rmtree(self.folder, ignore_errors=True)


def new_place(jobs: Path, job: ScanJob, versions: str) -> JobPlace:
    """A new job in the folder of jobs; its identifier sorts by time."""
    now = datetime.now(UTC)
    job_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return JobPlace(job_id, jobs / job_id, versions, now, job, str(Path.cwd()))


class OutputClaim:
    """One scan per output at a time, and which job is writing it; the lock ends with the process in any case.

    Raises UsageError if another scan is writing the same output.
    """

    def __init__(self, jobs: Path, output: Path) -> None:
        folder = jobs / "outputs"
        private_folder(folder)
        self._path = folder / hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:32]
        self._lock = _locked(self._path, f"{output}: another scan is writing it; wait for it or name another output")

    def unfinished(self) -> str:
        """The identifier of the job that began this output and did not finish, "" if there is none."""
        self._lock.seek(0)
        return self._lock.read().strip()

    def note(self, job_id: str) -> None:
        """Note which job writes the output; "" once it is finished."""
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(job_id)
        self._lock.flush()
        os.fsync(self._lock.fileno())

    def close(self) -> None:
        """Let others write."""
        self._lock.close()


class JobLock:
    """Hold a job's lock. Raises UsageError if another process holds it."""

    def __init__(self, place: JobPlace) -> None:
        private_folder(place.folder)
        self._lock = _locked(
            place.folder / "lock", f"{place.job_id}: another process is working on this job; wait for it"
        )

    def close(self) -> None:
        """Let others work."""
        self._lock.close()


def is_running(folder: Path) -> bool:
    """Whether a process of this machine is working on the job in `folder`."""
    if not (folder / "lock").exists():
        return False
    try:
        _locked(folder / "lock", "").close()
    except UsageError:
        return True
    return False


def _locked(path: Path, message: str) -> IO[str]:
    stream = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        raise UsageError(message) from error
    return stream
