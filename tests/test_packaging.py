from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
        "record/migrations/env.py",
        "record/migrations/versions/m0002_gate.py",
        "_models/manifest.json",
        "_configs/policy.yaml",
        "samples/ORIGIN.md",
        "report/templates/report.html.j2",
    ]
    wanted += ["mark/fonts/ZhentuBadge-Bold.otf", "mark/fonts/LICENSE-OFL.txt", "mark/templates/notice.html.j2"]
    wanted += ["mark/templates/notices.zh.yaml", "mark/templates/notices.en.yaml"]
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


def test_the_samples_stay_small_and_each_has_its_origin() -> None:
    samples = sorted((ROOT / "src/zhentu/samples").glob("*.jpg"))
    origin = (ROOT / "src/zhentu/samples/ORIGIN.md").read_text(encoding="utf-8")
    assert sum(sample.stat().st_size for sample in samples) < 2_000_000
    assert [s.name for s in samples if s.stem.startswith("genuine") and s.name not in origin] == []
    assert {s.stem for s in samples if s.stem.startswith("forged")} == {
        f"forged_{label}"
        for label in (
            "material_mismatch",
            "exaggerated_effect",
            "scene_distortion",
            "cutout_artifact",
            "ai_generated",
        )
    }
