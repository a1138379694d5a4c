"""Large compressed chunks of PNG are read within a bound, never called corrupt; palettes have their colour profile."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import encoded, photo
from label_forms import large_chunk
from PIL import ImageCms
from yardstick import fastest

from zhentu.intake.containers import png
from zhentu.intake.decode import decode
from zhentu.intake.provenance import read_provenance
from zhentu.mark import LabelSpec, label_picture
from zhentu.types import AiState

MIB = 2**20


def workflow(size: int) -> bytes:
    nodes = [{"id": number, "type": "KSampler", "widgets_values": ["x" * 80]} for number in range(size // 140)]
    return json.dumps({"last_node_id": 9, "nodes": nodes}).encode()


@pytest.mark.parametrize("size", [2 * MIB, 3 * MIB])
def test_a_workflow_over_a_megabyte_is_read_and_the_picture_is_not_corrupt(size: int) -> None:
    payload = large_chunk(b"zTXt", b"workflow", workflow(size))
    assert decode(payload).width == 120
    (found,) = read_provenance(payload, "PNG")
    assert found.detail.startswith("ComfyUI graph")
    marked = label_picture(payload, AiState.IS, LabelSpec(propagator="P"))
    assert b"zTXtworkflow" in marked.payload


def test_a_bomb_costs_neither_the_picture_nor_time() -> None:
    def read(payload: bytes) -> None:
        assert decode(payload).width == 120
        assert sum(len(block.body) for block in png.blocks(payload)) <= png.MAX_INFLATED

    small, large = (large_chunk(b"zTXt", b"workflow", b"{" * (size * MIB)) for size in (20, 300))
    allowed = 3 * fastest(lambda: read(small))
    assert fastest(lambda: read(large), allowed) <= allowed


def test_a_large_icc_profile_is_applied() -> None:
    small = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert len(small) < MIB
    payload = large_chunk(b"iCCP", b"big", small + bytes(2 * MIB))
    assert png.lightened(payload)[1] == small + bytes(2 * MIB)
    assert any("ICC profile" in note for note in decode(payload).notes)


def test_a_palette_has_its_profile_applied_like_other_pictures() -> None:
    swapped = swapped_profile()
    picture = photo((96, 64)).quantize(64)
    direct = decode(encoded(picture.convert("RGB"), "PNG", icc_profile=swapped))
    palette = decode(encoded(picture, "PNG", icc_profile=swapped))
    assert "ICC profile converted to sRGB" in palette.notes
    assert np.array_equal(direct.rgb, palette.rgb)
    assert not np.array_equal(palette.rgb, decode(encoded(picture, "PNG")).rgb)


def swapped_profile() -> bytes:
    """SRGB's profile with red and green primaries exchanged: applied, it changes every picture."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes().replace(b"sRGB", b"test"))
    table = {
        bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    }
    red, green = table[b"rXYZ"], table[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)
