"""What decoding noted of a picture, in Chinese. Records hold notes as English sentences, some with numbers in them."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+")
NOTES = {
    "alpha composed on white": "透明部分以白色填充",
    "16-bit scaled to 8-bit": "16 位已转换为 8 位",
    "floating point scaled to 8-bit": "浮点像素已转换为 8 位",
    "ICC profile converted to sRGB": "已按 ICC 配置文件转换为 sRGB",
    "broken ICC profile ignored": "ICC 配置文件已损坏，未采用",
    "the end marker is missing": "缺少结束标记",
    "first of several frames": "多帧中的第一帧",
    "primary of several pictures": "多张图片中的主图",
    "frame # of #": "第 # 帧（共 # 帧）",
    "# bytes after the end of the picture": "图片结束后还有 # 字节",
    "not decoded yet": "尚未解码",
    "never decoded": "未能解码",
}


def note_in(note: str, language: str) -> str:
    """A note in "zh" or "en"; one that no release wrote is quoted."""
    if language != "zh":
        return note
    zh = NOTES.get(note) or NOTES.get(_NUMBER.sub("#", note))
    if zh is None:
        return f"「{note}」"
    numbers = iter(_NUMBER.findall(note))
    return zh if note in NOTES else re.sub("#", lambda _: next(numbers), zh)
