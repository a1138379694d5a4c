"""What the heads of the comparison answer, in the order of their outputs."""

from __future__ import annotations

from zhentu.types import Question

QUESTIONS: tuple[Question, ...] = tuple(Question)
ANSWERED: tuple[str, ...] = ("mismatch", *QUESTIONS)
