"""A Ray cluster: Ray Data spreads the items, each cluster core runs the very worker of the local engine.

Exactness stays with the ledger of the machine that started the job: what a dying node takes with it is simply still to
be done, and the next pass does it on the nodes that are left. So Ray's own retries are off: they would wait for a node
that may never come back.
"""

from __future__ import annotations

import logging
import pickle
import secrets
import socket
import threading
import warnings
from collections.abc import Generator, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import pyarrow as pa

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
_INIT_DEATHS = 10  # workers that may die while they start, in a row, before a pass is given up
_WINDOW = 20_000  # items handed to Ray Data at once: bounds what lies in the object store


def over_cluster(
    spec: WorkSpec, todo: Iterable[Numbered], address: str, workers: int = 0
) -> Generator[PictureOutcome, None, None]:
    """Outcomes in any order; those of a lost node are missing, and their items are still to be done.

    address: "auto", "host:port" or "ray://host:port".  workers: cores to use, 0 = all of the cluster.
    zhentu must be installed on every node, and see the sources by the same paths or URLs.
    Raises DependencyError when Ray is not installed or the cluster cannot be reached.
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
        items = iter(todo)
        while window := list(islice(items, _WINDOW)):
            yield from _over_window(ray, spec, window, oracle, workers)
    finally:
        if began_here:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return  # "auto": Ray looks for a cluster on this machine, and says at once when there is none
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise DependencyError(f"no Ray cluster at {address!r}: {error}; start one with `ray start --head`") from error


def _connected(address: str) -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DependencyError("--engine ray needs Ray: pip install 'zhentu[cluster]'") from error
    return ray


def _oracle(ray: Any, spec: WorkSpec) -> Any:
    """One actor on this machine answers what is known: the store need not be reachable from the nodes."""
    here = ray.get_runtime_context().get_node_id()
    stay = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    return ray.remote(_Oracle).options(num_cpus=0, scheduling_strategy=stay, max_concurrency=4).remote(spec)


def _over_window(
    ray: Any, spec: WorkSpec, window: list[Numbered], oracle: Any, workers: int
) -> Generator[PictureOutcome, None, None]:
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it reports each lost block with a traceback
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # a lost block is no failure of the job
    context.max_consecutive_actor_init_deaths = _INIT_DEATHS
    cores = int(ray.cluster_resources().get("CPU", 1))
    size = max(min(workers or cores, cores, -(-len(window) // _BLOCK)), 1)
    block = max(min(_BLOCK, len(window) // (size * 4)), 1)
    blocks = [ray.put(_table(window[start : start + block])) for start in range(0, len(window), block)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no other way to say max_restarts yet; see pyproject.toml
        outcomes = ray.data.from_arrow_refs(blocks).map_batches(
            _OnNode,
            fn_constructor_args=(spec, oracle),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
        )
    try:
        for batch in outcomes.iter_batches(batch_size=None, batch_format="pyarrow"):
            for packed in batch.column("outcome"):
                yield pickle.loads(packed.as_py())  # noqa: S301 - our own workers wrote it
    except ray.exceptions.RayError as error:
        _log.warning("a pass over the cluster ended early, the next one does the rest: %s", error)


def _table(items: Iterable[Numbered]) -> pa.Table:
    return pa.table({"item": pa.array([pickle.dumps(each) for each in items], pa.binary())})


class _Oracle:
    """Answers for all nodes."""

    def __init__(self, spec: WorkSpec) -> None:
        self._banks = build_banks(spec.settings) if spec.banks else None
        self._known = build_known(spec, build_scan_screener(spec, self._banks))

    def ask(self, question: Question) -> Answer:
        """What is known of a picture."""
        return self._known.ask(question)

    def hits(self, fingerprint: Fingerprint, seller_id: str) -> tuple[BankHit, ...]:
        """What the banks say of a fingerprint."""
        return self._banks.hits(fingerprint, seller_id) if self._banks else ()

    def bank_version(self) -> str:
        """Of the banks as this actor asks them: they stay as they were when the job began."""
        return self._banks.version if self._banks else ""


class _Relay:
    """Lets the worker process of a cluster core ask the oracle: the process itself is unknown to Ray."""

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
    """The worker's end of the relay; connects when first asked, for it is pickled before."""

    def __init__(self, address: str, key: bytes) -> None:
        self._address, self._key = address, key
        self._connection: Connection | None = None

    def ask(self, question: Question) -> Answer:
        """What is known of a picture. Raises StoreError."""
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
        return self._asker.call("hits", fingerprint, listing.seller_id)  # type: ignore[no-any-return]

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

    def __call__(self, batch: pa.Table) -> pa.Table:
        items = [pickle.loads(packed.as_py()) for packed in batch.column("item")]  # noqa: S301 - our own driver wrote it
        chunks = (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
        packed = [pickle.dumps(outcome) for outcome in self._pool.outcomes(chunks)]
        return pa.table({"outcome": pa.array(packed, pa.binary())})
