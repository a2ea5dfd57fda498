"""Where the API listens on TCP: on loopback, and beyond it as soon as that is safe."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable

from runtime.api.door import Door
from runtime.api.registration import Registration
from runtime.api.services import Services
from runtime.contract import Batch, Port
from runtime.errors import PlantError
from runtime.gate.identity import NO_ADMIN
from runtime.tls.facts import TAGS

PERIOD_S = 1.0


class Front:
    """Serves the TCP side of the API until cancelled.

    Without `host:` beyond loopback that is plain HTTP on loopback. With it TLS on the same port: on loopback
    while no admin can log in, on the host's address from then on. It looks each second.
    """

    def __init__(
        self,
        services: Services,
        registration: Registration,
        make: Callable[[], asyncio.Protocol],
        present: Callable[[], Iterable[str]],
    ) -> None:
        self._services = services
        self._registration = registration
        self._make = make
        self._present = present

    async def run(self, port: Port) -> None:
        api = self._services.plant.head.api
        if api is not None and api.outside:
            await self._secure(port)
            return
        self._registration.announce()
        port.health(True, self._registration.url)
        if self._registration.tcp is not None:
            await Door(self._make, self._present, None, port.clock).serve(self._registration.tcp)

    async def _secure(self, port: Port) -> None:
        from runtime.tls.shown import Shown  # it loads cryptography

        shown = Shown(self._services.plant)
        identity = self._services.identity

        def context() -> ssl.SSLContext | None:
            return shown.context

        door = Door(self._make, self._present, context, port.clock)
        await asyncio.to_thread(shown.refresh, port.clock.now_ns(), identity.client_certificates())
        self._registration.announce()
        async with asyncio.TaskGroup() as group:
            serving = self._serve(group, door)
            told: tuple[object, ...] = ()
            while True:
                outside = identity.admin_exists()
                trouble = "" if outside else f"listens on loopback only: {NO_ADMIN}"
                if outside != self._registration.outside:
                    serving.cancel()
                    await asyncio.wait({serving})
                    try:
                        self._registration.move(outside)
                        self._registration.announce()
                    except PlantError as exc:
                        trouble = f"listens on loopback only: {exc}"
                    serving = self._serve(group, door)
                trouble = "; ".join(filter(None, (trouble, shown.trouble)))
                port.health(not trouble, trouble or self._registration.url)
                now_ns = port.clock.now_ns()
                left = round(shown.leaf.days_left(now_ns), 1) if shown.leaf else 0.0
                turned_away = door.turned_away & 0xFFFF_FFFF
                facts = (self._registration.outside, left, bool(shown.trouble), turned_away)
                if facts != told:
                    _tell(port, facts, now_ns)
                    told = facts
                await port.clock.sleep(PERIOD_S)
                await asyncio.to_thread(shown.refresh, port.clock.now_ns(), identity.client_certificates())

    def _serve(self, group: asyncio.TaskGroup, door: Door) -> asyncio.Task[None]:
        assert self._registration.tcp is not None
        return group.create_task(door.serve(self._registration.tcp))


def _tell(port: Port, facts: tuple[bool, float, bool, int], now_ns: int) -> None:
    ids = [port.tags[f"sys/api/{name}"].id for name, *_ in TAGS]
    raws = [kind.encode(value) for (_, kind, *_), value in zip(TAGS, facts, strict=True)]
    port.submit(Batch.of(ids, raws, now_ns))
