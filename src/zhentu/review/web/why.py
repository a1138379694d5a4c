"""Why an item is on the desk, and what to do when none is: in words, for people."""

from __future__ import annotations

from collections.abc import Sequence

from zhentu.decide.notices import CATEGORY_NAMES
from zhentu.decide.words import Words
from zhentu.review.items import Filters, ItemKind, QueueCounts, ReviewItem
from zhentu.types import CATEGORIES, Action, Reason, Record

_KINDS: dict[ItemKind, Words] = {
    ItemKind.SECOND: Words(
        "Somebody else decided this picture already. Your own opinion, given without theirs, measures how far people "
        "agree.",
        "已有其他审核人员处理过该图片。请独立给出您的判断，用于衡量审核一致性。",
    ),
    ItemKind.SAMPLE: Words(
        "Nothing was found in this picture. It was drawn at random from those that passed, to see what the model "
        "misses.",
        "该图片未检出问题，系从已放行图片中随机抽取，用于发现模型漏检。",
    ),
}
_ASKED: dict[Action, Words] = {
    Action.REVIEW: Words("The policy asks for a person's look, because:", "策略要求人工审核，原因："),
    Action.BLOCK: Words("The policy asks to block this picture, because:", "策略要求拦截该图片，原因："),
    Action.LABEL: Words("The policy asks for a label, because:", "策略要求添加标识，原因："),
    Action.ALLOW: Words("The policy let this picture pass.", "策略已放行该图片。"),
}
_APPEALED: dict[Action, Words] = {
    Action.REVIEW: Words("The seller appeals against the review of this picture, which was asked for, because:",
                         "商家对该图片的审核提出申诉，当时的审核原因："),
    Action.BLOCK: Words("The seller appeals against the block of this picture, which was blocked, because:",
                        "商家对该图片被拦截提出申诉，当时的拦截原因："),
    Action.LABEL: Words("The seller appeals against the label of this picture, which was asked for, because:",
                        "商家对该图片的标识提出申诉，当时的标识原因："),
    Action.ALLOW: Words("The seller appeals, though the policy let this picture pass; their own words stand below.",
                        "策略虽已放行该图片，商家仍提出申诉，详见下方商家说明。"),
}  # fmt: skip


def why_here(item: ReviewItem, record: Record) -> Words:
    """One sentence: why somebody should look at this item."""
    if item.kind in _KINDS:
        return _KINDS[item.kind]
    action = record.decision.action
    words = (_APPEALED if item.kind is ItemKind.APPEAL else _ASKED)[action]
    return words if action is Action.ALLOW or grounds(record) else _without_grounds(words, record)


def _without_grounds(words: Words, record: Record) -> Words:
    """For records that name no reason, as an earlier release or another program may have written them."""
    en, zh = words.en.removesuffix(", because:"), words.zh.removesuffix("，原因：").partition("，当时的")[0]
    if record.verdict is None:
        return Words(f"{en}; no reason was recorded, and the model was not asked.", f"{zh}；未记录原因，模型未评分。")
    scores = record.verdict.scores
    highest = max(CATEGORIES, key=scores.of)
    name, score = CATEGORY_NAMES[highest], f"{scores.of(highest):.2f}"
    return Words(
        f"{en}; no reason was recorded. The highest score is {score}, of: {name.en}.",
        f"{zh}；未记录原因。最高得分 {score}：{name.zh}。",
    )


def grounds(record: Record) -> Sequence[Reason]:
    """The reasons that asked for something, gravest first; "nothing was found" is none."""
    asking = [each for each in record.decision.reasons if each.action is not Action.ALLOW]
    return sorted(asking, key=lambda each: -each.action.severity)


def what_next(filters: Filters, counts: QueueCounts, everything: QueueCounts, screened: bool) -> Words:
    """What to do when no item comes. counts: under the filters; everything: without any."""
    if counts.open:
        return Words(
            f"{counts.open} open items are on other desks, or you skipped or decided them before. They come back here "
            "when they are free: after ten minutes without a sign of life, after half an hour where you skipped them.",
            f"{counts.open} 张待审图片正由他人处理，或您已跳过或处理过。"
            "空闲后会自动出现：他人 10 分钟无操作后，或您跳过 30 分钟后。",
        )
    if everything.open:
        return Words(
            f"No open item passes the filters; without them there are {everything.open}. Clear the filters to go on.",
            f"没有符合筛选条件的待审图片；不加筛选时有 {everything.open} 张。清除筛选即可继续。",
        )
    if not screened:
        return Words(
            "No picture was screened yet. Scan some with `zhentu scan FOLDER`, or send them to POST /v1/screen: what "
            "the policy wants looked at comes here by itself.",
            "尚未检测任何图片。请运行 zhentu scan 文件夹，或发送至 POST /v1/screen："
            "策略要求审核的图片会自动出现在这里。",
        )
    return Words(
        "Everything is decided. New items come by themselves. To look for what the model misses, set "
        "ZHENTU_REVIEW_SAMPLE_RATIO, e.g. to 0.01; to teach the next model, run `zhentu review export`.",
        "全部处理完毕，新的待审图片会自动出现。若要查找模型漏检，请设置 ZHENTU_REVIEW_SAMPLE_RATIO（如 0.01）；"
        "若要用审核结果训练下一个模型，请运行 zhentu review export。",
    )
