"""Labels: the implicit AIGC label, the visible badge, C2PA credentials, and the notices around a picture."""

from __future__ import annotations

from zhentu.mark.label import label_picture
from zhentu.mark.spec import Labelled, LabelSpec

__all__ = ["LabelSpec", "Labelled", "label_picture"]
