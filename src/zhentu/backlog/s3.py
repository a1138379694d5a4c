"""S3 by exact keys: s3fs provides the connection, but its paths collapse `//`, and its find holds a listing in memory.

A key may contain anything: consecutive slashes, question marks, brackets, new lines. Its URL is `s3://BUCKET/KEY` with
the key unchanged, so that what is listed is what is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.asyn import sync
from fsspec.utils import glob_translate

from zhentu.backlog.listing import StoredObject
from zhentu.intake.pull import Counted

_PAGE = 1_000  # keys of one request
_CHUNK = 256 * 1024


def is_s3(system: fsspec.AbstractFileSystem) -> bool:
    """Whether the file system is s3fs, whose client is then used directly."""
    return "s3" in (system.protocol if isinstance(system.protocol, tuple | list) else (system.protocol,))


def split_s3(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and key of an s3:// URL; the key unchanged, with every slash and question mark."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return scheme, bucket, key


def object_there(system: Any, url: str) -> bool:
    """Whether an object with exactly this key exists."""
    scheme, bucket, key = split_s3(url)
    return bool(key) and any(each.url == url for each in _pages(system, scheme, bucket, key, most=1))


def list_s3(system: Any, url: str) -> Iterator[StoredObject]:
    """Everything below a URL as a folder; keys exactly as in the store."""
    scheme, bucket, key = split_s3(url)
    yield from _pages(system, scheme, bucket, key if not key or key.endswith("/") else f"{key}/")


def glob_s3(system: Any, url: str) -> Iterator[StoredObject]:
    """Objects whose key matches a glob. A key equal to the pattern, e.g. `[1].jpg`, is one of them."""
    scheme, bucket, key = split_s3(url)
    matches = re.compile(glob_translate(key)).match
    start = re.split(r"[*?\[{]", key, maxsplit=1)[0]
    for each in _pages(system, scheme, bucket, start):
        found = split_s3(each.url)[2]
        if found == key or matches(found):
            yield each


def _pages(system: Any, scheme: str, bucket: str, prefix: str, most: int = _PAGE) -> Iterator[StoredObject]:
    more: dict[str, str] = {}
    while True:
        page = system.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=most, **system.req_kw, **more)
        for each in page.get("Contents", ()):
            yield StoredObject(f"{scheme}://{bucket}/{each['Key']}", int(each["Size"]))
        if most < _PAGE or not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def read_s3(system: Any, url: str, most: int) -> bytes:
    """At most the first `most` bytes of an object, whatever the server sends. Raises what s3fs raises."""
    return bytes(sync(system.loop, _read, system, url, most))


async def _read(system: Any, url: str, most: int) -> bytes:
    _, bucket, key = split_s3(url)
    answer = await system._call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes=0-{most - 1}", **system.req_kw)
    body, counted = answer["Body"], Counted(most)
    try:
        while not counted.full and (chunk := await body.read(_CHUNK)):
            counted.add(chunk)
    finally:
        body.close()
    return counted.taken
