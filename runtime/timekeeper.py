"""The component that follows the clock of the machine: tells when it was set, or is not synchronised."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from runtime.clock import SECOND_NS, SteppingClock, synchronised
from runtime.config.models import AlarmConfig, Text
from runtime.config.plant import Declared
from runtime.contract import Batch, DataType, Event, Port, Tag
from runtime.errors import StoreError

log = logging.getLogger(__name__)
PERIOD_S = 1.0
TOLD_NS = 60 * SECOND_NS  # how long a step stands as an alarm's condition
_TAGS = (
    ("jumps", DataType.UDINT, "1", "Times the clock was set since the start", "启动以来时钟被调整的次数"),
    ("last_jump_s", DataType.LREAL, "s", "By how much it was set last", "最近一次调整量"),
    ("jumped", DataType.BOOL, "", "The clock was set within the last minute", "最近一分钟内时钟被调整"),
    ("unsynchronised", DataType.BOOL, "", "The clock is not synchronised", "时钟未同步"),
)


def declare() -> Declared:
    """Return the clock's tags and the alarms on them."""
    tags = [
        Tag(
            f"sys/clock/{name}", kind, unit, unit, description=en, description_zh=zh,
            source="clock", retention="short",
        )
        for name, kind, unit, en, zh in _TAGS
    ]  # fmt: skip
    alarms = [
        AlarmConfig(
            name="clock.jumped",
            tag="sys/clock/jumped",
            kind="discrete",
            priority="medium",
            text=Text(en="The clock of the gateway jumped", zh="网关时钟发生跳变"),
            cause=Text(
                en="It was set by hand or by a time server, or the machine slept",
                zh="被人工或时间服务器调整，或机器曾休眠",
            ),
            consequence=Text(
                en="Times in history and alarms before and after it do not fit together",
                zh="跳变前后的历史与报警时间不连续",
            ),
            action=Text(
                en="See sys/clock/last_jump_s; check the time server",
                zh="查看 sys/clock/last_jump_s 并检查时间服务器",
            ),
        ),
        AlarmConfig(
            name="clock.unsynchronised",
            tag="sys/clock/unsynchronised",
            kind="discrete",
            on_delay="10min",
            priority="low",
            text=Text(en="The clock of the gateway is not synchronised", zh="网关时钟未同步"),
            consequence=Text(en="Times in history and alarms drift", zh="历史与报警时间会漂移"),
            action=Text(en="Start chrony or systemd-timesyncd", zh="启动 chrony 或 systemd-timesyncd"),
        ),
    ]
    return Declared(tags, alarms)


class Timekeeper:
    """Looks at the machine's clock each second; `moved` moves along what holds times."""

    name = "clock"

    def __init__(self, clock: SteppingClock, moved: Callable[[int], Awaitable[None]]) -> None:
        self._clock = clock
        self._moved = moved
        self._jumps = 0
        self._last_s = 0.0
        self._told_until_ns = 0

    async def run(self, port: Port) -> None:
        told: tuple[object, ...] = ()
        tags = [port.tags[f"sys/clock/{name}"] for name, *_ in _TAGS]
        port.health(True)
        while True:
            if step_ns := self._clock.follow():
                await self._step(port, step_ns)
            jumped = self._clock.steady_ns() < self._told_until_ns
            values = (self._jumps, self._last_s, jumped, synchronised() is False)
            if values != told:
                told = values
                raws = [tag.data_type.encode(value) for tag, value in zip(tags, values, strict=True)]
                port.submit(Batch.of([tag.id for tag in tags], raws, self._clock.now_ns()))
            await port.clock.sleep(PERIOD_S)

    async def _step(self, port: Port, step_ns: int) -> None:
        self._jumps += 1
        self._last_s = step_ns / SECOND_NS
        self._told_until_ns = self._clock.steady_ns() + TOLD_NS
        text = f"the clock was set {'ahead' if step_ns > 0 else 'back'} by {abs(self._last_s):.3f} s"
        log.warning("%s", text)
        port.emit(Event("clock.jumped", self.name, self._clock.now_ns(), text, {"step_ns": step_ns}))
        try:
            await self._moved(step_ns)
        except StoreError as exc:
            log.error("not all could be moved with the clock: %s", exc)
