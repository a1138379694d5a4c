"""What generators leave in files is data: every row recognises its example in a real file, and rows can be added."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import encoded, photo
from label_forms import case, exif_block, hidden_parameters, packet, png, segment, wide
from PIL import Image

from zhentu.errors import ConfigError
from zhentu.intake import generators
from zhentu.intake.generators import GeneratorRow, load_table, shipped_table
from zhentu.intake.provenance import read_provenance
from zhentu.intake.stealth import stealth_parameters
from zhentu.types import AiState, Evidence
from zhentu.yaml_text import read_yaml

TAGS = {
    "ImageDescription": 0x010E, "Make": 0x010F, "Model": 0x0110, "Software": 0x0131, "Artist": 0x013B,
    "UserComment": 0x9286,
}  # fmt: skip
IPTC = {"Credit": 110, "Caption-Abstract": 120, "By-line": 80}
CASES = ["a1111_cjk_LE", "creatortool_reve", "easydiffusion_jpg", "grok", "swarm_legacy_model"]
ROWS = [*shipped_table().labels, *shipped_table().traces]


def states(payload: bytes, form: str) -> set[AiState | None]:
    return {each.ai_state for each in read_provenance(payload, form)}


def file_of(row: GeneratorRow) -> tuple[bytes, str]:
    """A real file that says what the row's example says, at the place it names."""
    places = list(row.example.items())
    if len(places) > 1:
        tags = Image.Exif()
        for place, value in places:
            tags[TAGS[place.removeprefix("EXIF ")]] = value
        return encoded(photo(), "JPEG", exif=tags), "JPEG"
    ((place, value),) = places
    if place.startswith("PNG text "):
        return png(place.removeprefix("PNG text "), value, "tEXt" if value.isascii() else "iTXt"), "PNG"
    if place.startswith("XMP "):
        name = place.removeprefix("XMP ")
        escaped = value.replace("&", "&amp;").replace("<", "&lt;")
        inside = f'<rdf:Description xmlns:n="urn:any:"><n:{name}>{escaped}</n:{name}></rdf:Description>'
        return encoded(photo(), "WEBP", xmp=packet(inside)), "WEBP"
    if place.startswith("IPTC "):
        body = value.encode()
        dataset = bytes([0x1C, 2, IPTC[place.removeprefix("IPTC ")]]) + len(body).to_bytes(2, "big") + body
        return segment(
            0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + len(dataset).to_bytes(4, "big") + dataset
        ), "JPEG"
    if place == "Samsung trailer":
        blocks = b"\x00\x00\xa1\x0b\x18\x00\x00\x00" + value.encode()
        return encoded(photo(), "JPEG") + blocks + b"SEFH" + bytes(20) + b"\x18\x00\x00\x00SEFT", "JPEG"
    tag = TAGS[place.removeprefix("EXIF ")]
    body = b"ASCII\x00\x00\x00" + value.encode() if tag == 0x9286 else value
    return encoded(photo(), "JPEG", exif=exif_block(tag, body)), "JPEG"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}: {next(iter(row.example))}")
def test_each_row_makes_a_file_with_its_example_suspected(row: GeneratorRow) -> None:
    assert AiState.SUSPECTED in states(*file_of(row))


@pytest.mark.parametrize("name", CASES)
def test_the_traces_of_the_field_are_recognised(name: str) -> None:
    assert states(case(f"gen_{name}.jpg"), "JPEG") == {AiState.SUSPECTED}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("other", "<>")
def test_a_user_comment_is_decoded_by_what_it_holds(order: str, other: str) -> None:
    comment = wide("中文提示词 一只杯子\nSteps: 20, Sampler: Euler a", order)
    (found,) = read_provenance(encoded(photo(), "JPEG", exif=exif_block(0x9286, comment, other)), "JPEG")
    assert (found.ai_state, found.location) == (AiState.SUSPECTED, "EXIF UserComment")


@pytest.mark.parametrize("signature", [b"stealth_pnginfo", b"stealth_pngcomp"])
def test_parameters_hidden_in_the_alpha_channel_are_found(signature: bytes) -> None:
    (found,) = read_provenance(hidden_parameters(b'{"Software":"NovelAI"}', signature), "PNG")
    assert (found.name, found.location, found.ai_state) == (
        "stealth_parameters",
        "PNG alpha channel",
        AiState.SUSPECTED,
    )


def test_a_header_that_names_no_pixels_hides_nothing() -> None:
    payload = bytearray(hidden_parameters(b"{}"))
    payload[16:20] = bytes(4)
    assert read_provenance(bytes(payload), "PNG") == ()


def test_a_header_that_breaks_off_hides_nothing() -> None:
    payload = hidden_parameters(b"{}")
    for length in range(16, 40):
        assert list(stealth_parameters(payload[:length])) == []


def test_an_ordinary_alpha_channel_hides_nothing() -> None:
    assert read_provenance(encoded(photo((96, 160)).convert("RGBA"), "PNG"), "PNG") == ()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("EXIF Software", "Adobe Photoshop 26.0 (Windows)"),
        ("EXIF Software", "GIMP 2.10"),
        ("EXIF Artist", "Flux Pavilion"),
        ("EXIF Artist", "Leonardo Rossi"),
        ("EXIF ImageDescription", "Steps: wash, dry, fold"),
        ("EXIF ImageDescription", "a mug with the word midjourney printed on it"),
        ("EXIF ImageDescription", "此图片非AI生成"),
        ("EXIF ImageDescription", "no AI-generated content"),
        ("EXIF ImageDescription", "Signature: Anna"),
        ("EXIF UserComment", "a firefly in the night"),
        ("PNG text Comment", "Created with GIMP"),
        ("PNG text Title", "Imagen de una taza"),
        ("XMP CreatorTool", "Adobe Lightroom Classic 14.0"),
        ("XMP creator", "Doubao Photography Studio GmbH and its many partners in the south of the country"),
        ("IPTC Credit", "Reuters"),
    ],
)
def test_words_of_people_and_editors_are_no_traces(place: str, words: str) -> None:
    row = GeneratorRow("none", (), "test", {place: words})
    assert AiState.SUSPECTED not in states(*file_of(row)), read_provenance(*file_of(row))


def test_a_camera_that_shares_a_word_with_a_generator_is_still_a_camera() -> None:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Leonardo Optics", "R5"
    tags.get_ifd(0x8769)[0x829A] = 0.01
    found: tuple[Evidence, ...] = read_provenance(encoded(photo(), "JPEG", exif=tags), "JPEG")
    assert [each.name for each in found] == ["camera_exif"]


def test_an_operator_adds_rows(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "traces:\n  - {name: Painter, fields: [EXIF Software], pattern: '\\bpainter [0-9]', source: ours, "
        "example: {EXIF Software: Painter 3}}\n",
        encoding="utf-8",
    )
    payload = encoded(photo(), "JPEG", exif=exif_block(0x0131, "Painter 3"))
    assert read_provenance(payload, "JPEG") == ()
    (found,) = read_provenance(payload, "JPEG", table=load_table(own))
    assert found.detail == "Painter: Painter 3"


def test_every_fault_of_an_operators_table_is_told_at_once(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "tracse: []\ntraces:\n"
        "  - {name: A, feilds: [x], pattern: '(', source: s, example: {EXIF Software: A}}\n"
        "  - {name: B, fields: [EXIF Software], pattern: 'b', source: s, example: {EXIF Software: other}}\n"
        "  - {name: C, fields: ['*'], source: s, example: {EXIF Software: anything}}\n"
        "  - {name: D, word: ab, source: s, example: {EXIF Software: ab}}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as told:
        load_table(own)
    said = str(told.value)
    for words in (
        "Unknown key 'tracse'. Did you mean 'traces'?",
        "Unknown key 'traces[0].feilds'. Did you mean 'fields'?",
        "traces[1]: does not recognise its own example",
        "traces[2]: recognises every file",
        "traces[3].word: must be a regular expression of at least 3 letters",
    ):
        assert words in said


def test_a_table_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generator_table: .*missing\.yaml"):
        load_table(tmp_path / "missing.yaml")


def test_a_key_given_twice_in_an_own_table_is_refused_and_the_shipped_one_has_none(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("labels: []\ntraces: []\nlabels: []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="given twice"):
        load_table(path)
    shipped = Path(generators.__file__).with_name("generators.yaml")
    assert read_yaml(shipped.read_text(encoding="utf-8"))
