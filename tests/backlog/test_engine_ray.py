"""A real Ray cluster of two node processes on loopback, one of which is killed in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import encoded, photo

from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan import ScanJob, run_scan
from zhentu.banks.entries import Bank, NewEntry
from zhentu.banks.hashing import fingerprint_of
from zhentu.bootstrap.stores import build_banks, build_store
from zhentu.errors import DependencyError
from zhentu.intake.decode import decode
from zhentu.settings import Settings
from zhentu.types import BankKind

pytestmark = pytest.mark.cluster
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'zhentu[cluster]'")

PICTURES, COPIES = 240, 20


@dataclass
class TwoNodes:
    """A head and a worker node, one core each."""

    cluster: Any
    worker: Any
    killed: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill_worker(self) -> None:
        if not self.killed.is_set():
            self.killed.set()
            self.cluster.remove_node(self.worker, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 90 * 2**20, "wait": False}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_raylet_start_wait_time_s", "240")
        patched.setenv("RAY_health_check_timeout_ms", "60000")  # a node that stalls is not dead
        cluster = Cluster(initialize_head=True, head_node_args=options | {"include_dashboard": False})
        worker = cluster.add_node(**options)
        cluster.wait_for_nodes(timeout=240)
        yield TwoNodes(cluster, worker)
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(PICTURES):
        (folder / f"{seed:04d}.jpg").write_bytes(encoded(photo((1200, 900), seed % (PICTURES - COPIES)), "JPEG"))
    (folder / "broken.jpg").write_bytes(b"nothing")
    return folder


def test_a_killed_node_costs_no_picture_and_rows_are_those_of_the_local_engine(
    nodes: TwoNodes, pictures: Path, settings: Settings, tmp_path: Path
) -> None:
    rows: dict[str, list[ScanRow]] = {"ray": [], "local": []}

    def seen(progress: Any) -> None:
        rows["ray"].append(progress.row)
        if len(rows["ray"]) == PICTURES // 3:
            nodes.kill_worker()

    fresh = settings.changed({"store.url": f"sqlite:///{tmp_path}/other.db"})
    for each in (settings, fresh):  # the nodes cannot open the store of this machine, and still ask its banks
        with closing(build_store(each)) as store:
            banks = build_banks(store)
            banks.put_bank(Bank("bad", BankKind.KNOWN_BAD), "ann")
            banks.add(
                "bad", [NewEntry.of(fingerprint_of(decode((pictures / "0100.jpg").read_bytes())), "review")], "ann"
            )
    job = ScanJob((str(pictures),), tmp_path / "ray.csv", engine="ray", ray_address=nodes.address)
    summary = run_scan(job, settings, seen)
    assert nodes.killed.is_set()
    assert (summary.pictures, summary.known, dict(summary.by_error)) == (
        PICTURES + 1,
        COPIES,
        {"unsupported_format": 1},
    )
    run_scan(ScanJob((str(pictures),), tmp_path / "local.csv"), fresh, lambda each: rows["local"].append(each.row))
    stable = [
        sorted((row.path, row.sha256, row.action, row.forged, row.error, row.pdq, row.reasons) for row in found)
        for found in rows.values()
    ]
    assert stable[0] == stable[1]
    assert [row.path[-8:] for row in rows["ray"] if "bank_known_bad" in row.reasons] == ["0100.jpg"]
    assert [line.split(",")[0] for line in (tmp_path / "ray.csv").read_text().splitlines()[1:]] == [
        str(path) for path in sorted(pictures.iterdir())
    ]


def test_a_cluster_that_is_not_there_is_named(pictures: Path, settings: Settings) -> None:
    ray.shutdown()
    job = ScanJob((str(pictures),), engine="ray", ray_address="127.0.0.1:1", store=False)
    with pytest.raises(DependencyError, match="no Ray cluster at"):
        run_scan(job, settings)
