"""The encoder's tuning on a lent GPU, on the CPU with a tiny network: what is carried, trained, and brought home."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from smoke import genuine
from timm.layers import resample_abs_pos_embed

from zhentu.detect.models import samples_folder
from zhentu.detect.views import ViewSpec, make_views
from zhentu.errors import UsageError
from zhentu.intake.decode import decode
from zhentu_training import carry
from zhentu_training.config import load_spec
from zhentu_training.dataset import Sample
from zhentu_training.encoder_weights import write_encoder
from zhentu_training.features import views_on
from zhentu_training.gpu import tune
from zhentu_training.gpu.arrays import PART_BYTES, floating, in_steps, write_parts
from zhentu_training.gpu.augment import through_jpeg
from zhentu_training.gpu.changes import FOLD_BITS, from_bits, in_bits, kept_of, model_at
from zhentu_training.gpu.grids import resampling
from zhentu_training.gpu.home import Home, said_in, weights_in
from zhentu_training.gpu.network import IntegerLinear, Model
from zhentu_training.gpu.pictures import Pictures, load, unpack
from zhentu_training.gpu.plan import LOOKS, OUTPUTS, PLANS, changed
from zhentu_training.gpu.tune import Clock, problem_of, units_of
from zhentu_training.gpu.views import cut, mask_views, served, serving_windows
from zhentu_training.model import build_backbone
from zhentu_training.tiers import TIERS

SPEC = ViewSpec(224, 224, 1)


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


@pytest.mark.parametrize(("bits", "lost"), [(2, 0.345), (4, 0.11)])
def test_a_change_is_kept_in_few_bits(bits: int, lost: float) -> None:
    """Rows of other sizes, one that did not change at all: what is lost is what the best such rounding loses."""
    change = torch.randn(40, 768, generator=torch.Generator().manual_seed(3)) * torch.linspace(1e-4, 1e-2, 40)[:, None]
    change[7] = 0
    packed, step = in_bits(change, bits)
    assert packed.nbytes == change.numel() * bits / 8
    back = from_bits(packed, step, bits)
    off = (back - change).std(1) / change.std(1).clamp(min=1e-9)
    assert off[torch.arange(40) != 7].mean() < lost
    assert back[7].abs().max() < 1e-9


def models() -> tuple[Model, Model]:
    begun, tuned = (Model(PLANS["tiny"], None) for _ in range(2))
    with torch.no_grad():
        for before, after in zip(begun.parameters(), tuned.parameters(), strict=True):
            after.copy_(before + 0.01 * torch.randn(before.shape, generator=torch.Generator().manual_seed(1)))
    return begun, tuned


def test_a_kept_model_is_any_way_between_the_frozen_and_the_tuned_one() -> None:
    begun, tuned = models()
    kept = kept_of(begun, tuned, 4)
    at = {share: model_at(begun, kept, share).state_dict() for share in (0.0, 0.5, 1.0)}
    for name, before in begun.state_dict().items():
        after = tuned.state_dict()[name]
        assert torch.equal(at[0.0][name], before), name
        assert torch.allclose(at[0.5][name], (at[0.0][name] + at[1.0][name]) / 2, atol=1e-6), name
        served = not name.startswith("places.")
        assert (at[1.0][name] - after).abs().mean() <= (0.2 * (after - before).abs().mean() if served else 1), name


def test_three_folds_come_home_in_one_answer(tmp_path: Path) -> None:
    """10 blocks of ViT-B at 2 bits, with all that is not a matrix, are two files; an answer holds eight, of 62 MiB."""
    shape = {"qkv": (2304, 768), "proj": (768, 768), "fc1": (3072, 768), "fc2": (768, 3072)}
    block = sum(sum(each.nbytes for each in in_bits(torch.zeros(size), FOLD_BITS)) for size in shape.values())
    patches = sum(each.nbytes for each in in_bits(torch.zeros(768, 768), FOLD_BITS))
    plan = PLANS["full"]
    told = 768 * (len(plan.class_tokens) + len(plan.patch_means))
    heads = 2 * len(LOOKS) * 4 * (OUTPUTS * (told + 1) + 2 * told)
    others = 2 * (197 * 768 + 3 * 768 + plan.depth * (2304 + 768 + 3072 + 768 + 4 * 768))
    fold = plan.depth * block + patches + heads + others
    answer = Home(tmp_path, tmp_path)
    assert fold < 2 * PART_BYTES
    assert answer.most_files >= 3 * 2 + 2
    assert 3 * fold < answer.most_bytes


def test_an_answer_holds_no_more_than_a_call_may_return(tmp_path: Path) -> None:
    """What has no room comes with the next answer, nothing twice; what was said comes with every answer."""
    home = Home(tmp_path / "work", tmp_path / "one", most_files=4, most_bytes=10**9)
    for k in range(3):
        assert not home.done(f"full-{k}")
        home.keep(f"full-{k}", {"names": np.array([str(k)])}, {"bits": np.array(k)})
        home.send()
    assert home.done("full-2")
    (tmp_path / "one" / "log").touch()
    assert home.send() == ["full-2-weights-0.npz"]
    assert sorted(each.name for each in (tmp_path / "one").iterdir()) == [
        "full-0-weights-0.npz",
        "full-1-weights-0.npz",
        "log",
        "said.npz",
    ]
    assert replace(home, out=tmp_path / "two").send() == []
    assert [each.name for each in (tmp_path / "two").iterdir() if "weights" in each.name] == ["full-2-weights-0.npz"]
    small = replace(home, work=tmp_path / "other", out=tmp_path / "three", most_bytes=10)
    small.keep("full-0", {"names": np.array(["0"])}, {"bits": np.array(0)})
    assert small.send() == ["full-0-weights-0.npz"]
    assert said_in(tmp_path)["full-2"]["names"].tolist() == ["2"]
    assert int(weights_in(tmp_path, "full-2")["bits"]) == 2
    assert weights_in(tmp_path, "full-3") == {}


def test_a_part_is_begun_only_if_the_slowest_like_it_would_fit(tmp_path: Path) -> None:
    clock, (fold, final) = Clock(tmp_path, 0), units_of("full:0,final", [])
    (wide,) = units_of("wide:1", [])
    assert clock.needs(fold) == 60
    clock.note(fold, 30)
    assert clock.needs(final) == pytest.approx(1.15 * 30)
    assert clock.needs(wide) == pytest.approx(1.15 * 30 * (352**2 + 160**2) / (224**2 + 160**2))
    clock.note(wide, 80)
    assert clock.needs(fold) == pytest.approx(1.15 * 80)


def test_folds_are_not_tuned_from_an_encoder_that_saw_them() -> None:
    spec = load_spec(Path("configs/train.yaml")).backbone
    assert spec.weights == "shipped"
    assert carry.begun_from(spec, None).weights == "package"
    assert carry.begun_from(spec, "shipped").weights == "shipped"
    assert carry.begun_from(replace(spec, weights="none"), None).weights == "none"


def test_shards_for_crops_of_another_size_are_refused(tmp_path: Path) -> None:
    data = carried([picture(tmp_path / "a.bmp", 300, 300)], tmp_path)
    assert "crops of 160 px, the shards were packed for crops of 224 px" in problem_of(
        units_of("full:0", []), data, None
    )
    assert problem_of(units_of("full:0", ["crop=224"]), data, None) == ""
    assert "no fold 3, only [0]" in problem_of(units_of("full:3", ["crop=224"]), data, None)
    spec = load_spec(Path("configs/train.yaml"))
    with pytest.raises(UsageError, match="224 pixels at most"):
        list(carry.write_shards([], np.zeros(0), replace(spec, views=ViewSpec(224, 256, 1)), tmp_path, 1))


def test_the_config_of_the_document_is_what_the_design_sees(tmp_path: Path) -> None:
    """Sizes of both looks and what heads read; the `sed` line is the document's own."""
    (line,) = (each for each in Path("docs/training.md").read_text().splitlines() if each.endswith(" > runs/next.yaml"))
    made = subprocess.run(shlex.split(line.split(" > ")[0]), capture_output=True, text=True, check=True).stdout
    (tmp_path / "next.yaml").write_text(made)
    spec, plan = load_spec(tmp_path / "next.yaml"), PLANS["full"]
    assert spec.graph.sides == (plan.whole, plan.crop)
    assert spec.version != load_spec(Path("configs/train.yaml")).version
    for look in (spec.fit.whole, spec.fit.crops):
        assert (look.tokens.class_tokens, look.tokens.patch_mean) == (plan.class_tokens, plan.patch_means)


def test_a_smaller_look_reads_the_position_embedding_resampled() -> None:
    """As timm resamples it; the transformer's own size as it is."""
    assert torch.equal(resampling(14, 14), torch.eye(196))
    table = torch.randn(1, 197, 32, generator=torch.Generator().manual_seed(2))
    for grid in (10, 22):
        expected = resample_abs_pos_embed(table, [grid, grid])[0, 1:]
        assert torch.allclose(resampling(14, grid) @ table[0, 1:], expected, atol=1e-5)


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
