from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from zhentu.samples import sample_of, samples
from zhentu.types import CATEGORIES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_carries_models_policy_samples_and_templates(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    wanted = [
        "_models/manifest.json",
        "_configs/policy.yaml",
        "samples/ORIGIN.md",
        "samples/samples.yaml",
        "report/templates/report.html.j2",
    ]
    wanted += ["mark/fonts/ZhentuBadge-Bold.otf", "mark/fonts/LICENSE-OFL.txt", "mark/templates/notice.html.j2"]
    wanted += ["mark/templates/notices.zh.yaml", "mark/templates/notices.en.yaml"]
    wanted += ["record/migrations/env.py", "record/migrations/versions/m0002_gate.py"]
    wanted += ["gate/front/templates/front.html.j2", "gate/front/static/front.js", "review/web/templates/bars.html.j2"]
    assert [name for name in wanted if f"zhentu/{name}" not in names] == []
    assert any(name.startswith("zhentu/_models/") and name.endswith(".onnx") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_an_unpacked_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import zhentu; assert 'site' in zhentu.__file__;"
        "sys.argv = ['zhentu', 'demo']; from zhentu.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "zhentu-demo" / "report.html").is_file()


def test_the_samples_stay_small_and_each_has_its_origin_and_its_truth() -> None:
    folder = ROOT / "src/zhentu/samples"
    files = sorted(folder.glob("*.jpg"))
    origin = (folder / "ORIGIN.md").read_text(encoding="utf-8")
    assert sum(sample.stat().st_size for sample in files) < 2_000_000
    assert [each.name for each in files if f"`{each.name}`" not in origin] == []
    assert sorted(each.name for each in samples()) == [each.name for each in files]
    for each in samples():
        assert each.truth is None or each.name.startswith((f"forged_{each.truth}", "declared_ai"))
        assert not each.reference or sample_of(each.reference).truth is None
    assert {each.truth for each in samples()} == {None, *CATEGORIES}


def test_the_front_page_offers_ten_samples_of_every_kind() -> None:
    offered = [each for each in samples() if each.front]
    assert len(offered) == 10
    assert {each.truth for each in offered} == {None, *CATEGORIES}
