"""Names that real buckets and folders hold; each says whether a picture is behind it."""

from __future__ import annotations

from conftest import encoded, photo

PICTURE = encoded(photo(), "JPEG")
TEXT = b"# notes\nnothing to see\n"

KEPT = [  # pictures, whatever they are called; no two fold onto each other on a disk
    *("plain.jpg", "with space.jpg", "plus+sign.jpg", "hash#1.jpg", "q?x=1.jpg", "pct%20enc.jpg", "100%.jpg"),
    *("[1].jpg", "[ab].jpg", "star*.jpg", "杯子😀.jpg", "amp&a=b.jpg", "colon:;@,.jpg", "tilde~!'().jpg"),
    *("new\nline.jpg", "back\\slash.jpg", "tab\t.jpg", "{a}.jpg", "{a,b}.jpg", "nosuffix", "UPPER.JPG"),
    *("trail .jpg ", "style.jpg!w400", 'a"quote".jpg', "a|b<>.jpg", "..hidden.jpg", ".dot.jpg", ".jpg"),
    *("cdn.jpg_400x400.jpg", "cdn.jpg_.webp", "cdn.awebp", "cdn.jpg@600w_90q", "cdn.jpg~tplv-obj.image"),
    *("e\u0301.jpg", "é.jpg", "x.jpg.txt", "photo.bak", "data.bin", "=1+1.jpg", "+1.jpg", "-1.jpg", "@a.jpg"),
    *("'=quoted.jpg", "$folder$.jpg", "deep/deeper/deepest/a.jpg", "a.jpg/inside.jpg", "IMG_0001.HEIC", "a,b;c.png"),
    *("sha256-9f86d081884c7d65", "1", "001", "con.jpg", "~backup.jpg", "%2e%2e%2f.jpg", "\u202egpj.exe.jpg"),
]
PASSED = {"notes.txt": "not_a_picture", "README": "not_a_picture", "clip.mp4": "not_a_picture"}
ONLY_IN_STORES = ["double//slash.jpg", "//lead.jpg", "dot/./x.jpg", "dot/../up.jpg", "end/"]
NOT_IN_MOTO = ("new\nline.jpg",)  # its HTTP server knows no such address; S3 does
MARKERS = {"folder/": "folder_marker", "folder.jpg/": "folder_marker", "old_$folder$": "folder_marker"}


def files() -> dict[str, bytes]:
    """Name -> content of what a folder can hold."""
    return dict.fromkeys(KEPT, PICTURE) | dict.fromkeys(PASSED, TEXT)


def objects() -> dict[str, bytes]:
    """Key -> content of what a bucket can hold besides."""
    held = {name: content for name, content in files().items() if name not in NOT_IN_MOTO}
    return held | dict.fromkeys(ONLY_IN_STORES, PICTURE) | dict.fromkeys(MARKERS, b"")
