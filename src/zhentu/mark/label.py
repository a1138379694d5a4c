"""Label one picture: the only way labels are written, for the command line, the gate and bulk jobs alike."""

from __future__ import annotations

from dataclasses import dataclass

from zhentu.errors import LabelUnwritable, UsageError
from zhentu.intake.aigc import AigcLabel
from zhentu.intake.decode import DecodeLimits
from zhentu.intake.generators import GeneratorTable
from zhentu.intake.metadata import Metadata, read_metadata
from zhentu.intake.ports import IN_PROCESS, DecoderPort
from zhentu.mark import badge as badges
from zhentu.mark.credentials import settle
from zhentu.mark.gainmap import hdr_properties
from zhentu.mark.metadata import existing_labels, is_settled, packet_with, surest, wanted_label, write
from zhentu.mark.paint import Overlay, paint
from zhentu.mark.spec import Badge, CredentialOutcome, Labelled, LabelSpec, Outcome
from zhentu.mark.visible import design, grey_of, note_of, noted_badges
from zhentu.types import AiState, Picture

_ENCODED_ANEW = ("AVIF", "TIFF")  # their metadata is written by the encoder, together with the pixels


@dataclass(frozen=True, slots=True)
class _Visible:
    outcome: Outcome = Outcome.OFF
    badge: Badge | None = None
    overlay: Overlay | None = None  # None if nothing is to be painted


def label_picture(
    payload: bytes,
    state: AiState,
    spec: LabelSpec,
    limits: DecodeLimits | None = None,
    decoder: DecoderPort = IN_PROCESS,
) -> Labelled:
    """Write the labels that `state` calls for; a picture that already carries them comes back byte for byte.

    Pixels are touched only for the visible label. A label the file carries is updated, never doubled, and never
    weakened: the surer of its state and `state` is kept. The same picture and spec always give the same bytes, unless
    a C2PA manifest is re-signed. Raises PictureError if the picture is broken, LabelUnwritable (one of them) when
    its format cannot take the label, UsageError when `spec` asks for nothing.
    """
    if not spec.implicit and not spec.visible:
        raise UsageError("neither the visible nor the implicit label is requested; request at least one")
    picture = decoder.decode(payload, limits)
    metadata = read_metadata(payload, picture.format)
    existing = existing_labels(metadata, spec.generators)
    state = surest(existing, state)
    implicit, label = Outcome.OFF, None
    noted: tuple[str, ...] = ()
    if spec.implicit:
        content_id = spec.content_id or f"zhentu-{picture.sha256[:32]}"
        label, noted = wanted_label(existing, state, spec, content_id)
        settled = is_settled(metadata, label, spec.generators)
        implicit = Outcome.KEPT if settled else Outcome.UPDATED if existing else Outcome.WRITTEN
    writing = implicit in (Outcome.WRITTEN, Outcome.UPDATED)
    visible = _visible(picture, metadata, state, spec, again=writing and picture.format in _ENCODED_ANEW)
    if not writing and visible.overlay is None:
        credentials = CredentialOutcome.KEPT if metadata.has_c2pa else CredentialOutcome.NONE
        return Labelled(
            payload, picture.format, False, state, implicit, visible.outcome, credentials, label, visible.badge
        )
    written, picture_format, notes = _write(payload, picture.format, metadata, label, visible, spec.generators)
    credentials, note = CredentialOutcome.NONE, ""
    if metadata.has_c2pa:
        painted = visible.overlay is not None
        written, credentials, note = settle(payload, written, picture_format, spec.signing, painted)
    return Labelled(
        payload=written,
        format=picture_format,
        changed=True,
        state=state,
        implicit=implicit,
        visible=visible.outcome,
        credentials=credentials,
        label=label,
        badge=visible.badge,
        notes=tuple(filter(None, (*noted, *notes, note))),
    )


def _visible(picture: Picture, metadata: Metadata, state: AiState, spec: LabelSpec, again: bool) -> _Visible:
    """What is to be painted. again: repaint an existing badge, because the file is re-encoded anyway."""
    if not spec.visible:
        return _Visible()
    grey = grey_of(picture.rgb)
    older = next((each for each in noted_badges(metadata) if badges.is_there(grey, each)), None)
    same = older is not None and older.state is state and older.lines in badges.settings_of(state, spec.language)
    if older is not None and same and older.ratio >= badges.SMALLEST_SHARE and not again:
        return _Visible(Outcome.KEPT, older)
    badge, overlay = design(grey, state, spec, older)
    return _Visible(Outcome.UPDATED if older else Outcome.WRITTEN, badge, overlay)


def _write(
    payload: bytes,
    picture_format: str,
    metadata: Metadata,
    label: AigcLabel | None,
    visible: _Visible,
    table: GeneratorTable | None,
) -> tuple[bytes, str, tuple[str, ...]]:
    """The labelled file, its format (an MPO becomes a JPEG when it is painted), and notes."""
    mark = note_of(visible.badge) if visible.badge and visible.overlay else None
    if visible.overlay is None:
        written = write(payload, picture_format, label, mark, table)
        return written.payload, picture_format, written.notes
    if picture_format in _ENCODED_ANEW:
        first = metadata.packets[0] if metadata.packets else None
        packet = packet_with(first, label, mark, hdr_properties(first) if first else (), table)
        painted = paint(payload, picture_format, visible.overlay, packet)
        if label is not None and not is_settled(read_metadata(painted.payload, picture_format), label, table):
            raise LabelUnwritable("another label is where zhentu cannot remove it; export the picture again")
        return painted.payload, picture_format, painted.notes
    painted = paint(payload, picture_format, visible.overlay)
    picture_format = "JPEG" if picture_format == "MPO" else picture_format
    written = write(painted.payload, picture_format, label, mark, table, flat=True)
    return written.payload, picture_format, (*painted.notes, *written.notes)
