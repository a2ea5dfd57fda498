"""Starts, freezes and kills the device that is tormented."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import sys
from typing import Any

START_WITHIN_S = 60.0


def free_port() -> int:
    """Return a port of loopback that nobody has: none of those that the system gives to whoever asks for any.

    One of those would be somebody else's by the time that a server is there, or is there again.
    """
    while True:
        number = 20_000 + secrets.randbelow(10_000)  # a seed of the caller's would give others the same
        with contextlib.suppress(OSError), socket.socket() as bound:
            bound.bind(("127.0.0.1", number))
            return number


class Victim:
    """A process that serves on a port. One that is killed starts again there.

    `module` is run with its settings as JSON, and prints `ready` when it listens.
    """

    def __init__(self, module: str, **settings: Any) -> None:
        self.settings: dict[str, Any] = {"port": free_port()} | settings
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    @property
    def port(self) -> int:
        return int(self.settings["port"])

    def move(self) -> int:
        """Have it start on another port from now on; return that."""
        self.settings["port"] = free_port()
        return self.port

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            RuntimeError: it ends instead.
        """
        command = (sys.executable, "-m", self._module, json.dumps(self.settings))
        process = await self._launch(*command)
        assert process.stdout is not None
        async with asyncio.timeout(START_WITHIN_S):
            if await process.stdout.readline() != b"ready\n":
                raise RuntimeError("the server ended before it listened")

    async def _launch(self, *command: str) -> asyncio.subprocess.Process:
        made = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        self._process = made
        return made

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
