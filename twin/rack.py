"""The process that plays the field: a second `ironworks run`, started, watched and stopped."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from pathlib import Path
from shlex import quote

from runtime.client import PlantClient
from runtime.config import Applied
from runtime.contract import Batch, Port, Tag
from runtime.endpoint import find
from runtime.errors import PlantError

TAIL_LINES = 20
STOP_S = 5.0
KILL_S = 2.0
HEALTH_S = 2.0


class Rack:
    """Runs the rack's plant file as a child process and forwards faults to it.

    The child holds the other end of a pipe on its standard input and stops when that closes, so it
    never outlives this process, however that ends.
    """

    name = "rack"

    def __init__(self, file: Path, faults: list[Tag], applied: Applied | None = None) -> None:
        self._folder, self.file = file.parent, file
        self._applied = applied or Applied()
        self.faults = faults
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)

    async def run(self, port: Port) -> None:
        self.tail.clear()
        self.file = await asyncio.to_thread(self._applied.of, self._folder) / self.file.name
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "runtime.cli", "run", str(self.file), "--attached",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(process))
                group.create_task(self._forward(port))
                group.create_task(self._follow_health(port))
        except* PlantError as group_error:
            raise group_error.exceptions[0] from None
        finally:
            await self._stop(process)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await self._read(process)
        code = await process.wait()
        how = f"ended with code {code}" if code >= 0 else f"was killed by signal {-code}"
        said = "\n  ".join(self.tail) or "nothing"
        remedy = f"try: ironworks check {quote(str(self.file))}"
        raise PlantError(f"the rack {self.file.name} {how}; it said last: {said}", remedy)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines of what the child says, however long a line is."""
        assert process.stdout is not None
        rest = ""
        while data := await process.stdout.read(4096):
            *lines, rest = (rest + data.decode(errors="replace")).split("\n")
            rest = rest[-1000:]
            self.tail.extend(line.rstrip()[:1000] for line in lines if line.strip())
        if rest.strip():
            self.tail.append(rest.rstrip())

    async def _forward(self, port: Port) -> None:
        if not self.faults:
            return
        port.submit(_batch(self.faults, [0.0] * len(self.faults), port.clock.now_ns()))
        async for command in port.commands():
            severity = float(command.tag.data_type.decode(command.raw))
            try:
                async with PlantClient(find(self.file)) as client:
                    await client.write(command.tag.path, severity, "forwarded by the plant")
            except PlantError as exc:
                command.failed(f"the rack did not take it: {exc.text}")
                continue
            port.submit(_batch([command.tag], [severity], port.clock.now_ns()))
            command.done()

    async def _follow_health(self, port: Port) -> None:
        """Be as well as the rack's own components are."""
        while True:
            await port.clock.sleep(HEALTH_S)
            try:
                async with PlantClient(find(self.file)) as client:
                    components = await client.components()
            except PlantError:  # it starts, or ends: then `_watch` says so
                continue
            ill = [
                f"{each.name}: {each.text}" for each in components if each.state in ("degraded", "faulted")
            ]
            port.health(not ill, f"{self.file.name}: {'; '.join(ill)}" if ill else "")

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        """Ask, then insist; one that is still starting ends at once."""
        if process.stdin is not None:
            process.stdin.close()
        for step, patience_s in ((process.terminate, STOP_S), (process.kill, KILL_S)):
            if process.returncode is not None:
                return
            step()
            try:
                async with asyncio.timeout(patience_s):
                    await self._read(process)
                    await process.wait()
            except TimeoutError:
                continue


def _batch(tags: list[Tag], values: list[float], now_ns: int) -> Batch:
    raw = [tag.data_type.encode(value) for tag, value in zip(tags, values, strict=True)]
    return Batch.of([tag.id for tag in tags], raw, now_ns)
