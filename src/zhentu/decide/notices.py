"""The words sellers, buyers and reviewers read, in English and Chinese, by code."""

from __future__ import annotations

from zhentu.decide.evidence_words import EVIDENCE_NAMES, evidence_zh, place_zh
from zhentu.decide.words import QUESTION_NAMES, Words
from zhentu.types import AiState, Answer, BankHit, BankKind, Category, Comparison, Evidence, Question, Signal

CATEGORY_NAMES: dict[Category, Words] = {
    Category.MATERIAL_MISMATCH: Words("Material or style mismatch", "材质/款式不符"),
    Category.EXAGGERATED_EFFECT: Words("Exaggerated effect", "效果失真或夸大"),
    Category.SCENE_DISTORTION: Words("Distorted scene", "场景失真"),
    Category.CUTOUT_ARTIFACT: Words("Visible cut-out", "抠图贴图失真"),
    Category.AI_GENERATED: Words("AI-generated", "AI 生成"),
}

_SEEN: dict[Category, Words] = {
    Category.MATERIAL_MISMATCH: Words(
        "The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods "
        "of another material or style.",
        "商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。",
    ),
    Category.EXAGGERATED_EFFECT: Words(
        "The look of the goods or of the skin seems pushed by retouching beyond what they can show.",
        "商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。",
    ),
    Category.SCENE_DISTORTION: Words(
        "The scene, its size relations, light or shapes look impossible or put together.",
        "场景、比例、光线或形状疑似不真实或由多张图片拼合。",
    ),
    Category.CUTOUT_ARTIFACT: Words(
        "The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background.",
        "商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。",
    ),
    Category.AI_GENERATED: Words(
        "The picture carries traces of AI generation. That is no offence, but it must be labelled.",
        "图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。",
    ),
}

_NEXT: dict[str, Words] = {
    "label": Words("It stays online with a label.", "图片可继续展示，并将添加标识。"),
    "review": Words(
        "A reviewer looks at it before anything happens; you may send a photo of the real goods.",
        "审核人员将先行查看，您可以补充商品实拍图。",
    ),
    "block": Words(
        "It cannot be published. Upload a photo of the real goods, or appeal with one.",
        "图片无法发布。请上传商品实拍图，或凭实拍图提出申诉。",
    ),
    "allow": Words("Nothing needs to be done.", "无需处理。"),
}

AI_NOTICES: dict[AiState, Words] = {
    AiState.IS: Words("AI-generated content", "人工智能生成内容"),
    AiState.POSSIBLY: Words("Possibly AI-generated content", "可能为人工智能生成内容"),
    AiState.SUSPECTED: Words("Suspected AI-generated content", "疑似人工智能生成内容"),
}

ACTION_NAMES: dict[str, Words] = {
    "block": Words("Block", "拦截"),
    "review": Words("Review", "人工审核"),
    "label": Words("Label", "加标识"),
    "allow": Words("Allow", "放行"),
}

MODE_OFF = Words("Screening is switched off by policy.", "策略已关闭图片检测。")
NOTHING_FOUND = Words("Nothing that needs action was found.", "未发现需要处理的问题。")


# What pixels of one picture cannot settle: a well-made replacement of the fabric is a fine picture of another fabric.
_ONE_PICTURE_CANNOT_TELL: dict[Category, Words] = {
    Category.MATERIAL_MISMATCH: Words(
        "One picture alone cannot tell the real material or style: this is a suspicion, which photos of the real goods "
        "confirm or clear.",
        "仅凭一张图片无法判断商品的真实材质或款式：此处仅为怀疑，须与商品实拍图比对方可确认或排除。",
    ),
}


def _figures(score: float, limit: float) -> tuple[str, str]:
    """Both with two decimals, or as many as it takes (at most six) to tell the limit from the score and from zero."""
    for decimals in range(2, 6):
        shown = f"{score:.{decimals}f}", f"{limit:.{decimals}f}"
        if float(shown[1]) > 0 and (score == limit or shown[0] != shown[1]):
            return shown
    return f"{score:.6f}", f"{limit:.6f}"


def score_words(category: Category, action: str, score: float, threshold: float, alone: bool = True) -> Words:
    """Why a score asks for an action, with both figures, what one picture cannot tell, and what happens next.

    alone: no reference pictures were compared.
    """
    seen, after = _SEEN[category], _NEXT[action]
    caveat = _ONE_PICTURE_CANNOT_TELL.get(category) if alone else None
    said = Words(f" {caveat.en}", caveat.zh) if caveat else Words("", "")
    got, limit = _figures(score, threshold)
    return Words(
        f"{seen.en} (score {got}, limit {limit}){said.en} {after.en}",
        f"{seen.zh}（得分 {got}，阈值 {limit}）{said.zh}{after.zh}",
    )


_SAYS: dict[AiState, Words] = {
    AiState.IS: Words("The file itself says that AI made or edited it", "图片文件自身的信息表明其由 AI 生成或编辑"),
    AiState.POSSIBLY: Words(
        "The file itself says that AI may have made or edited it", "图片文件自身的信息表明其可能由 AI 生成或编辑"
    ),
    AiState.SUSPECTED: Words("The file carries traces of an AI generator", "图片文件中带有 AI 生成工具留下的痕迹"),
}


def provenance_words(evidence: Evidence, action: str) -> Words:
    """Why something the file or its uploader says asks for an action: what it is, where it stood, how it reads."""
    after = _NEXT[action]
    if evidence.name == "declared_ai":
        return Words(f"You declared this picture as AI-made. {after.en}", f"您已声明该图片由 AI 制作。{after.zh}")
    says, what = _SAYS[evidence.ai_state or AiState.SUSPECTED], EVIDENCE_NAMES.get(evidence.name)
    en = ", ".join(filter(None, (what.en if what else "", evidence.location)))
    zh = "，".join(filter(None, (what.zh if what else "", place_zh(evidence.location))))
    return Words(
        f"{says.en}{f' ({en})' if en else ''}: {evidence.detail}. {after.en}",
        f"{says.zh}{f'（{zh}）' if zh else ''}：{evidence_zh(evidence)}。{after.zh}",
    )


_BANK: dict[BankKind, Words] = {
    BankKind.KNOWN_BAD: Words("a picture that was found untrue before", "此前已被认定不实的图片"),
    BankKind.ALLOWED: Words("a picture that was found true before", "此前已被认定真实的图片"),
    BankKind.BRAND_ORIGINAL: Words("an original picture of a brand", "品牌方的原始图片"),
}


def bank_words(hit: BankHit, action: str) -> Words:
    """Why a match in a bank of known pictures asks for an action."""
    what, after = _BANK[hit.kind], _NEXT[action]
    if hit.signal is Signal.SHA256:
        return Words(f"This is the same file as {what.en}. {after.en}", f"该文件与{what.zh}完全相同。{after.zh}")
    return Words(
        f"This picture looks nearly the same as {what.en}. {after.en}", f"该图片与{what.zh}高度相似。{after.zh}"
    )


ANSWER_NAMES: dict[Answer, Words] = {
    Answer.SAME: Words("the same", "相符"),
    Answer.DIFFERS: Words("differs", "不符"),
    Answer.CANNOT_TELL: Words("cannot tell", "无法判断"),
}

COLOUR_VARIANT = Words(
    "The goods are shown in another colour than in the reference pictures; the listing offers several colours, so "
    "nothing needs to be done.",
    "图中商品与参考图片颜色不同；该商品已声明有多种颜色，无需处理。",
)


def differing_words(comparison: Comparison) -> Words:
    """Which of the questions differ, by name, surest first; empty if none could be told."""
    names = [QUESTION_NAMES[question] for question in comparison.differing]
    return Words(", ".join(each.en for each in names), "、".join(each.zh for each in names))


def comparison_words(action: str, comparison: Comparison, threshold: float) -> Words:
    """Why the comparison with reference pictures asks for an action, and what differs."""
    after, what = _NEXT[action], differing_words(comparison)
    if Question.PRODUCT in comparison.differing:
        seen = Words("They look like other goods.", "疑似并非同一商品。")
    elif comparison.differing and comparison.answer_to(Question.PRODUCT) is Answer.SAME:
        seen = Words(
            f"It looks like the same goods, but these differ: {what.en}.", f"疑似同一商品，但{what.zh}有差异。"
        )
    elif comparison.differing:
        seen = Words(
            f"These differ: {what.en}. Whether the goods are the same cannot be told.",
            f"{what.zh}有差异，无法判断是否为同一商品。",
        )
    else:
        seen = Words("What exactly differs cannot be told.", "无法确定具体差异。")
    got, limit = _figures(comparison.score, threshold)
    return Words(
        f"The goods look unlike the reference pictures (score {got}, limit {limit}; "
        f"{comparison.agreeing} of {comparison.compared} surely show the same goods). {seen.en} {after.en}",
        f"图中商品与参考图片不符（得分 {got}，阈值 {limit}；{comparison.compared} 张参考图中 "
        f"{comparison.agreeing} 张确认相符）。{seen.zh}{after.zh}",
    )


DEFERRED = Words(
    "The picture could not be checked now; it stays online and is checked as soon as possible.",
    "图片暂时无法检测，可先行展示，系统恢复后将尽快补检。",
)

UNSCREENABLE = Words(
    "The picture went online unchecked, and could not be checked afterwards either; a person must look at it.",
    "图片未经检测即已展示，且事后仍无法完成检测，须由人工复核。",
)


_REASON_NAMES: dict[str, Words] = {
    "mode_off": Words("screening is off", "检测已关闭"),
    "nothing_found": Words("nothing found", "未发现问题"),
    "screening_deferred": Words("let through, to be checked later", "先行放行，待补检"),
    "screening_impossible": Words("let through, and could not be checked", "已放行且无法检测"),
    "comparison_material_mismatch": Words("unlike the reference pictures", "与参考图不符"),
    "comparison_colour_variant": Words("another of the colours on offer", "所售的其他颜色"),
}


def reason_name(code: str) -> Words:
    """What a reason's code stands for, in a few words; the code itself for one that this release does not know."""
    if code in _REASON_NAMES:
        return _REASON_NAMES[code]
    kind, _, what = code.partition("_")
    if kind == "score" and what in list(Category):
        name = CATEGORY_NAMES[Category(what)]
        return Words(f"score: {name.en}", f"得分：{name.zh}")
    similar = what.removesuffix("_similar")
    if kind == "bank" and similar in list(BankKind):
        name, alike = _BANK[BankKind(similar)], similar != what
        return Words(f"{'looks like' if alike else 'the same as'} {name.en}", f"{'近似' if alike else '等同'}{name.zh}")
    if kind in ("provenance", "declaration") and what in EVIDENCE_NAMES:
        return EVIDENCE_NAMES[what]
    return Words(code, code)
