"""Writes of people on their way to a device: a short queue, and an answer to each, whatever happens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from runtime.contract import Command
from runtime.errors import ConnectError

MAX_COMMANDS = 100
UNKNOWN = "whether the value arrived is not known"
CarryOut = Callable[[Command], Awaitable[str]]  # returns why it was not done, or nothing


class Commands:
    """What waits for one device; `wake` is set when something comes.

    Attributes:
        online: whether the device answers; while it does not, a write is refused at once.
    """

    def __init__(self, name: str, wake: asyncio.Event) -> None:
        self.online = False
        self._name = name
        self._wake = wake
        self._waiting: deque[Command] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, commands: AsyncIterator[Command]) -> None:
        """Take in what the gate lets through, for ever."""
        async for command in commands:
            if not self.online:
                command.failed(f"{self._name} is offline")
            elif len(self._waiting) >= MAX_COMMANDS:
                command.failed(f"{self._name} has {MAX_COMMANDS} writes waiting")
            else:
                self._waiting.append(command)
                self._wake.set()

    async def serve_next(self, carry_out: CarryOut) -> None:
        """Have the oldest carried out, and answer it.

        Raises:
            ConnectError: the device was lost meanwhile.
        """
        command = self._waiting.popleft()
        try:
            refusal = await carry_out(command)
        except ConnectError as exc:
            command.failed(f"{self._name} was lost: {exc.text}: {UNKNOWN}")
            raise
        except BaseException:
            command.failed(f"{self._name} was interrupted: {UNKNOWN}")
            raise
        if refusal:
            command.failed(refusal)
        else:
            command.done()

    def lose(self, reason: str) -> None:
        """Refuse what waits, and what comes until the device answers again."""
        self.online = False
        while self._waiting:
            self._waiting.popleft().failed(f"{self._name} is offline: {reason}")
