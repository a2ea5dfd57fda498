"""The compiler's processes: each compiles one program; while a PLC runs, the next one waits for its program.

What waits has imported all, and has 22 MiB of its own. There is one only for some minutes after a program was
compiled: who has edited a line will edit another.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import cache_from_source
from pathlib import Path

from runtime.errors import PlantError
from softplc import codebase

TIMEOUT_S = 300
WAITS_S = 300
EARLY = "early"
_WHAT = "softplc.build"


class Compilers:
    """Starts compilers; safe for threads."""

    def __init__(self, waits_s: float = WAITS_S) -> None:
        self._waits_s = waits_s
        self._lock = threading.Lock()
        self._users = 0
        self._stamp: codebase.Stamp = ()
        self._ready: subprocess.Popen[str] | None = None
        self._end: threading.Timer | None = None

    @contextmanager
    def kept_ready(self) -> Iterator[None]:
        """Let a compiler wait after each program for the next one, while this lasts and some minutes."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                last = not self._users
            if last:
                self.retire()

    def run(self, request: str, bytecode: Path) -> subprocess.CompletedProcess[str]:
        """Compile what a request asks for; bytecode that Python keeps nowhere else goes to a folder. Waits.

        Raises:
            PlantError: it takes too long.
        """
        process = self._usable() or _started("at once", bytecode)
        try:
            output, errors = process.communicate(request, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as exc:
            raise PlantError(f"compiling took more than {TIMEOUT_S} s", "make the program smaller") from exc
        finally:
            _end(process)
        self._prepare(bytecode)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def retire(self) -> None:
        """End the compiler that waits."""
        process = self._taken()
        if process is not None:
            _end(process)

    def _taken(self) -> subprocess.Popen[str] | None:
        """Return the compiler that waits, if there is one."""
        with self._lock:
            process, self._ready = self._ready, None
            if self._end is not None:
                self._end.cancel()
                self._end = None
        return process

    def _usable(self) -> subprocess.Popen[str] | None:
        """Return a compiler that waits, lives, and is made of the files that are there."""
        process = self._taken()
        if process is None:
            return None
        if process.poll() is None and self._stamp == codebase.stamp():
            return process
        _end(process)
        return None

    def _prepare(self, bytecode: Path) -> None:
        with self._lock:
            if not self._users or self._ready is not None:
                return
            self._stamp = codebase.stamp()
            self._ready = _started(EARLY, bytecode)
            self._end = threading.Timer(self._waits_s, self.retire)
            self._end.daemon = True
            self._end.start()


def _started(when: str, bytecode: Path) -> subprocess.Popen[str]:
    # It imports what this process imports, and nothing that lies in the working folder.
    home = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _WHAT, when],
        env=_keeping(os.environ, bytecode) | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def _keeping(environment: Mapping[str, str], bytecode: Path) -> dict[str, str]:
    """Return an environment in which Python keeps the bytecode of what it imports.

    Where it may not write beside the sources, as in many containers, each start compiles a hundred files.
    """
    found = dict(environment)
    if not Path(cache_from_source(__file__)).exists():
        found.pop("PYTHONDONTWRITEBYTECODE", None)
        found["PYTHONPYCACHEPREFIX"] = str(bytecode.absolute())
    return found


def _end(process: subprocess.Popen[str]) -> None:
    if process.returncode is None:
        process.kill()
        process.communicate()


COMPILERS = Compilers()
atexit.register(COMPILERS.retire)
