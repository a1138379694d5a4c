"""No container engine runs here: the files are checked by linters, and their commands run outside of a container."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import promql_parser
import pytest
import yaml
from loadgen import free_port
from packaging.requirements import Requirement
from served import until

from zhentu.gate.metrics import GateMetrics
from zhentu.settings import load_settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")


def instruction(name: str) -> str:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)[-1].strip()


def metric_names() -> set[str]:
    names = {"up"}
    for family in GateMetrics().registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}[family.type]
        names |= {family.name + suffix for suffix in suffixes}
    return names


def used_names(expression: str) -> set[str]:
    promql_parser.parse(expression)  # raises where it is no PromQL
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|by \([^)]*\)', "", expression)
    return set(re.findall(r"\b(?:zhentu_\w+|up)\b", bare))


def test_every_alert_is_valid_promql_over_metrics_that_exist_and_says_what_to_do() -> None:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text(encoding="utf-8"))["groups"]
    assert len(group["rules"]) >= 8
    for rule in group["rules"]:
        assert used_names(rule["expr"]) <= metric_names(), rule["alert"]
        assert used_names(rule["expr"])
        assert {"summary", "what_to_do"} <= set(rule["annotations"])


def test_every_panel_of_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/zhentu.json").read_text(encoding="utf-8"))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    asked: set[str] = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= used_names(target["expr"])
    assert asked <= metric_names()
    counted = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in metric_names()} - {"up"}
    assert shown <= counted, "every metric is on the dashboard"


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("kubernetes/*.yaml")), ids=lambda path: path.name)
def test_kubernetes_manifests_fit_their_schemas(path: Path) -> None:
    for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_pods_have_probes_limits_and_no_privileges() -> None:
    text = (DEPLOY / "kubernetes/gate.yaml").read_text(encoding="utf-8")
    pod = next(yaml.safe_load_all(text))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert {"requests", "limits"} <= set(container["resources"])
    grace = load_settings(None, {}).gate.deadline_s + 5
    assert pod["terminationGracePeriodSeconds"] > grace, "what was accepted is finished"


def test_settings_of_the_manifests_exist() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    config = next(yaml.safe_load_all((DEPLOY / "kubernetes/config.yaml").read_text(encoding="utf-8")))["data"]
    filled = {
        name: re.sub(r"\$\{[^}]*:-([^}]*)\}", r"\1", str(value))
        for name, value in (compose["x-gate"]["environment"] | config).items()
    }
    assert load_settings(None, filled).gate.on_error is not None


def test_compose_hangs_together() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert {"gate-1", "gate-2", "postgres", "prometheus", "grafana"} <= set(services)
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"], volume
    gate = services["gate-1"]
    assert gate["read_only"]
    assert gate["cap_drop"] == ["ALL"]
    spools = [[each for each in services[name]["volumes"] if "spool" in each] for name in ("gate-1", "gate-2")]
    assert spools[0] != spools[1]


def test_the_image_runs_as_nobody_and_copies_what_exists() -> None:
    assert instruction("USER") == "10001"
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M):
        for source in line.split()[:-1]:
            assert (DEPLOY.parent / source).exists(), source
            assert f"!{source}" in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


def test_the_image_s_commands_work_outside_of_it(tmp_path: Path) -> None:
    """ENTRYPOINT, CMD and HEALTHCHECK as they stand, on another port, with keys, in a folder that may be written."""
    port = str(free_port())
    entry, command = json.loads(instruction("ENTRYPOINT")), json.loads(instruction("CMD"))
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_DATA_HOME": str(tmp_path),
        "ZHENTU_GATE_ON_ERROR": "block",
    }
    program = [sys.executable, "-c", "from zhentu.cli import main; main()"]
    assert entry == ["zhentu"]
    assert subprocess.run([*program, "store", "migrate"], env=env, check=False).returncode == 0
    refused = subprocess.run(
        [*program, *command], env=env | {"ZHENTU_GATE_ON_ERROR": ""}, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "on_error" in refused.stderr
    running = subprocess.Popen([*program, *(port if each == "8000" else each for each in command)], env=env)
    try:
        health = shlex.split(instruction("HEALTHCHECK").partition("CMD")[0])
        assert "--timeout=2s" in health
        check = json.loads(instruction("HEALTHCHECK").partition("CMD")[2])
        probe = [sys.executable, *(each.replace("8000", port) for each in check[1:])]
        until(lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0, 180)
    finally:
        running.terminate()
        assert running.wait(120) in (0, -15)


def test_no_image_is_untagged_and_no_password_stands_in_a_file() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*.yaml")) + DOCKERFILE
    assert "change-me" not in text
    images = re.findall(r"image: (\S+)", text) + re.findall(r"^ARG \w+_IMAGE=(\S+)", DOCKERFILE, re.M)
    assert len(images) >= 7
    assert not [each for each in images if ":" not in each or each.endswith(":latest")]
    assert not re.findall(r"://\w+:(?!\$)[^@\s]+@", text), "a password in a URL"


def test_every_pod_has_a_network_policy() -> None:
    policies = list(yaml.safe_load_all((DEPLOY / "kubernetes/network.yaml").read_text(encoding="utf-8")))
    assert all(each["spec"]["policyTypes"] == ["Ingress", "Egress"] for each in policies)
    chosen = [each["spec"]["podSelector"]["matchLabels"] for each in policies]
    assert {"app": "zhentu-gate"} in chosen
    blocked = str(policies[0]["spec"]["egress"])
    assert "169.254.0.0/16" in blocked
    assert "10.0.0.0/8" in blocked


def test_everything_written_to_memory_has_a_size() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert all("size=" in each for each in compose["x-gate"]["tmpfs"])
    assert compose["x-gate"]["mem_limit"]


def test_the_lock_file_has_what_the_project_asks_for_and_every_hash() -> None:
    text = (DEPLOY.parent / "requirements.lock").read_text(encoding="utf-8")
    locked = {found[0]: found[1] for found in re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.M)}
    assert text.count("--hash=sha256:") > len(locked)
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    for each in map(Requirement, wanted):
        assert each.specifier.contains(locked[each.name.lower()]), each
