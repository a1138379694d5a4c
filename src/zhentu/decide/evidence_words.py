"""Evidence worded for people in both languages, from its facts; only what a file itself says stays a quotation."""

from __future__ import annotations

from collections.abc import Callable

from zhentu.types import AiState, Evidence, Fact

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
_PLACES = {
    "upload form": "上传表单",
    "comment": "注释",
    "metadata": "元数据",
    "Samsung trailer": "三星附加数据",
    "PNG alpha channel": "PNG 透明通道",
    "PNG pixels": "PNG 像素",
    "broken XMP": "损坏的 XMP",
    "XMP TC260 structure": "XMP TC260 结构",
}


def place_zh(location: str) -> str:
    """Where evidence stood, in Chinese; names of metadata fields have none."""
    if location.startswith("PNG text "):
        return f"PNG 文本 {location.removeprefix('PNG text ')}"
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
    meaning = _SOURCE_TYPES.get(term.lower())
    return f"{term}（{meaning}）" if meaning else f"「{term}」" if term else ""


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
}
