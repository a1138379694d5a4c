"""What commands print: untrusted text (names, ids, URLs, notes) can neither format nor move anything."""

from __future__ import annotations

import re

import typer
from rich.console import Console
from rich.text import Text

from zhentu.printable import printable

_BEYOND_ASCII = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class PlainConsole(Console):
    """rich without markup: "[/red]" in a picture's name is a picture's name. Styles are given as Text."""

    def render_str(self, text: str, **named: object) -> Text:
        """A text as it is, with control characters escaped."""
        return super().render_str(printable(text, lines=True), **(named | {"markup": False, "emoji": False}))  # type: ignore[arg-type]


def console(stderr: bool = False) -> PlainConsole:
    """Where tables and sentences go."""
    return PlainConsole(stderr=stderr, markup=False, emoji=False, highlight=False)


def styled(text: object, style: str) -> Text:
    """A text in a style."""
    return Text(printable(str(text), lines=True), style=style)


def say(text: str, err: bool = False) -> None:
    """Print a sentence."""
    typer.echo(printable(text, lines=True), err=err)


def say_json(text: str) -> None:
    """Print JSON: characters that a terminal might interpret are written as JSON escapes."""
    typer.echo(_BEYOND_ASCII.sub(lambda found: f"\\u{ord(found.group()):04x}", text))
