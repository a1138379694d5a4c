"""The page's own words, in English and Chinese, by the identifier they stand for."""

from __future__ import annotations

from zhentu.decide import error_words
from zhentu.decide.words import Words

ANY_CATEGORY = Words("Any of the five", "任意一类")

UNNAMED = Words("(not given)", "（未提供）")
NOT_READABLE = Words("Not readable", "无法读取")

MODE_WORDS = {
    "enforce": Words("decisions are applied", "处置已生效"),
    "shadow": Words("shadow mode: decisions are recorded, not applied", "影子模式：仅记录，不生效"),
    "off": Words("screening is off", "检测已关闭"),
}

ERROR_WORDS = error_words.ERROR_WORDS | {
    "picture_empty": Words("Empty file", "空文件"),
    "picture_too_large": Words("Too large", "图片过大"),
    "picture_too_small": Words("Too small", "图片过小"),
    "picture_truncated": Words("Cut short", "文件不完整"),
    "picture_corrupt": Words("Damaged", "文件已损坏"),
    "unsupported_format": Words("Not a picture format that zhentu can read", "不支持的格式"),
    "svg_unsupported": Words("An SVG drawing, not a photograph", "SVG 矢量图，非照片"),
    "pdf_unsupported": Words("A PDF document, not a picture", "PDF 文档，非图片"),
    "source_unreadable": Words("The source failed", "图源读取失败"),
    "picture_not_found": Words("Gone or unreadable", "文件不存在或无法读取"),
    "picture_too_slow": Words("Too slow to read", "读取耗时过长"),
    "worker_crashed": Words("Crashed the decoder", "解码进程崩溃"),
    "internal_error": Words("Unexpected error", "意外错误"),
}

SKIP_WORDS = {
    "not_a_picture": Words("Not a picture, by its content", "内容不是图片"),
    "unknown_suffix": Words("Unclear name, content not read", "文件名无法判断，未查看内容"),
    "excluded": Words("Excluded", "已排除"),
    "folder_marker": Words("Stands for a folder", "目录占位对象"),
    "duplicate": Words("Named twice", "重复列出"),
    "empty_row": Words("Empty row of a sheet", "表格空行"),
    "bad_row": Words("Row that cannot be parsed", "无法识别的表格行"),
    "unreadable_folder": Words("Folder that cannot be read", "无法读取的目录"),
    "symlink_loop": Words("Link that leads back", "循环链接"),
    "linked_folder": Words("Link to another folder", "指向其他目录的链接"),
    "special_file": Words("Pipe, socket or device", "管道、套接字或设备"),
    "own_output": Words("Written by zhentu itself", "真图自己写出的文件"),
}
