"""AIGC labels as producers write them: every form in every place, as small files. Each has the state it must give."""
# ruff: noqa: E501 - a table, one row a form

from __future__ import annotations

import html
import io
import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from conftest import encoded, photo
from PIL import Image, PngImagePlugin

from zhentu.types import AiState

CASES = Path(__file__).parent / "cases"
SIGNED = {"SecurityData": {"Type": "TC260PG", "Version": 1, "PubSD": [{"Type": "DS", "Signature": "3045AB"}]}}
LABEL = {
    "Label": "1",
    "ContentProducer": "001191440300708461136T1XXXX",
    "ProduceID": "a1b2c3",
    "ReservedCode1": "",
    "ContentPropagator": "",
    "PropagateID": "",
    "ReservedCode2": "",
}
NESTED = LABEL | {"ReservedCode1": json.dumps(SIGNED, separators=(",", ":"))}
TENCENT = {"ServiceProvider": "腾讯云", "ServiceUser": "u1", "Time": "2025/09/01 10:00:00", "ContentId": "c1"}
DREAMINA = {
    "aigc_info": {"aigc_label_type": 0, "source_info": "dreamina"},
    "data": {"os": "web", "product": "dreamina", "exportType": "generation", "pictureId": "0"},
}
DOUYIN = {"data": {"product": "aweme", "aigc_info": json.dumps({"aigc_type": 1, "is_sticker_aigc": 0})}}
NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
IS, POSSIBLY, SUSPECTED = AiState


@dataclass(frozen=True)
class Form:
    name: str
    form: str
    payload: bytes
    state: AiState
    producer: str = ""  # what the ContentProducer must be after marking

    @property
    def propagator(self) -> str:
        """What the ContentPropagator must be after marking: the first platform's, where one is named."""
        return OURS if self.name.startswith("case") and self.producer and "Tencent" not in self.name else "PLATFORM-7"


def text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def size() -> tuple[int, int]:
    return (120, 96)


def segment(marker: int, body: bytes) -> bytes:
    jpeg = encoded(photo(size()), "JPEG")
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def png(key: str, value: object, kind: str = "tEXt") -> bytes:
    info = PngImagePlugin.PngInfo()
    if kind == "iTXt":
        info.add_itxt(key, text(value))
    else:
        info.add_text(key, text(value), zip=kind == "zTXt")
    return encoded(photo(size()), "PNG", pnginfo=info)


def exif(tag: int, value: object, form: str = "JPEG", order: str = "<") -> bytes:
    return encoded(photo(size()), form, exif=exif_block(tag, value, order))


def exif_block(tag: int, value: object, order: str = "<") -> bytes:
    """A TIFF structure of either byte order with one text tag, written by hand: Pillow takes no byte order."""
    body = value if isinstance(value, bytes) else text(value).encode() + b"\x00"
    details = tag in (0x9286, 0x927C)
    kind = 7 if details else 2
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    entry = struct.pack(order + "HHII", tag, kind, len(body), 8 + (18 if not details else 36))
    directory = struct.pack(order + "H", 1) + entry + struct.pack(order + "I", 0)
    if details:
        pointer = struct.pack(order + "HHII", 0x8769, 4, 1, 26)
        directory = struct.pack(order + "H", 1) + pointer + struct.pack(order + "I", 0) + directory
    return b"Exif\x00\x00" + head + directory + body


def packet(inside: str) -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{inside}</rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def xmp(inside: str, form: str = "JPEG") -> bytes:
    if form == "PNG":
        return png("XML:com.adobe.xmp", packet(inside).decode(), "iTXt")
    if form == "TIFF":
        return encoded(photo(size()), "TIFF", tiffinfo={700: packet(inside)})
    if form == "GIF":
        extension = b"\x21\xff\x0bXMP DataXMP" + packet(inside) + b"\x01" + bytes(range(255, -1, -1)) + b"\x00"
        gif = encoded(photo(size()), "GIF")
        place = 13 + (3 << (gif[10] & 7) + 1)
        return b"GIF89a" + gif[6:place] + extension + gif[place:]
    return encoded(photo(size()), form, xmp=packet(inside))


def element(value: object, namespace: str = NAMESPACE, prefix: str = "TC260") -> str:
    quoted = html.escape(text(value), quote=False)
    return f'<rdf:Description xmlns:{prefix}="{namespace}"><{prefix}:AIGC>{quoted}</{prefix}:AIGC></rdf:Description>'


def attribute(value: object, escaped: bool = True, namespace: str = NAMESPACE) -> str:
    quoted = html.escape(text(value)) if escaped else text(value)
    creator = '<dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/">Anna</dc:creator>'
    return f'<rdf:Description rdf:about="" xmlns:TC260="{namespace}" TC260:AIGC="{quoted}">{creator}</rdf:Description>'


def structure(prefix: str = "TC260") -> str:
    fields = "".join(f"<{prefix}:{key}>{value}</{prefix}:{key}>" for key, value in LABEL.items())
    inside = f'<{prefix}:AIGC rdf:parseType="Resource">{fields}</{prefix}:AIGC>'
    return f'<rdf:Description xmlns:{prefix}="{NAMESPACE}">{inside}</rdf:Description>'


def gif_comment(value: str) -> bytes:
    return encoded(photo(size()), "GIF", comment=value.encode())


def case(name: str) -> bytes:
    return (CASES / name).read_bytes()


def wide(value: object, order: str, code: bytes = b"UNICODE\x00") -> bytes:
    return code + text(value).encode("utf-16-le" if order == "<" else "utf-16-be")


OURS = LABEL["ContentProducer"]
AIGC = {"AIGC": LABEL}


def forms() -> list[Form]:  # long: a table of forms
    """The table: at least one row of every form x place that producers or converters were seen to use."""
    glued = "AIGC" + text(NESTED)
    escaped = json.dumps({"meta": json.dumps({"AIGC": json.dumps(LABEL)})})
    cjk = LABEL | {"ContentProducer": "北京某公司"}
    return [
        # the cases of the field
        Form("case: bare in APP9, nested", "JPEG", case("aigc_app_bare_nested.jpg"), IS, OURS),
        Form("case: bare in COM, nested", "JPEG", case("aigc_com_bare_nested.jpg"), IS, OURS),
        Form("case: Douyin", "JPEG", case("aigc_douyin_type1.jpg"), SUSPECTED),
        Form("case: MiniMax", "JPEG", case("aigc_label_AIGC_minimax.jpg"), SUSPECTED, "Minimax%20Agent%20AI"),
        Form("case: Tencent", "JPEG", case("aigc_tencent_desc.jpg"), SUSPECTED, "%E8%85%BE%E8%AE%AF%E4%BA%91"),
        Form("case: unescaped attribute", "JPEG", case("aigc_xmp_unescaped_attr.jpg"), IS, OURS),
        # segments and comments
        *(Form(f"bare in APP{n}, nested", "JPEG", segment(0xE0 + n, glued.encode()), IS, OURS) for n in (1, 2, 10, 15)),
        Form("wrapped in APP4", "JPEG", segment(0xE4, text(AIGC).encode()), IS, OURS),
        Form("wrapped in COM", "JPEG", segment(0xFE, text(AIGC).encode()), IS, OURS),
        Form("object alone in COM", "JPEG", segment(0xFE, text(LABEL).encode()), IS, OURS),
        Form("escaped three times in COM", "JPEG", segment(0xFE, escaped.encode()), IS, OURS),
        Form("backslashes without an outer text", "JPEG", segment(0xFE, text(AIGC).replace('"', '\\"').encode()), IS, OURS),
        Form("UTF-16 in APP6", "JPEG", segment(0xE6, ("AIGC" + text(LABEL)).encode("utf-16-le")), IS, OURS),
        Form("GIF comment, bare", "GIF", gif_comment("AIGC" + text(LABEL)), IS, OURS),
        Form("GIF comment, wrapped", "GIF", gif_comment(text(AIGC)), IS, OURS),
        # PNG text
        Form("PNG AIGC", "PNG", png("AIGC", LABEL), IS, OURS),
        Form("PNG AIGC, wrapped, compressed", "PNG", png("AIGC", AIGC, "zTXt"), IS, OURS),
        Form("PNG UserComment", "PNG", png("UserComment", AIGC, "iTXt"), IS, OURS),
        Form("PNG Comment, bare", "PNG", png("Comment", glued), IS, OURS),
        Form("PNG Description, object alone", "PNG", png("Description", LABEL), IS, OURS),
        Form("PNG aigc in lower case", "PNG", png("aigc", LABEL | {"Label": "2"}), POSSIBLY, OURS),
        # EXIF
        *(
            Form(f"UserComment UTF-16 {order}, file {other}", "JPEG", exif(0x9286, wide(AIGC, order), order=other), IS, OURS)
            for order in "<>"
            for other in "<>"
        ),
        Form("UserComment ASCII", "JPEG", exif(0x9286, b"ASCII\0\0\0" + text(AIGC).encode()), IS, OURS),
        Form("UserComment UTF-8 without code", "JPEG", exif(0x9286, text({"AIGC": cjk}).encode()), IS,
             "%E5%8C%97%E4%BA%AC%E6%9F%90%E5%85%AC%E5%8F%B8"),
        Form("UserComment UTF-8 called UNICODE", "JPEG", exif(0x9286, b"UNICODE\0" + text(AIGC).encode()), IS, OURS),
        Form("UserComment with other text", "JPEG", exif(0x9286, b"ASCII\0\0\0made for Anna AIGC" + text(LABEL).encode()), IS, OURS),
        Form("ImageDescription", "WEBP", exif(0x010E, AIGC, "WEBP"), IS, OURS),
        Form("Software", "JPEG", exif(0x0131, "AIGC" + text(LABEL)), IS, OURS),
        Form("XPComment", "JPEG", exif(0x9C9C, text(AIGC).encode("utf-16-le")), IS, OURS),
        Form("MakerNote", "JPEG", exif(0x927C, b"maker\0\0AIGC" + text(LABEL).encode() + b"\0\0"), IS, OURS),
        Form("EXIF in PNG", "PNG", exif(0x9286, b"ASCII\0\0\0" + text(AIGC).encode(), "PNG"), IS, OURS),
        # XMP
        *(Form(f"XMP element, {form}", form, xmp(element(LABEL), form), IS, OURS) for form in ("JPEG", "PNG", "WEBP", "GIF")),
        Form("XMP attribute", "JPEG", xmp(attribute(LABEL)), IS, OURS),
        Form("XMP attribute, single quotes inside", "JPEG",
             xmp(attribute(LABEL).replace('AIGC="', "AIGC='").replace('}">', "}'>").replace("&quot;", '"')), IS, OURS),
        Form("XMP attribute, unescaped, PNG", "PNG", xmp(attribute(LABEL | {"Label": "3"}, escaped=False), "PNG"), SUSPECTED, OURS),
        Form("XMP wrapped", "WEBP", xmp(element(AIGC), "WEBP"), IS, OURS),
        Form("XMP wrong namespace", "JPEG", xmp(element(LABEL, "http://ns.adobe.com/xap/1.0/tc/")), IS, OURS),
        Form("XMP undeclared prefix", "JPEG", xmp("<rdf:Description><TC260:AIGC>" + text(AIGC) + "</TC260:AIGC></rdf:Description>"), IS, OURS),
        Form("XMP structure", "JPEG", xmp(structure()), IS, OURS),
        Form("XMP in exif:UserComment", "PNG", xmp(element(AIGC, "http://ns.adobe.com/exif/1.0/", "exif").replace("exif:AIGC", "exif:UserComment"), "PNG"), IS, OURS),
        # producers' own
        Form("Dreamina export", "JPEG", exif(0x9286, b"ASCII\0\0\0" + text(DREAMINA).encode()), SUSPECTED),
        Form("Douyin, in PNG", "PNG", png("Comment", DOUYIN), SUSPECTED),
        Form("Tencent, in WebP", "WEBP", exif(0x010E, {"AIGC": TENCENT}, "WEBP"), SUSPECTED, "%E8%85%BE%E8%AE%AF%E4%BA%91"),
        Form("Tencent, in XMP", "JPEG", xmp(element(TENCENT)), SUSPECTED, "%E8%85%BE%E8%AE%AF%E4%BA%91"),
        # there, but malformed
        Form("Label out of range", "PNG", png("AIGC", LABEL | {"Label": "7"}), SUSPECTED, OURS),
        Form("Label missing", "PNG", png("AIGC", {"ContentProducer": "P9"}), SUSPECTED, "P9"),
        Form("Label a number", "PNG", png("AIGC", LABEL | {"Label": 2}), POSSIBLY, OURS),
        Form("keys in lower case", "PNG", png("AIGC", {key.lower(): value for key, value in LABEL.items()}), IS, OURS),
        Form("cut short", "JPEG", segment(0xFE, glued[:60].encode()), SUSPECTED),
        Form("cut short, wrapped", "JPEG", exif(0x010E, text(AIGC)[:50]), SUSPECTED),
        Form("Python's quotes", "JPEG", exif(0x010E, str(AIGC)), SUSPECTED),
        Form("no object", "PNG", png("AIGC", "Label=1"), SUSPECTED),
        Form("empty in XMP", "JPEG", xmp(element("")), SUSPECTED),
        Form("true instead of an object", "JPEG", exif(0x010E, '{"AIGC":true}'), SUSPECTED),
    ]  # fmt: skip


def hidden_parameters(message: bytes, signature: bytes = b"stealth_pnginfo") -> bytes:
    """A PNG with parameters in the lowest bits of its alpha channel, column by column."""
    picture = photo((96, 160)).convert("RGBA")
    bits = "".join(f"{byte:08b}" for byte in signature + (len(message) * 8).to_bytes(4, "big") + message)
    pixels = picture.load()
    assert pixels is not None
    for index, bit in enumerate(bits):
        x, y = divmod(index, picture.height)
        red, green, blue, alpha = pixels[x, y]
        pixels[x, y] = (red, green, blue, (alpha & 0xFE) | int(bit))
    return encoded(picture, "PNG")


def large_chunk(kind: bytes, keyword: bytes, body: bytes) -> bytes:
    """A PNG whose first chunk after the header holds `body`, compressed."""
    plain = encoded(photo(size()), "PNG")
    packed = keyword + b"\x00\x00" + zlib.compress(body, 6)
    chunk = struct.pack(">I", len(packed)) + kind + packed + struct.pack(">I", zlib.crc32(kind + packed))
    return plain[:33] + chunk + plain[33:]


def opened(payload: bytes) -> Image.Image:
    return Image.open(io.BytesIO(payload))
