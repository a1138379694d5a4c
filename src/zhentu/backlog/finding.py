"""How a job's description applies to listing and reading: built from the job and the settings in one place."""

from __future__ import annotations

from zhentu.backlog.manifests import OnSheet, SheetForm
from zhentu.backlog.reading import Access, Reader
from zhentu.backlog.scan_job import ScanJob
from zhentu.backlog.sources import Finding
from zhentu.bootstrap.screener import limits_of
from zhentu.intake.find import Taking
from zhentu.intake.pull import PullLimits
from zhentu.settings import Settings


def access_of(job: ScanJob, settings: Settings) -> Access:
    """Where a job may read: its sources' own schemes, others that it names, and what the settings allow."""
    access = Access(pull=PullLimits(settings.fetch.ports, settings.fetch.allow))
    return access.also([*job.sources, *(f"{each}://" for each in job.schemes)])


def reader_of(job: ScanJob, settings: Settings) -> Reader:
    """A reader that keeps the job's pace."""
    return Reader(limits_of(settings), job.reads_per_second, job.attempts, access=access_of(job, settings))


def finding_of(job: ScanJob, settings: Settings, on_sheet: OnSheet | None = None) -> Finding:
    """How a job's sources are listed."""
    return Finding(
        job.database,
        job.goods,
        Taking(job.exclude, job.look_inside),
        SheetForm(job.encoding, job.delimiter),
        reader_of(job, settings),
        on_sheet,
    )
