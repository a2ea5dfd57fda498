"""An event loop on virtual time: nothing waits, nothing is random but the seed, no thread runs.

What goes to a thread runs whole, in the loop, after a time that the seed chooses; the jobs of one executor
one after the other. Whoever wants time asks `SimClock`, as the kernel does.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any

from runtime.clock import SECOND_NS

_JOB_S = 0.002


class SimLoop(asyncio.SelectorEventLoop):
    """The loop. `slow` stretches the time of jobs in threads: a slow disk."""

    def __init__(self, rng: random.Random) -> None:
        self._now_ns = 0
        self._rng = rng
        self._busy: dict[int, float] = {}
        self._numbers = itertools.count()
        self.slow = 1.0
        super().__init__(_Selector(self))
        self.set_task_factory(self._task)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._now_ns / 1e9

    @property
    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Let time pass: nothing can happen before."""
        self._now_ns += max(1, round(seconds * 1e9))

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future(loop=self)
        future.number = next(self._numbers)
        return future

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        begin = max(self.time(), self._busy.get(id(executor), 0.0)) if executor else self.time()
        end = begin + self._rng.expovariate(1 / (_JOB_S * self.slow))
        if executor:
            self._busy[id(executor)] = end
        self.call_at(end, _run, future, func, args)
        return future

    def _task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = _Task(work, loop=loop, **options)
        task.number = next(self._numbers)
        return task


class _Task(asyncio.Task[Any]):
    """A task whose place in a set is the same in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    number = 0

    def __hash__(self) -> int:
        return self.number


def _run(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        result = func(*args)
    except BaseException as exc:  # noqa: BLE001 - as a thread's future hands it on
        if not future.done():
            future.set_exception(exc)
    else:
        if not future.done():
            future.set_result(result)


class _Selector(selectors.BaseSelector):
    """Waits for nothing: where a real one would sleep, time passes."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, int(fileobj), events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again: every task waits for another")
        if timeout > 0:
            self._loop.advance(timeout)
        return []

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.register(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class SimClock:
    """The plant's time: the loop's, from a date on, with the jumps that it is given."""

    def __init__(self, loop: SimLoop, start_ns: int) -> None:
        self._loop = loop
        self._offset_ns = start_ns
        self._set_ns = 0

    def now_ns(self) -> int:
        return self._offset_ns + self._loop.now_ns

    def steady_ns(self) -> int:
        return self._loop.now_ns

    def jump(self, seconds: float) -> None:
        """Set the machine's clock: `follow` takes it up."""
        self._set_ns += round(seconds * SECOND_NS)

    def follow(self) -> int:
        step_ns, self._set_ns = self._set_ns, 0
        self._offset_ns += step_ns
        return step_ns

    async def sleep_until(self, steady_ns: int) -> None:
        await self.sleep(max(0.0, (steady_ns - self._loop.now_ns) / SECOND_NS))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))  # noqa: TID251 - a clock
