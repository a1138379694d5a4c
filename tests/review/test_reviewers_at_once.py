from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts"))


def test_reviewers_at_once_decide_everything_once_though_one_is_killed(tmp_path: Path):
    from check_reviewers import run

    found = run(f"sqlite:///{tmp_path}/q.db", 60, 4)
    assert found["killed_with_items_in_hand"] == 2
    assert (found["items"], found["decided_twice"], found["lost"]) == (60, 0, 0)
    assert found["audit_verifies"]
