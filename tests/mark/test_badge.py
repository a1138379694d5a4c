from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from conftest import encoded, photo
from PIL import Image, ImageCms, ImageSequence, JpegImagePlugin
from varied_pictures import varied

from zhentu.errors import LabelUnwritable
from zhentu.intake.decode import decode
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.badge import known_lines, place
from zhentu.mark.spec import Badge, Outcome
from zhentu.mark.visible import grey_of, note_of
from zhentu.types import AiState, LabelLanguage

SPEC = LabelSpec(propagator="PLATFORM-7", content_id="L.1")
BADGE_ONLY = LabelSpec(propagator="", implicit=False)


def crop(payload: bytes, badge: Badge) -> npt.NDArray[np.uint8]:
    left, top, width, height = badge.box
    return grey_of(decode(payload).rgb)[top : top + height, left : left + width]


def ink_heights(plate: npt.NDArray[np.uint8], dark: bool) -> list[int]:
    """Rows of ink of each line of text, measured on the pixels; the hairline around the plate is left out."""
    inked = (plate > 127) if dark else (plate < 128)
    edge = next(k for k in range(1, 40) if not inked[k, inked.shape[1] // 2])
    rows = inked[edge:-edge, edge:-edge].any(axis=1)
    bounds = np.flatnonzero(np.diff(np.concatenate([[0], rows.astype(int), [0]])))
    heights = (bounds[1::2] - bounds[::2]).tolist()
    return [each for each in heights if each > max(heights) / 2]  # not the stroke of a 生 that stands apart


def contrast(plate: npt.NDArray[np.uint8]) -> float:
    """WCAG 2.2 contrast between the middle levels of ink and of ground."""
    levels = [float(np.median(plate[plate > 127])), float(np.median(plate[plate <= 127]))]
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in np.divide(levels, 255)
    ]
    return (linear[0] + 0.05) / (linear[1] + 0.05)


def test_ink_height_and_contrast_hold_on_200_varied_pictures() -> None:
    files = varied()
    assert len(files) == 200
    worst_ratio, worst_contrast = 1.0, 100.0
    for number, (_, payload) in enumerate(files):
        state = list(AiState)[number % 3]
        spec = LabelSpec(propagator="P", implicit=False, language=list(LabelLanguage)[number // 2 % 3])
        labelled = label_picture(payload, state, spec)
        assert labelled.badge is not None
        picture = decode(labelled.payload)
        plate = crop(labelled.payload, labelled.badge)
        ratio = min(ink_heights(plate, labelled.badge.dark)) / min(picture.width, picture.height)
        worst_ratio, worst_contrast = min(worst_ratio, ratio), min(worst_contrast, contrast(plate))
        assert labelled.badge.ink / min(picture.width, picture.height) >= 0.05  # of the capitals alone, too
    print(f"worst ink ratio {worst_ratio:.4f}, worst contrast {worst_contrast:.1f}:1")
    assert worst_ratio >= 0.05
    assert worst_contrast >= 4.5


def test_the_words_are_those_the_standard_wants() -> None:
    for state in AiState:
        for lines in known_lines(state):
            words = "".join(lines)
            if words.isascii():
                assert "AI-gene" in words
            else:
                assert "AI" in words
                assert "生成" in words


def test_the_corner_that_hides_least_is_taken() -> None:
    grey = np.full((400, 400), 200, np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (400, 400), dtype=np.uint8)
    for calm in ((slice(0, 200), slice(0, 200)), (slice(200, 400), slice(0, 200)), (slice(0, 200), slice(200, 400))):
        busy = noise.copy()
        busy[calm] = 128
        left, top = place(busy, (100, 40))
        assert (top < 200, left < 200) == (calm[0].start == 0, calm[1].start == 0)
    left, top = place(grey, (100, 40))
    assert (left > 200, top > 200) == (True, True)
    left, _ = place(grey, (100, 40), right_to_left=True)
    assert left < 200


def test_jpeg_keeps_tables_subsampling_mode_icc_and_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for quality, subsampling, progressive in ((35, 2, True), (80, 1, False), (93, 0, True)):
        options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
        before = encoded(photo((300, 200)), "JPEG", exif=exif, icc_profile=profile, **options)
        labelled = label_picture(before, AiState.IS, SPEC)
        old, new = (Image.open(io.BytesIO(each)) for each in (before, labelled.payload))
        assert new.quantization == old.quantization
        assert JpegImagePlugin.get_sampling(new) == subsampling
        assert bool(new.info.get("progressive")) == progressive
        assert new.info["icc_profile"] == profile
        assert new.getexif()[0x0112] == 6
        assert labelled.badge is not None
        assert labelled.badge.picture == (200, 300)  # upright: the label is not turned with the sensor
        outside = np.abs(decode(before).rgb.astype(int) - decode(labelled.payload).rgb)
        left, top, width, height = labelled.badge.box
        outside[max(top - 16, 0) : top + height + 16, max(left - 16, 0) : left + width + 16] = 0
        assert outside.mean() < 0.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_badge_is_upright_in_every_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    labelled = label_picture(encoded(photo((300, 200)), "JPEG", exif=exif), AiState.IS, SPEC)
    assert label_picture(labelled.payload, AiState.IS, SPEC).visible is Outcome.KEPT


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_every_frame_of_an_animation_carries_the_badge_and_its_time(form: str) -> None:
    frames = [photo((160, 120), seed) for seed in range(4)]
    before = encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=[90, 150, 200, 250], loop=0)
    labelled = label_picture(before, AiState.IS, SPEC)
    image = Image.open(io.BytesIO(labelled.payload))
    assert labelled.badge is not None
    left, top, width, height = labelled.badge.box
    plates, durations = [], []
    for frame in ImageSequence.Iterator(image):
        plates.append(np.asarray(frame.convert("L").crop((left, top, left + width, top + height))).astype(int))
        durations.append(frame.info["duration"])
    assert len(plates) == 4
    assert all(np.abs(plate - plates[0]).mean() < 12 for plate in plates)
    assert durations == [90, 150, 200, 250]


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "P"), ("PNG", "1"), ("PNG", "LA"), ("PNG", "RGBA"), ("PNG", "I;16"), ("GIF", "P"), ("JPEG", "CMYK"),
     ("JPEG", "L"), ("WEBP", "RGBA"), ("TIFF", "CMYK"), ("TIFF", "L")],
)  # fmt: skip
def test_every_colour_mode_takes_a_readable_badge(form: str, mode: str) -> None:
    image = photo((300, 200))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    labelled = label_picture(encoded(image.convert(mode), form), AiState.SUSPECTED, SPEC)
    assert labelled.badge is not None
    assert contrast(crop(labelled.payload, labelled.badge)) >= 4.5
    assert label_picture(labelled.payload, AiState.SUSPECTED, SPEC).payload == labelled.payload


def test_a_colour_that_stands_for_transparency_does_not_punch_holes_into_the_badge() -> None:
    keyed = encoded(Image.new("L", (200, 100), 200), "PNG", transparency=255)
    labelled = label_picture(keyed, AiState.IS, SPEC)
    assert labelled.badge is not None
    assert contrast(crop(labelled.payload, labelled.badge)) >= 4.5


def test_a_surer_state_repaints_the_badge_in_its_place() -> None:
    first = label_picture(encoded(photo((400, 300)), "PNG"), AiState.SUSPECTED, SPEC)
    second = label_picture(first.payload, AiState.IS, SPEC)
    assert (second.visible, second.implicit) == (Outcome.UPDATED, Outcome.UPDATED)
    assert first.badge is not None
    assert second.badge is not None
    assert second.badge.box == first.badge.box
    assert second.badge.lines == ("AI生成",)
    untouched = decode(first.payload).rgb.copy(), decode(second.payload).rgb.copy()
    left, top, width, height = first.badge.box
    for rgb in untouched:
        rgb[top : top + height, left : left + width] = 0
    assert np.array_equal(*untouched)


def test_a_note_without_the_pixels_does_not_keep_the_badge_off() -> None:
    labelled = label_picture(encoded(photo((400, 300)), "PNG"), AiState.IS, SPEC)
    assert labelled.badge is not None
    forged = Image.open(io.BytesIO(encoded(photo((400, 300)), "PNG")))
    info = encoded(forged, "PNG")
    from zhentu.mark.metadata import write

    lying = write(info, "PNG", labelled.label, note_of(labelled.badge)).payload
    assert label_picture(lying, AiState.IS, SPEC).visible is Outcome.WRITTEN


def test_formats_that_take_no_badge_say_what_to_do() -> None:
    with pytest.raises(LabelUnwritable, match="convert"):
        label_picture(encoded(photo(), "BMP"), AiState.IS, SPEC)
    with pytest.raises(LabelUnwritable, match="visible label too"):
        label_picture(encoded(photo(), "TIFF"), AiState.IS, LabelSpec(propagator="P", visible=False))
