from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import change_manifest as change

from zhentu.bootstrap.models import find_model
from zhentu.bootstrap.stores import open_database
from zhentu.bootstrap.timing import Timing, fastest, time_runtimes
from zhentu.detect import sessions
from zhentu.detect.detector import Detector
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.errors import ModelError
from zhentu.intake.decode import decode
from zhentu.record.history import ModelHistory
from zhentu.settings import Settings, load_settings
from zhentu.types import CATEGORIES, Runtime


@pytest.fixture
def folder(entry: ModelEntry, tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def settings(folder: Path) -> Settings:
    return load_settings(None, {"ZHENTU_MODELS_DIR": str(folder), "ZHENTU_DATA_DIR": str(folder / "data")})


def by_openvino(entry: ModelEntry) -> ModelEntry:
    pytest.importorskip("openvino")
    return replace(entry, runtime=Runtime.OPENVINO)


def test_openvino_gives_the_scores_of_onnx_runtime(entry: ModelEntry, folder: Path) -> None:
    picture = decode(encoded(photo((120, 80)), "PNG"))
    plain = Detector(entry, folder).detect(picture).scores.as_dict()
    other = Detector(by_openvino(entry), folder).detect(picture).scores.as_dict()
    assert other == pytest.approx(plain, abs=2e-2)


def test_several_threads_may_call_openvino_at_once(entry: ModelEntry, folder: Path) -> None:
    detector = Detector(by_openvino(entry), folder)
    pictures = [decode(encoded(photo((90 + 7 * k, 80)), "PNG")) for k in range(8)]
    alone = [detector.detect(each).scores for each in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda each: detector.detect(each).scores, pictures)) == alone


FIRST_CALLS_MEET = """
import sys, threading
import numpy as np
from openvino import Model, opset13 as opset
from zhentu.detect.openvino import opened_core

given = opset.parameter([-1, 4], np.float32)
compiled = opened_core().compile_model(Model([opset.relu(given)], [given]), "CPU", {"NUM_STREAMS": 2})
together = threading.Barrier(4)
sys.setswitchinterval(1e-5)

def call():
    request = compiled.create_infer_request()
    together.wait()
    request.infer([np.zeros((3, 4), np.float32)])

threads = [threading.Thread(target=call) for _ in range(4)]
[each.start() for each in threads]
[each.join() for each in threads]
"""


def test_first_calls_of_openvino_do_not_wait_for_each_other() -> None:
    """Of eight processes that did not prepare its bindings five hung."""
    pytest.importorskip("openvino")
    for _ in range(6):
        subprocess.run([sys.executable, "-c", FIRST_CALLS_MEET], timeout=120, check=True)


def test_the_shipped_model_gives_its_golden_scores_by_openvino() -> None:
    manifest = Manifest.load(models_folder())
    plain = manifest.in_floating_point(manifest.active_entry) or manifest.active_entry
    assert Detector(by_openvino(plain), models_folder()).verify_golden(samples_folder(), 4) < 0.05


def test_the_version_says_which_runtime_spoke(entry: ModelEntry, folder: Path) -> None:
    named = replace(entry, runtime=Runtime.OPENVINO)
    assert str(named.ref) == f"{entry.ref}+openvino"
    assert named.ref.sha256 == entry.ref.sha256
    assert Manifest.load(folder).entry(str(named.ref)) == entry


def test_the_setting_chooses_the_runtime(settings: Settings) -> None:
    assert find_model(settings)[0].runtime is Runtime.ONNXRUNTIME
    assert find_model(settings.changed({"models.runtime": "openvino"}))[0].runtime is Runtime.OPENVINO


def test_a_graph_of_8_bit_products_is_for_onnx_runtime_alone(settings: Settings, folder: Path) -> None:
    change(folder, precision="int8")
    with pytest.raises(ModelError, match=r"models\.runtime openvino name its fp32 model"):
        find_model(settings.changed({"models.runtime": "openvino"}))


@pytest.mark.parametrize(
    ("runtime", "provider"), [("cuda", "CUDAExecutionProvider"), ("tensorrt", "TensorrtExecutionProvider")]
)
def test_a_gpu_that_is_not_there_is_named_with_what_to_do(
    settings: Settings, runtime: str, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_providers_there", lambda: ["CPUExecutionProvider"])
    entry, folder = find_model(settings.changed({"models.runtime": runtime}))
    with pytest.raises(ModelError, match=rf"{provider}.*onnxruntime-gpu"):
        Detector(entry, folder)


def test_a_gpu_that_is_there_is_asked_first_and_the_processor_last(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(sessions, "_providers_there", lambda: there)
    assert list(sessions.providers_of(Runtime.TENSORRT)) == there
    assert list(sessions.providers_of(Runtime.CUDA)) == there[1:]
    assert {Runtime.CUDA, Runtime.TENSORRT} < set(sessions.runtimes_here())


def test_openvino_that_is_not_installed_is_named(
    entry: ModelEntry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(ModelError, match=r"pip install zhentu\[fast\]"):
        Detector(replace(entry, runtime=Runtime.OPENVINO), folder)


def test_a_graph_that_openvino_cannot_read_is_a_model_error(entry: ModelEntry, folder: Path) -> None:
    named = by_openvino(entry)
    (folder / entry.file).write_bytes(b"no graph")
    broken = replace(named, sha256=sha256_of(folder / entry.file))
    with pytest.raises(ModelError, match="OpenVINO cannot load it"):
        Detector(broken, folder)


def sha256_of(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_runtime_is_timed(settings: Settings) -> None:
    pytest.importorskip("openvino")
    timings = time_runtimes(settings, 2)
    assert {each.entry.runtime for each in timings} >= {Runtime.ONNXRUNTIME, Runtime.OPENVINO}
    assert all(each.ms > 0 for each in timings if each.usable)
    assert fastest(timings) in timings


def timing(entry: ModelEntry, ms: float, problem: str = "") -> Timing:
    return Timing(entry, ms, problem=problem)


def test_the_fastest_takes_the_least_time_wherever_it_stands(entry: ModelEntry) -> None:
    ways = [timing(replace(entry, version=str(ms)), ms) for ms in (30.0, 2.0, 7.0)]
    for order in (ways, ways[::-1]):
        assert fastest(order).entry.version == "2.0"


def test_what_gives_other_scores_is_never_the_fastest(entry: ModelEntry) -> None:
    ways: Sequence[Timing] = [timing(entry, 1.0, "off by 0.4"), timing(replace(entry, version="2"), 9.0)]
    assert fastest(ways).entry.version == "2"
    with pytest.raises(ModelError, match=r"off by 0\.4"):
        fastest(ways[:1])


def test_a_golden_picture_on_the_border_may_read_as_either_side(folder: Path) -> None:
    """Where arithmetic is rounded, a picture that just settles may just not settle: both readings are right."""
    sample = sorted(samples_folder().glob("*.jpg"))[0]
    seen = Detector(Manifest.load(folder).active_entry, folder).detect(decode(sample.read_bytes())).scores
    change(folder, golden=[{"picture": sample.name, "scores": seen.as_dict()}])
    lines = {category.value: {"slope": 1.0, "intercept": 3.0} for category in CATEGORIES}
    change(folder, first_look={"below": {each.value: 99.0 for each in CATEGORIES}, "calibration": lines})
    entry = Manifest.load(folder).active_entry  # its golden scores are those of both looks
    with pytest.raises(ModelError, match="the manifest says"):
        Detector(entry, folder).verify_golden(samples_folder(), 1)
    assert Detector(by_openvino(entry), folder).verify_golden(samples_folder(), 1) < 0.05


def test_bench_says_what_to_set(settings: Settings, folder: Path) -> None:
    from zhentu.cli import models as commands

    entry = find_model(settings)[0]
    assert "is in force" in commands._advice(settings, timing(entry, 1.0))
    other = timing(replace(entry, runtime=Runtime.OPENVINO), 1.0)
    assert f"ZHENTU_MODELS_RUNTIME=openvino ZHENTU_MODELS_ACTIVE={entry.ref}" in commands._advice(settings, other)
    with open_database(settings) as database:
        ModelHistory(database).use(str(entry.ref))
    said = commands._advice(settings, other)
    assert f"set ZHENTU_MODELS_RUNTIME=openvino, then run `zhentu model use {entry.ref}`" in said
    assert "ZHENTU_MODELS_ACTIVE" not in said, "the store's choice goes before it"
    newer = timing(replace(entry, version="2"), 1.0)
    assert commands._advice(settings, newer).endswith("to use it, run `zhentu model use tiny@2`")
    assert json.loads((folder / "manifest.json").read_text())["active"] == str(entry.ref)
