"""Scan a flaky web server on loopback: 5 % of reads fail at first, 1 % fail for good, and all others must be scored.

python scripts/chaos_source.py --count 3000
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from scanning import ROOT, environment, scan_command, tiny_models, variations

sys.path.insert(0, str(ROOT / "tests" / "backlog"))
from servers import ShakyServer, serving


def main() -> None:
    """Scan and check; exit with 1 if a picture is missing or wrongly listed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--transient", type=float, default=0.05)
    parser.add_argument("--permanent", type=float, default=0.01)
    arguments = parser.parse_args()
    rng = random.Random(5)
    payloads = variations(arguments.count)
    files = {f"/{number:06d}.jpg": payload for number, payload in enumerate(payloads)}
    names = list(files)
    rng.shuffle(names)
    wrong = set(names[: round(arguments.permanent * len(names))])
    shaky = names[len(wrong) : len(wrong) + round(arguments.transient * len(names))]
    fail = {name: rng.choice((1, 1, 1, 2, 3)) for name in shaky}
    with tempfile.TemporaryDirectory() as temporary, serving(ShakyServer(files, fail, wrong)) as server:
        place = Path(temporary)
        manifest = place / "manifest.csv"
        manifest.write_text("url\n" + "".join(f"{server.url}{name}\n" for name in files), encoding="utf-8")
        command = scan_command(str(manifest), "-o", str(place / "out"))
        models = tiny_models(place / "models")
        port = server.url.rpartition(":")[2]
        # Loopback is ours, so fetching from it is allowed.
        own = {
            "ZHENTU_FETCH_ALLOW": "127.0.0.0/8",
            "ZHENTU_FETCH_PORTS": port,
        }
        subprocess.run(command, env=environment(place, models) | own, check=True, stdout=subprocess.DEVNULL)
        with (place / "out" / "rows.csv").open(encoding="utf-8-sig", newline="") as stream:
            rows = {row["path"].removeprefix(server.url): row["error"] for row in csv.DictReader(stream)}
        with (place / "out" / "quarantine.csv").open(encoding="utf-8-sig", newline="") as stream:
            listed = {row["path"].removeprefix(server.url) for row in csv.DictReader(stream)}
        requests = sum(server.requests.values())
    scored = {name for name, error in rows.items() if not error}
    print(
        json.dumps(
            {
                "pictures": len(files),
                "transient": len(fail),
                "permanent": len(wrong),
                "scored": len(scored),
                "in_quarantine": len(listed),
                "requests": requests,
            }
        )
    )
    fine = scored == files.keys() - wrong and listed == wrong and len(rows) == len(files)
    print("all others are scored, and the failed ones are listed" if fine else "WRONG")
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
