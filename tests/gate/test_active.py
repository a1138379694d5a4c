"""What is in force changes while the gate runs, and what is broken is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from served import picture, until
from stored import shadowed

from zhentu.decide.policy_file import default_policy_path
from zhentu.detect.drift import ScoreWindow, histogram, stability_index
from zhentu.gate.app import create_app
from zhentu.record.history import ModelHistory
from zhentu.settings import Settings


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(default_policy_path().read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture
def two_models(tmp_path: Path, settings: Settings) -> Settings:
    """A second model beside the tiny one, which calls everything forged."""
    path = tmp_path / "models" / "manifest.json"
    manifest = json.loads(path.read_text())
    second = json.loads(json.dumps(manifest["models"][0])) | {"version": "2"}
    for each in second["calibration"].values():
        each["intercept"] = 50.0
    manifest["models"].append(second)
    path.write_text(json.dumps(manifest))
    return settings


def rewrite(path: Path, text: str) -> None:
    """In one step, so that no check meets half a file."""
    path.with_suffix(".new").write_text(text, encoding="utf-8")
    path.with_suffix(".new").replace(path)


def model_of(client: TestClient) -> str:
    return client.get("/v1/in-force").json()["model"]


def test_a_changed_policy_file_is_followed_and_a_broken_one_refused(settings: Settings, policy_file: Path) -> None:
    with TestClient(create_app(settings.changed({"policy_path": policy_file}))) as client:
        assert client.post("/v1/screen", files=picture(), data={"declared_ai": "true"}).json()["action"] == "label"
        text = policy_file.read_text(encoding="utf-8")
        rewrite(policy_file, text.replace("mode: enforce", "mode: shadow"))
        until(lambda: client.get("/v1/in-force").json()["mode"] == "shadow")
        body = client.post("/v1/screen", files=picture(), data={"declared_ai": "true"}).json()
        assert (body["action"], body["decided"], body["mode"]) == ("allow", "label", "shadow")
        rewrite(policy_file, "mode: [")
        until(lambda: client.get("/v1/in-force").json()["problem"] != "")
        assert client.get("/v1/in-force").json()["mode"] == "shadow"
        refused = client.post("/v1/policy/reload")
        assert (refused.status_code, refused.json()["code"]) == (400, "config_error")
        rewrite(policy_file, text)
        assert client.post("/v1/policy/reload").json() | {"policy_sha256": ""} == {
            "model": "tiny@1",
            "shadow_model": "",
            "policy": "2026-11-24",
            "policy_sha256": "",
            "mode": "enforce",
            "profile": "balanced",
            "rollout": 100.0,
            "problem": "",
        }


def test_a_chosen_model_is_followed_and_rolled_back(two_models: Settings) -> None:
    settings = two_models.changed({"models.active": "tiny@1"})
    with TestClient(create_app(settings)) as client:
        history = ModelHistory(client.app.state.gate.store.database)
        assert model_of(client) == "tiny@1"
        history.use("tiny@2")
        until(lambda: model_of(client) == "tiny@2")
        body = client.post("/v1/screen", files=picture()).json()
        assert (body["model"], body["action"]) == ("tiny@2", "review")
        history.use("tiny@99")
        client.app.state.gate.active.refresh()
        assert model_of(client) == "tiny@2", "a model that cannot be loaded is refused"
        history.use("tiny@2")
        history.use(history.previous())
        history.use("")
        until(lambda: model_of(client) == "tiny@1")


def test_a_shadow_model_is_asked_and_its_disagreement_recorded(two_models: Settings) -> None:
    settings = two_models.changed({"models.active": "tiny@1", "models.shadow": "tiny@2"})
    with TestClient(create_app(settings)) as client:
        body = client.post("/v1/screen", files=picture()).json()
        assert body["model"] == "tiny@1"
        until(lambda: 'zhentu_shadow_total{agrees="false"' in client.get("/metrics").text)  # counted after it is kept
        assert shadowed(client.app.state.gate.store.database) == [("tiny@2", body["decided"] != "review")]
        assert 'zhentu_shadow_total{agrees="false",model="tiny@2"}' in client.get("/metrics").text


def test_equal_histograms_are_stable_and_moved_ones_are_not() -> None:
    low = [0.05, 0.15, 0.12, 0.25] * 100
    high = [0.95, 0.85, 0.88, 0.75] * 100
    assert stability_index(histogram(low), histogram(low)) == 0
    assert stability_index(histogram(low), histogram(high)) > 0.25
    with pytest.raises(ValueError, match="bins"):
        stability_index([1.0], [0.5, 0.5])


def test_drift_waits_for_enough_scores_and_names_the_output() -> None:
    window = ScoreWindow(size=300)
    reference = {"forged": histogram([0.05] * 10), "unknown": (0.1,) * 10}
    window.add({"forged": 0.95})
    assert window.indices(reference) == {}
    for _ in range(300):
        window.add({"forged": 0.95})
    assert set(window.indices(reference)) == {"forged"}
    assert window.indices(reference)["forged"] > 0.25
    window.clear()
    assert window.indices(reference) == {}
