"""Make the badge's font: a subset of Noto Sans CJK SC Bold from Debian's fonts-noto-cjk, with its licence beside it.

apt-get install fonts-noto-cjk && python scripts/make_badge_font.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

SOURCE = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc")
COPYRIGHT = Path("/usr/share/doc/fonts-noto-cjk/copyright")
FOLDER = Path(__file__).resolve().parents[1] / "src" / "zhentu" / "mark" / "fonts"
SIMPLIFIED_CHINESE = 2  # index of the face in the collection
NAME = "Zhentu Badge"
# ASCII, and the characters of labels: the shipped wording, and common words that an operator may prefer.
TEXT = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "·，。：！（）、"
    + "人工智能生成合可能为疑似由的内容图片像仅供参考本品商实拍非效果展示请以物准平台提声明标识"
    + "已经处理修饰渲染模型作者未知辅助部分编辑制是否"
)


def licence() -> str:
    """The SIL Open Font License from Debian's copyright file, after a note on whose font this is."""
    _, _, text = COPYRIGHT.read_text(encoding="utf-8").partition("\nLicense: SIL-1.1\n ---")
    body = (" ---" + text).partition("\nLicense: ")[0]
    lines = [line.removeprefix(" ") for line in body.rstrip().splitlines()]
    owner = TTFont(SOURCE, fontNumber=SIMPLIFIED_CHINESE)["name"].getDebugName(0)
    head = (
        f"{NAME} is a subset of Noto Sans CJK SC Bold (https://github.com/notofonts/noto-cjk), made from Debian's\n"
        "fonts-noto-cjk by scripts/make_badge_font.py and renamed. It stays under the SIL Open Font License 1.1:\n\n"
        f"{owner}\n\n"
    )
    return head + "\n".join("" if line == "." else line for line in lines) + "\n"


def main() -> int:
    """Write the subset font; the same input always gives the same bytes."""
    if not SOURCE.is_file():
        print(f"{SOURCE} is missing: apt-get install fonts-noto-cjk", file=sys.stderr)
        return 3
    font = TTFont(SOURCE, fontNumber=SIMPLIFIED_CHINESE, recalcTimestamp=False)
    options = Options(layout_features=["kern"], hinting=False, desubroutinize=True, name_IDs=[0, 1, 2, 4, 6, 13, 14])
    subsetter = Subsetter(options)
    subsetter.populate(text=TEXT)
    subsetter.subset(font)
    for record in font["name"].names:
        if record.nameID in (1, 4):
            record.string = NAME
        elif record.nameID == 6:
            record.string = NAME.replace(" ", "") + "-Bold"
    FOLDER.mkdir(parents=True, exist_ok=True)
    font.save(FOLDER / "ZhentuBadge-Bold.otf", reorderTables=True)
    (FOLDER / "LICENSE-OFL.txt").write_text(licence(), encoding="utf-8")
    missing = sorted(set(TEXT) - {chr(code) for code in font.getBestCmap()})
    print(f"{len(font.getGlyphOrder())} glyphs, missing: {''.join(missing) or 'none'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
