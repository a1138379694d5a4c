"""The architecture page agrees with the code, and every path that is named anywhere exists."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def layers() -> dict[str, int]:
    """Each room of zhentu with its floor, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (found,) = [each["layers"] for each in contracts if each["type"] == "layers"]
    return {room.strip().removeprefix("zhentu."): floor for floor, row in enumerate(found) for room in row.split("|")}


def arrows() -> list[tuple[str, str]]:
    """(caller, called) in the diagram: a room stands under those that call it, three columns further right."""
    (diagram,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S)
    top, *below = diagram.splitlines()
    path = [re.findall(r"(?:^|\s{3,})(\w+)(?=\s{3,})", top)]
    found = []
    for line in below:
        prefix, room = re.match(r"([│├└─ ]+)(\w+)", line).groups()
        depth = len(prefix) // 3
        path[depth:] = [[room]]
        found += [(caller, room) for caller in path[depth - 1]]
    return found


def imports(caller: str, called: str) -> bool:
    """Whether a file of one room imports from another."""
    sources = [*(ROOT / "src/zhentu" / caller).rglob("*.py"), ROOT / "src/zhentu" / f"{caller}.py"]
    pattern = re.compile(rf"^\s*(?:from|import) zhentu\.{called}\b", re.M)
    return any(pattern.search(path.read_text(encoding="utf-8")) for path in sources if path.is_file())


def test_the_way_of_a_picture_goes_down_the_layers() -> None:
    floors, way = layers(), arrows()
    assert {("gate", "screen"), ("backlog", "record"), ("screen", "decide")} <= set(way)
    assert [(a, b) for a, b in way if floors[a] >= floors[b]] == []


# A scan's labels are written by a function that `cli` hands in, and its records reach the queue through the store.
HANDED_IN = {("backlog", "review"), ("backlog", "mark")}


def test_every_arrow_of_the_diagram_is_an_import() -> None:
    assert {arrow for arrow in arrows() if not imports(*arrow)} == HANDED_IN


def test_every_room_has_its_sentence_and_no_other_does() -> None:
    table = PAGE[PAGE.index("## Rooms") : PAGE.index("## Where")]
    rooms = {path.name for path in (ROOT / "src/zhentu").iterdir() if (path / "__init__.py").is_file()}
    named = re.findall(r"^\| `(\w+)` \| \S.*\|$", table, re.M)
    assert sorted(named) == sorted({*rooms, "screen", "errors"})
    assert set(named) <= set(layers())


def test_the_page_says_where_ten_changes_are_made() -> None:
    rows = re.findall(r"^\| (?!what|---).*`.*\|$", PAGE[PAGE.index("## Where") :], re.M)
    assert len(rows) == 10
    assert len(PAGE.splitlines()) <= 70, "one screen"


FOLDERS = ("src", "training", "tests", "scripts", "docs", "configs", "deploy", "models")
A_PATH = re.compile(rf"(?<![\w./~{{-])((?:{'|'.join(FOLDERS)})/[\w./*-]*\w)")
# Made by a user, inside another package or repository, or cut short by a shell variable.
ELSEWHERE = (
    "deploy/.env",
    "docs/watermarking-landscape",
    "models/models-",
    "models/realesr",
    "src/zhentu/samples/forged_",
)


def texts() -> list[Path]:
    """Everything that names files: sources, documents, configuration. Not the logs, which tell what was."""
    suffixes = {".py", ".md", ".yaml", ".toml", ".sh", ""}
    found = [
        path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in suffixes and path.is_file()
    ]
    own = [ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")]
    return [path for path in found if path != Path(__file__)] + own


def test_every_path_that_is_named_exists() -> None:
    wrong = []
    for path in texts():
        for named in A_PATH.findall(path.read_text(encoding="utf-8", errors="ignore")):
            where = (ROOT, path.parent, ROOT / "src" / "zhentu", ROOT / "training" / "zhentu_training")
            if not named.startswith(ELSEWHERE) and not any(next(base.glob(named), None) for base in where):
                wrong.append(f"{path.relative_to(ROOT)}: {named}")
    assert sorted(set(wrong)) == []


@pytest.mark.parametrize("package", ["zhentu", "zhentu_training"])
def test_modules_that_are_named_exist(package: str) -> None:
    """`zhentu.record.spool` in a text is a module, or a name in one."""
    wrong = []
    base = ROOT / ("src" if package == "zhentu" else "training")
    for path in texts():
        for named in set(
            re.findall(rf"`{package}((?:\.[a-z_]+)+)`", path.read_text(encoding="utf-8", errors="ignore"))
        ):
            parts = [package, *named.strip(".").split(".")]
            if not any(
                (base / Path(*parts[:count])).is_dir() or (base / Path(*parts[:count])).with_suffix(".py").is_file()
                for count in (len(parts), len(parts) - 1)
                if count > 1
            ):
                wrong.append(f"{path.relative_to(ROOT)}: {package}{named}")
    assert wrong == []


def code() -> list[Path]:
    return [path for name in ("src", "training", "scripts", "tests") for path in (ROOT / name).rglob("*.py")]


def test_functions_have_sixty_lines_or_say_why_not() -> None:
    wrong = []
    for path in code():
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            explained = re.search(r"# long: \w", text.splitlines()[node.lineno - 1])
            if (node.end_lineno - node.lineno >= 60) is not bool(explained):
                wrong.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert wrong == []


def test_files_have_at_most_400_lines() -> None:
    long = [str(path.relative_to(ROOT)) for path in code() if path.read_text(encoding="utf-8").count("\n") > 400]
    assert long == []
