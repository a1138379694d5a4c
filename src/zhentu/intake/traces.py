"""Traces that generators leave in PNG text and EXIF, and camera EXIF as weak evidence to the contrary."""

from __future__ import annotations

from collections.abc import Iterator

from zhentu.intake.metadata import Metadata
from zhentu.types import AiState, Evidence, EvidenceKind, Trust


def generator_traces(metadata: Metadata) -> Iterator[Evidence]:
    """Parameters and workflows of image generators."""
    text, exif = metadata.text, metadata.exif
    if _is_webui(text.get("parameters", "")):
        yield _trace("Stable Diffusion WebUI parameters", "PNG text parameters")
    if _is_webui(exif.get("UserComment", "")):
        yield _trace("Stable Diffusion WebUI parameters", "EXIF UserComment")
    for key in ("prompt", "workflow"):
        if "class_type" in text.get(key, "") or '"nodes"' in text.get(key, ""):
            yield _trace("ComfyUI graph", f"PNG text {key}")
    for key, name in (
        ("invokeai_metadata", "InvokeAI"),
        ("invokeai_graph", "InvokeAI"),
        ("sd-metadata", "InvokeAI"),
        ("Dream", "InvokeAI"),
    ):
        if key in text:
            yield _trace(f"{name} metadata", f"PNG text {key}")
    software = text.get("Software", "") or exif.get("Software", "")
    if "novelai" in software.lower():
        yield _trace("NovelAI", "Software")
    comment = text.get("Comment", "") or text.get("comment", "")
    if "fooocus" in comment.lower() or "fooocus" in text.get("fooocus_scheme", "").lower():
        yield _trace("Fooocus parameters", "Comment")
    if exif.get("Make", "").strip().lower() == "ideogram ai":
        yield _trace("Ideogram AI", "EXIF Make")


def camera(metadata: Metadata) -> Iterator[Evidence]:
    """A camera named in EXIF speaks against generation, weakly: anybody can copy it in."""
    make, model = metadata.exif.get("Make", ""), metadata.exif.get("Model", "")
    if make and make.lower() != "ideogram ai" and metadata.exif.get("ExposureTime"):
        shown = "".join(c for c in f"{make} {model}".strip() if c.isprintable())[:100]
        yield Evidence(
            EvidenceKind.PROVENANCE, "camera_exif", f"taken with {shown}", Trust.FORGEABLE, "EXIF Make/Model"
        )


def _is_webui(text: str) -> bool:
    return "Steps:" in text and "Sampler:" in text


def _trace(detail: str, location: str) -> Evidence:
    return Evidence(EvidenceKind.PROVENANCE, "generator_parameters", detail, Trust.FORGEABLE, location, AiState.IS)
