"""How a job's description applies to listing and reading: built from the job and the settings in one place."""

from __future__ import annotations

from zhentu.backlog.manifests import OnSheet, SheetForm
from zhentu.backlog.own import OwnOutputs
from zhentu.backlog.reading import Access, Reader
from zhentu.backlog.scan_job import ScanJob
from zhentu.backlog.sources import Finding
from zhentu.bootstrap.screener import limits_of
from zhentu.intake.find import Taking
from zhentu.intake.pull import PullLimits
from zhentu.record.applied import AppliedTable
from zhentu.record.written import WrittenFiles
from zhentu.settings import Settings


def access_of(job: ScanJob, settings: Settings) -> Access:
    """Where a job may read: its sources' own schemes, others that it names, and what the settings allow."""
    access = Access(pull=PullLimits(settings.fetch.ports, settings.fetch.allow))
    return access.also([*job.sources, *(f"{each}://" for each in job.schemes)])


def reader_of(job: ScanJob, settings: Settings) -> Reader:
    """A reader that keeps the job's pace."""
    return Reader(limits_of(settings), job.reads_per_second, job.attempts, access=access_of(job, settings))


def finding_of(
    job: ScanJob, settings: Settings, on_sheet: OnSheet | None = None, table: AppliedTable | None = None
) -> Finding:
    """How a job's sources are listed. table: what earlier jobs led to, to tell their copies from pictures."""
    reader = reader_of(job, settings)
    own = OwnOutputs(WrittenFiles(settings.data_dir), table, reader.read)
    return Finding(
        job.database,
        job.goods,
        Taking(job.exclude, job.look_inside, own),
        SheetForm(job.encoding, job.delimiter),
        reader,
        on_sheet,
    )
