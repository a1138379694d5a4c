"""The models that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zhentu.detect.compare import Comparer
from zhentu.detect.entries import ModelEntry
from zhentu.detect.goods import GoodsFinder
from zhentu.detect.models import Manifest, models_folder
from zhentu.detect.sessions import has_8bit_products
from zhentu.errors import ModelError, UsageError
from zhentu.settings import Settings
from zhentu.types import Runtime


def find_model(settings: Settings) -> tuple[ModelEntry, Path]:
    """The model in force (see `Manifest.chosen`) and the folder its file lies in. Raises ModelError.

    With another runtime than ONNX Runtime on the processor it is the fp32 graph: what rounds is the runtime.
    """
    folder, runtime = settings.models.dir or models_folder(), settings.models.runtime
    by_default = runtime is Runtime.ONNXRUNTIME
    entry = Manifest.load(folder).chosen(settings.models.active, by_default and has_8bit_products())
    if entry.precision == "int8" and not by_default:
        raise ModelError(
            f"{entry.ref} is a graph of 8-bit products for ONNX Runtime on a processor; with models.runtime {runtime} "
            "name its fp32 model in models.active, or none"
        )
    return replace(entry, runtime=runtime), folder


def accepted_models(settings: Settings, rescan_below: str = "") -> Mapping[str, ModelEntry]:
    """Models whose scores count as known, by the sha256 of their files.

    They are the one in force and, with `rescan_below`, those of the same name in the manifest from that version on.
    Raises UsageError if it is not a version.
    """
    entry, folder = find_model(settings)
    try:
        earlier = Manifest.load(folder).since(entry, rescan_below) if rescan_below else ()
    except UsageError as error:
        raise UsageError(f"--rescan-below: {error}") from error
    return {each.sha256: each for each in (entry, *earlier)}


def build_comparer(settings: Settings, threads: int = 1) -> Comparer | None:
    """The comparison in force with its goods finder, None if the models hold none. Both load when first asked.

    As the detector, it calculates with 8-bit integers where the processor has products for them.
    """
    folder, runtime = settings.models.dir or models_folder(), settings.models.runtime
    manifest = Manifest.load(folder)
    if manifest.comparer is None or manifest.finder is None:
        return None
    # In OpenVINO's bfloat16 the sureness of a picture without goods moved by 0.17: it serves the encoders alone.
    finds_goods = Runtime.ONNXRUNTIME if runtime is Runtime.OPENVINO else runtime
    finder = GoodsFinder(manifest.finder, folder, threads, finds_goods)
    integer = runtime is Runtime.ONNXRUNTIME and has_8bit_products()
    return Comparer(manifest.comparer, folder, finder, threads, runtime, integer)
