"""The broker that is tormented: Mosquitto, which must be installed."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from drivers.chaos.process import START_WITHIN_S, Victim
from runtime.clock import WallClock
from runtime.errors import PlantError


class Broker(Victim):
    """A Mosquitto without a memory of its own, on loopback."""

    def __init__(self, folder: Path) -> None:
        super().__init__("")
        self._folder = folder
        self._program = _program()

    async def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            RuntimeError: it ends instead.
        """
        file = self._folder / "mosquitto.conf"
        lines = (
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence false",
            "log_dest none",
        )
        user = ("user root",) if os.geteuid() == 0 else ()
        file.write_text("\n".join((*lines, *user)) + "\n", "utf-8")
        process = await self._launch(self._program, "-c", str(file))
        clock = WallClock()
        async with asyncio.timeout(START_WITHIN_S):
            while not await _listens(self.port):
                if process.returncode is not None:
                    raise RuntimeError("mosquitto ended before it listened")
                await clock.sleep(0.02)


def _program() -> str:
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise PlantError("mosquitto is not installed", "apt-get install mosquitto, or your system's package")
    return found


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
