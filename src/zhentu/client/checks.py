"""What a client is given, checked when it is made: a wrong setting must not look like a gate that is away.

With `allow_and_queue` whatever does not reach the gate is published, so an address without a scheme would publish
everything unscreened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx

from zhentu.errors import UsageError
from zhentu.types import Listing, OnError

_VISIBLE = re.compile(r"[\x21-\x7e]*")
_LONGEST_KEY = 255  # characters of an Idempotency-Key that the gate takes


def checked_url(base_url: str) -> str:
    """The gate's address without a slash at its end. Raises UsageError unless it is http or https with a host."""
    told = f"base_url {base_url[:100]!r}: must be http:// or https:// and a host, as in http://127.0.0.1:8000"
    try:
        url = httpx.URL(base_url.strip())
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{told} ({error})") from error
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 2**16:
        raise UsageError(told)
    if url.query or url.fragment:
        raise UsageError(
            f"base_url {base_url[:100]!r}: must have no query and no fragment; give the gate's address alone"
        )
    return str(url).rstrip("/")


def checked_key(api_key: str | None) -> str:
    """The key without white space around it, as files often have. Raises UsageError, which never shows it."""
    key = (api_key or "").strip()
    if not _VISIBLE.fullmatch(key):
        raise UsageError("api_key: must be visible ASCII characters without spaces, as `zhentu keys create` printed it")
    return key


def checked_on_error(on_error: OnError | str) -> OnError:
    """Its value, also by name: compared by identity, the text "block" would count as allow. Raises UsageError."""
    try:
        return OnError(on_error)
    except ValueError as error:
        names = " or ".join(OnError)
        raise UsageError(f"on_error {str(on_error)[:60]!r}: must be {names}") from error


def checked_folder(queue_dir: str | Path | None) -> Path | None:
    """The queue's folder, made at once: it must not fail on the day the gate is down. Raises UsageError."""
    if queue_dir is None:
        return None
    folder = Path(queue_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UsageError(f"queue_dir {str(queue_dir)[:100]!r}: cannot be used as a folder: {error}") from error
    return folder


def check_upload(name: str, listing: Listing, idempotency_key: str) -> None:
    """Raises UsageError for text that cannot be sent."""
    if not _VISIBLE.fullmatch(idempotency_key) or len(idempotency_key) > _LONGEST_KEY:
        raise UsageError(f"idempotency_key: must be visible ASCII without spaces, at most {_LONGEST_KEY} characters")
    for field, text in (("name", name), *_texts(listing)):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{field}: has a lone surrogate at character {error.start}, which UTF-8 cannot hold; "
                "decode it with errors='replace', or leave it out"
            ).in_chinese("文字中含有无法保存的字符，请修改后重试。") from error


def _texts(listing: Listing) -> Iterator[tuple[str, str]]:
    for field in ("listing_id", "seller_id", "goods", "title"):
        yield field, getattr(listing, field)
    for key, value in listing.declared_attributes.items():
        yield "declared_attributes", key
        yield "declared_attributes", value
