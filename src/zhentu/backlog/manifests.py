"""Manifests: a sheet or an SQL query that names pictures and their listings.

Columns: `path` or `url` (one of them is needed), and optionally `listing_id`, `seller_id`, `goods`, `title`,
`declared_ai` (yes or no), `declared_attributes` (an object; in CSV as JSON) and `references` (a list; in CSV separated
by white space, ";" or "|", or as JSON). Their names are understood in English and Chinese, in any case; other columns
are ignored. Rows stream: a manifest may be larger than memory.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from zhentu.backlog.items import TEXT_COLUMNS, Item
from zhentu.backlog.reading import is_url
from zhentu.backlog.sheets import SUFFIXES, Sheet, SheetForm, SheetRow, open_sheet
from zhentu.cells import from_cell
from zhentu.errors import UsageError
from zhentu.filenames import text_to_name
from zhentu.intake.find import named_like_a_picture
from zhentu.intake.skipped import Skipped, SkipReason
from zhentu.types import Listing

__all__ = ["SheetForm", "is_manifest", "read_manifest", "read_query"]
_BATCH = 2_000  # rows of SQL in memory at once
_KINDS_OF_ROWS = 1_000  # sets of column names of JSON lines that are cached
_NAMES = {  # column -> its other names; compared without case, spaces, hyphens and underscores
    "path": "path url uri file filename filepath image imageurl imagepath imagelink picture pictureurl pic picurl img "
    "imgurl src link 图片 图片链接 图片地址 图片网址 图片url 图片路径 商品图片 商品图 主图 主图链接 主图地址 主图url "
    "链接 网址 地址 路径 文件 文件名 文件路径 圖片 圖片連結 連結 路徑",
    "listing_id": "listingid listing itemid productid goodsid numiid spuid skuid 商品id 商品编号 商品编码 商品号 "
    "宝贝id 货号 款号 商品編號 商品編碼",
    "seller_id": "sellerid seller shopid shop storeid store merchantid merchant vendorid 店铺 店铺id 店铺名 店铺名称 "
    "店铺编号 卖家 卖家id 商家 商家id 商户 商户id 店鋪 賣家",
    "goods": "goods goodscategory category 类目 商品类目 品类 分类 商品分类 类别 類目 分類",
    "title": "title name productname itemname 标题 商品标题 名称 商品名称 商品名 品名 宝贝标题 標題",
    "declared_ai": "declaredai isai aideclared 是否ai 是否ai生成 是否使用ai ai声明 ai生成 声明ai",
    "declared_attributes": "declaredattributes attributes 属性 商品属性",
    "references": "references reference referenceurls 参考图 参考图片 实物图 实拍图 参照图",
}
_CALLED = {name: column for column, names in _NAMES.items() for name in names.split()}
_MARKS = re.compile("[;|；]")
_OUR_ROWS = frozenset(["sha256", "record_id", "latency_ms"])  # of `zhentu scan`: there `references` is a count
_YES = frozenset(["1", "true", "yes", "y", "t", "on", "是", "有", "真", "对", "√"])
_NO = frozenset(["0", "false", "no", "n", "f", "off", "否", "无", "無", "假", "不是", "没有", "×"])
_HALF = re.compile("[\ud800-\udfff]")  # of a pair of UTF-16: no character, and no text can hold it
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # nor a byte of a name that is not UTF-8 (PEP 383)
_NOTHING = frozenset(["", "null", "none", "nan", "n/a"])
OnSheet = Callable[[str, Sheet], None]


def is_manifest(path: str) -> bool:
    """Whether the suffix says that this file names pictures instead of being one."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def read_manifest(
    stream: BinaryIO, name: str, form: SheetForm | None = None, on_sheet: OnSheet | None = None
) -> Iterator[Item | Skipped]:
    """The items of an open manifest; a row that names no picture is skipped, with its line.

    on_sheet: told how the sheet is read before its rows come. Raises UsageError if it is not a sheet, or has no
    column of pictures.
    """
    sheet = open_sheet(stream, name, form)
    if sheet.columns is not None:
        columns = _Columns(sheet.columns, name, exact=sheet.typed)
        if on_sheet:
            on_sheet(name, replace(sheet, doubles=columns.doubles))
        yield from (_entry(row, columns, name) for row in sheet.rows)
        return
    if on_sheet:
        on_sheet(name, sheet)
    known: dict[tuple[str, ...], _Columns | Skipped] = {}  # JSON lines: each row has its own, mostly the same
    for row in sheet.rows:
        names = tuple(row.cells)
        found = known.get(names) or _columns_of_row(names, name)
        if names not in known and len(known) < _KINDS_OF_ROWS:
            known[names] = found
            if on_sheet and isinstance(found, _Columns) and found.doubles:
                on_sheet(name, replace(sheet, doubles=found.doubles))
        yield replace(found, line=row.line) if isinstance(found, Skipped) else _entry(row, found, name)


def _columns_of_row(names: tuple[str, ...], sheet: str) -> _Columns | Skipped:
    """The columns of a JSON row; one whose keys cannot be understood costs that row alone."""
    try:
        return _Columns(names, sheet, exact=True, demand=False)
    except UsageError as error:
        return Skipped(sheet, SkipReason.BAD_ROW, str(error))


def read_query(url: str, query: str, on_sheet: OnSheet | None = None) -> Iterator[Item | Skipped]:
    """The items that an SQL query yields, streamed. Raises UsageError if the database or the query fails.

    on_sheet: told if several of its columns have one meaning.
    """
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise UsageError(f"--database {url.split(':')[0]}: {error}; give an SQLAlchemy URL and its driver") from error
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=_BATCH) as connection:
            rows = connection.execute(text(query))
            columns = _Columns(list(rows.keys()), "the query", exact=True)
            if on_sheet and columns.doubles:
                on_sheet("the query", Sheet("SQL", SheetForm(), tuple(rows.keys()), iter(()), doubles=columns.doubles))
            for number, row in enumerate(rows.mappings(), 1):
                yield _entry(SheetRow(number, dict(row)), columns, "the query")
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise UsageError(f"the query failed: {cause}") from error
    finally:
        engine.dispose()


class _Columns:
    """Which cells of a sheet mean what.

    exact: space around a path belongs to it, because a program wrote it.  demand: raise UsageError if no column
    names pictures.
    """

    def __init__(self, names: Iterable[str], sheet: str, exact: bool, demand: bool = True) -> None:
        names = [str(each) for each in names]
        plain = [_plain_name(each) for each in names]
        self._sheet = sheet
        self._ours = {_plain_name(each) for each in _OUR_ROWS} <= set(plain)
        found: dict[str, list[tuple[int, str]]] = {}
        for name, each in zip(names, plain, strict=True):
            if each in _CALLED:
                order = _NAMES[_CALLED[each]].split().index(each)
                found.setdefault(_CALLED[each], []).append((order, name))
        self._of = {column: [name for _, name in sorted(each)] for column, each in found.items()}
        self._exact = exact or self._ours
        if self._ours:
            self._of.pop("references", None)
        self._check_doubles()
        if demand and "path" not in self._of:
            raise UsageError(_no_path_column(names, sheet))

    def _check_doubles(self) -> None:
        """Raise UsageError where it is not clear which column is meant.

        Of two columns of pictures one would never be looked at, and it is often the right one: `url` is a page in many
        sheets, `image_url` the picture. Of two columns of one name a reader keeps the last without a word.
        """
        for column, names in self._of.items():
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise UsageError(
                    f"{self._sheet}: column '{twice}' is there {names.count(twice)} times; keep one of them"
                )
            if column == "path" and len(names) > 1:
                raise UsageError(
                    f"{self._sheet}: columns {_listed(names)} all name pictures, and a row is one picture; keep the "
                    "one that is meant, and rename or remove the others (in SQL: select it AS path)"
                )

    @property
    def doubles(self) -> tuple[tuple[str, ...], ...]:
        """Columns of one meaning under several names, the one that is used first: others serve where it is empty."""
        return tuple(tuple(names) for names in self._of.values() if len(names) > 1)

    def value(self, cells: Mapping[str, Any], column: str) -> Any:
        """The first non-empty cell of this column under any of its names, None if there is none."""
        for name in self._of.get(column, ()):
            value = _clean(cells.get(name))
            if value is not None:
                if column == "path" and self._exact and isinstance(value, str):
                    value = _decoded(cells[name])
                if self._ours and isinstance(value, str):
                    return text_to_name(from_cell(value)) if column == "path" else from_cell(value)
                return value
        return None


def _plain_name(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(each for each in folded if each not in " _-\t\r\n\ufeff\xa0\"'")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _no_path_column(names: list[str], sheet: str) -> str:
    close = [match for each in ("path", "url", "图片", "链接") for match in get_close_matches(each, names, 1, 0.5)]
    hint = f"; rename column '{close[0]}'?" if close else ""
    return f"{sheet}: needs a column `path` or `url` (图片, 链接); it has {', '.join(names) or 'none'}{hint}"


def _entry(row: SheetRow, columns: _Columns, sheet: str) -> Item | Skipped:
    if row.problem:
        return Skipped(sheet, SkipReason.BAD_ROW, row.problem, row.line)
    if all(_clean(each) is None for each in row.cells.values()):
        return Skipped(sheet, SkipReason.EMPTY_ROW, line=row.line)
    try:
        return _item(row.cells, columns)
    except _BadCell as error:
        return Skipped(sheet, SkipReason.BAD_ROW, str(error), row.line)


class _BadCell(Exception):
    """A cell that cannot be understood, in words."""


def _item(cells: Mapping[str, Any], columns: _Columns) -> Item:
    path = columns.value(cells, "path")
    if path is None:
        raise _BadCell("`path` or `url` is empty")
    words = {name: _words(columns.value(cells, name), name) for name in TEXT_COLUMNS}
    listing = Listing(
        **words,
        declared_ai=_truth(columns.value(cells, "declared_ai")),
        declared_attributes=_attributes(columns.value(cells, "declared_attributes")),
    )
    path, references = _text(path), _references(columns.value(cells, "references"))
    for name, each in (("path", path), *(("references", reference) for reference in references)):
        if _NO_BYTE.search(each):
            raise _BadCell(f"{name} holds a lone surrogate, which is no character; write it as UTF-8")
    return Item(path, listing, references)


def _clean(value: Any) -> Any:
    """A cell without surrounding space; None if it is empty, NaN or a word for nothing."""
    value = _decoded(value)
    if isinstance(value, str):
        value = value.strip("\r\n\t \xa0\u3000\ufeff")
        return value or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _decoded(value: Any) -> Any:
    """Bytes as text, as some warehouses store it."""
    return bytes(value).decode("utf-8", "surrogateescape") if isinstance(value, bytes | bytearray) else value


def _text(value: Any) -> str:
    """A cell as text; whole numbers without the decimal point that spreadsheets and data frames give them."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def _words(value: Any, name: str) -> str:
    words = "" if value is None else _text(value)
    if _HALF.search(words):
        raise _BadCell(f"{name} holds bytes in another encoding; set it with --encoding")
    return words


def _truth(value: Any) -> bool | None:
    spoken = "" if value is None else _text(value).casefold()
    if spoken in _NOTHING:
        return None
    if spoken in _YES:
        return True
    if spoken in _NO:
        return False
    raise _BadCell(f"declared_ai is {value!r}; use yes, no (是, 否) or nothing")


def _attributes(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    try:
        pairs = json.loads(value) if isinstance(value, str) else dict(value)
        texts = {str(name): str(each) for name, each in pairs.items() if each is not None}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _BadCell("declared_attributes must be an object of names and texts") from error
    for each in (*texts, *texts.values()):
        _words(each, "declared_attributes")
    return texts


def _references(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        if not value.startswith("["):
            return _separated(value)
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise _BadCell(f"references are not a JSON list: {error}") from error
    if not isinstance(value, list):
        raise _BadCell("references must be a list of paths or URLs")
    cleaned = (_clean(each) for each in value)
    return tuple(_text(each) for each in cleaned if each is not None)


def _separated(text: str) -> tuple[str, ...]:
    """Paths that white space separates, or ";" and "|" where each part then looks like a path of its own.

    An address may hold both marks itself: there only one before another address separates.
    """
    parts = [each.strip() for each in _MARKS.split(text) if each.strip()]
    alike = all(map(is_url, parts)) if is_url(text) else all(map(named_like_a_picture, parts))
    if len(parts) < 2 or not alike:
        return tuple(text.split())
    found: list[str] = []
    for part in parts:
        words = part.split()
        found += words if all(is_url(each) or named_like_a_picture(each) for each in words) else [part]
    return tuple(found)
