"""What other rooms may put in the place of the decoder."""

from __future__ import annotations

from typing import Protocol

from zhentu.intake.decode import DecodeLimits
from zhentu.types import Picture


class DecoderPort(Protocol):
    """Decodes a picture, as `zhentu.intake.decode.decode` does; the gate's can be broken off."""

    def __call__(self, payload: bytes, limits: DecodeLimits | None = None, sha256: str = "") -> Picture:
        """One picture. Raises PictureError."""
        ...
