"""The gate's clients: the same attempts, once for threads and once for asyncio.

Every request carries an Idempotency-Key, so that retrying is safe: the gate screens and records it once.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
import uuid_utils

from zhentu.client.answer import Answer, answer_of, assumed_answer, error_of
from zhentu.client.checks import check_upload, checked_folder, checked_key, checked_on_error, checked_url
from zhentu.client.queue import Upload, UploadQueue
from zhentu.errors import Forbidden, PictureError, RateLimited, Unauthenticated, UsageError, ZhentuError
from zhentu.types import Action, Listing, OnError

_AGAIN = (429, 500, 502, 503, 504)
_FIRST_WAIT_S = 0.2
_Transport = TypeVar("_Transport")
_Http = TypeVar("_Http")


@dataclass(frozen=True, slots=True)
class _Options:
    base_url: str
    api_key: str
    on_error: OnError
    budget_s: float
    attempts: int
    queue: UploadQueue | None

    @property
    def strict(self) -> _Options:
        """The same for queued uploads: one attempt each, and nothing is queued again."""
        return replace(self, on_error=OnError.BLOCK, attempts=1, queue=None)

    def waiting(self) -> Iterator[tuple[Path, Upload]]:
        """Queued uploads, oldest first."""
        return iter(()) if self.queue is None else self.queue.waiting()

    def answered(self, path: Path) -> None:
        """Note that the gate has answered for this file."""
        if self.queue is not None:
            self.queue.answered(path)


def _options(
    base_url: str, api_key: str, on_error: OnError, budget_s: float, attempts: int, queue_dir: str | Path | None
) -> _Options:
    on_error = checked_on_error(on_error)
    if on_error is OnError.ALLOW_AND_QUEUE and queue_dir is None:
        raise UsageError("queue_dir: allow_and_queue needs a folder for pictures that wait until the gate is back")
    url, key, folder = checked_url(base_url), checked_key(api_key), checked_folder(queue_dir)
    queue = UploadQueue(folder) if folder is not None else None
    return _Options(url, key, on_error, budget_s, max(attempts, 1), queue)


class _Course:
    """The attempts of one request: how long the next may take, and what its outcome means."""

    def __init__(self, options: _Options, upload: Upload) -> None:
        self._options, self._upload = options, upload
        self._ends, self._made = time.monotonic() + options.budget_s, 0

    def request(self) -> dict[str, Any]:
        """Arguments of httpx for the next attempt."""
        self._made += 1
        upload, listing = self._upload, self._upload.listing
        fields = {
            "listing_id": listing.listing_id,
            "seller_id": listing.seller_id,
            "goods": listing.goods,
            "title": listing.title,
            "declared_ai": "" if listing.declared_ai is None else str(listing.declared_ai).lower(),
            "declared_attributes": json.dumps(dict(listing.declared_attributes)) if listing.declared_attributes else "",
        }
        headers = {"Idempotency-Key": upload.idempotency_key}
        if self._options.api_key:
            headers["Authorization"] = f"Bearer {self._options.api_key}"
        return {
            "method": "POST",
            "url": f"{self._options.base_url}/v1/screen",
            "data": {name: value for name, value in fields.items() if value},
            "files": [
                ("picture", (upload.name or "picture", upload.picture)),
                *(("reference", (f"reference-{n}", each)) for n, each in enumerate(upload.references)),
            ],
            "headers": headers,
            "timeout": max(self._ends - time.monotonic(), 0.05),
        }

    def outcome(self, outcome: httpx.Response | httpx.TransportError) -> Answer | float:
        """The answer, or seconds to wait before the next attempt. Raises the gate's error about picture or call."""
        if isinstance(outcome, httpx.Response):
            if outcome.status_code == 200:
                return answer_of(outcome.content)
            if outcome.status_code not in _AGAIN:
                raise error_of(outcome.status_code, outcome.content)
            cause = f"the gate answered {outcome.status_code}"
        else:
            cause = f"the gate was not reached: {type(outcome).__name__}"
        wait = self._wait(outcome)
        if self._made >= self._options.attempts or time.monotonic() + wait >= self._ends:
            return self._give_up(cause)
        return wait

    def _wait(self, outcome: httpx.Response | httpx.TransportError) -> float:
        asked = outcome.headers.get("retry-after", "") if isinstance(outcome, httpx.Response) else ""
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads callers out
        backed_off: float = _FIRST_WAIT_S * 2 ** (self._made - 1) * jitter
        return max(float(asked) if asked.isdigit() else 0.0, backed_off)

    def _give_up(self, cause: str) -> Answer:
        if self._options.on_error is OnError.BLOCK:
            return assumed_answer(Action.BLOCK, cause)
        if self._options.queue is not None:
            self._options.queue.put(self._upload)
        return assumed_answer(Action.ALLOW, cause)


def _refused(options: _Options, path: Path, error: ZhentuError) -> bool:
    """Set aside a picture that the gate will never accept; False if it must be sent again later.

    Raises Unauthenticated and Forbidden: then the picture is not at fault, and no other would be accepted either.
    """
    if isinstance(error, Unauthenticated | Forbidden):
        raise error
    if isinstance(error, PictureError | UsageError) and not isinstance(error, RateLimited):
        if options.queue is not None:
            options.queue.set_aside(path, f"{error.code}: {error}")
        return True
    return False


def _upload(
    picture: bytes, name: str, listing: Listing | None, references: Sequence[bytes], idempotency_key: str
) -> Upload:
    key, listing = idempotency_key or str(uuid_utils.uuid7()), listing or Listing()
    check_upload(name, listing, key)
    return Upload(picture, name, listing, tuple(references), key)


class _Base(ABC, Generic[_Transport, _Http]):
    """What both clients hold: the options, and the connections of their kind of httpx client."""

    def __init__(  # noqa: PLR0913 - options are keywords
        self,
        base_url: str,
        api_key: str = "",
        *,
        on_error: OnError,
        budget_s: float = 10.0,
        attempts: int = 3,
        queue_dir: str | Path | None = None,
        transport: _Transport | None = None,
    ) -> None:
        self._options = _options(base_url, api_key, on_error, budget_s, attempts, queue_dir)
        self._http = self._connect(transport)

    @staticmethod
    @abstractmethod
    def _connect(transport: _Transport | None) -> _Http:
        """The connections; transport: None for the network."""


class Client(_Base[httpx.BaseTransport, httpx.Client]):
    """A client for threads; share one.

    on_error: what to do if the gate cannot be reached within `budget_s` seconds and `attempts` tries: `block`, or
    `allow_and_queue`, which keeps the picture in `queue_dir` until `flush` sends it. It has no default on purpose.
    api_key: white space around it is dropped.  Raises UsageError for an address, key or folder that cannot work.
    """

    @staticmethod
    def _connect(transport: httpx.BaseTransport | None) -> httpx.Client:
        return httpx.Client(transport=transport)

    def screen(
        self,
        picture: bytes,
        *,
        name: str = "",
        listing: Listing | None = None,
        references: Sequence[bytes] = (),
        idempotency_key: str = "",
    ) -> Answer:
        """Ask about one picture. Raises PictureError if it is not one, UsageError if the call or key is at fault."""
        return self._send(_upload(picture, name, listing, references, idempotency_key), self._options)

    def flush(self) -> int:
        """Send queued uploads; returns how many were answered. Unanswered ones stay, and nothing is lost.

        Stops at the first that the gate does not answer. A picture that the gate refuses is moved to the folder
        `refused` of the queue, with the reason, and named in the log: it is online although no answer allows it.
        Raises Unauthenticated and Forbidden for the key; then the queue is unchanged.
        """
        done = 0
        for path, upload in self._options.waiting():
            try:
                answer = self._send(upload, self._options.strict)
            except ZhentuError as error:
                if not _refused(self._options, path, error):
                    break
                continue
            if answer.assumed:
                break
            self._options.answered(path)
            done += 1
        return done

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, upload: Upload, options: _Options) -> Answer:
        course = _Course(options, upload)
        while True:
            try:
                outcome: httpx.Response | httpx.TransportError = self._http.request(**course.request())
            except httpx.TransportError as error:
                outcome = error
            answer = course.outcome(outcome)
            if isinstance(answer, Answer):
                return answer
            time.sleep(answer)


class AsyncClient(_Base[httpx.AsyncBaseTransport, httpx.AsyncClient]):
    """The same for asyncio."""

    @staticmethod
    def _connect(transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=transport)

    async def screen(
        self,
        picture: bytes,
        *,
        name: str = "",
        listing: Listing | None = None,
        references: Sequence[bytes] = (),
        idempotency_key: str = "",
    ) -> Answer:
        """Ask about one picture. Raises PictureError if it is not one, UsageError if the call or key is at fault."""
        return await self._send(_upload(picture, name, listing, references, idempotency_key), self._options)

    async def flush(self) -> int:
        """Send queued uploads, as `Client.flush` does."""
        done = 0
        waiting = self._options.waiting()
        while (found := await asyncio.to_thread(next, waiting, None)) is not None:
            path, upload = found
            try:
                answer = await self._send(upload, self._options.strict)
            except ZhentuError as error:
                if not await asyncio.to_thread(_refused, self._options, path, error):
                    break
                continue
            if answer.assumed:
                break
            await asyncio.to_thread(self._options.answered, path)
            done += 1
        return done

    async def _send(self, upload: Upload, options: _Options) -> Answer:
        course = _Course(options, upload)
        while True:
            try:
                outcome: httpx.Response | httpx.TransportError = await self._http.request(**course.request())
            except httpx.TransportError as error:
                outcome = error
            answer = await asyncio.to_thread(course.outcome, outcome)  # it may write to the queue's disk
            if isinstance(answer, Answer):
                return answer
            await asyncio.sleep(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
