"""Whether words deny what they name: "not made with AI", 未使用AI生成. One piece for every place where words say AI.

Only the clause in which a phrase stands counts: "AI生成，非实拍" says that AI made it. Names of goods must not be taken
for denials (不锈钢, 无线, 非常, non-stick), nor denials of something else ("not a photo but made with AI").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BEFORE, _AFTER = 96, 24  # characters that are looked at on either side of a phrase
_MOST = 64  # phrases of one text that are looked at
_CLAUSE_END = re.compile(r"[，。；！？,.;!?\n\r)）】」|]|\s[-–—]{1,2}\s|——")
_ZH = (
    # it was not done
    "并非|而非|绝非|纯非|非(?!常|洲|凡|遗|标|主流|卖品)|不是|不含|不用|不使用|不采用|不通过|不借助|不由|不属|不经|不包含|不包括|不涉及|不存在|不做|不会|不曾|"
    "绝不|从不|并不|均不|没(?!错)|未(?!来|知|名)|"
    # it must not be done
    "禁止|严禁|禁用|禁(?=用|AI|人工)|不得|不许|不准|不可|不能|不要|不允许|不接受|不支持|勿|拒绝|谢绝|抵制|反对|杜绝|"
    # these begin names of goods, too, so only next to the phrase
    "无(?=(?:任何|使用|经过?|涉及?|含有?|有|由|用|AI|人工智能|\\s){0,3}$)|[不别零](?=\\s?$)|0(?=\\s?$)"
)
_EN = (
    r"\b(?:not|never|nor|neither|without|cannot)\b(?!-)|n['’]t\b|\b(?:isnt|wasnt|dont)\b|\bno\b(?!-)|"
    r"\bnon[- ]?$|\bno[- ]$|\b(?:prohibit|forbid|forbidden|refuse|refuses|ban|banned|prohibits|prohibited)\b"
)
_DENIES = re.compile(f"{_ZH}|{_EN}", re.IGNORECASE)
# Between a denial and the phrase: the sentence turned, or something else, or only the whole, was denied.
_TURNS = re.compile(
    "而是|而由|而为|实拍|实物|真拍|拍摄|但|却|只是|仅|就是|全|都|完全|照片是|"
    r"\b(?:but|instead|rather|only|entirely|fully|wholly|completely|just|merely|solely|photograph\w{0,6}|"
    r"an? (?:real |true |actual )?(?:photo|picture|image)|and (?:is|was|are|were))\b",
    re.IGNORECASE,
)
# A form's answer: "AI生成：否", "AI-generated image: no".
_ANSWERED = re.compile(
    r"[^\S\n]{0,4}(?:内容|图片|图像)?\s{0,4}[:：=]\s{0,4}(?:否|无|没有|不|no\b|none\b|false\b|0\b)", re.I
)


def is_denied(text: str, start: int, end: int) -> bool:
    """Whether the phrase text[start:end] is denied by its own clause, or answered with "no"."""
    clause = text[max(start - _BEFORE, 0) : start]
    ends = [found.end() for found in _CLAUSE_END.finditer(clause)]
    clause = clause[ends[-1] :] if ends else clause
    denials = [found.end() for found in _DENIES.finditer(clause)]
    if denials and not _TURNS.search(clause, denials[-1]):
        return True
    return _ANSWERED.match(text[end : end + _AFTER]) is not None


def stated(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The first place where a text says what the pattern names without denying it."""
    return next((found for found in _first(pattern, text) if not is_denied(text, *found.span())), None)


def _first(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    return (found for found, _ in zip(pattern.finditer(text), range(_MOST), strict=False))
