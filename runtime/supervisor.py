"""Keeps components alive: states, restarts with back-off, health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from runtime.clock import SECOND_NS
from runtime.contract import Clock, Component, Event, Port
from runtime.errors import PlantError
from runtime.logs import COMPONENT
from runtime.settled import settled

log = logging.getLogger(__name__)

FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 30.0
SETTLED_NS = 60 * SECOND_NS
STARTED_NS = 1 * SECOND_NS
STOP_TIMEOUT_S = 8.0


class State(Enum):
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    FAULTED = "faulted"
    STOPPED = "stopped"


@dataclass
class Life:
    """What the supervisor knows of one component."""

    component: Component
    kind: str
    port: Port
    on_stop: Callable[[], None]
    since_ns: int
    begun_ns: int = 0
    state: State = State.STOPPED
    restarts: int = 0
    faults: int = 0
    text: str = ""
    task: asyncio.Task[None] | None = None
    again: asyncio.Event = field(default_factory=asyncio.Event)
    last_fault: str = ""

    def view(self) -> dict[str, Any]:
        return {
            "name": self.component.name,
            "kind": self.kind,
            "state": self.state.value,
            "since_ns": self.since_ns,
            "restarts": self.restarts,
            "text": self.text,
        }


class Supervisor:
    """Runs each component as one task; a fault restarts it, never the kernel."""

    def __init__(self, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._lives: dict[str, Life] = {}
        self._begun: list[str] = []
        self._over = False  # nothing is begun any more

    def add(self, component: Component, kind: str, port: Port, on_stop: Callable[[], None]) -> None:
        """Take a component under care; `on_stop` runs each time it ends, however it ends."""
        self._lives[component.name] = Life(component, kind, port, on_stop, self._clock.now_ns())

    async def run(self, *names: str, others: bool = False) -> None:
        """Run the named components until cancelled; then stop them within a bounded time.

        With `others` those too that `begin` starts meanwhile.
        """
        for name in names:
            self._start(name)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._over |= others
            more = self._begun if others else ()
            tasks = [self._lives[name].task for name in (*names, *more) if name in self._lives]
            await _stopped([task for task in tasks if task])

    def begin(self, name: str) -> None:
        """Start a component that was added while others run; it stays stopped where they were stopped."""
        if not self._over:
            self._begun.append(name)
            self._start(name)

    async def end(self, name: str) -> None:
        """Stop a component and forget it; other components go on."""
        life = self._lives[name]
        if life.task:
            await _stopped([life.task])
        del self._lives[name]
        self._begun = [each for each in self._begun if each != name]

    def faults(self, name: str) -> int:
        """Return how often a component has faulted since it was added."""
        life = self._lives.get(name)
        return life.faults if life else 0

    def state(self, name: str) -> State:
        """Return what a component does now; one that is not there is stopped."""
        life = self._lives.get(name)
        return life.state if life else State.STOPPED

    def _start(self, name: str) -> None:
        life = self._lives[name]
        life.task = asyncio.create_task(self._live(life), name=f"component {name}")

    def views(self) -> list[dict[str, Any]]:
        """Return the state of every component, as the API tells it."""
        return [life.view() for life in self._lives.values()]

    def count(self, state: State) -> int:
        return sum(life.state is state for life in self._lives.values())

    def alive(self, name: str) -> bool:
        life = self._lives.get(name)
        return life is not None and life.state in (State.STARTING, State.RUNNING, State.DEGRADED)

    def restart(self, name: str) -> None:
        """Stop a component and start it again at once.

        Raises:
            PlantError: there is no such component.
        """
        self.find(name).again.set()

    def find(self, name: str) -> Life:
        """Return what is known of a component.

        Raises:
            PlantError: there is no such component.
        """
        life = self._lives.get(name)
        if life is None:
            raise PlantError(f"no component is named {name!r}", f"there are: {', '.join(self._lives)}")
        return life

    def health(self, name: str, ok: bool, text: str) -> None:
        """Take a component's word on itself."""
        life = self._lives[name]
        if life.state in (State.STARTING, State.RUNNING, State.DEGRADED):
            self._move(life, State.RUNNING if ok else State.DEGRADED, text)

    def settle(self) -> None:
        """Call a component running that has started and not complained."""
        steady_ns = self._clock.steady_ns()
        for life in self._lives.values():
            if life.state is State.STARTING and steady_ns - life.begun_ns > STARTED_NS:
                self._move(life, State.RUNNING, life.text)

    async def _live(self, life: Life) -> None:
        back_off_s = FIRST_BACK_OFF_S
        try:
            while True:
                life.again.clear()
                self._move(life, State.STARTING, "")
                life.begun_ns = self._clock.steady_ns()
                text = await self._once(life)
                if life.again.is_set():
                    life.restarts += 1
                    continue
                if self._clock.steady_ns() - life.begun_ns > SETTLED_NS:
                    back_off_s = FIRST_BACK_OFF_S
                    life.last_fault = ""
                life.faults += 1
                level = logging.INFO if text == life.last_fault else logging.ERROR
                life.last_fault = text
                self._move(life, State.FAULTED, f"{text}; starts again in {back_off_s:g} s", level)
                await self._pause(life, back_off_s)
                back_off_s = min(back_off_s * 2, LONGEST_BACK_OFF_S)
                life.restarts += 1
        finally:
            self._move(life, State.STOPPED, "")

    async def _once(self, life: Life) -> str:
        """Run a component to its end; return what ended it."""
        name = life.component.name
        context = copy_context()
        context.run(COMPONENT.set, name)
        work = asyncio.create_task(life.component.run(life.port), name=name, context=context)
        again = asyncio.create_task(life.again.wait())
        try:
            await asyncio.wait({work, again}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return "restarted"
            if work.cancelled():  # not by us: an exception that ends tasks must not end the care of it
                return "ended by itself: something that it waited for was cancelled"
            error = work.exception()
        finally:
            again.cancel()
            work.cancel()
            ended = asyncio.ensure_future(asyncio.wait({work, again}, timeout=STOP_TIMEOUT_S))
            cancelled = await settled(ended)  # twice: by a change of the configuration, and by the stop
            life.on_stop()
            if cancelled:
                raise asyncio.CancelledError
        if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        match error:
            case None:
                return "ended by itself"
            case PlantError():
                return str(error)
            case _:
                log.error("%s: internal error", name, exc_info=error, extra={"component": name})
                return f"internal error: {type(error).__name__}: {error}"

    async def _pause(self, life: Life, seconds: float) -> None:
        wait = asyncio.create_task(self._clock.sleep(seconds))
        again = asyncio.create_task(life.again.wait())
        try:
            await asyncio.wait({wait, again}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wait.cancel()
            again.cancel()

    def _move(self, life: Life, state: State, text: str, level: int = logging.INFO) -> None:
        if (life.state, life.text) == (state, text):
            return
        if life.state is not state:
            life.since_ns = self._clock.now_ns()
        life.state, life.text = state, text
        name = life.component.name
        if state is State.DEGRADED:
            level = logging.WARNING
        detail = f": {text}" if text else ""
        log.log(level, "%s %s%s", name, state.value, detail, extra={"component": name})
        data = {"component": life.view()}
        self._emit(Event(f"component.{state.value}", name, self._clock.now_ns(), text, data))


async def _stopped(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for them, not for ever."""
    for task in tasks:
        task.cancel()
    _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S) if tasks else ((), ())
    for task in late:
        log.error("%s did not stop within %g s", task.get_name(), STOP_TIMEOUT_S)
