from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from zhentu.decide.policy_file import default_policy_path, load_policy
from zhentu.errors import ConfigError
from zhentu.settings import load_settings
from zhentu.yaml_text import read_yaml
from zhentu_training.config import load_designs, load_spec
from zhentu_training.forge.draws import load_sections

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' given twice"),
        ("outer:\n  on: 1\n  yes: 2\n", "line 3: key True given twice"),
        ("- x: 1\n- {y: 1, y: 1}\n", "line 2: key 'y' given twice"),
    ],
)
def test_a_doubled_key_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        read_yaml(text)


@pytest.mark.parametrize("text", ["a: 1", "- a", "", "a: &x {k: 1}\nb: {<<: *x, k: 2}", "{a: {k: 1}, b: {k: 1}}"])
def test_everything_else_is_read_as_before(text: str) -> None:
    assert read_yaml(text) == yaml.safe_load(text)


def test_every_file_that_people_write_is_read_so(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(default_policy_path().read_text(encoding="utf-8") + "\nmode: shadow\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="key 'mode' given twice"):
        load_policy(path)
    path.write_text("workers: 1\nworkers: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: key 'workers' given twice"):
        load_settings(path, {})
    for load in (load_spec, load_sections):
        with pytest.raises(ConfigError, match="line 2: key 'workers' given twice"):
            load(path)
    with pytest.raises(ConfigError, match="line 2: key 'workers' given twice"):
        load_designs(path, load_spec(CONFIGS / "train.yaml").fit)
