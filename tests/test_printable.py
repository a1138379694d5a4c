from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import encoded, photo

from zhentu.cli.terminal import console
from zhentu.printable import hide_keys, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("陶瓷杯 cup", "陶瓷杯 cup"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nforged line", "a\\x0d\\x0aforged line"),
        ("a\u2028b\u202eevil", "a\\u2028b\\u202eevil"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_key_keeps_its_public_part_alone() -> None:
    assert hide_keys("/v1/records/zt_0a1b2c_se-cr_et/x") == "/v1/records/zt_0a1b2c_.../x"


def test_markup_of_strangers_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("x[/red].jpg [bold]b[/bold] :smile:")
    assert capsys.readouterr().out.strip() == "x[/red].jpg [bold]b[/bold] :smile:"


def test_log_lines_hold_neither_keys_nor_controls(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zhentu.cli.serve import _log_to_stderr

    logger = logging.getLogger("zhentu")  # as it was, for the tests after this one
    for name in ("handlers", "propagate", "level"):
        monkeypatch.setattr(logger, name, getattr(logger, name))
    _log_to_stderr("info")
    logging.getLogger("zhentu.gate").warning("picture %s of zt_0a_secretsecret", "\x1b]0;owned\x07\nforged")
    logged = capsys.readouterr().err
    assert "secretsecret" not in logged
    assert not any(each in logged for each in ("\x1b", "\x07", "\nforged"))


def test_an_error_moves_nothing(tmp_path) -> None:
    program = [sys.executable, "-c", "from zhentu.cli import main; main()"]
    made = subprocess.run([*program, "inspect", "\x1b[31mno.jpg"], capture_output=True, check=False)
    assert made.returncode != 0
    assert b"\x1b[31mno" not in made.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (b"bank", b"create", b"bad", b"--kind", b"known_bad", b"--note", b"caf\xe9"),
        (b"scan", b"pictures", b"--goods", b"caf\xe9", b"--output", b"out"),
    ],
)
def test_an_argument_that_is_not_utf8_is_named(tmp_path: Path, arguments: tuple[bytes, ...]) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    program = [sys.executable, "-c", "from zhentu.cli import main; main()"]
    made = subprocess.run([*program, *arguments], capture_output=True, check=False, cwd=tmp_path)
    assert (made.returncode, b"usage_error: caf\\udce9: is not UTF-8" in made.stderr) == (2, True), made.stderr
