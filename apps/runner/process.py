"""A worker process from the kernel's side: start, ask, measure, end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from apps.errors import AppError
from apps.runner.protocol import (
    LIMIT,
    Failure,
    FromWorker,
    ProtocolError,
    ToWorker,
    decode,
    frame,
    length_of,
)
from runtime.clock import SECOND_NS, monotonic_ns

TAIL_LINES = 20
LINE_LENGTH = 500
END_S = 1.0
TOLD_S = 4.0  # an interpreter takes a while to end after its socket, and a thread to tell it; a hang is more
# One thread a library: an app has a share of one core, and thread pools cost memory.
SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What a worker used since the last look."""

    cpu_pct: float
    memory_mib: float


@dataclass
class Worker:
    """One worker; at most one question is under way, so nothing queues up."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    _last: tuple[float, int] = (0.0, 0)
    _asking: bool = False

    @classmethod
    async def start(cls) -> Worker:
        """Start a worker that waits for its setup."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "apps.runner.worker", str(theirs.fileno()), str(os.getpid()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **SETTINGS},
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LIMIT + 4)
        return cls(process, reader, writer)

    async def ask(self, message: ToWorker) -> FromWorker:
        """Send a message and return the answer.

        Raises:
            AppError: the worker failed, ended, or sent what is no answer.
        """
        try:
            data = frame(message)
        except ProtocolError as exc:
            remedy = "narrow permissions.reads in app.yaml, or its parameters"
            raise AppError(f"what the app is given cannot be sent: {exc}", remedy) from exc
        self._asking = True
        try:
            self.writer.write(data)
            await self.writer.drain()
            head = await self.reader.readexactly(4)
            answer = decode(await self.reader.readexactly(length_of(head)))
        except ProtocolError as exc:
            raise AppError(f"the worker's message is refused: {exc}") from exc
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            raise AppError(await self._why_ended()) from exc
        finally:
            self._asking = False
        if isinstance(answer, Failure):
            raise AppError(answer.text, answer.remedy)
        return answer

    async def watch(self) -> None:
        """Wait for the worker's end between two questions; during one, the question tells it.

        Raises:
            AppError: it ended.
        """
        await self.process.wait()
        if not self._asking:
            raise AppError(await self._why_ended())

    async def listen(self) -> None:
        """Keep the last lines that the worker printed; returns when it has closed its output."""
        assert self.process.stdout is not None
        rest = ""
        while data := await self.process.stdout.read(4096):
            *lines, rest = (rest + data.decode(errors="replace")).split("\n")
            rest = rest[-LINE_LENGTH:]
            self.tail.extend(line.rstrip()[:LINE_LENGTH] for line in lines if line.strip())
        if rest.strip():
            self.tail.append(rest.rstrip())

    def usage(self) -> Usage | None:
        """Return what the worker uses, on average since the last call; None when it is gone."""
        import psutil

        try:
            process = psutil.Process(self.process.pid)
            times = process.cpu_times()
            memory_mib = process.memory_info().rss / 1024 / 1024
        except psutil.NoSuchProcess:
            return None
        spent, now_ns = times.user + times.system, monotonic_ns()
        last_spent, last_ns = self._last
        self._last = (spent, now_ns)
        span_s = (now_ns - last_ns) / SECOND_NS
        return Usage(100 * (spent - last_spent) / span_s if last_ns else 0.0, memory_mib)

    async def stop(self) -> None:
        """End the worker: by closing its socket, else by force; what it has started ends with it."""
        self.writer.close()
        if not await self._ended(END_S):
            self.kill()
            await self._ended(END_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # it began a session, so the group is its own

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()

    async def _ended(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            return False
        return True

    async def _why_ended(self) -> str:
        if not await self._ended(TOLD_S):
            return "the worker closed its socket"
        code = self.process.returncode or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        said = "\n  ".join(self.tail)
        return f"the worker {how}" + (f": {said}" if said else "")
