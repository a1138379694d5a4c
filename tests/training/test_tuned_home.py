"""The way of a tuned encoder, once: packed, tuned in calls that end in time, brought home, refitted and served."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from smoke import smoke_manifest

from zhentu.detect.models import Manifest, samples_folder
from zhentu.errors import UsageError
from zhentu_training import adopt, carry, export, fit, pack, unfold
from zhentu_training.config import TrainSpec, load_spec
from zhentu_training.encoder_weights import read_encoder, shipped_encoder
from zhentu_training.features import read_features, views_on
from zhentu_training.folds import packed_folds
from zhentu_training.gpu.home import said_in, weights_in
from zhentu_training.gpu.plan import PLANS
from zhentu_training.heads import read_tokens
from zhentu_training.model import CLASS, MEAN

# What a lent machine lacks of the project's own dependencies.
ABSENT = ("zhentu", "pydantic", "onnx", "onnxruntime", "sklearn", "yaml", "tqdm", "zhentu_training.config")


def spec_file(folder: Path, weights: str) -> Path:
    """The smoke run's config with the tokens that the plan "tiny" reads."""
    content = yaml.safe_load(Path("configs/train-smoke.yaml").read_text())
    plan = PLANS["tiny"]
    tokens = {"class_tokens": list(plan.class_tokens), "patch_mean": list(plan.patch_means)}
    content["backbone"]["weights"] = weights
    content["views"] = {"whole_size": plan.whole, "crop_size": plan.crop, "crop_count": 1}
    content["fit"] |= {look: {"tokens": tokens, "ridge": 0.05} for look in ("whole", "crops")}
    path = folder / f"{weights}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shards/`, and `out/` of three calls: without time, with enough, and once more when all is done.

    In a process in which nothing of the project can be imported.
    """
    folder = tmp_path_factory.mktemp("tuning")
    manifest = smoke_manifest(folder)
    carry.main(
        ["--manifest", str(manifest), "--out", str(folder / "shards"), "--config", str(spec_file(folder, "none"))]
    )
    calls = [
        ["ready", "--shards", str(folder / "shards"), "--work", str(folder / "work")],
        *(
            [
                "run",
                "--work",
                str(folder / "work"),
                "--out",
                str(folder / "out" / name),
                "--device",
                "cpu",
                "--seconds",
                seconds,
                "tiny:0,1,final",
            ]
            for name, seconds in (("a", "0"), ("b", "600"), ("c", "0"))
        ),
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
    adopt.main([*words, "--run", str(tmp_path), "--config", str(spec_file(tmp_path, "shipped")), "--design", "tiny"])
    monkeypatch.setenv("ZHENTU_TRAINING_ENCODER", str(tmp_path / "encoder.npz"))
    return tmp_path, load_spec(tmp_path / "train.yaml")


def test_a_lent_machine_needs_nothing_of_the_project(home: Path) -> None:
    *figures, modules = (home / "log").read_text().splitlines()
    used = {name for name in eval(modules) if name.startswith("zhentu_training") and ".gpu" not in name}  # noqa: S307
    assert used == {"zhentu_training", "zhentu_training.forge", "zhentu_training.forge.taef2"}
    assert [line for line in figures if line.startswith("tiny-1 blend: whole ")]
    asked = [line for line in figures if line.startswith("to do: ")]
    assert asked == ["to do: tiny-0, tiny-1, tiny-final; to send: nothing", *["to do: nothing; to send: nothing"] * 2]
    assert len([line for line in figures if "not begun, " in line]) == 3, "once, by the call without time"


def test_every_answer_says_what_is_known_and_no_weights_come_twice(home: Path) -> None:
    found = {name: sorted(each.name for each in (home / "out" / name).iterdir()) for name in "abc"}
    weights = [f"tiny-{unit}-weights-0.npz" for unit in (0, 1, "final")]
    assert found == {"a": [], "b": ["said.npz", *weights], "c": ["said.npz"]}
    said, folds = said_in(home / "out" / "c"), packed_folds(home / "shards")
    for fold in (0, 1):
        part = said[f"tiny-{fold}"]
        assert {folds[str(name)] for name in part["names"]} == {fold}
        assert part["blend_logits"].shape == part["plain_logits"].shape == (len(part["names"]), 3, 5)
    assert json.loads(str(said["tiny-final"]["plan"]))["crop"] == PLANS["tiny"].crop
    assert len(said["tiny-final"]["names"]) == len(folds)


def test_tokens_of_a_fold_are_those_of_the_encoder_that_never_saw_it(home: Path, tmp_path: Path) -> None:
    """The fold's own heads say of tokens made here what the lent machine said; fit and calibration read them."""
    config = spec_file(tmp_path, "none")
    words = ["--manifest", str(home / "manifest.csv"), "--shards", str(home / "shards"), "--config", str(config)]
    features = ["--features", str(tmp_path / "held-out")]
    unfold.main([*words, *features, "--tuned", str(home / "out"), "--design", "tiny"])
    spec = load_spec(config)
    for fold in (0, 1):
        part = said_in(home / "out")[f"tiny-{fold}"]
        heads = adopt.heads_of(weights_in(home / "out", f"tiny-{fold}"), 0.5)
        looked = read_features(tmp_path / "held-out", "web", list(map(str, part["names"])))
        assert looked.names == list(map(str, part["names"]))
        for view, head, tokens in ((0, heads[0], looked.whole), (2, heads[1], looked.crops)):
            said = head.logits(read_tokens(tokens, spec.fit.whole.tokens))
            spread = part["blend_logits"][:, view].std()
            assert np.abs(said - part["blend_logits"][:, view]).mean() < 0.1 * spread, (fold, view)
    fit.main([*words, *features, "--run", str(tmp_path / "refit")])
    with np.load(tmp_path / "refit" / "held_out.npz") as held:
        packed = packed_folds(home / "shards")
        assert held["fold"].tolist() == [packed[str(name)] for name in held["names"]]
    with pytest.raises(SystemExit, match=r"holds tokens of tiny at 0\.5, looks of 160 and 96 px, not of tiny at 1\.0"):
        unfold.main([*words, *features, "--tuned", str(home / "out"), "--design", "tiny", "--share", "1"])


def test_what_did_not_come_home_is_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = spec_file(tmp_path, "none")
    words = ["--manifest", str(home / "manifest.csv"), "--shards", str(home / "shards"), "--config", str(config)]
    run, features = ["--run", str(tmp_path / "run")], ["--features", str(tmp_path / "features")]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SystemExit, match="holds no weights of full-final"):
        adopt.main([*words, *run, "--tuned", str(home / "out")])
    unfold.main([*words, *features, "--tuned", str(empty), "--design", "tiny"])
    assert "folds [0, 1]: " in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"holds no said\.npz with folds of tiny"):
        adopt.judged_folds(empty, "tiny", 0.5)
    config.write_text(config.read_text().replace("crop_size: 96", "crop_size: 128"))
    with pytest.raises(SystemExit, match="was tuned on looks of 160 and 96 px, the config's views have 160 and 128"):
        adopt.main([*words, *run, "--tuned", str(home / "out"), "--design", "tiny"])
    with pytest.raises(UsageError, match="holds no shards"):
        packed_folds(empty)


def test_what_was_tuned_says_the_same_from_the_run_folder(home: Path, adopted: tuple[Path, TrainSpec]) -> None:
    run, spec = adopted
    model = export.assemble(run, spec)
    said = said_in(home / "out")["tiny-final"]
    seen = dict(zip(map(str, said["names"]), said["blend_logits"], strict=True))
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
