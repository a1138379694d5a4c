"""The port that other packages may put in place of the decoder."""

from __future__ import annotations

from typing import Protocol

from zhentu.intake.decode import DecodeLimits, decode, decode_frame, decode_frames
from zhentu.types import Frame, Picture


class DecoderPort(Protocol):
    """Decodes pictures as the functions of `zhentu.intake.decode` do; the gate's can be aborted.

    Every method raises PictureError.
    """

    def decode(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> Picture:
        """One picture; of an animation the first frame."""
        ...

    def frames(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> tuple[Picture, ...]:
        """What people see of a file: one picture, or the frames of it that are to be looked at."""
        ...

    def frame(self, payload: bytes, frame: Frame | None, limits: DecodeLimits | None = None) -> Picture:
        """The frame that a verdict speaks of, or the one picture there is."""
        ...


class InProcessDecoder:
    """Decodes in the calling process."""

    def decode(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> Picture:
        """See `DecoderPort`."""
        return decode(payload, limits, sha256)

    def frames(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> tuple[Picture, ...]:
        """See `DecoderPort`."""
        return decode_frames(payload, limits, sha256)

    def frame(self, payload: bytes, frame: Frame | None, limits: DecodeLimits | None = None) -> Picture:
        """See `DecoderPort`."""
        return decode_frame(payload, frame, limits)


IN_PROCESS: DecoderPort = InProcessDecoder()
