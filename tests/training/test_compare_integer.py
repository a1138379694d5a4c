from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from test_compare import BLOCKS, TINY, WIDE, heads_on

from zhentu.bootstrap.models import build_comparer
from zhentu.detect import sessions
from zhentu.detect.calibration import Platt
from zhentu.detect.compare import Comparer
from zhentu.detect.entries import QuestionLevels, TrainingData
from zhentu.detect.figures import NAMES
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.models import Manifest, models_folder, samples_folder
from zhentu.detect.questions import ANSWERED
from zhentu.intake.decode import decode
from zhentu.settings import load_settings
from zhentu.types import Runtime
from zhentu_training import pack
from zhentu_training.compare import export, integer, sights
from zhentu_training.compare.encoder import Encoder
from zhentu_training.export import add_to_manifest
from zhentu_training.forge.base import Materials


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/ with a tiny packed comparison, run/ with the judged sights of two made products."""
    torch.manual_seed(4)
    root = tmp_path_factory.mktemp("integer")
    models, manifest = root / "models", Manifest.load(models_folder())
    models.mkdir()
    add_to_manifest(models, manifest.active_entry)
    assert manifest.finder is not None
    (models / manifest.finder.file).write_bytes((models_folder() / manifest.finder.file).read_bytes())
    replace(Manifest.load(models), finder=manifest.finder).save(models)
    encoder = Encoder(TINY, BLOCKS).eval()
    width = encoder.backbone.embed_dim
    fitted = export.Fitted(
        *heads_on(len(NAMES)), torch.zeros(3, width), torch.zeros(3, width), WIDE, dict.fromkeys(ANSWERED, Platt(1, 0)),
        dict.fromkeys(ANSWERED, QuestionLevels(0.4, 0.6)), 0.6, TrainingData("d", 1, 1),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "_SMALLEST", 1 << 10)  # the tiny network's matrices count as big
        patch.setattr(export, "LOOKS_PARITY", 1.0)  # its weights were never 8 bits wide
        export.export(fitted, "0.0.1", "2026-11-27", models, encoder)

    @torch.inference_mode()
    def encode(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, classes = encoder(torch.from_numpy(views))
        return tokens.half().numpy(), classes.numpy()

    (root / "run" / "sights").mkdir(parents=True)
    finder = GoodsFinder(manifest.finder, models_folder())
    for name, rgb in (("cup", data.coffee()[80:320, 160:400]), ("cat", data.chelsea()[30:270, 100:340])):
        alpha = np.zeros((240, 240), np.uint8)
        cv2.ellipse(alpha, (120, 120), (100, 80), 0, 0, 360, 255, -1)
        cv2.imwrite(str(root / f"{name}.png"), np.dstack([rgb[..., ::-1], alpha]))
        words = (name,), (name,), ("own",), ("made",)
        unit = sights.Unit(f"{name}-0", "cutout", "judge", (root / f"{name}.png",), *words, True)
        found = sights.sights_of(unit, finder, encode, Materials(), seed=3)
        sights.save(found, root / "run" / "sights" / f"{name}-0.npz")
    return root


def test_the_8_bit_encoder_shares_the_weights_is_judged_and_then_chosen_by_the_processor(
    line: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models, options = line / "models", ["--run", str(line / "run"), "--models", str(line / "models")]
    before = (models / "manifest.json").read_bytes()
    monkeypatch.setattr(integer, "LARGEST_AUC_LOSS", -2.0)
    with pytest.raises(SystemExit, match="nothing was written"):
        integer.main(options)
    assert (models / "manifest.json").read_bytes() == before
    assert not list(models.glob("zhentu-compare-int8*"))
    monkeypatch.setattr(integer, "LARGEST_AUC_LOSS", 2.0)
    integer.main(options)
    assert "with 8-bit products" in capsys.readouterr().out
    entry = Manifest.load(models).comparer
    assert entry is not None
    assert entry.integer is not None
    assert entry.integer.file in Manifest.load(models).files
    settings = load_settings(None, {"ZHENTU_MODELS_DIR": str(models)})
    asked = {}
    for there in (True, False):
        monkeypatch.setattr("zhentu.bootstrap.models.has_8bit_products", lambda there=there: there)
        comparer = build_comparer(settings)
        assert comparer is not None
        asked[there] = comparer.model
    assert asked[True].sha256 != asked[False].sha256
    monkeypatch.setattr("zhentu.bootstrap.models.has_8bit_products", lambda: True)
    other = build_comparer(settings.changed({"models.runtime": "openvino"}))
    assert other is not None
    assert other.model.version == f"{entry.version}+openvino"
    assert other.model.sha256 == asked[False].sha256  # OpenVINO rounds the floating-point graph by itself
    if sessions.has_8bit_products():
        names = ("cup", "cat")
        first, second = (decode((samples_folder() / f"genuine_{each}.jpg").read_bytes()) for each in names)
        exact, small = (Comparer(entry, models, _finder(), integer=each) for each in (False, True))
        assert np.allclose(exact.scores_of(first, second), small.scores_of(first, second), atol=0.1)


def test_openvino_compares_as_onnx_runtime_does(line: Path) -> None:
    pytest.importorskip("openvino")
    entry = Manifest.load(line / "models").comparer
    assert entry is not None
    names = ("cup", "cat")
    first, second = (decode((samples_folder() / f"genuine_{each}.jpg").read_bytes()) for each in names)
    plain, other = (Comparer(entry, line / "models", _finder(), runtime=each) for each in _RUNTIMES)
    assert np.allclose(plain.scores_of(first, second), other.scores_of(first, second), atol=0.1)


def _finder() -> GoodsFinder:
    entry = Manifest.load(models_folder()).finder
    assert entry is not None
    return GoodsFinder(entry, models_folder())


_RUNTIMES = (Runtime.ONNXRUNTIME, Runtime.OPENVINO)
