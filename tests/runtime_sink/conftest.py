"""A PostgreSQL server of a test's own, on a free port, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest


class Server:
    """Runs as another account where the test is root, which PostgreSQL refuses to be."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._account = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="ironworks-postgres-"))
        if self._account:
            shutil.chown(self.folder, self._account)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen | None = None
        self._do("initdb", "-D", "data", "-U", "ironworks", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")

    def url(self, database: str) -> str:
        return f"postgresql://ironworks@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it; after a kill its children may take a moment to go."""
        deadline = time.monotonic() + 60
        while True:
            if self._process is None or self._process.poll() is not None:
                self._process = self._begin()
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def fresh(self, name: str) -> str:
        """Return the address of a new database."""
        self.start()
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def end(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
        shutil.rmtree(self.folder)

    def _begin(self) -> subprocess.Popen:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self.folder / "data", "-p", str(self.port),
                    "-k", self.folder, "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", "-F",
                ],
                stdout=log, stderr=log, user=self._account, cwd=self.folder,
            )  # fmt: skip

    def _do(self, program: str, *words: str) -> None:
        subprocess.run(
            [self._programs / program, *words], cwd=self.folder, user=self._account,
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def programs() -> Path | None:
    """Return where PostgreSQL's programs are; Debian keeps them out of the way."""
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb")
    return known[-1].parent if known else Path(found).resolve().parent if found else None


@pytest.fixture(scope="session")
def postgres():
    place = programs()
    if place is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "postgresql"]):
            subprocess.run(command, capture_output=True, timeout=280, check=False)
        place = programs()
    if place is None:
        pytest.skip("PostgreSQL is not here and cannot be installed")
    server = Server(place)
    try:
        server.start()
        yield server
    finally:
        server.end()
