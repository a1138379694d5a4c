"""Check that a scan's cost stays flat: pictures per second and resident memory at two backlog sizes.

    python scripts/bench_flat.py --count 10000 100000

It uses a tiny model and small pictures by default, so that it measures the scanner's own work (listing, ledger, store,
parts, output files) and not the model; `--models DIR` names another one. The time of a one-picture scan (start-up and
model check) is subtracted from each run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from scanning import environment, first_folders, scan_command, tiny_models, watch, write_variations


def main() -> None:
    """Measure, print, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, nargs=2, default=(10_000, 100_000))
    parser.add_argument("--models", type=Path, help="models folder; default: a tiny test model")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "zhentu-bench-variations")
    parser.add_argument(
        "--repeat",
        type=int,
        default=3,
        help="scans of the smaller backlog, around the larger one",
    )
    parser.add_argument("--output", type=Path, help="also write the figures to this JSON file")
    arguments = parser.parse_args()
    small, large = arguments.count
    write_variations(arguments.folder, large)
    figures: dict[str, list[dict[str, float]]] = {}
    order = [1, *[small] * (arguments.repeat - 1), large, small]
    for count in order:
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            models = arguments.models or tiny_models(place / "models")
            sources = first_folders(arguments.folder, count)
            command = scan_command(*sources, "-o", str(place / "rows.parquet"), "--limit", str(count))
            seen = watch(command, environment(place, models))
            size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 2**20
            figures.setdefault(str(count), []).append(
                {
                    "seconds": round(seen.seconds, 1),
                    "cpu_seconds": round(seen.cpu_seconds, 1),
                    "parent_mb": round(seen.parent_mb),
                    "tree_mb": round(seen.tree_mb),
                    "disk_mb": round(size),
                }
            )
            print(count, figures[str(count)][-1], flush=True)
            shutil.rmtree(place / "jobs", ignore_errors=True)
    rates = {}
    for clock in ("seconds", "cpu_seconds"):
        start = figures["1"][0][clock]
        for count in (small, large):
            runs = figures[str(count)]
            rates[clock, count] = sum(count / (each[clock] - start) for each in runs) / len(runs)
    peak = {count: max(each["tree_mb"] for each in runs) for count, runs in figures.items()}
    summed = {
        "runs": figures,
        "pictures_per_second": {str(count): round(rates["seconds", count], 1) for count in (small, large)},
        "pictures_per_cpu_second": {str(count): round(rates["cpu_seconds", count], 1) for count in (small, large)},
        "rate_large_over_small": round(rates["seconds", large] / rates["seconds", small], 3),
        "cpu_rate_large_over_small": round(rates["cpu_seconds", large] / rates["cpu_seconds", small], 3),
        "memory_large_over_small": round(peak[str(large)] / peak[str(small)], 3),
    }
    text = json.dumps(summed, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
