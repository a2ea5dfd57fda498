"""PostgreSQL servers of a test's own, one with TimescaleDB, each on a free port, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from drivers.chaos.process import free_port

NOBODY = 65533


class Server:
    """Runs as another account where the test is root, which PostgreSQL refuses to be.

    With `root` it runs in that file tree, which is a Debian's, under an account without a name.
    """

    def __init__(self, programs: Path, root: Path | None = None, *options: str) -> None:
        self._programs = programs
        self._options = options
        self._account = "postgres" if os.geteuid() == 0 and root is None else None
        self._enter = ["chroot", f"--userspec={NOBODY}:{NOBODY}", root] if root else []
        self.folder = Path(tempfile.mkdtemp(prefix="ironworks-postgres-", dir=root and root / "tmp"))
        self._place = Path("/", self.folder.relative_to(root)) if root else self.folder
        if self._account or root:
            shutil.chown(self.folder, self._account or NOBODY)
        self.port = free_port()
        self._process: subprocess.Popen | None = None
        self._do(
            "initdb",
            "-D",
            f"{self._place}/data",
            "-U",
            "ironworks",
            "-A",
            "trust",
            "-N",
            "--locale=C",
            "-E",
            "UTF8",
        )

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
                    *self._enter, self._programs / "postgres", "-D", self._place / "data",
                    "-p", str(self.port), "-k", self._place, "-c", "listen_addresses=127.0.0.1",
                    "-c", "shared_buffers=16MB", "-F",
                    *self._options,
                ],
                stdout=log, stderr=log, user=self._account, cwd=self.folder,
            )  # fmt: skip

    def _do(self, program: str, *words: str) -> None:
        subprocess.run(
            [*self._enter, self._programs / program, *words], cwd=self.folder, user=self._account,
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def programs() -> Path | None:
    """Return where PostgreSQL's programs are; Debian keeps them out of the way."""
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb")
    return known[-1].parent if known else Path(found).resolve().parent if found else None


@pytest.fixture(scope="session")
def postgres(debian_package):
    trouble = None if programs() else debian_package("postgresql")
    place = programs()
    if place is None:
        pytest.skip(trouble or "PostgreSQL was installed but is not found")
    server = Server(place)
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def timescale(debian_package):
    """A server with TimescaleDB, which is in Debian since 13: unpacked, not installed, in some 15 s."""
    if os.geteuid() != 0:
        pytest.skip("TimescaleDB can be had by root on a Debian only")
    if not shutil.which("mmdebstrap") and (trouble := debian_package("mmdebstrap")):
        pytest.skip(trouble)
    with tempfile.TemporaryDirectory(prefix="ironworks-timescale-") as folder:
        root = Path(folder, "root")
        command = [
            "mmdebstrap", "--variant=extract", "--include=postgresql-17-timescaledb,base-files,dash,tzdata",
            '--aptopt=Acquire::Check-Valid-Until "false"', "trixie", root,  # a mirror's copy may be old
        ]  # fmt: skip
        there = shutil.which("mmdebstrap")
        if not there or subprocess.run(command, capture_output=True, timeout=280).returncode != 0:
            pytest.skip("TimescaleDB cannot be had here")
        with (root / "etc" / "passwd").open("a") as accounts:
            accounts.write(f"postgres:x:{NOBODY}:{NOBODY}::/:/bin/sh\n")
        options = ["-c", "shared_preload_libraries=timescaledb", "-c", "timescaledb.telemetry_level=off"]
        server = Server(Path("/usr/lib/postgresql/17/bin"), root, *options)
        try:
            server.start()
            yield server
        finally:
            server.end()
