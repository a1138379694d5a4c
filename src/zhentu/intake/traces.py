"""Traces that generators leave in PNG text and EXIF, and camera EXIF as weak evidence to the contrary.

A trace is no declaration: it makes a picture suspected (Art. 6 (3) of the labelling measures), not labelled as AI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zhentu.intake.metadata import Metadata
from zhentu.intake.xmp import shown
from zhentu.types import AiState, Evidence, EvidenceKind, Trust

_KEYS = {
    "invokeai_metadata": "InvokeAI metadata",
    "invokeai_graph": "InvokeAI graph",
    "sd-metadata": "InvokeAI metadata",
    "Dream": "InvokeAI prompt",
    "dream": "InvokeAI prompt",
    "fooocus_scheme": "Fooocus parameters",
    "sui_image_params": "SwarmUI parameters",
    "generation_data": "generation data",
}
_SOFTWARE = ("novelai", "comfyui", "invokeai", "stable diffusion", "midjourney", "fooocus", "draw things", "swarmui")
_MIDJOURNEY = re.compile(r"Job ID: [0-9a-f]{8}-[0-9a-f]{4}-")


def generator_traces(metadata: Metadata) -> Iterator[Evidence]:
    """Parameters, workflows and names of image generators."""
    text, exif = metadata.text, metadata.exif.text
    comments = [place for place in metadata.loose if place[0] == "comment"]
    for location, value in (
        ("PNG text parameters", text.get("parameters", "")),
        ("EXIF UserComment", exif.get("UserComment", "")),
        *comments,
    ):
        if "Steps:" in value and "Sampler:" in value:
            yield _trace("Stable Diffusion WebUI parameters", location)
        elif "sui_image_params" in value:
            yield _trace("SwarmUI parameters", location)
    for location, value in (
        *((f"PNG text {key}", text.get(key, "")) for key in ("prompt", "workflow")),
        # ComfyUI writes into WebP as "prompt:{...}" and "workflow:{...}"
        *((f"EXIF {key}", exif.get(key, "")) for key in ("Make", "Model", "ImageDescription", "UserComment")),
    ):
        if '"class_type"' in value or (
            '"nodes"' in value and value.lstrip().startswith(("{", "workflow:", "Workflow:"))
        ):
            yield _trace("ComfyUI graph", location)
    for key, name in _KEYS.items():
        if key in text:
            yield _trace(name, f"PNG text {key}")
    for location, value in (
        ("PNG text Software", text.get("Software", "")),
        ("EXIF Software", exif.get("Software", "")),
    ):
        named = next((name for name in _SOFTWARE if name in value.lower()), None)
        if named:
            yield _trace(shown(value)[:60], location)
    for key in ("Comment", "comment"):
        if "fooocus" in text.get(key, "").lower():
            yield _trace("Fooocus parameters", f"PNG text {key}")
    if "fooocus" in exif.get("UserComment", "").lower():
        yield _trace("Fooocus parameters", "EXIF UserComment")
    if _MIDJOURNEY.search(text.get("Description", "")):
        yield _trace("Midjourney job", "PNG text Description")
    if exif.get("Make", "").lower() == "ideogram ai":
        yield _trace("Ideogram AI", "EXIF Make")


def camera(metadata: Metadata) -> Iterator[Evidence]:
    """A camera named in EXIF speaks against generation, weakly: anybody can copy it in."""
    exif = metadata.exif.text
    make, model = exif.get("Make", ""), exif.get("Model", "")
    if make and make.lower() != "ideogram ai" and "ExposureTime" in exif:
        named = shown(f"{make} {model}".strip())[:100]
        yield Evidence(
            EvidenceKind.PROVENANCE, "camera_exif", f"taken with {named}", Trust.FORGEABLE, "EXIF Make/Model"
        )


def _trace(detail: str, location: str) -> Evidence:
    return Evidence(
        EvidenceKind.PROVENANCE, "generator_parameters", detail, Trust.FORGEABLE, location, AiState.SUSPECTED
    )
