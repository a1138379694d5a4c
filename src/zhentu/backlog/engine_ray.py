"""The Ray engine: blocks of items go to a cluster's cores, each of which runs the same worker as the local engine.

The ledger of the machine that started the job guarantees exactness: whatever a dying node had in hand is still to be
done, and the next pass does it on the remaining nodes. So Ray's own retries are off: they would wait for a node that
may never come back.
"""

from __future__ import annotations

import logging
import secrets
import socket
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from zhentu.backlog.engine_local import ProcessPool
from zhentu.backlog.items import Numbered
from zhentu.backlog.known import Answer, Question
from zhentu.backlog.picture import PictureOutcome, WorkSpec, build_known, build_scan_screener, build_work, crashed
from zhentu.bootstrap.stores import build_banks
from zhentu.errors import DependencyError, StoreError
from zhentu.types import BankHit, Fingerprint, Listing

_log = logging.getLogger(__name__)
_BLOCK = 64  # items of one Ray task: some seconds of work, so that its overhead is small and a lost one costs little
_CHUNK = 8  # items of one call of a worker process
_CONNECT_S = 10.0
_AHEAD = 2  # blocks assigned to a core, so that it never waits for the next


def over_cluster(
    spec: WorkSpec, todo: Iterable[Numbered], address: str, workers: int = 0
) -> Generator[PictureOutcome, None, None]:
    """Outcomes in any order; those of a lost node are missing, and their items are still to be done.

    address: "auto", "host:port" or "ray://host:port".  workers: cores to use, 0 = all of the cluster.
    zhentu must be installed on every node, which must see the sources under the same paths or URLs.
    Raises DependencyError if Ray is not installed or the cluster cannot be reached.
    """
    ray = _connected(address)
    began_here = not ray.is_initialized()
    if began_here:
        _check_answers(address)
        try:
            ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise DependencyError(
                f"no Ray cluster at {address!r}: {error}; start one with `ray start --head`"
            ) from error
    try:
        oracle = _oracle(ray, spec) if spec.store else None
        yield from _spread(ray, spec, iter(todo), oracle, workers)
    finally:
        if began_here:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Check the address first: Ray itself tries for minutes before it reports that nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # "auto": Ray looks for a cluster on this machine, and reports at once if there is none
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise DependencyError(f"no Ray cluster at {address!r}: {error}; start one with `ray start --head`") from error


def _connected(address: str) -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise DependencyError("--engine ray needs Ray: pip install 'zhentu[cluster]'") from error
    return ray


def _oracle(ray: Any, spec: WorkSpec) -> Any:
    """One actor on this machine answers what is known, so the store need not be reachable from the nodes."""
    here = ray.get_runtime_context().get_node_id()
    stay = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    return ray.remote(_Oracle).options(num_cpus=0, scheduling_strategy=stay, max_concurrency=4).remote(spec)


def _spread(
    ray: Any, spec: WorkSpec, todo: Iterator[Numbered], oracle: Any, workers: int
) -> Generator[PictureOutcome, None, None]:
    """Blocks of items given to whichever core is free; those of a lost core remain to be done."""
    cores = int(ray.cluster_resources().get("CPU", 1))
    size = max(min(workers or cores, cores), 1)
    actor = ray.remote(_OnNode).options(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")
    hands = [actor.remote(spec, oracle) for _ in range(size)]
    under_way: dict[Any, Any] = {
        hand.ready.remote(): hand for hand in hands
    }  # pending answer -> the core that gives it
    waiting_to_start, lost = set(under_way), 0
    try:
        while under_way:
            (answer,), _ = ray.wait(list(under_way), num_returns=1)
            hand = under_way.pop(answer)
            started = answer in waiting_to_start
            waiting_to_start.discard(answer)
            try:
                outcomes = ray.get(answer)
            except ray.exceptions.RayError as error:
                lost += 1
                _log.warning("a core of the cluster was lost (%d of %d), the others continue: %s", lost, size, error)
                under_way = {each: other for each, other in under_way.items() if other is not hand}
                continue
            for _ in range(_AHEAD if started else 1):
                if block := list(islice(todo, _BLOCK)):
                    under_way[hand.work.remote(block)] = hand
            yield from outcomes
            if not under_way.keys() - waiting_to_start:
                return  # everything is done; the remaining cores never began
    finally:
        for hand in hands:
            ray.kill(hand)


class _Oracle:
    """Answers for all nodes."""

    def __init__(self, spec: WorkSpec) -> None:
        self._banks = build_banks(spec.settings) if spec.banks else None
        self._known = build_known(spec, build_scan_screener(spec, self._banks))

    def ask(self, question: Question) -> Answer:
        """What is known about a picture."""
        return self._known.ask(question)

    def hits(self, fingerprint: Fingerprint, seller_id: str) -> tuple[BankHit, ...]:
        """What the banks say about a fingerprint."""
        return self._banks.hits(fingerprint, seller_id) if self._banks else ()

    def bank_version(self) -> str:
        """Version of the banks as this actor sees them: they stay as they were when the job began."""
        return self._banks.version if self._banks else ""


class _Relay:
    """Lets the worker process of a cluster core ask the oracle, because Ray does not know that process."""

    def __init__(self, oracle: Any) -> None:
        self._oracle = oracle
        key = secrets.token_bytes(32)
        self._listener = Listener(None, "AF_UNIX", authkey=key)
        self.asker = _Asker(str(self._listener.address), key)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            with suppress(OSError, EOFError, AuthenticationError):
                threading.Thread(target=self._serve, args=(self._listener.accept(),), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        import ray

        with connection, suppress(EOFError, OSError):  # the process ended
            while True:
                method, arguments = connection.recv()
                try:
                    connection.send(ray.get(getattr(self._oracle, method).remote(*arguments)))
                except Exception as error:
                    connection.send(StoreError(f"the starting machine no longer answers: {error}"))


class _Asker:
    """The worker's end of the relay; connects on first use, because it is pickled before."""

    def __init__(self, address: str, key: bytes) -> None:
        self._address, self._key = address, key
        self._connection: Connection | None = None

    def ask(self, question: Question) -> Answer:
        """What is known about a picture. Raises StoreError."""
        return self.call("ask", question)  # type: ignore[no-any-return]

    def call(self, method: str, *arguments: object) -> Any:
        """What a method of the oracle answers. Raises StoreError."""
        if self._connection is None:
            self._connection = Client(self._address, "AF_UNIX", authkey=self._key)
        self._connection.send((method, arguments))
        answer = self._connection.recv()
        if isinstance(answer, StoreError):
            raise answer
        return answer


class _AskedBanks:
    """The oracle's banks, as a worker asks them: fingerprints travel, pictures do not."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker
        self._version: str | None = None

    def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
        """See `Banks.lookup`."""
        return self._asker.call("hits", fingerprint, listing.seller)  # type: ignore[no-any-return]

    @property
    def version(self) -> str:
        """See `Banks.version`."""
        if self._version is None:
            self._version = str(self._asker.call("bank_version"))
        return self._version


class _OnNode:
    """One cluster core: a pool of one process, so that a file which kills the decoder costs one picture, not a node."""

    def __init__(self, spec: WorkSpec, oracle: Any) -> None:
        asker = _Relay(oracle).asker if oracle is not None else None
        bank = _AskedBanks(asker) if asker is not None else None
        build = partial(build_work, spec, asker, bank)
        self._pool: ProcessPool[Numbered, PictureOutcome] = ProcessPool(build, 1, crashed)

    def ready(self) -> list[PictureOutcome]:
        """Return once the core has started."""
        return []

    def work(self, items: list[Numbered]) -> list[PictureOutcome]:
        """The outcomes of a block."""
        return list(self._pool.outcomes(items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)))
