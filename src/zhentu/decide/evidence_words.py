"""Evidence worded for people in both languages, from its facts; only what a file itself says stays a quotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zhentu.decide.error_words import words_of_code
from zhentu.decide.words import QUESTION_NAMES, Words
from zhentu.types import AiState, Evidence, Fact, Question

_STATES = {
    str(AiState.IS.value): "是 AI 生成",
    str(AiState.POSSIBLY.value): "可能为 AI 生成",
    str(AiState.SUSPECTED.value): "疑似 AI 生成",
}
_SOURCE_TYPES = {  # https://cv.iptc.org/newscodes/digitalsourcetype/
    "trainedalgorithmicmedia": "由训练模型生成",
    "compositewithtrainedalgorithmicmedia": "经 AI 编辑",
    "compositesynthetic": "含生成内容的合成图",
    "algorithmicmedia": "由算法生成",
}
_ANSWERS = {  # values of intake.credentials: Integrity, Validity, SignerTrust
    Fact.INTEGRITY: {"holds": "完整性成立", "broken": "完整性不成立", "unknown": "完整性未知"},
    Fact.VALIDITY: {
        "valid": "证书有效",
        "outside its dates": "证书不在有效期内",
        "unfit": "证书不合用途",
        "revoked": "证书已吊销",
        "unknown": "证书未知",
    },
    Fact.SIGNER_TRUST: {"listed": "签名者在名单上", "unlisted": "签名者不在名单上", "not asked": "未查询签名者名单"},
}
# Rows of generators.yaml whose name is a description; other names are those of products.
FINDINGS = {
    "an AIGC flag of Douyin or TikTok": "抖音或 TikTok 的 AIGC 标记",
    "an export mark of Dreamina or Jimeng": "即梦或 Dreamina 的导出标记",
    "an AIGC flag": "AIGC 标记",
    "a label in the ServiceProvider form of 2023 (TC260-PG-20233A), as Tencent Cloud writes it": (
        "腾讯云所用的 2023 年 ServiceProvider 形式标识（TC260-PG-20233A）"
    ),
    "Stable Diffusion WebUI parameters": "Stable Diffusion WebUI 生成参数",
    "Civitai resources": "Civitai 资源列表",
    "ComfyUI graph": "ComfyUI 工作流",
    "SwarmUI parameters": "SwarmUI 生成参数",
    "Easy Diffusion parameters": "Easy Diffusion 生成参数",
    "Fooocus parameters": "Fooocus 生成参数",
    "NovelAI parameters": "NovelAI 生成参数",
    "a title of a generator": "生成工具写入的标题",
    "InvokeAI metadata": "InvokeAI 元数据",
    "Draw Things parameters": "Draw Things 生成参数",
    "generation data": "生成数据",
    "a prompt with its negative": "正向与反向提示词",
    "parameters of a diffusion model": "扩散模型的参数",
    "a diffusers pipeline": "diffusers 流水线",
    "a Hugging Face or Higgsfield job": "Hugging Face 或 Higgsfield 的任务编号",
    "a signature of Grok": "Grok 的签名",
    "a Midjourney job": "Midjourney 的任务编号",
    "Midjourney parameters": "Midjourney 生成参数",
    "words that say AI-generated": "写明 AI 生成的文字",
    "a digital source type outside its field": "写在其他字段中的数字来源类型",
    "a provider and a model": "服务商与模型名称",
}
EVIDENCE_NAMES: dict[str, Words] = {
    "declared_ai": Words("the uploader's own declaration", "上传者的声明"),
    "c2pa_ai_source_type": Words("a C2PA manifest whose signature holds", "签名成立的 C2PA 清单"),
    "c2pa_broken_ai_source_type": Words("a C2PA manifest that does not hold", "签名或哈希不成立的 C2PA 清单"),
    "c2pa_valid": Words("a C2PA manifest whose signature holds", "签名成立的 C2PA 清单"),
    "c2pa_invalid": Words("a C2PA manifest that does not hold", "未通过验证的 C2PA 清单"),
    "c2pa_present": Words("a C2PA manifest, unchecked", "未经验证的 C2PA 清单"),
    "c2pa_remote": Words("a C2PA manifest elsewhere", "存放于别处的 C2PA 清单"),
    "c2pa_generator": Words("the program that wrote the C2PA claim", "写入 C2PA 声明的程序"),
    "c2pa_actions": Words("actions that the C2PA manifest names", "C2PA 清单所列操作"),
    "c2pa_soft_binding": Words("a soft binding of the C2PA manifest", "C2PA 软绑定"),
    "c2pa_disclosure": Words("an AI disclosure in the C2PA manifest", "C2PA 清单中的 AI 披露"),
    "c2pa_ingredient": Words("an ingredient of the C2PA manifest", "C2PA 清单中的素材"),
    "iptc_digital_source_type": Words("the IPTC digital source type", "IPTC 数字来源类型"),
    "ai_system_used": Words("an IPTC field about AI", "IPTC 的 AI 字段"),
    "google_ai_credit": Words("a credit line of Google AI", "Google AI 署名"),
    "aigc_label": Words("an AIGC label", "AIGC 标识"),
    "aigc_label_malformed": Words("an AIGC label that does not follow the standard", "不符合标准的 AIGC 标识"),
    "aigc_label_vendor": Words("a producer's own AI mark", "生产方自有的 AI 标记"),
    "generator_parameters": Words("what a generator writes", "生成工具写入的内容"),
    "stealth_parameters": Words("parameters hidden in the pixels", "隐藏在像素中的生成参数"),
    "camera_exif": Words("a camera in EXIF", "EXIF 中的相机信息"),
    "metadata_unreadable": Words("metadata that cannot be read", "无法读取的元数据"),
    "further_files": Words("further files behind the picture", "图片之后的其他文件"),
    "bank_known_bad": Words("a bank of untrue pictures", "不实图片库"),
    "bank_allowed": Words("a bank of allowed pictures", "放行图片库"),
    "bank_brand_original": Words("a bank of brands' originals", "品牌原图库"),
    "bank_no_match": Words("the banks of known pictures", "已知图片库"),
    "known_picture": Words("an earlier verdict", "此前的评分"),
    "model_not_asked": Words("the model", "模型"),
    "model_scores": Words("the model", "模型"),
    "reference_comparison": Words("the comparison with references", "与参考图的比对"),
    "reference_not_compared": Words("the comparison with references", "与参考图的比对"),
    "screening_deferred": Words("screening was put off", "检测推迟"),
    "screened_late": Words("screened afterwards", "事后补检"),
    "screening_impossible": Words("screening was not possible", "无法检测"),
}
_RELATIONS = {"parentOf": "源图", "componentOf": "组成部分", "inputTo": "输入"}
_PLACES = {
    "upload form": "上传表单",
    "comment": "注释",
    "metadata": "元数据",
    "behind the picture": "图片数据之后",
    "C2PA claim": "C2PA 声明",
    "C2PA ingredient": "C2PA 素材",
    "Samsung trailer": "三星附加数据",
    "PNG alpha channel": "PNG 透明通道",
    "PNG pixels": "PNG 像素",
    "broken XMP": "损坏的 XMP",
    "XMP TC260 structure": "XMP TC260 结构",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Evidence as people read it in one language. name: in English the stable one, which callers know."""

    name: str
    detail: str
    place: str


def told(evidence: Evidence, language: str) -> Told:
    """Evidence in "zh" or "en"."""
    if language != "zh":
        return Told(evidence.name, evidence.detail, evidence.location)
    return Told(name_zh(evidence.name), evidence_zh(evidence), place_zh(evidence.location))


def name_zh(name: str) -> str:
    """What kind of evidence it is, in Chinese; the name itself for one that this release does not know."""
    words = EVIDENCE_NAMES.get(name)
    return words.zh if words else name


def place_zh(location: str) -> str:
    """Where evidence stood, in Chinese; names of metadata fields have none."""
    for start, zh in (("PNG text ", "PNG 文本 "), ("PNG chunk ", "PNG 数据块 "), ("WebP chunk ", "WebP 数据块 ")):
        if location.startswith(start):
            return f"{zh}{location.removeprefix(start)}"
    return _PLACES.get(location, location)


def evidence_zh(evidence: Evidence) -> str:
    """The fact in Chinese. What cannot be worded, and records of older releases, is quoted as it is."""
    facts = dict(evidence.facts)
    wording = _WORDINGS.get(evidence.name)
    told = wording(facts) if wording is not None else ""
    return told or f"「{evidence.detail}」"


def _quoted(facts: dict[Fact, str]) -> str:
    return f"「{facts[Fact.QUOTE]}」" if facts.get(Fact.QUOTE) else ""


def _finding(facts: dict[Fact, str]) -> str:
    name = facts.get(Fact.FINDING, "")
    return "：".join(filter(None, (FINDINGS.get(name, name), _quoted(facts))))


def _source_type(facts: dict[Fact, str]) -> str:
    term = facts.get(Fact.SOURCE_TYPE, "")
    meaning = _SOURCE_TYPES.get(term.lower(), "非 AI 来源类型")
    return f"{term}（{meaning}）" if term else ""


def _manifest(facts: dict[Fact, str]) -> str:
    signer = facts.get(Fact.SIGNER)
    answers = (words.get(facts.get(key, ""), "") for key, words in _ANSWERS.items())
    parts = (_source_type(facts), f"签名者「{signer}」" if signer else "", "、".join(filter(None, answers)))
    return "，".join(filter(None, parts))


def _label(facts: dict[Fact, str]) -> str:
    value = facts.get(Fact.LABEL, "")
    if not value:
        return ""
    named = ((Fact.PRODUCER, "生成合成服务提供者"), (Fact.PROPAGATOR, "内容传播服务提供者"))
    makers = [f"{word}「{facts[key]}」" for key, word in named if facts.get(key)]
    return "，".join([f"标识值 {value}（{_STATES.get(value, '')}）", *makers])


def _field(facts: dict[Fact, str]) -> str:
    return "：".join(filter(None, (facts.get(Fact.FIELD, ""), _quoted(facts))))


def _signed(facts: dict[Fact, str]) -> str:
    return f"未声明 AI 来源类型，{_manifest(facts)}" if facts else ""


def _ingredient(facts: dict[Fact, str]) -> str:
    relation = facts.get(Fact.RELATION, "")
    named = "：".join(filter(None, (_RELATIONS.get(relation, relation), _quoted(facts) or "无标题")))
    return f"{named}{'，其清单不成立' if facts.get(Fact.INTEGRITY) else ''}" if facts else ""


def _bank(facts: dict[Fact, str]) -> str:
    if Fact.BANK not in facts:
        return ""
    how = f"256 位中 {facts[Fact.DISTANCE]} 位不同" if Fact.DISTANCE in facts else "文件完全相同"
    frame = f"，第 {facts[Fact.FRAME]} 帧（共 {facts[Fact.FRAMES]} 帧）" if Fact.FRAME in facts else ""
    note = f"，备注{_quoted(facts)}" if Fact.QUOTE in facts else ""
    return f"图片库「{facts[Fact.BANK]}」第 {facts.get(Fact.ENTRY, '')} 条：{how}{frame}{note}"


def _look(facts: dict[Fact, str]) -> str:
    """How the model looked, as the rest of a sentence."""
    frame, seen = facts.get(Fact.FRAME), facts.get(Fact.FRAMES_SEEN, "")
    worst = f"；第 {frame} 帧（共 {facts.get(Fact.FRAMES, '')} 帧），为所检查 {seen} 帧中最严重的一帧" if frame else ""
    return worst + ("；整体查看已可判定，未再查看局部" if Fact.SETTLED in facts else "")


def _scored(facts: dict[Fact, str]) -> str:
    if Fact.SCORE not in facts:
        return ""
    return f"{facts.get(Fact.MODEL, '')}：属于任意一类的概率为 {facts[Fact.SCORE]}{_look(facts)}"


def _known(facts: dict[Fact, str]) -> str:
    model = facts.get(Fact.MODEL, "")
    return f"相同文件此前已由 {model} 评分，未再运行模型{_look(facts)}" if model else ""


def _compared(facts: dict[Fact, str]) -> str:
    if Fact.SIMILARITY not in facts:
        return ""
    names = [QUESTION_NAMES[Question(each)].zh for each in facts.get(Fact.DIFFERING, "").split()]
    count = facts.get(Fact.COUNT, "")
    parts = [
        f"{facts.get(Fact.MODEL, '')}：不符概率 {facts.get(Fact.SCORE, '')}，与 {count} 张参考图中最接近者的相似度 "
        f"{facts[Fact.SIMILARITY]}",
        f"{facts.get(Fact.AGREEING, '0')} 张相符",
        f"差异：{'、'.join(names)}" if names else "",
        "未能在两图中都找到商品，因此比对整图" if Fact.WHOLE in facts else "",
    ]
    return "；".join(filter(None, parts))


def _not_compared(facts: dict[Fact, str]) -> str:
    why = "均无法读取" if Fact.INSTALLED in facts else "未安装比对功能"
    return f"提供了 {facts[Fact.COUNT]} 张参考图，{why}，未使用" if Fact.COUNT in facts else ""


def _deferred(facts: dict[Fact, str]) -> str:
    return f"{words_of_code(facts[Fact.CODE]).zh}将尽快补检。" if Fact.CODE in facts else ""


def _impossible(facts: dict[Fact, str]) -> str:
    return words_of_code(facts[Fact.CODE]).zh if Fact.CODE in facts else ""


def _late(facts: dict[Fact, str]) -> str:
    return f"曾先行放行（记录 {facts[Fact.RECORD]}），现已补检" if Fact.RECORD in facts else ""


def _further(facts: dict[Fact, str]) -> str:
    if Fact.COUNT not in facts:
        return ""
    first = f"，第一个距图片末尾 {facts[Fact.BYTES]} 字节" if facts.get(Fact.BYTES, "0") != "0" else ""
    return f"图片之后还有 {facts[Fact.COUNT]} 个文件（{facts.get(Fact.FIELD, '')}）{first}；仅检测第一张图片"


_WORDINGS: dict[str, Callable[[dict[Fact, str]], str]] = {
    "declared_ai": lambda _: "上传者声明使用了 AI",
    "stealth_parameters": lambda _: "像素中隐藏着生成工具的参数",
    "generator_parameters": _finding,
    "aigc_label": _label,
    "aigc_label_vendor": _finding,
    "aigc_label_malformed": lambda facts: f"标识不符合 GB 45438-2025 附录 E：{_quoted(facts)}" if facts else "",
    "iptc_digital_source_type": _source_type,
    "ai_system_used": _field,
    "google_ai_credit": lambda facts: f"署名{_quoted(facts)}" if facts else "",
    "c2pa_ai_source_type": _manifest,
    "c2pa_broken_ai_source_type": _manifest,
    "c2pa_valid": _signed,
    "c2pa_invalid": lambda facts: f"验证未通过：{_quoted(facts)}" if _quoted(facts) else "验证未通过",
    "c2pa_present": lambda _: "此处无法加载 c2pa-python，清单未经验证",
    "c2pa_remote": lambda facts: f"清单存放于别处，未获取：{_quoted(facts)}" if facts else "",
    "c2pa_generator": _quoted,
    "c2pa_actions": _quoted,
    "c2pa_soft_binding": lambda facts: f"绑定算法{_quoted(facts) or '未写明'}",
    "c2pa_disclosure": lambda facts: _quoted(facts) or "未写明内容",
    "c2pa_ingredient": _ingredient,
    "camera_exif": lambda facts: f"由{_quoted(facts)}拍摄" if facts else "",
    "metadata_unreadable": lambda facts: f"部分元数据无法读取：{_quoted(facts)}" if facts else "",
    "further_files": _further,
    "bank_known_bad": _bank,
    "bank_allowed": _bank,
    "bank_brand_original": _bank,
    "bank_no_match": lambda _: "没有图片库收录该图片",
    "model_not_asked": lambda _: "图片库已收录相同文件，未运行模型",
    "known_picture": _known,
    "model_scores": _scored,
    "reference_comparison": _compared,
    "reference_not_compared": _not_compared,
    "screening_deferred": _deferred,
    "screened_late": _late,
    "screening_impossible": _impossible,
}
