"""The attacks of `scripts/attack_gate.py`, shortened: what the threat model promises, on a running gate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "attack_gate.py"


def test_every_promise_holds_under_attack() -> None:
    command = [sys.executable, str(SCRIPT), "--short", "--seconds", "580"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-2000:]
    assert "FAIL" not in made.stdout


def test_every_attack_stands_in_the_threat_model_and_every_named_one_exists() -> None:
    document = (SCRIPT.parents[1] / "docs" / "threat-model.md").read_text(encoding="utf-8")
    attacks = (SCRIPT.parent / "attacks" / "__init__.py").read_text(encoding="utf-8").partition("ATTACKS: ")[2]
    named = {word.strip("`,") for word in document.split() if word.startswith("`") and word.strip("`,|").isidentifier()}
    for attack in [each.strip(" ,") for each in attacks.splitlines() if each.startswith("    ")]:
        assert attack in named, f"{attack} is not in docs/threat-model.md"
