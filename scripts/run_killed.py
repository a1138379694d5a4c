"""Run the whole training line on a fresh folder of pictures, killing and resuming it at random moments.

    python scripts/run_killed.py --pictures ../shared/data --count 200 --kills 2

Half of the pictures are genuine and half AI-made, with one folder per source. Each kill hits the whole process group
after a random time. At the end the model must verify, and no step that was done before the last kill may have been done
again; otherwise the exit status is 1. Prints how many minutes it took.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pandas as pd


def fill(folder: Path, pictures: Path, count: int, seed: int) -> int:
    """Copy pictures to genuine/SOURCE and ai/SOURCE, taking equally many from each source as far as possible."""
    table = pd.read_csv(pictures / "manifest.csv", dtype=str, keep_default_na=False)
    table = table[table["label"].isin(["genuine", "ai"])].sample(frac=1, random_state=seed)
    table["turn"] = table.groupby(["label", "source"]).cumcount()
    table = table.sort_values("turn", kind="stable").groupby("label").head(count // 2)
    for file, label, source in zip(table["file"], table["label"], table["source"], strict=True):
        target = folder / label / source.replace("/", "_") / Path(file).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pictures / file, target)
    return len(table)


def steps_done(out: Path) -> list[str]:
    """The steps that have left a record."""
    return sorted(path.stem for path in (out / "steps").glob("*.json"))


def killed(words: list[str], seconds: float) -> bool:
    """Run for some seconds, then kill the process group; False if it finished before that."""
    running = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        running.wait(seconds)
        return False
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return True


def main() -> None:
    """Fill the folder, run and kill, resume, verify."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--longest", type=float, default=300, help="the latest moment of a kill, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument("--place", type=Path, help="a folder to keep")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with nullcontext(arguments.place) if arguments.place else tempfile.TemporaryDirectory() as chosen:
        place = Path(chosen)
        count = fill(place / "pictures", arguments.pictures, arguments.count, arguments.seed)
        out = place / "mine"
        words = [sys.executable, "-m", "zhentu_training", "run", "--pictures", str(place / "pictures")]
        words += ["--out", str(out), "--config", str(arguments.config)]
        began, kills = time.monotonic(), []
        for _ in range(arguments.kills):
            seconds = rng.uniform(20, arguments.longest)
            if killed(words, seconds):
                kills.append({"after_s": round(seconds), "steps_done": steps_done(out)})
        last = subprocess.run(words, capture_output=True, text=True, check=False)
        minutes = round((time.monotonic() - began) / 60, 1)
        print(json.dumps({"pictures": count, "kills": kills, "minutes": minutes, "status": last.returncode}))
        if last.returncode:
            sys.exit(last.stderr[-2000:])
        again = (
            [step for step in kills[-1]["steps_done"] if f" {step}: done before" not in last.stderr] if kills else []
        )
        model = ("zhentu", "model", "verify")
        variables = os.environ | {
            "ZHENTU_MODELS_DIR": str(out / "models"),
            "ZHENTU_MODELS_ACTIVE": "mine@" + version(out),
        }
        verified = subprocess.run(
            [sys.executable, "-m", *model], env=variables, capture_output=True, text=True, check=False
        )
        print(verified.stdout.strip()[-300:], verified.stderr.strip()[-300:], f"steps done twice: {again}")
        sys.exit(1 if again or verified.returncode else 0)


def version(out: Path) -> str:
    """The version of the model that the run wrote."""
    models = json.loads((out / "models" / "manifest.json").read_text(encoding="utf-8"))["models"]
    return str(next(each["version"] for each in models if each["name"] == "mine"))


if __name__ == "__main__":
    main()
