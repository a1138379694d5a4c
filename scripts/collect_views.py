"""Collect views of the same goods from fetched repositories: the pictures and a manifest of products and colours.

    python scripts/collect_views.py MIRROR OUT

MIRROR holds the snapshots as `shared/collect.py` expects them ("owner+name/repo"). Products that differ only in cut or
in size share a group, so that a split by group never puts them on different sides.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class View:
    """One picture. group: what a split must keep together.  look: "studio" or "phone"."""

    file: str
    source: str
    group: str
    product: str
    colour: str
    look: str


def hakeems(path: str) -> View | None:
    """Athleisure, by product and colour, with up to ten views each."""
    found = re.fullmatch(r"scraped-data/athleta/(\d+)_([^/]+)/([^/]+)/[^/]+\.jpg", path)
    if not found:
        return None
    _, name, colour = found.groups()
    group = next((family for family in ("INTERVAL", "ALL_ABOUT") if family in name), name)
    return View("", "hakeems", f"hakeems/{group}", f"hakeems/{name}", colour, "studio")


def kamii(path: str) -> View | None:
    """Apparel and shoes on white, named style_colour."""
    found = re.fullmatch(r"public/(Puma|Lacoste|Stichd)/[^/]+/([A-Za-z0-9]+)_([A-Za-z0-9]+)\.(?:jpe?g|png|webp)", path)
    if not found:
        return None
    brand, style, colour = found.groups()
    return View("", "kamii", f"kamii/{brand}/{style}", f"kamii/{brand}/{style}", colour, "studio")


def grocery(path: str) -> View | None:
    """Packaged groceries: one studio picture each, and phone pictures taken in the shop."""
    studio = re.fullmatch(r"dataset/iconic-images-and-descriptions/Packages/[^/]+/([^/]+)/[^/]+\.jpg", path)
    phone = re.fullmatch(r"dataset/(?:train|test|val)/Packages/[^/]+/([^/]+)/[^/]+\.jpg", path)
    if not (studio or phone):
        return None
    product = f"grocery/{(studio or phone).group(1)}"  # type: ignore[union-attr]
    return View("", "grocery", product, product, "only", "studio" if studio else "phone")


SOURCES: dict[str, tuple[Callable[[str], View | None], int]] = {
    "ItsAash/hakeems-store": (hakeems, 10),
    "Kamii-Samaa/Product-Images": (kamii, 2),
    "marcusklasson/GroceryStoreDataset": (grocery, 8),
}


def blobs(folder: Path) -> Iterator[tuple[str, str]]:
    """The path and blob id of every file in a snapshot."""
    command = ["git", f"--git-dir={folder}", "-c", "core.quotePath=false", "ls-tree", "-r", "-z", "HEAD"]
    for row in subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0"):
        if "\t" in row:
            meta, path = row.split("\t", 1)
            yield path, meta.split()[2]


def main() -> None:
    """Write the pictures and `views.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[View] = []
    for repo, (reader, most) in SOURCES.items():
        folder = arguments.mirror / repo.replace("/", "+") / "repo"
        found = [(view, blob) for path, blob in sorted(blobs(folder)) if (view := reader(path))]
        random.Random(5).shuffle(found)
        found.sort(key=lambda each: each[0].look, reverse=True)  # studio pictures first: each product has only one
        taken: dict[tuple[str, str], int] = {}
        seen: set[str] = set()
        for view, blob in found:
            key = view.product, view.colour
            if taken.get(key, 0) >= most or blob in seen:
                continue
            seen.add(blob)
            taken[key] = taken.get(key, 0) + 1
            name = f"{view.source}-{len(rows):05d}.jpg"
            content = ["git", f"--git-dir={folder}", "cat-file", "blob", blob]
            (arguments.out / name).write_bytes(subprocess.run(content, capture_output=True, check=True).stdout)
            rows.append(View(name, *astuple(view)[1:]))
        print(repo, sum(row.source == view.source for row in rows), "pictures")
    with (arguments.out / "views.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([each.name for each in fields(View)])
        writer.writerows(astuple(row) for row in rows)


if __name__ == "__main__":
    main()
