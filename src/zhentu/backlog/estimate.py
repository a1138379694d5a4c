"""What a scan would cost, estimated from a sample that is read and screened but not kept."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from zhentu.backlog.finding import access_of, finding_of
from zhentu.backlog.ledger import Ledger
from zhentu.backlog.picture import PictureOutcome, WorkSpec, build_work
from zhentu.backlog.scan_job import ScanJob
from zhentu.backlog.sources import find_items
from zhentu.bootstrap.models import accepted_models
from zhentu.bootstrap.stores import build_store
from zhentu.settings import Settings

_SAMPLE = 48
_WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate from a sample spread evenly over the listing.

    seconds_per_picture: of one core, reading included.  bytes_per_picture: mean.  actions: of the sample, "error" for
    unreadable ones.  known: of the sample, scored before.  requests: to the source, one a picture.
    """

    pictures: int
    sampled: int
    seconds_per_picture: float
    bytes_per_picture: float
    actions: Mapping[str, int]
    known: int
    workers: int
    requests: int

    @property
    def core_hours(self) -> float:
        """Hours of one core for the whole listing."""
        return self.pictures * self.seconds_per_picture / 3600

    @property
    def seconds(self) -> float:
        """Wall-clock seconds with `workers` cores, all busy."""
        return self.pictures * self.seconds_per_picture / max(self.workers, 1)

    def cost(self, per_core_hour: float, per_1000_requests: float = 0.0) -> float:
        """Money, in the unit of the prices."""
        return self.core_hours * per_core_hour + self.requests / 1000 * per_1000_requests


def estimate(job: ScanJob, settings: Settings, sample: int = _SAMPLE) -> Estimate:
    """List everything, screen a sample on one core, and keep nothing. Raises UsageError as a scan does."""
    with tempfile.TemporaryDirectory(prefix="zhentu-dry-run-") as temporary:
        folder = Path(temporary)
        with closing(Ledger(folder, folder / "parts")) as ledger:
            ledger.list_items(find_items(job.sources, finding_of(job, settings)), job.shard, job.limit)
            total, chosen = ledger.total, ledger.sample(sample)
        if job.store:
            build_store(settings).close()  # raises here when the store is unusable
        accepted = accepted_models(settings, job.rescan_below)
        spec = WorkSpec(
            settings,
            accepted,
            folder / "claims.db",
            job.store,
            reads_per_second=job.reads_per_second,
            attempts=job.attempts,
            access=access_of(job, settings),
        )
        work = build_work(spec)
        work(chosen[:_WARM_UP])  # the first pictures pay for memory that later ones reuse
        began = time.perf_counter()
        outcomes: list[PictureOutcome] = work(chosen)
        seconds = time.perf_counter() - began
    rows = [outcome.row for outcome in outcomes if outcome.row]
    return Estimate(
        pictures=total,
        sampled=len(chosen),
        seconds_per_picture=seconds / max(len(chosen), 1),
        bytes_per_picture=sum(outcome.byte_count for outcome in outcomes) / max(len(chosen), 1),
        actions=Counter(row.action or "error" for row in rows),
        known=sum(row.known for row in rows),
        workers=job.workers or settings.worker_count,
        requests=total,
    )
