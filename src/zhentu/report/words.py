"""The page's own words, in English and Chinese, by the identifier they stand for."""

from __future__ import annotations

from zhentu.decide.notices import Words

ANY_CATEGORY = Words("Any of the five", "任意一类")

UNNAMED = Words("(not given)", "（未提供）")
NOT_READABLE = Words("Not readable", "无法读取")

ACTION_WORDS = {
    "block": Words("Block", "拦截"),
    "review": Words("Review", "人工审核"),
    "label": Words("Label", "加标识"),
    "allow": Words("Allow", "放行"),
}

MODE_WORDS = {
    "enforce": Words("decisions are applied", "处置已生效"),
    "shadow": Words("shadow mode: decisions are recorded, not applied", "影子模式：仅记录，不生效"),
    "off": Words("screening is off", "检测已关闭"),
}

ERROR_WORDS = {
    "picture_empty": Words("Empty file", "空文件"),
    "picture_too_large": Words("Too large", "图片过大"),
    "picture_too_small": Words("Too small", "图片过小"),
    "picture_truncated": Words("Cut short", "文件不完整"),
    "picture_corrupt": Words("Damaged", "文件已损坏"),
    "unsupported_format": Words("No picture format zhentu reads", "不支持的格式"),
    "source_unreadable": Words("The source failed", "图源读取失败"),
    "picture_not_found": Words("Gone or unreadable", "文件不存在或无法读取"),
    "worker_crashed": Words("Crashed the decoder", "解码进程崩溃"),
    "internal_error": Words("Unexpected error", "意外错误"),
}
