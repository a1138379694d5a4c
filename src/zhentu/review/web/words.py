"""The page's own words, in English and Chinese."""

from __future__ import annotations

from zhentu.decide.words import Words

PAGE: dict[str, Words] = {
    "title": Words("Review", "人工审核"),
    "brand": Words("zhentu", "真图"),
    "queue": Words("Queue", "队列"),
    "appeals": Words("Appeals", "申诉"),
    "dashboard": Words("Dashboard", "看板"),
    "sign_in": Words("Sign in", "登录"),
    "sign_in_lead": Words(
        "Sign in with an API key of role review or admin.", "请使用 review 或 admin 角色的 API 密钥登录。"
    ),
    "key": Words("API key", "API 密钥"),
    "no_key": Words("No key yet? An administrator makes one:", "还没有密钥？请管理员创建："),
    "sign_out": Words("Sign out", "退出"),
    "open": Words("open", "待审"),
    "overdue": Words("overdue", "超期"),
    "blur": Words("Blur", "模糊"),
    "language": Words("中文", "English"),
    "help": Words("Keys", "快捷键"),
    "filters": Words("Filters", "筛选"),
    "apply": Words("Apply", "应用"),
    "reset": Words("Clear", "清除"),
    "any": Words("Any", "全部"),
    "category": Words("Category", "类别"),
    "goods": Words("Goods", "商品类目"),
    "seller": Words("Seller", "商家"),
    "tenant": Words("Tenant", "租户"),
    "kind": Words("Why", "来源"),
    "order": Words("Order", "排序"),
    "group": Words("Group", "近似组"),
    "job": Words("Job", "任务"),
    "score_from": Words("Score from", "得分下限"),
    "score_to": Words("Score to", "得分上限"),
    "picture": Words("Picture under review", "待审图片"),
    "heatmap": Words("Heatmap", "热力图"),
    "reference": Words("Reference", "参考图"),
    "references": Words("Genuine photos from the seller", "商家提供的实拍图"),
    "swipe": Words("Swipe between the picture and the reference", "左右滑动对比图片与参考图"),
    "no_picture": Words(
        "The picture's bytes are not kept here. Decide by the facts, or skip.",
        "此处未保存图片文件。可根据其余信息判断，或跳过。",
    ),
    "loading": Words("Loading…", "加载中…"),
    "scores": Words("Scores against thresholds", "得分与阈值"),
    "any_category": Words("Any of the five", "任意一类"),
    "with_references": Words("Unlike the references", "与参考图不符"),
    "threshold": Words("threshold", "阈值"),
    "why_here": Words("Why this is here", "为何需要审核"),
    "evidence": Words("Evidence", "证据"),
    "listing": Words("Listing", "商品"),
    "file": Words("File", "文件"),
    "title_of_goods": Words("Title", "标题"),
    "history": Words("Seller's history", "商家历史"),
    "screened": Words("screened", "已检测"),
    "upheld": Words("upheld", "维持"),
    "overturned": Words("overturned", "撤销"),
    "waiting": Words("waiting", "待审"),
    "near": Words("Near-duplicates", "近似图片"),
    "whole_group": Words("Decide the whole group", "对整组生效"),
    "whole_group_hint": Words(
        "Overturning a group puts every picture of it, and their look, into the allowed bank.",
        "整组撤销后，组内每张图片及其外观都会加入放行库。",
    ),
    "note": Words("Reason in your own words (goes into the statement)", "处理说明（写入理由说明）"),
    "uphold": Words("Uphold", "维持"),
    "overturn": Words("Overturn", "撤销"),
    "wrong_picture": Words("Wrong picture", "图不对品"),
    "skip": Words("Skip", "跳过"),
    "undo": Words("Undo", "撤回"),
    "as": Words("Uphold as", "按以下类别维持"),
    "appeal_reason": Words("The seller's appeal", "商家申诉"),
    "due": Words("due", "截止"),
    "of_appeal": Words("Appealed picture", "申诉图片"),
    "due_at": Words("Due (UTC)", "截止时间（UTC）"),
    "decide_now": Words("Decide", "处理"),
    "not_yours": Words(
        "You decided this picture; another reviewer takes the appeal.", "您已处理过该图片，申诉由另一位审核员处理。"
    ),
    "original": Words("Comparison with the brand's original", "与品牌原图的比对"),
    "bits": Words("of 256 bits of shape differ", "/256 位形状差异"),
    "colours": Words("colour distance", "颜色差异"),
    "comparison": Words("Comparison with the seller's photos", "与商家实拍图的比对"),
    "mismatch": Words("material mismatch", "材质不符概率"),
    "similarity": Words("similarity", "相似度"),
    "unlike": Words("Where they differ, side by side", "并排查看差异位置"),
    "unlike_picture": Words(
        "The picture, warm where the reference shows nothing similar", "图片：暖色处在参考图中无对应"
    ),
    "unlike_reference": Words(
        "The reference, warm where the picture shows nothing similar", "参考图：暖色处在图片中无对应"
    ),
    "differs": Words("differs", "差异"),
    "agree": Words("photos agree", "张相符"),
    "not_compared": Words("not compared", "未比对"),
    "statement": Words("Statement of reasons", "理由说明"),
    "earlier": Words("Decided before", "此前决定"),
    "empty": Words("Nothing to review now", "暂无待审图片"),
    "done": Words("Decided", "已处理"),
    "undone": Words("Taken back", "已撤回"),
    "skipped": Words("Skipped", "已跳过"),
    "group_done": Words("pictures decided together", "张图片已一并处理"),
    "failed": Words("That did not work", "操作失败"),
    "lost": Words("No connection; nothing was lost. Try again.", "网络中断，数据未丢失，请重试。"),
    "state": Words("State", "状态"),
    "created": Words("Received", "收到时间"),
    "reason": Words("Reason", "理由"),
    "outcome": Words("Outcome", "结果"),
    "no_appeals": Words("No appeals.", "没有申诉。"),
    "agreement": Words("Reviewer agreement (Cohen's kappa)", "审核一致性（Cohen's kappa）"),
    "pairs": Words("double-reviewed pictures", "张双人复核图片"),
    "too_few": Words("too few double-reviewed pictures", "双人复核图片不足"),
    "precision": Words("Precision by model version", "各模型版本的精确率"),
    "precision_lead": Words(
        "Upheld of decided, with 95 % Wilson intervals. Only what was flagged is counted.",
        "在已决定的图片中维持的比例，附 95% Wilson 区间；仅统计被标记的图片。",
    ),
    "daily": Words("Decisions by day", "每日处理量"),
    "most_a_day": Words("most in a day", "单日最多"),
    "by_reviewer": Words("By reviewer, last 30 days", "近 30 天各审核员"),
    "decided_of": Words("decided", "已处理"),
    "nothing_yet": Words("Nothing decided yet.", "尚无已处理的图片。"),
    "reviewer": Words("Reviewer", "审核员"),
    "close": Words("Close", "关闭"),
}

KINDS = {
    "appeal": Words("Appeal", "申诉"),
    "screening": Words("Screening", "检测"),
    "second": Words("Second opinion", "复核"),
    "sample": Words("Sample", "抽检"),
}

COPIES = {
    "altered": Words("Altered copy of an original of", "经改动的品牌原图："),
    "plain": Words("Plain copy of an original of", "直接复制的品牌原图："),
}

ORDERS = {
    "priority": Words("Priority", "优先级"),
    "oldest": Words("Oldest first", "最早优先"),
    "uncertain": Words("Most uncertain", "最不确定"),
    "novel": Words("Most novel", "最新颖"),
    "disagreeing": Words("Models disagree", "模型分歧"),
}

APPEAL_STATES = {
    "open": Words("Open", "处理中"),
    "upheld": Words("Upheld", "维持"),
    "overturned": Words("Overturned", "撤销"),
}

KEYS = (
    ("U", Words("Uphold: the suspicion is right", "维持：怀疑成立")),
    ("O", Words("Overturn: the picture is honest", "撤销：图片真实")),
    ("W", Words("Wrong picture: it does not show these goods", "图不对品：图片与所售商品不符")),
    ("1–5", Words("Uphold as one of the five categories", "按第 1 至 5 类维持")),
    ("S", Words("Skip: back to the queue for half an hour", "跳过：半小时内不再出现")),
    ("Z", Words("Take the last decision back", "撤回上一个决定")),
    ("G", Words("Decide the whole group of near-duplicates", "对整组近似图片生效")),
    ("H", Words("Heatmap on, off", "打开或关闭热力图")),
    ("R", Words("Swipe between picture and reference", "左右滑动对比图片与参考图")),
    ("B", Words("Blur pictures", "模糊图片")),
    ("N", Words("Write a reason; Esc leaves it", "填写处理说明，按 Esc 退出")),
    ("L", Words("中文", "English")),
    ("?", Words("This list", "显示本列表")),
)
