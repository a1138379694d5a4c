"""Bytes of a picture, wherever it lies: retried while the source is shaky, never faster than allowed."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from zhentu.errors import DependencyError, PictureError, PictureNotFound, PictureTooLarge, SourceUnreadable, ZhentuError
from zhentu.intake.decode import DecodeLimits, read_file

_LONGEST_WAIT_S = 30.0
_LOCAL_TRANSIENT = frozenset(  # network file systems and machines under pressure
    [errno.EIO, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM]
)
_HTTP_TRANSIENT = frozenset([408, 425, 429])
_RANGE_UNSATISFIABLE = 416  # the answer of object stores to a range of an empty object


def is_url(path: str) -> bool:
    """Whether fsspec is to read it."""
    return "://" in path


def filesystem_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URL and the path in it. Raises DependencyError naming the package that is missing.

    Credentials and endpoints come from where each file system looks itself, or from fsspec's own settings, e.g.
    FSSPEC_S3_ENDPOINT_URL.
    """
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
        """Return when it is one's turn."""
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
    attempts: how often a shaky read is tried, with exponential back-off and full jitter from `wait_s` up.
    """

    def __init__(self, limits: DecodeLimits, per_second: float = 0.0, attempts: int = 5, wait_s: float = 0.5) -> None:
        self._limits, self._pace = limits, Pace(per_second)
        self._retrying = Retrying(
            retry=retry_if_exception(_shaky),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=wait_s, max=_LONGEST_WAIT_S),
            reraise=True,
        )

    def read(self, path: str) -> bytes:
        """The bytes of a picture: one request where nothing goes wrong.

        Raises PictureNotFound, PictureTooLarge, PictureEmpty; SourceUnreadable when the source failed on every attempt.
        """
        retrying = self._retrying.copy()
        try:
            return retrying(self._once, path)
        except ZhentuError:
            raise
        except Exception as error:
            tries = retrying.statistics.get("attempt_number", 1)
            words = f"{'failed' if tries == 1 else f'failed {tries} times, last'}: {str(error) or type(error).__name__}"
            raise SourceUnreadable(f"{path}: {words}") from error

    def _once(self, path: str) -> bytes:
        self._pace.wait()
        return self._fetch(path) if is_url(path) else read_file(Path(path), self._limits)

    def _fetch(self, url: str) -> bytes:
        system, path = filesystem_of(url)
        most = self._limits.max_bytes
        try:
            payload = bytes(system.cat_file(path, start=0, end=most + 1))  # a range: nobody can send more than we take
        except FileNotFoundError as error:
            raise PictureNotFound(f"{url}: no such object") from error
        except PermissionError as error:
            raise SourceUnreadable(f"{url}: refused: {error}; allow reading it") from error
        except Exception as error:
            if _status(error) == _RANGE_UNSATISFIABLE or "range is not satisfiable" in str(error):
                return b""  # s3fs and its like keep only the words
            raise
        if len(payload) > most:
            raise PictureTooLarge(f"the picture has more than {most / 2**20:.1f} MiB, the limit; send it smaller")
        return payload


def _status(error: BaseException) -> int:
    status: Any = getattr(error, "status", 0)  # of aiohttp's ClientResponseError
    return status if isinstance(status, int) else 0


def _shaky(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, PictureNotFound):
        cause = error.__cause__
        return isinstance(cause, OSError) and cause.errno in _LOCAL_TRANSIENT
    if isinstance(error, PictureError | SourceUnreadable | DependencyError | MemoryError):
        return False
    if status := _status(error):
        return status in _HTTP_TRANSIENT or status >= 500
    return isinstance(error, Exception)  # connection errors, timeouts, object stores that say "slow down"
