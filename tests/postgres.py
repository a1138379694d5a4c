"""A real PostgreSQL server from the machine's packages, for tests and scripts: started as an ordinary user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from loadgen import free_port

from zhentu.record import database

_PATIENT_S = "240"  # to start and to stop, on a machine that stalls


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, newest version first; None where PostgreSQL 15+ is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent if int(found[-1].parts[-3]) >= 15 else None
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextlib.contextmanager
def patient_connections() -> Iterator[None]:
    """Time to connect for a machine that stalls; what is down refuses at once, and the gate's own 3 s are for hangs."""
    before, database._CONNECT_S = database._CONNECT_S, 60
    try:
        yield
    finally:
        database._CONNECT_S = before


class Postgres:
    """One server in a folder of its own. Speed comes before durability unless `durable`."""

    def __init__(self, durable: bool = False) -> None:
        self._bin, self._folder, self._durable = binaries(), Path(tempfile.mkdtemp(prefix="zhentu-pg-")), durable
        assert self._bin, "no PostgreSQL"
        self.port = free_port()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._folder, "postgres", "postgres")
        self._as_user("initdb", "-D", f"{self._folder}/data", "-U", "zhentu", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        if not self._durable:
            options += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_wal_size=64MB"
        log = f"{self._folder}/log"
        self._as_user("pg_ctl", "-D", f"{self._folder}/data", "-o", options, "-l", log, "-w", "-t", _PATIENT_S, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._as_user("pg_ctl", "-D", f"{self._folder}/data", "-m", mode, "-w", "-t", _PATIENT_S, "stop")

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        with contextlib.suppress(AssertionError):  # it may be down already
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_down(self) -> bool:
        """Whether nobody listens on the port."""
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", self.port)) != 0

    def kill(self) -> None:
        """What a power cut looks like from outside."""
        pid = int(Path(f"{self._folder}/data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.05)

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://zhentu@127.0.0.1:{self.port}/{name}"

    def drop(self, url: str) -> None:
        """Give a database's disk back, whoever still has it open: a suite makes hundreds, of 8 MB each."""
        self._execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def fill(self, url: str, like: str) -> None:
        """Make a database a copy of another; nobody may have either of them open."""
        name, template = (each.rpartition("/")[2] for each in (url, like))
        self._execute(f"DROP DATABASE {name}", f"CREATE DATABASE {name} TEMPLATE {template}")

    def _execute(self, *statements: str) -> None:
        address = f"host=127.0.0.1 port={self.port} user=zhentu dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _as_user(self, program: str, *arguments: str) -> None:
        command = [f"{self._bin}/{program}", *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # pg_ctl leaves the server holding its pipes, so output goes to nowhere rather than to us
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"{' '.join(command)} failed"
