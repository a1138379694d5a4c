"""The front page's own words, in English and Chinese."""

from __future__ import annotations

from zhentu.decide.words import Words
from zhentu.types import Mode

PAGE: dict[str, Words] = {
    "brand": Words("zhentu", "真图"),
    "title": Words("Try it", "试用"),
    "lead": Words("Is this product picture true?", "这张商品图真实吗？"),
    "promise": Words(
        "Pictures stay on this machine. Nothing is kept unless you ask for it.",
        "图片不会离开本机。除非您要求，否则不保存任何内容。",
    ),
    "drop": Words("Drop pictures here, paste them, or", "将图片拖放或粘贴到此处，或"),
    "choose": Words("choose pictures", "选择图片"),
    "url": Words("Picture address (URL)", "图片网址（URL）"),
    "url_go": Words("Fetch and check", "获取并检测"),
    "options": Words("Goods category and reference pictures", "商品类目与参考图"),
    "goods": Words("Goods category", "商品类目"),
    "goods_hint": Words("Selects the policy's thresholds; may stay empty.", "用于选择策略阈值，可留空。"),
    "references": Words("Reference pictures", "参考图"),
    "references_hint": Words(
        "Up to {most} pictures known to show the real goods; what you check is compared with them.",
        "最多 {most} 张确认为商品实拍的图片，检测时会与其比对。",
    ),
    "add_references": Words("add reference pictures", "添加参考图"),
    "remove": Words("Remove", "移除"),
    "samples": Words("Or click a sample", "或点击示例图片"),
    "samples_hint": Words(
        "Some are caught, some are missed; they were not picked to impress.", "有的会被识别，有的会漏检：并未刻意挑选。"
    ),
    "worst_frame": Words(
        "The scores are those of frame {number} of {total}, the worst of {seen} frames looked at.",
        "评分取自第 {number} 帧（共 {total} 帧），为所检查 {seen} 帧中最严重的一帧。",
    ),
    "results": Words("What was found", "检测结果"),
    "progress": Words("Pictures checked", "已检测图片"),
    "clear": Words("Clear", "清空"),
    "language": Words("中文", "English"),
    "review": Words("Review page", "审核页面"),
    "keys": Words("Keys", "快捷键"),
    "close": Words("Close", "关闭"),
    "no_script": Words(
        "This page needs JavaScript. Without it: curl --form picture=@PICTURE",
        "此页面需要 JavaScript。也可使用：curl --form picture=@PICTURE",
    ),
    "checking": Words("Being checked…", "检测中…"),
    "too_many": Words(
        "This page takes {most} pictures at once; for more, use: zhentu scan FOLDER",
        "此页面一次最多接收 {most} 张图片；更多图片请使用：zhentu scan 文件夹",
    ),
    "no_answer": Words(
        "The gate did not answer. Is `zhentu serve` still running?", "服务无响应。zhentu serve 是否仍在运行？"
    ),
    "lost_session": Words(
        "The gate was restarted. Open the address it printed again.", "服务已重新启动，请重新打开其显示的网址。"
    ),
    "failed": Words("Not checked", "未能检测"),
    "picture": Words("The picture as zhentu sees it", "zhentu 所见的图片"),
    "heatmap": Words("Heatmap", "热力图"),
    "heatmap_of": Words("Heatmap of", "热力图类别"),
    "no_heatmap": Words("The model gives no heatmaps.", "该模型不提供热力图。"),
    "reasons": Words("Why", "理由"),
    "expected": Words("What this sample is", "该示例的真实情况"),
    "scores": Words("Scores against thresholds", "得分与阈值"),
    "scores_hint": Words(
        "A score is a probability, not proof; the line is the threshold.", "得分是概率而非证明；竖线为阈值。"
    ),
    "any_category": Words("Any of the five", "任意一类"),
    "threshold": Words("threshold", "阈值"),
    "not_asked": Words("The model was not asked.", "未使用模型。"),
    "provenance": Words("What the file says of itself", "文件自身的信息"),
    "no_provenance": Words(
        "Nothing about AI or a camera. That alone proves nothing: metadata is easily lost.",
        "没有关于 AI 或相机的信息。这本身不说明问题：元数据很容易丢失。",
    ),
    "evidence": Words("All other evidence", "其他证据"),
    "notice": Words("The notice a buyer would see", "买家将看到的提示"),
    "no_notice": Words("None: nothing is owed for this picture.", "无：该图片无需提示。"),
    "download": Words("Download the labelled picture", "下载加标识的图片"),
    "no_label": Words(
        "No AI label is owed, so there is no labelled picture.", "无需添加 AI 标识，因此没有加标识的图片。"
    ),
    "trial_code": Words(
        "Its label names {code} for the platform; set ZHENTU_LABEL_PROPAGATOR to your own code.",
        "标识中的平台代码为 {code}；请将 ZHENTU_LABEL_PROPAGATOR 设为您的平台代码。",
    ),
    "labelled": Words("Labelled", "已加标识"),
    "unchanged": Words("The picture already carried this label", "图片已带有该标识"),
    "keep": Words("Keep a record", "保存记录"),
    "keep_hint": Words(
        "Writes the decision into this machine's store, and into the review queue where the policy says review.",
        "将结果写入本机数据库；若策略要求审核，则进入审核队列。",
    ),
    "kept": Words("Kept as record", "已保存为记录"),
    "curl": Words("The same by curl", "用 curl 实现"),
    "copy": Words("Copy", "复制"),
    "copied": Words("Copied", "已复制"),
    "file": Words("File", "文件"),
    "applied": Words("In force", "实际生效"),
    "mode": Words("mode", "模式"),
}

ACTIONS: dict[str, Words] = {
    "allow": Words("Allow: it may be published as it is", "放行：可直接发布"),
    "label": Words("Label: it may be published with a label", "加标识：添加标识后可发布"),
    "review": Words("Review: a person looks at it first", "人工审核：先由审核人员查看"),
    "block": Words("Block: it may not be published", "拦截：不得发布"),
}

MODES: dict[Mode, Words] = {
    Mode.ENFORCE: Words("enforce", "生效"),
    Mode.SHADOW: Words("shadow", "影子"),
    Mode.OFF: Words("off", "关闭"),
}

KEYS: tuple[tuple[str, Words], ...] = (
    ("O", Words("Choose pictures", "选择图片")),
    ("U", Words("Enter an address", "输入网址")),
    ("J / K", Words("Next, previous picture", "下一张、上一张图片")),
    ("H", Words("Heatmap on, off", "打开或关闭热力图")),
    ("D", Words("Download the labelled picture", "下载加标识的图片")),
    ("L", Words("中文", "English")),
    ("?", Words("This list", "显示本列表")),
)

GOODS: tuple[str, ...] = (
    "apparel", "bags", "cosmetics", "electronics", "food", "footwear", "furniture", "jewellery", "kitchen", "toys",
)  # fmt: skip
