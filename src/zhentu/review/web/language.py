"""The language of answers to people: their choice, else their browser's. One choice applies to every page."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import RedirectResponse
from jinja2 import Environment

from zhentu.decide.words import Words
from zhentu.errors import NotFound

LANGUAGES = ("en", "zh")
_COOKIE = "zhentu_language"
_YEAR_S = 365 * 86400


def language_of(request: Request) -> str:
    """The language of the answer: "en" or "zh"."""
    chosen = request.cookies.get(_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def changed_to(language: str, request: Request) -> RedirectResponse:
    """Remember a choice and return to the page where it was made. Raises NotFound for an unknown language."""
    if language not in LANGUAGES:
        raise NotFound(f"language {language[:40]!r}: there are {', '.join(LANGUAGES)}")
    back = urlsplit(request.headers.get("referer", ""))
    # Only a path of our own pages: no open redirect.
    own = back.path == "/" or back.path == "/review" or back.path.startswith("/review/")
    target = back.path if own else "/review"
    answer = RedirectResponse(f"{target}?{back.query}" if back.query and own else target, 303)
    answer.set_cookie(_COOKIE, language, path="/", max_age=_YEAR_S, samesite="lax", httponly=True)
    return answer


def rendered(pages: Environment, name: str, language: str, own: Mapping[str, Words], **values: object) -> str:
    """A template in a language. own: the page's words, `t` there; `say` picks the language of others."""

    def say(words: Words) -> str:
        return words.zh if language == "zh" else words.en

    words = {key: say(each) for key, each in own.items()}
    return pages.get_template(name).render(language=language, t=words, say=say, **values)
