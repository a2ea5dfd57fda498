"""The clients that want nothing but to be served, in a process of their own.

`python -m drivers.abuse.good '{"opcua": 4840, ...}'` prints `ready` once all are in, and for each line it is
given one JSON object: what they saw since the line before, and how late they were by themselves; a standing
client that saw nothing yet is waited for. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import Client, ua

from drivers.abuse.wrong import REFUSED, secured
from drivers.modbus.mbap import frame
from runtime.client import PlantClient
from runtime.clock import WallClock, monotonic_ns
from runtime.endpoint import Endpoint
from runtime.errors import PlantError

PERIOD_S = 0.1
BEAT_S = 0.05
ANEW_S = 2.0
PATIENCE_S = 20.0
_READ = frame(1, 1, struct.pack(">BHH", 4, 0, 2))


@dataclass
class Seen:
    """What one client saw.

    Attributes:
        wrong: answers that are not right, with the first few in words.
        cut: ends of connections that it did not want.
    """

    took_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    def take(self) -> dict[str, Any]:
        """Return it as JSON has it, and forget it."""
        ordered = sorted(self.took_ms)
        shown = {
            "asked": len(ordered),
            "p50_ms": round(ordered[len(ordered) // 2], 1) if ordered else None,
            "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 1) if ordered else None,
            "max_ms": round(ordered[-1], 1) if ordered else None,
            "wrong": self.wrong[:5],
            "cut": self.cut[:5],
        }
        self.took_ms, self.wrong, self.cut = [], [], []
        return shown


class Rising:
    """A counter of the PLC: it never goes back, and does not stand still."""

    def __init__(self) -> None:
        self._last = -1
        self._since_ns = monotonic_ns()

    def wrong(self, value: Any) -> str | None:
        """Return what is wrong with the counter's next value."""
        now_ns = monotonic_ns()
        if not isinstance(value, int) or value < self._last:
            return f"{value} after {self._last}"
        if value > self._last:
            self._last, self._since_ns = value, now_ns
        elif now_ns - self._since_ns > 10e9:
            return f"{value} for ten seconds"
        return None


class Good:
    """All of them.

    A standing client asks again and again on one connection; an anew one logs in, asks once and leaves.

    Attributes:
        seen: by client.
        late_s: by how much a mere sleep was too long, at most: no server has a part in that.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._about = settings
        self._folder = Path(settings["client"])
        self._clock = WallClock()
        self._stand: list[Seen] = []
        self.seen: dict[str, Seen] = {}
        self.late_s = 0.0

    async def take(self) -> dict[str, Any]:
        """Return what all saw as JSON has it, and forget it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not all(each.took_ms or each.cut for each in self._stand):
                    await self._clock.sleep(BEAT_S)
        late_s, self.late_s = self.late_s, 0.0
        return {"late_s": late_s, "seen": {name: each.take() for name, each in self.seen.items()}}

    async def _beat(self) -> None:
        while True:
            began_ns = monotonic_ns()
            await self._clock.sleep(BEAT_S)
            self.late_s = max(self.late_s, (monotonic_ns() - began_ns) / 1e9 - BEAT_S)

    @property
    def _url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self._about['opcua']}/"

    async def run(self, ready: Callable[[], None]) -> None:
        """Ask until cancelled."""
        standing = {
            "OPC UA": self._opcua,
            "OPC UA, secured": self._opcua_secured,
            "OPC UA, subscribed": self._subscribed,
            "Modbus": self._modbus,
            "HTTP": self._http,
        }
        anew = {"OPC UA, login": self._opcua_login, "Modbus, anew": self._modbus_anew}
        inside = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            for name, work in standing.items():
                group.create_task(self._standing(name, work, inside))
            for _ in standing:
                await inside.acquire()
            ready()
            group.create_task(self._beat())
            for name, once in anew.items():
                group.create_task(self._anew(name, once))

    async def _standing(self, name: str, work: Any, inside: asyncio.Semaphore) -> None:
        """Run a client; one that is cut off says so, and comes back."""
        seen = self.seen[name] = Seen()
        self._stand.append(seen)
        while True:
            try:
                await work(seen, inside)
            except (*REFUSED, PlantError) as exc:
                seen.cut.append(f"{type(exc).__name__}: {exc}")
            await self._clock.sleep(0.5)

    async def _anew(self, name: str, once: Callable[[], Awaitable[str | None]]) -> None:
        seen = self.seen[name] = Seen()
        while True:
            began_ns = monotonic_ns()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    wrong = await once()
                seen.took_ms.append((monotonic_ns() - began_ns) / 1e6)
                seen.wrong += [wrong] if wrong else []
            except (*REFUSED, PlantError) as exc:
                seen.cut.append(f"{type(exc).__name__}: {exc}")
            await self._clock.sleep(ANEW_S)

    async def _ask(
        self, seen: Seen, ask: Callable[[], Awaitable[Any]], wrong: Callable[[Any], str | None]
    ) -> None:
        while True:
            began_ns = monotonic_ns()
            async with asyncio.timeout(PATIENCE_S):
                answer = await ask()
            seen.took_ms.append((monotonic_ns() - began_ns) / 1e6)
            found = wrong(answer)
            if found:
                seen.wrong.append(found)
            await self._clock.sleep(PERIOD_S)

    async def _reads(self, client: Client, seen: Seen, inside: asyncio.Semaphore) -> None:
        root = self._about["root"]
        nodes = [client.get_node(ua.NodeId(self._about["seen"], 2))]
        nodes += [client.get_node(ua.NodeId(f"{root}/wave{number}", 2)) for number in range(100)]
        counter = Rising()

        def wrong(values: list[Any]) -> str | None:
            waves = all(isinstance(each, float) and 0 <= each <= 100 for each in values[1:])
            return counter.wrong(values[0]) or (None if waves else "a wave is no wave")

        async with client:
            inside.release()
            await self._ask(seen, lambda: client.read_values(nodes), wrong)

    async def _opcua(self, seen: Seen, inside: asyncio.Semaphore) -> None:
        await self._reads(Client(self._url, timeout=PATIENCE_S, watchdog_intervall=PATIENCE_S), seen, inside)

    async def _opcua_secured(self, seen: Seen, inside: asyncio.Semaphore) -> None:
        about = self._about
        client = await secured(self._url, self._folder, about["user"], about["secret"], PATIENCE_S)
        await self._reads(client, seen, inside)

    async def _opcua_login(self) -> str | None:
        about = self._about
        client = await secured(self._url, self._folder, about["user"], about["secret"], PATIENCE_S)
        async with client:
            value = await client.get_node(ua.NodeId(about["kept"], 2)).read_value()
        return None if value == about["value"] else f"{about['kept']} is {value}"

    async def _subscribed(self, seen: Seen, inside: asyncio.Semaphore) -> None:
        """Count how long it is between two notifications of what changes all the time."""
        counter = Rising()
        last_ns = 0
        fresh = asyncio.Event()

        class Handler:
            def datachange_notification(self, _node: Any, value: Any, _data: Any) -> None:
                nonlocal last_ns
                now_ns = monotonic_ns()
                if last_ns:
                    seen.took_ms.append((now_ns - last_ns) / 1e6)
                last_ns = now_ns
                found = counter.wrong(value)
                if found:
                    seen.wrong.append(found)
                fresh.set()

        async with Client(self._url, timeout=PATIENCE_S, watchdog_intervall=PATIENCE_S) as client:
            made = await client.create_subscription(100, Handler())
            await made.subscribe_data_change(client.get_node(ua.NodeId(self._about["seen"], 2)))
            inside.release()
            while True:
                fresh.clear()
                async with asyncio.timeout(PATIENCE_S):
                    await fresh.wait()

    async def _modbus(self, seen: Seen, inside: asyncio.Semaphore) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._about["modbus"])
        counter = Rising()
        inside.release()
        try:
            await self._ask(seen, lambda: _registers(reader, writer), counter.wrong)
        finally:
            writer.close()

    async def _modbus_anew(self) -> str | None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._about["modbus"])
        try:
            return Rising().wrong(await _registers(reader, writer))
        finally:
            writer.close()

    async def _http(self, seen: Seen, inside: asyncio.Semaphore) -> None:
        about = self._about
        endpoint = Endpoint(http=f"http://127.0.0.1:{about['http']}")
        async with PlantClient(endpoint, about["user"], about["secret"], PATIENCE_S) as login:
            made = await login.log_in(about["user"], about["secret"])
        counter = Rising()
        async with PlantClient(endpoint, token=made.session, timeout_s=PATIENCE_S) as client:
            inside.release()
            await self._ask(seen, lambda: client.tag(about["seen"]), lambda tag: counter.wrong(tag.value))


async def _registers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    writer.write(_READ)
    answer = await reader.readexactly(13)
    return int(struct.unpack(">I", answer[9:])[0]) if answer[:9] == b"\0\x01\0\0\0\x07\x01\x04\x04" else -2


async def main(settings: dict[str, Any]) -> None:
    """Serve the one that started us."""
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    good = Good(settings)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(good.run(lambda: print("ready", flush=True)))  # noqa: T201
        while await lines.readline():
            print(json.dumps(await good.take()), flush=True)  # noqa: T201
        running.cancel()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(json.loads(sys.argv[1])))
