"""Fuzz the metadata readers and the label writer for crashes, hangs over 1 s, and unbounded memory.

python scripts/fuzz_metadata.py --inputs 200000 [--seed 1]

Hypothesis mutates small files that carry every kind of metadata: bytes, lengths, deletions, repetitions, keywords of
the formats. The readers are called directly, not under the safety net of `read_provenance`: any exception is a finding.
Every fourth file is labelled if it still decodes, and must then carry exactly that label.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import io
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from zhentu.errors import PictureError
from zhentu.intake.aigc import find_aigc_label, find_labels
from zhentu.intake.credentials import credential_evidence, read_credential
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.intake.metadata import read_metadata
from zhentu.intake.stealth import stealth_parameters
from zhentu.intake.traces import camera, generator_traces
from zhentu.intake.xmp import xmp_evidence
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.visible import noted_badges
from zhentu.types import AiState

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "mark"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from certificates import MIME, signed
from label_forms import CASES, forms, hidden_parameters

FORMATS = tuple(MIME)
LABEL = json.dumps({"Label": "2", "ContentProducer": "P", "ProduceID": "1"})
MOST_SECONDS, MOST_GROWTH = 1.0, 512 * 2**20
_LIMITS = DecodeLimits(min_side=1, max_pixels=4_000_000)
_MARKED = LabelSpec(propagator="PLATFORM", content_id="7")
_SPEC = LabelSpec(propagator="PLATFORM", content_id="1", visible=False)
_WORDS = [
    *(b"AIGC", b'{"AIGC":', LABEL.encode(), b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"<rdf:RDF", b"</rdf:RDF>"),
    *(b"<rdf:li>", b"]]>", b"<![CDATA[", b"<?xpacket", b"xmlns:T=''", b"<a>" * 200, b"{" * 500, b"[" * 500),
    *(b"Exif\x00\x00II*\x00\x08\x00\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00", b"jumbc2pa", b"iTXt", b"zTXt"),
    *(
        b"Steps: 1 Sampler:",
        b'"class_type"',
        b'\\"aigc_type\\":1',
        b"MPF\x00",
        b"tmap",
        b"SEFT",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"&#x0;",
        b"&#1114112;",
        b"UNICODE\x00",
    ),
    *(b"\x00" * 64, b"\xff" * 8, b"\x1c\x02\x6e\xff\xff"),
]


@dataclass
class Tally:
    """The totals of a run."""

    inputs: int = 0
    labelled: int = 0
    slowest_s: float = 0.0
    evidence: Counter[str] = field(default_factory=Counter)


@lru_cache(maxsize=1)
def seeds() -> list[tuple[str, bytes]]:
    """(format, bytes) of small pictures with metadata of every kind."""
    image = Image.radial_gradient("L").resize((48, 40)).convert("RGB")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Canon", "R5", "NovelAI"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\x00" + json.dumps({"AIGC": {"Label": "1"}}).encode("utf-16-le")
    exif.get_ifd(0x8769)[0x829A] = 0.01
    found = []
    for form in FORMATS:
        bare = _encoded(image, form)
        found += [
            (form, bare),
            (form, signed(bare, form)),
            (form, label_picture(bare, AiState.IS, _MARKED).payload),
        ]
        if form != "GIF":
            found.append((form, _encoded(image, form, exif=exif)))
    text = PngImagePlugin.PngInfo()
    text.add_text("AIGC", LABEL)
    text.add_text("parameters", "a\nSteps: 20, Sampler: Euler", zip=True)
    text.add_itxt("workflow", '{"nodes": []}', zip=True)
    text.add_text("Raw profile type exif", "\nexif\n      20\n" + (b"Exif\x00\x00" + exif.tobytes()[6:40]).hex())
    found.append(("PNG", _encoded(image, "PNG", pnginfo=text)))
    found.append(("JPEG", _encoded(image, "JPEG", comment=b"AIGC" + LABEL.encode())))
    found += [(each.form, each.payload) for each in forms() if len(each.payload) < 12_000]
    found.append(("PNG", hidden_parameters(b"{}")))
    found.append(("JPEG", (CASES / "ultrahdr_synth.jpg").read_bytes()))
    return found


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A seed file after one to eight mutations."""
    form, payload = draw(st.sampled_from(seeds()))
    content = bytearray(payload)
    for _ in range(draw(st.sampled_from((1, 1, 2, 3, 5, 8)))):
        kind, where, near = draw(st.integers(0, 6)), draw(st.integers(0, 2**20)), draw(st.booleans())
        place = where % max(min(len(content), 1200) if near else len(content), 1)
        if kind == 0:
            junk = draw(st.binary(min_size=1, max_size=8))
            content[place : place + len(junk)] = junk
        elif kind == 1:
            content[place:place] = draw(st.sampled_from(_WORDS))
        elif kind == 2:
            del content[place : place + draw(st.integers(1, 400))]
        elif kind == 3:
            piece = content[place : place + draw(st.integers(1, 400))]
            content[place:place] = piece * draw(st.integers(1, 30))
        elif kind == 4:
            order = draw(st.sampled_from(("big", "little")))
            number = draw(st.sampled_from((0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(content))))
            size = draw(st.sampled_from((1, 2, 4)))
            content[place : place + size] = (number % 256**size).to_bytes(size, order)
        elif kind == 5 and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        else:
            del content[place:]
            content += b"\x00" * 4
    return form, bytes(content)


def read_everything(payload: bytes, form: str, tally: Tally) -> None:
    """Call every reader directly."""
    metadata = read_metadata(payload, form)
    for reader in (xmp_evidence, find_aigc_label, generator_traces, camera):
        tally.evidence.update(each.name for each in reader(metadata))
    if form == "PNG":
        tally.evidence.update(each.name for each in stealth_parameters(payload))
    tally.evidence.update("visible_label_noted" for _ in noted_badges(metadata))
    if metadata.has_c2pa:
        credential = read_credential(payload, form)
        if credential:
            tally.evidence.update(each.name for each in credential_evidence(credential))


def label(payload: bytes, form: str) -> bool:
    """Label a file, which must then carry that one label; False if it does not decode."""
    try:
        if decode(payload, _LIMITS).format != form:
            return False
        labelled = label_picture(payload, AiState.IS, _SPEC, _LIMITS)
    except PictureError:
        return False
    (found,) = find_labels(read_metadata(labelled.payload, labelled.format))
    if found != labelled.label:
        raise AssertionError(f"wrote {labelled.label}, read {found}")
    return True


def run(inputs: int, seed: int) -> Tally:
    """Fuzz once. Raises what a reader raises, or AssertionError on a hang or on growing memory."""
    tally = Tally()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @seeded(seed)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(files())
    def check(drawn: tuple[str, bytes]) -> None:
        form, payload = drawn
        faulthandler.dump_traceback_later(300, exit=True)
        gc.disable()  # collecting Hypothesis' many small objects would count as the readers' time
        began = time.process_time()
        read_everything(payload, form, tally)
        if tally.inputs % 4 == 0:
            tally.labelled += label(payload, form)
        seconds = time.process_time() - began
        gc.enable()
        tally.inputs += 1
        tally.slowest_s = max(tally.slowest_s, seconds)
        if seconds > MOST_SECONDS:
            raise AssertionError(f"{form} of {len(payload)} bytes took {seconds:.2f} s of CPU")

    try:
        check()
    finally:
        faulthandler.cancel_dump_traceback_later()
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if growth > MOST_GROWTH:
        raise AssertionError(f"memory grew by {growth / 2**20:.0f} MiB, the limit is {MOST_GROWTH // 2**20} MiB")
    return tally


def main() -> int:
    """Fuzz in batches and print what was covered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, total = time.perf_counter(), Tally()
    number = 0
    while total.inputs < options.inputs:
        tally = run(min(options.batch, options.inputs - total.inputs), options.seed * 1000 + number)
        number += 1
        total.inputs += tally.inputs
        total.labelled += tally.labelled
        total.slowest_s = max(total.slowest_s, tally.slowest_s)
        total.evidence += tally.evidence
        print(
            f"{total.inputs} inputs, {time.perf_counter() - began:.0f} s, slowest {total.slowest_s:.3f} s", flush=True
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"no crash; {total.labelled} labelled and read back; slowest {total.slowest_s:.3f} s CPU; peak {peak:.0f} MiB"
    )
    print("evidence seen: " + ", ".join(f"{name} {count}" for name, count in total.evidence.most_common()))
    return 0


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
