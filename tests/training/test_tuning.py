"""The encoder's tuning on a lent GPU, on the CPU with a tiny network: what is carried, trained, and brought home."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from smoke import genuine, smoke_manifest

from zhentu.detect.models import Manifest, samples_folder
from zhentu.detect.views import ViewSpec, make_views
from zhentu.intake.decode import decode
from zhentu_training import adopt, carry, export, pack
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.dataset import Sample
from zhentu_training.features import views_on
from zhentu_training.gpu import tune
from zhentu_training.gpu.arrays import floating, in_steps, write_parts
from zhentu_training.gpu.augment import through_jpeg
from zhentu_training.gpu.network import IntegerLinear
from zhentu_training.gpu.pictures import Pictures, load, unpack
from zhentu_training.gpu.plan import PLANS, changed
from zhentu_training.gpu.views import cut, mask_views, served, serving_windows
from zhentu_training.model import CLASS, MEAN, build_backbone
from zhentu_training.tiers import TIERS
from zhentu_training.tuned_weights import read_encoder, shipped_encoder, write_encoder

SPEC = ViewSpec(224, 224, 1)
# What a lent machine lacks of the project's own dependencies.
ABSENT = ("zhentu", "pydantic", "onnx", "onnxruntime", "sklearn", "yaml", "tqdm", "zhentu_training.config")


def picture(path: Path, height: int, width: int) -> Sample:
    """A smooth picture with one busy corner, which draws the crop, written without loss."""
    rng = np.random.default_rng(height)
    rgb = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    rgb[height // 2 :, width // 2 :] = cv2.GaussianBlur(
        rng.integers(0, 256, (height - height // 2, width - width // 2, 3), np.uint8), (0, 0), 2
    )
    cv2.imwrite(str(path), rgb)
    return genuine(path.name, "shop", path)


def carried(samples: list[Sample], folder: Path) -> Pictures:
    spec = replace(load_spec(Path("configs/train.yaml")), views=SPEC)
    (folder / "shards").mkdir()
    assert list(carry.write_shards(samples, np.zeros(len(samples), int), spec, folder / "shards", 1))
    assert unpack(folder / "shards", folder / "work") == len(samples)
    return load(folder / "work", "cpu")


def test_views_made_on_the_device_are_those_of_serving(tmp_path: Path) -> None:
    """Large, small, long and thin: whole look and web crop by the same bytes, the native crop within JPEG 95."""
    sizes = [(900, 1300), (300, 260), (150, 190), (1200, 400), (180, 640)]
    samples = [picture(tmp_path / f"{h}x{w}.bmp", h, w) for h, w in sizes]
    data = carried(samples, tmp_path)
    found = {
        view: served(data, torch.arange(len(samples)), view, 224).numpy()
        for view in ("whole", "crop_native", "crop_web")
    }
    for k, sample in enumerate(samples):
        web = make_views(TIERS["web"](decode(sample.path.read_bytes()).rgb), SPEC)
        for view, expected in (("whole", web.whole[0]), ("crop_web", web.crops[0])):
            assert np.abs(found[view][k] - expected.transpose(2, 0, 1)).max() <= 1, (view, sizes[k])
        native = views_on(sample.path, "native", SPEC).crops[0].transpose(2, 0, 1)
        assert np.abs(found["crop_native"][k] - native).mean() < 2, sizes[k]


def test_masks_land_where_the_forgery_is(tmp_path: Path) -> None:
    height, width = 700, 1000
    mask = np.zeros((height, width), np.uint8)
    mask[380:660, 520:950] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    data = carried([replace(picture(tmp_path / "a.bmp", height, width), mask=tmp_path / "mask.png")], tmp_path)
    rows = torch.tensor([0])
    views = views_on(tmp_path / "a.bmp", "native", SPEC)
    box = views.boxes[0]
    shown = {"whole": mask, "crop_native": mask[box.y : box.y + box.h, box.x : box.x + box.w]}
    assert 0.1 < (shown["crop_native"] > 0).mean() < 1, "the crop shows a border of the forgery"
    for view, part in shown.items():
        _, size, window = serving_windows(data, rows, view, 224)
        found = mask_views(data, rows, view, window, size, 224)[0].numpy()
        expected = cv2.resize(part.astype(np.float32) / 255, (14, 14), interpolation=cv2.INTER_AREA)
        sure = (expected == 0) | (expected == 1)
        assert np.abs(found - expected)[sure].mean() < 0.03, view
        assert ((found > 0.5) == (expected > 0.5)).mean() > 0.9, view


def test_a_window_that_is_moved_takes_its_mask_along(tmp_path: Path) -> None:
    """The mask's own pixels as the picture: what is seen and what is said to be forged are cut alike."""
    mask = np.zeros((600, 800), np.uint8)
    mask[100:350, 200:600] = 255
    cv2.imwrite(str(tmp_path / "a.bmp"), mask)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    data = carried([replace(genuine("a.bmp", "shop", tmp_path / "a.bmp"), mask=tmp_path / "mask.png")], tmp_path)
    rows, size = torch.tensor([0]), data.web_size[[0]]
    window = torch.tensor([[20.0, 90.0, 250.0, 330.0]])
    found = mask_views(data, rows, "whole", window, size, 224)[0].numpy()
    seen = cut(data.web, size, window, "whole", 224)[0].mean(0).numpy() / 255
    expected = cv2.resize(seen, (14, 14), interpolation=cv2.INTER_AREA)
    assert np.abs(found - expected).mean() < 0.04


def test_jpeg_on_the_device_is_opencvs() -> None:
    bgr = cv2.resize(cv2.imread(str(samples_folder() / "genuine_cup.jpg")), (224, 224), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, 60, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    theirs = cv2.imdecode(cv2.imencode(".jpg", bgr, options)[1], cv2.IMREAD_COLOR_RGB).astype(float)
    before = bgr[..., ::-1].astype(np.float32)
    ours = through_jpeg(torch.from_numpy(before.copy()).permute(2, 0, 1)[None], torch.tensor([60.0]))
    ours = ours[0].permute(1, 2, 0).numpy()
    loss = np.abs(theirs - before).mean()
    assert loss > 1
    assert np.abs(ours - theirs).mean() < 0.25 * loss


def test_a_layer_that_multiplies_integers_does_as_the_served_graph() -> None:
    """NumPy's integers are the judge; the gradient passes as if nothing were rounded."""
    torch.manual_seed(1)
    layer, x = IntegerLinear(32, 8), torch.randn(2, 5, 32) * 3
    plain = layer(x)
    layer.integers = True
    whole, step = in_steps(layer.weight.detach().numpy(), 63)
    for view, said in zip(x.numpy(), layer(x).detach().numpy(), strict=True):
        unit = np.float32((max(view.max(), 0) - min(view.min(), 0)) / 255)
        zero = np.round(-min(view.min(), 0) / unit)
        codes = (np.round(view / unit) + zero).clip(0, 255).astype(np.int64) - int(zero)
        expected = (codes @ whole.T.astype(np.int64)) * unit * step.T + layer.bias.detach().numpy()
        assert np.abs(said - expected).max() < 1e-4
    assert 0 < (layer(x) - plain).abs().max() < 0.3
    layer(x).sum().backward()
    assert torch.allclose(layer.weight.grad, x.sum((0, 1)).expand(8, -1), atol=0.5)


def test_weights_come_home_in_files_of_bounded_size(tmp_path: Path) -> None:
    arrays = {f"blocks.{k}": np.full((100, 100), k, np.int8) for k in range(7)}
    paths = write_parts(arrays, tmp_path / "weights", 25_000)
    assert [path.name for path in paths] == [f"weights-{k}.npz" for k in range(4)]
    assert max(path.stat().st_size for path in paths) < 30_000
    back = {name: value for path in paths for name, value in np.load(path).items()}
    assert all(np.array_equal(back[name], value) for name, value in arrays.items())


def test_half_way_is_the_mean_of_both_encoders() -> None:
    frozen = {"cls_token": np.ones((1, 1, 4), np.float32), "blocks.0.attn.qkv.weight": np.zeros((6, 4), np.float32)}
    tuned = {f"vit.{name}": value + 1 for name, value in frozen.items()} | {"heads.whole.bias": np.zeros(5)}
    found = adopt.blended(frozen, tuned, 0.5)
    assert found.keys() == frozen.keys()
    assert all(np.array_equal(found[name], value + 0.5) for name, value in frozen.items())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bald:0"], "no such design"),
        (["tiny:one"], "invalid literal"),
        (["tiny:0", "--set", "step=2"], "no such setting"),
        (["tiny:0", "--set", "augment=0"], "true or false"),
    ],
)
def test_a_wrong_call_ends_before_pictures_are_loaded(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        tune.main(["run", "--work", str(tmp_path), "--out", str(tmp_path), *words])
    assert said in capsys.readouterr().err


def test_a_plan_is_changed_by_words_of_its_types() -> None:
    plan = changed(PLANS["full"], ["steps=3", "rate=1e-6", "augment=false"])
    assert (plan.steps, plan.rate, plan.augment) == (3, 1e-6, False)


# ------------------------------------------------------------------------------------------------- the whole way, once


def spec_file(folder: Path, weights: str) -> Path:
    """The smoke run's config with the tokens that the plan "tiny" reads."""
    content = yaml.safe_load(Path("configs/train-smoke.yaml").read_text())
    plan = PLANS["tiny"]
    tokens = {"class_tokens": list(plan.class_tokens), "patch_mean": list(plan.patch_means)}
    content["backbone"]["weights"] = weights
    content["fit"] |= {look: {"tokens": tokens, "ridge": 0.05} for look in ("whole", "crops")}
    path = folder / f"{weights}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/`, and `out/` of a run in a process in which nothing of the project can be imported."""
    folder = tmp_path_factory.mktemp("tuning")
    manifest = smoke_manifest(folder)
    carry.main(
        ["--manifest", str(manifest), "--out", str(folder / "shards"), "--config", str(spec_file(folder, "none"))]
    )
    calls = [
        ["ready", "--shards", str(folder / "shards"), "--work", str(folder / "work")],
        ["run", "--work", str(folder / "work"), "--out", str(folder / "out"), "--device", "cpu", "tiny:0,1,final"],
    ]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"from zhentu_training.gpu.tune import main\nfor call in {calls!r}: main(call)\n"
        "print(sorted(name for name in sys.modules if name.startswith('zhentu') and sys.modules[name]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (folder / "log").write_text(ran.stdout)
    return folder


@pytest.fixture
def adopted(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, TrainSpec]:
    """The run folder of all of the tuned encoder, and its config."""
    words = ["--tuned", str(home / "out"), "--shards", str(home / "shards"), "--manifest", str(home / "manifest.csv")]
    adopt.main([*words, "--run", str(tmp_path), "--config", str(spec_file(tmp_path, "tuned")), "--share", "1.0"])
    monkeypatch.setenv("ZHENTU_TRAINING_ENCODER", str(tmp_path / "encoder.npz"))
    return tmp_path, load_spec(tmp_path / "train.yaml")


def test_a_lent_machine_needs_nothing_of_the_project(home: Path) -> None:
    *figures, modules = (home / "log").read_text().splitlines()
    used = {name for name in eval(modules) if name.startswith("zhentu_training") and ".gpu" not in name}  # noqa: S307
    assert used == {"zhentu_training", "zhentu_training.forge", "zhentu_training.forge.taef2"}
    assert [line for line in figures if line.startswith("tiny fold 1 blend: whole ")]


def test_what_was_tuned_says_the_same_from_the_run_folder(home: Path, adopted: tuple[Path, TrainSpec]) -> None:
    run, spec = adopted
    model = export.assemble(run, spec)
    with np.load(home / "out" / "seen.npz") as kept:
        seen = dict(zip(map(str, kept["names"]), kept["logits"], strict=True))
    path = samples_folder() / "genuine_cup.jpg"
    views = views_on(path, "web", spec.views)
    with torch.inference_mode():
        for view, shown, look in ((0, views.whole, "whole"), (2, views.crops[:1], "crops")):
            blocks = list(model.encoder.blocks(torch.from_numpy(shown)))
            tokens = getattr(spec.fit, look).tokens
            pieces = {CLASS: lambda summary, _: summary, MEAN: lambda _, patches: patches.mean(1)}
            told = torch.cat([pieces[kind](*blocks[block]) for block, kind in tokens.places], 1)
            said = getattr(model, look)(told)[0].numpy()
            assert np.abs(said - seen[str(path)][view]).max() < 0.1 * np.abs(seen[str(path)][view]).max(), look


def test_tuning_moved_the_encoder(home: Path, adopted: tuple[Path, TrainSpec]) -> None:
    tuned, frozen = (read_encoder(folder / "encoder.npz") for folder in (adopted[0], home / "shards"))
    assert tuned.keys() == {name for name in frozen if not name.startswith("norm.")}
    assert any(not np.array_equal(tuned[name], frozen[name]) for name in tuned)


def test_the_shipped_graph_gives_the_encoder_back(
    adopted: tuple[Path, TrainSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, spec = adopted
    monkeypatch.setattr(pack, "_SMALLEST", 64 * 64)  # the tiny network's matrices count as big
    path = tmp_path / "models" / "smoke-0.0.1.onnx"
    path.parent.mkdir()
    export.to_onnx(export.assemble(run, spec), spec, path)
    export.add_to_manifest(path.parent, export.entry_of(path, run, spec))
    assert Manifest.load(path.parent).active.startswith("zhentu-smoke")
    kept, read = read_encoder(run / "encoder.npz"), shipped_encoder(path.parent)
    del kept["pos_embed"]  # of the tiny network alone: it fits its places to the picture, and the exporter folds that
    for name, value in kept.items():
        assert np.abs(read[name].reshape(value.shape) - value).max() < 1e-6, name


def test_an_encoder_is_kept_within_half_a_step(tmp_path: Path) -> None:
    spec = load_spec(Path("configs/train-smoke.yaml"))
    state = {name: value.numpy() for name, value in build_backbone(spec.backbone).state_dict().items()}
    state["blocks.0.attn.qkv.weight"][0] = 0  # a channel that says nothing
    write_encoder(state, tmp_path / "encoder.npz")
    with np.load(tmp_path / "encoder.npz") as kept:
        assert kept["blocks.0.attn.qkv.weight"].dtype == np.int8
        back = floating(dict(kept))
    for name, value in state.items():
        wide = np.abs(value).max(-1, keepdims=True) if value.ndim == 2 and name.startswith("blocks.") else 0
        assert (np.abs(back[name] - value) <= wide / 127 / 2 + 1e-7).all(), name
