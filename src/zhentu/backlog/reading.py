"""Bytes of a picture, wherever it is: with retries while the source is unreliable, never faster than allowed."""

from __future__ import annotations

import errno
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from zhentu.errors import (
    DependencyError,
    FetchError,
    PictureError,
    PictureNotFound,
    PictureTooLarge,
    SourceUnreadable,
    UsageError,
    ZhentuError,
)
from zhentu.intake.decode import DecodeLimits, read_file
from zhentu.intake.pull import Puller, PullLimits
from zhentu.intake.sniff import SNIFF_BYTES

if TYPE_CHECKING:
    import fsspec

_LONGEST_WAIT_S = 30.0
_LOCAL_TRANSIENT = frozenset(  # network file systems and machines under pressure
    [errno.EIO, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM]
)
_HTTP_TRANSIENT = frozenset([408, 425, 429])
_RANGE_UNSATISFIABLE = 416  # how object stores answer a range request for an empty object


_WEB = ("http", "https")
_STORES = frozenset(  # schemes that a manifest may name: where platforms keep pictures
    [
        *_WEB,
        "s3",
        "s3a",
        "gs",
        "gcs",
        "oss",
        "cos",
        "cosn",
        "obs",
        "az",
        "abfs",
        "abfss",
        "adl",
        "wasb",
        "wasbs",
        "hdfs",
    ]
)
_SHEET_BYTES = 1 << 30  # of a sheet behind a URL


@dataclass(frozen=True, slots=True)
class Access:
    """Where a scan may read. schemes: of URLs; others, like `file` and `simplecache::s3`, must be allowed explicitly.

    pull: what a GET over http and https may do.
    """

    schemes: frozenset[str] = _STORES
    pull: PullLimits = field(default_factory=PullLimits)

    def also(self, sources: Iterable[str]) -> Access:
        """With the schemes of explicitly named sources."""
        return Access(self.schemes | {scheme_of(each) for each in sources if is_url(each)}, self.pull)


def scheme_of(url: str) -> str:
    """What comes before `://`, e.g. `s3` or `simplecache::s3`, in lower case."""
    return url.partition("://")[0].lower()


def is_url(path: str) -> bool:
    """Whether fsspec is to read it."""
    return "://" in path


def filesystem_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URL and the path in it. Raises DependencyError naming the package that is missing.

    Credentials and endpoints come from wherever each file system looks, or from fsspec's own settings, e.g.
    FSSPEC_S3_ENDPOINT_URL.
    """
    import fsspec  # half of what a scan of a local file would import

    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise DependencyError(f"{url.split('://')[0]}://: {error}") from error
    except ValueError as error:
        raise DependencyError(
            f"{url}: {error}; `python -c 'import fsspec; print(fsspec.available_protocols())'` lists what can be read"
        ) from error
    return system, str(path)


class Pace:
    """At most `per_second` calls a second over all threads that share it, evenly spaced; 0 = no limit."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second if per_second > 0 else 0.0
        self._next, self._lock = 0.0, threading.Lock()

    def wait(self) -> None:
        """Wait for one's turn."""
        if not self._gap:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + self._gap
        time.sleep(max(turn - now, 0.0))


class Reader:
    """Reads pictures; may be shared by threads.

    per_second: requests to the source a second, retries included; 0 = no limit.
    attempts: how often a failing read is tried, with exponential back-off and full jitter from `wait_s` up.
    access: where it may read.
    """

    def __init__(
        self,
        limits: DecodeLimits | None = None,
        per_second: float = 0.0,
        attempts: int = 5,
        wait_s: float = 0.5,
        access: Access | None = None,
    ) -> None:
        self._limits, self._pace, self._access = limits or DecodeLimits(), Pace(per_second), access or Access()
        self._retrying = Retrying(
            retry=retry_if_exception(_shaky),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=wait_s, max=_LONGEST_WAIT_S),
            reraise=True,
        )

    def read(self, path: str) -> bytes:
        """The bytes of a picture, in one request if nothing goes wrong.

        Raises PictureNotFound, PictureTooLarge, PictureEmpty; SourceUnreadable if the source failed on every attempt.
        """
        return self._trying(path, self._once, path)

    def first_bytes(self, url: str) -> bytes:
        """The beginning of an object, to tell its type. Raises as `read` does."""
        return self._trying(url, self._fetch, url, SNIFF_BYTES)

    @contextmanager
    def open_sheet(self, url: str) -> Iterator[BinaryIO]:
        """A sheet behind a URL, seekable. Raises UsageError if it cannot be read."""
        scheme = scheme_of(url)
        if scheme not in _WEB:
            system, path = filesystem_of(url)
            with system.open(path, "rb") as stream:
                yield stream
            return
        try:
            content = self._trying(url, self._web.get, url, _SHEET_BYTES + 1)
        except ZhentuError as error:
            raise UsageError(f"{url}: the sheet cannot be read: {error}") from error
        if len(content) > _SHEET_BYTES:
            raise UsageError(f"{url}: has more than {_SHEET_BYTES / 2**20:.0f} MiB; scan a copy on disk or in a store")
        with tempfile.TemporaryFile() as stream:
            stream.write(content)
            del content
            stream.seek(0)
            yield stream

    def _trying(self, path: str, call: Any, *arguments: Any) -> bytes:
        retrying = self._retrying.copy()
        try:
            return bytes(retrying(call, *arguments))
        except ZhentuError:
            raise
        except Exception as error:
            tries = retrying.statistics.get("attempt_number", 1)
            words = f"{'failed' if tries == 1 else f'failed {tries} times, last'}: {str(error) or type(error).__name__}"
            raise SourceUnreadable(f"{path}: {words}") from error

    @cached_property
    def _web(self) -> Puller:
        return Puller(self._access.pull)

    def _once(self, path: str) -> bytes:
        if not is_url(path):
            self._pace.wait()
            return read_file(Path(path), self._limits)
        most = self._limits.max_bytes
        payload = self._fetch(path, most + 1)
        if len(payload) > most:
            raise PictureTooLarge(f"the picture has more than {most / 2**20:.1f} MiB, the limit; send it smaller")
        return payload

    def _fetch(self, url: str, most: int) -> bytes:
        """At most the first `most` bytes: requested as a range, and counted in case a server sends more."""
        scheme = scheme_of(url)
        if scheme not in self._access.schemes:
            raise SourceUnreadable(
                f"{url}: {scheme}:// is read only if it is allowed explicitly: --allow-scheme {scheme}"
            )
        self._pace.wait()
        if scheme in _WEB:
            return self._web.get(url, most)
        from zhentu.backlog.s3 import is_s3, read_s3

        system, path = filesystem_of(url)
        try:
            return read_s3(system, url, most) if is_s3(system) else _read_store(system, path, most)
        except FileNotFoundError as error:
            raise PictureNotFound(f"{url}: no such object") from error
        except PermissionError as error:
            raise SourceUnreadable(f"{url}: refused: {error}; allow reading it") from error
        except Exception as error:
            if _status(error) == _RANGE_UNSATISFIABLE or "range is not satisfiable" in str(error):
                return b""  # s3fs and others keep only the message
            raise


def _read_store(system: fsspec.AbstractFileSystem, path: str, most: int) -> bytes:
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(system, LocalFileSystem):
        with system.open(path, "rb") as stream:
            return bytes(stream.read(most))
    return bytes(system.cat_file(path, start=0, end=most))


def _status(error: BaseException) -> int:
    status: Any = getattr(error, "status", 0)  # of aiohttp's ClientResponseError
    return status if isinstance(status, int) else 0


def _shaky(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, PictureNotFound):
        cause = error.__cause__
        return isinstance(cause, OSError) and cause.errno in _LOCAL_TRANSIENT
    if isinstance(error, PictureError | SourceUnreadable | DependencyError | FetchError | MemoryError):
        return False
    if status := _status(error):
        return status in _HTTP_TRANSIENT or status >= 500
    return isinstance(error, Exception)  # connection errors, timeouts, object stores that say "slow down"
