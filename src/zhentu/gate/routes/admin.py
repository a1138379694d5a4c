"""What is in force, and how to change it at run time."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from zhentu import errors
from zhentu.gate.context import Administers, Gate, TheGate
from zhentu.gate.problems import documented
from zhentu.gate.schemas import InForceAnswer

router = APIRouter(tags=["administration"])


@router.get("/v1/in-force", responses=documented())
async def in_force(gate: TheGate, caller: Administers) -> InForceAnswer:
    """The model, policy and mode in force, and why a changed policy was refused."""
    return _answer(gate)


@router.post("/v1/policy/reload", responses=documented(errors.ConfigError))
async def reload_policy(gate: TheGate, caller: Administers) -> InForceAnswer:
    """Read the policy file now. A broken one is refused with all its problems, and the old one stays in force."""
    await asyncio.to_thread(gate.active.reload)
    gate.background.show_versions()
    return _answer(gate)


def _answer(gate: Gate) -> InForceAnswer:
    active, shadow = gate.active.screener, gate.active.shadow
    return InForceAnswer(
        model=str(active.detector.entry.ref),
        shadow_model=str(shadow.detector.entry.ref) if shadow else "",
        policy=active.policy.version,
        policy_sha256=active.policy.sha256,
        mode=active.policy.mode.value,
        profile=active.policy.profile.value,
        rollout=active.policy.rollout,
        problem=gate.active.problem,
    )
