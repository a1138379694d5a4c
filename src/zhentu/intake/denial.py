"""Whether words deny what they name: "not made with AI", 未使用AI生成, "AI-generated: no". For all that says AI.

A denial counts if it stands in the clause of the phrase and nothing but words that carry it on is between the two:
"AI生成，非实拍", "禁止转载 AI生成图" and "not a photo but made with AI" say that AI made it; 不锈钢 and
无线 deny nothing. Behind the phrase only an answer counts ("AI生成？否", "AI-generated content was not used"), and only
one that ends there: "AI generated, not a photo" and "AI-generated image: no filter" say that AI made it.
"""

from __future__ import annotations

import re

_BEFORE, _AFTER = 96, 64  # characters that are looked at on either side of a phrase
_MOST = 64  # phrases of one text that are looked at
_CLAUSE_END = re.compile(r"[，。；！？,.;!?\n\r)）】」|]|\s[-–—]{1,2}\s|——")
_DENIES = re.compile(
    "[非不未无没勿别禁零]|拒绝|谢绝|抵制|反对|杜绝|严禁|禁止|"
    r"\b(?:not|never|no|nor|neither|without|cannot|non|isnt|wasnt|prohibit(?:s|ed)?|forbid(?:s|den)?|refuse[sd]?|ban(?:ned|s)?)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_CARRY_ZH = [
    "是", "为", "以", "由", "从", "经", "用", "做", "作", "有", "含", "带", "加", "过", "了", "地", "之", "等",
    "被", "让", "给", "对", "将", "把", "在", "于", "或", "和", "及", "与", "跟", "可", "能", "得", "许", "准",
    "会", "要", "需", "曾", "存", "属", "系", "止", "绝", "允许", "支持", "接受", "许可", "可以", "能够",
    "属于", "来自", "经由", "经过", "通过", "采用", "使用", "运用", "利用", "应用", "借助", "依靠", "用于",
    "用作", "用来", "进行", "涉及", "掺杂", "含有", "包含", "包括", "带有", "存在", "出现", "添加", "加入",
    "任何", "一切", "所有", "其他", "其它", "任何人", "他人", "个人", "第三方", "机构", "平台", "或者", "以及",
    "及其", "同意", "参与", "全程", "本", "此", "该", "图", "图片", "图像", "照片", "主图", "作品", "素材",
    "内容", "文件", "视频", "商品图", "详情图", "工具", "软件", "技术", "程序", "手段", "方式", "形式", "类型",
    "后期", "修图", "美颜", "滤镜", "特效", "渲染", "建模", "换脸", "绘画", "编辑", "处理", "制作", "创作",
    "修改", "加工", "训练", "生成", "合成", "人工智能", "深度", "并", "也", "均", "都不", "都没", "的", "AI",
    "PS", "P图", "CG", "3D", "、", "/", "“", "”", '"', "'", "（", "(", "「",
]  # fmt: skip
_CARRY_EN = [
    "was", "were", "is", "are", "be", "been", "being", "has", "have", "any", "ever", "using", "used", "use",
    "with", "by", "from", "for", "in", "part", "parts", "of", "it", "its", "image", "images", "photo", "photos",
    "picture", "pictures", "content", "artwork", "made", "created", "generated", "edited", "drawn", "retouched",
    "rendered", "produced", "photoshopped", "or", "nor", "and", "here", "contain", "contains", "contained",
    "include", "includes", "involve", "involves", "involved", "allowed", "permitted", "to", "tools", "software",
    "way", "kind", "help", "this", "the",
]  # fmt: skip
_CARRIES = re.compile(  # longest first, and never tried again: linear
    f"(?:{'|'.join(map(re.escape, sorted(_CARRY_ZH, key=len, reverse=True)))}"
    rf"|\b(?:{'|'.join(sorted(_CARRY_EN, key=len, reverse=True))})\b|[\s-])*+(?:an?\s)?",
    re.IGNORECASE,
)
# What is pointed at is there: "do not use this AI-generated image", 不得使用本AI生成图片, 不可错过的AI生成图.
_POINTS = re.compile(r"(?:[本此该这]|\b(?:this|these|the|our|my))\s{0,4}$|的\s{0,4}$", re.IGNORECASE)
_ANY = re.compile("任何|一切|所有")
# An answer behind the phrase, to the end of its clause: "AI生成：否", "AI-generated image? No", "AI生成 [否]".
_THING = (
    r"\s{0,2}(?:的?(?:内容|图片|图像|照片|图|成分|元素|工具|技术|比例|部分)|content|images?|pictures?|photos?|artwork)?"
)
_NO_ZH = "否|无|没有|不是|不含|未使用|未采用|未用|没用|不使用|不涉及|不适用|不存在|禁止|不允许|不可|均无|均未使用"
_NO_EN = r"no(?:ne)?(?:\s(?:at\sall|used))?|not\s(?:used|at\sall|applicable|involved)|never|false|n/?a|0\s?%?"
_ENDS = r"""[^\S\n]{0,4}[)）\]】」"'”]{0,2}[^\S\n]{0,4}(?=$|[，。；！,.;!|/\n)）])"""
_ANSWERED = re.compile(
    rf"{_THING}\s{{0,4}}(?:[:：=?？]|[(（\[【]|[-–—]{{1,2}}\s)\s{{0,4}}[\"'「“]?(?:{_NO_ZH}|{_NO_EN}){_ENDS}"
    rf"|{_THING}[^\S\n]{{1,4}}(?:否|无){_ENDS}",
    re.IGNORECASE,
)
# A box that is ticked: "AI生成：□是 ☑否".
_TICKED = re.compile(
    rf"{_THING}\s{{0,4}}[:：?？]?\s{{0,4}}[□☐○◯]\s{{0,2}}(?:是|有|yes)\s{{0,4}}/?\s{{0,4}}"
    r"[☑☒✓✔√■●◉]\s{0,2}(?:否|无|no)\b",
    re.IGNORECASE,
)
# A whole sentence: "AI-generated images were not used", AI生成内容未使用. What else was not done says nothing.
_NOT_USED = re.compile(
    rf"{_THING}\s{{1,4}}(?:(?:is|are|was|were|has|have|been|being)\s){{1,3}}(?:not|never)\s(?:been\s)?"
    rf"(?:used|involved|included|contained|present|employed|applied|allowed|permitted|accepted)(?:\shere)?{_ENDS}"
    rf"|{_THING}\s{{1,4}}(?:has|have)\snever\sbeen\sused\b"
    rf"|{_THING}\s{{1,4}}(?:is|are)\s(?:prohibited|forbidden|banned)(?:\shere)?{_ENDS}"
    rf"|{_THING}\s{{0,2}}(?:均|都|一律|全部)?(?:未(?:被)?(?:使用|采用)|没有使用|不存在|不使用|禁止(?:使用)?){_ENDS}",
    re.IGNORECASE,
)
_AFTERWARDS = (_ANSWERED, _TICKED, _NOT_USED)


def is_denied(text: str, start: int, end: int) -> bool:
    """Whether the phrase text[start:end] is denied by its own clause, or by an answer behind it."""
    clause = text[max(start - _BEFORE, 0) : start]
    ends = [found.end() for found in _CLAUSE_END.finditer(clause)]
    clause = clause[ends[-1] :] if ends else clause
    for denial in _DENIES.finditer(clause):
        between = clause[denial.end() :]
        pointed = _POINTS.search(between) is not None and _ANY.search(between) is None
        if not pointed and _CARRIES.fullmatch(between):
            return True
    after = text[end : end + _AFTER]
    return any(pattern.match(after) for pattern in _AFTERWARDS)


def stated(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The first place where a text says what the pattern names without denying it."""
    found = zip(pattern.finditer(text), range(_MOST), strict=False)
    return next((each for each, _ in found if not is_denied(text, *each.span())), None)
