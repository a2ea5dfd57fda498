"""Tasks that begin anew by themselves after a fault, where the plant file says `on_fault: restart`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from runtime.clock import SECOND_NS
from runtime.contract import Event, Port
from runtime.errors import PlantError
from softplc.core.stats import TaskFault
from softplc.facts import OWNER
from softplc.wiring import OnFault

log = logging.getLogger(__name__)

TIMES, WITHIN_NS = 3, 60 * SECOND_NS
_PAUSE_S = 1.0


class Restarts:
    """Restarts tasks, each a few times a minute at most; then it stands still until a person restarts it."""

    def __init__(
        self, port: Port, policy: Callable[[str], OnFault], restart: Callable[[str, bool], Awaitable[None]]
    ) -> None:
        """`policy` tells that of a task; `restart` begins its programs anew: name, and whether cold."""
        self._port = port
        self._policy = policy
        self._restart = restart
        self._waiting: deque[str] = deque()
        self._asked = asyncio.Event()
        self._times: dict[str, deque[int]] = {}

    def note(self, faults: Iterable[TaskFault]) -> None:
        """Take it that these tasks stand still."""
        for fault in faults:
            due = fault.code and self._policy(fault.task) is OnFault.RESTART
            if due and fault.task not in self._waiting:
                self._waiting.append(fault.task)
                self._asked.set()

    async def run(self) -> None:
        """Restart what stands still, one after the other."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._waiting:
                await self._begin(self._waiting[0])
                self._waiting.popleft()

    async def _begin(self, task: str) -> None:
        times = self._times.setdefault(task, deque(maxlen=TIMES))
        while True:
            now_ns = self._port.clock.steady_ns()
            if len(times) == TIMES and now_ns - times[0] < WITHIN_NS:
                text = f"task {task} stays stopped: it began anew {TIMES} times within a minute"
                log.error("%s; correct the program, then `ironworks plc restart %s`", text, task)
                self._port.emit(Event("plc.gave_up", OWNER, self._port.clock.now_ns(), text, {"task": task}))
                return
            times.append(now_ns)
            try:
                await self._restart(task, False)
                return
            except PlantError as exc:
                log.error("%s", exc.text)
            await self._port.clock.sleep(_PAUSE_S)
