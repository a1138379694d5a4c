"""Manifests as people save them: what can be told is read, all else is said in a sentence that names the rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from zhentu.errors import UsageError
from zhentu.types import Category
from zhentu_training.dataset import Sample, read_manifest, write_manifest

TABLE = "path,labels,source,split\n图 一.jpg,,店 1,train\nb.jpg,ai_generated,店 2,dev\n"


def read(folder: Path, content: str | bytes) -> list[Sample]:
    path = folder / "m.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_manifest(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters_of_spreadsheets_give_the_same_rows(
    tmp_path: Path, encoding: str, delimiter: str
) -> None:
    plain = read(tmp_path, TABLE)
    text = TABLE.replace(",", delimiter).replace("\n", "\r\n")
    assert read(tmp_path, text.encode(encoding)) == plain
    assert [sample.source for sample in plain] == ["店 1", "店 2"]


def test_headers_and_labels_in_capitals_or_with_commas_are_the_same_categories(tmp_path: Path) -> None:
    rows = read(tmp_path, 'Path , Labels,SOURCE,Split\na.jpg,"AI_Generated; material_mismatch",s,Train\n')
    assert rows[0].labels == {Category.AI_GENERATED, Category.MATERIAL_MISMATCH}
    assert rows[0].split == "train"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,labels,source\na.jpg,,s\n", "missing columns split .it has path, labels, source"),
        ("path,labels,source,split\na.jpg,genuine,s,train\n", r"unknown label genuine.*is empty \(rows 1\)"),
        ("path,labels,source,split\na.jpg,ai,s,train\n", r"unknown label ai; known: material"),
        ("path,labels,source,split\na.jpg,,s,test\n", r"unknown split 'test'.*take rows that you hold back out"),
        ("path,labels,source,split\na.jpg\nb.jpg,,s,train\n", "header has 4 columns, but line 2 has 1"),
        ("path,labels,source,split\na.jpg,,s,train,x\n", "line 2 has 5"),
        ("path,labels,source,split\n,,s,train\n", r"no path \(rows 1\)"),
        ("path,labels,source,split,labels\na.jpg,,s,train,\n", "names columns twice: labels"),
        ("path,labels,source,split,known\na.jpg,,s,train,\n", "`known` must hold every label"),
        ("path,labels,source,split,known\na.jpg,ai_generated,s,train,cutout_artifact\n", "`known` must hold"),
        ("path,labels,source,split,known\na.jpg,,s,train,ai\n", "unknown category in known ai"),
        ("", "is empty"),
        (b"PK\x03\x04 a workbook", "is a workbook; save it as CSV"),
        (b"\x00\xff\xfe\x81" * 9, "is no text"),
    ],
)
def test_what_cannot_be_told_is_refused_by_file_and_row(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=f"m.csv: .*{said}"):
        read(tmp_path, content)


def test_a_manifest_that_is_not_there_or_no_parquet_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone.csv: is not there"):
        read_manifest(tmp_path / "gone.csv")
    (tmp_path / "m.parquet").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"m.parquet: cannot be read as Parquet"):
        read_manifest(tmp_path / "m.parquet")


def test_an_empty_cell_of_parquet_is_an_empty_label(tmp_path: Path) -> None:
    table = {"path": ["a.jpg", "b.jpg"], "labels": [None, "ai_generated"], "source": [1, 2], "split": ["train", None]}
    pd.DataFrame(table).to_parquet(tmp_path / "m.parquet")
    samples = read_manifest(tmp_path / "m.parquet")
    assert [sample.forged for sample in samples] == [False, True]
    assert [sample.source for sample in samples] == ["1", "2"]


def test_a_full_disk_leaves_the_manifest_that_was_there(tmp_path: Path) -> None:
    samples = read(tmp_path, TABLE)
    path = tmp_path / "m.csv"
    (tmp_path / ".m.csv.writing").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_manifest(samples, path)
    assert path.read_text() == TABLE
    write_manifest(samples, path)
    assert read_manifest(path) == samples
