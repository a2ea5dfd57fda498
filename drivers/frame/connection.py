"""The state of a link: told once per change as event, health and `sys/` tags."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.config import AlarmConfig, Declared, Text
from runtime.contract import Batch, DataType, Event, Port, Tag

COUNTERS = ("requests", "timeouts", "exceptions", "reconnects")
GRACE_NS = 5_000_000_000  # a device may take that long to answer at first, before it is called lost


class Backoff:
    """Growing delays between attempts: `first_s`, doubled up to `last_s`."""

    def __init__(self, first_s: float = 0.1, last_s: float = 5.0) -> None:
        self._first_s, self._last_s = first_s, last_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the delay before the next attempt."""
        delay = self._next_s
        self._next_s = min(delay * 2, self._last_s)
        return delay

    def reset(self) -> None:
        self._next_s = self._first_s


def declare_link(name: str) -> Declared:
    """Return the tags that tell of a link, and the alarm for its loss."""
    base = f"sys/drivers/{name}"
    online = Tag(
        path=f"{base}/online",
        data_type=DataType.BOOL,
        description=f"{name} answers",
        description_zh=f"{name} 通信正常",
        source=name,
    )
    words = {
        "requests": ("requests sent", "已发送请求数"),
        "timeouts": ("requests without an answer", "超时请求数"),
        "exceptions": ("requests that the device refused", "设备拒绝的请求数"),
        "reconnects": ("connections made after the first", "重新连接次数"),
    }
    counters = [
        Tag(
            path=f"{base}/{counter}",
            data_type=DataType.UDINT,
            description=f"{name}: {words[counter][0]}",
            description_zh=f"{name}：{words[counter][1]}",
            source=name,
            retention="short",
        )
        for counter in COUNTERS
    ]
    round_trip = Tag(
        path=f"{base}/round_trip_ms",
        data_type=DataType.REAL,
        unit="ms",
        unit_text="ms",
        description=f"{name}: time from request to answer",
        description_zh=f"{name}：请求往返时间",
        source=name,
        retention="short",
    )
    alarm = AlarmConfig(
        name=f"{name}.offline",
        tag=online.path,
        kind="discrete",
        state=False,
        on_delay="2s",
        priority="high",
        text=Text(en=f"{name} does not answer", zh=f"{name} 无应答"),
        cause=Text(
            en="Device off, cable or network broken, or wrong host", zh="设备断电、网络中断或地址错误"
        ),
        consequence=Text(en="Its values are not good; nothing is written", zh="其数值无效，且无法写入"),
        action=Text(
            en="Check power, cable and `host:` in the plant file", zh="检查电源、网线和配置中的 host"
        ),
    )
    return Declared((online, *counters, round_trip), (alarm,))


@dataclass(slots=True)
class Traffic:
    """What went over a link since the component started."""

    connections: int = 0
    requests: int = 0
    timeouts: int = 0
    exceptions: int = 0
    round_trip_ms: float = 0.0


class Link:
    """Tells of a connection's state and traffic through the port."""

    def __init__(self, name: str, port: Port) -> None:
        self.name = name
        self.traffic = Traffic()
        self.online: bool | None = None
        self._port = port
        self._since_ns = port.clock.steady_ns()
        self._tags = [
            port.tags[f"sys/drivers/{name}/{each}"] for each in ("online", *COUNTERS, "round_trip_ms")
        ]
        self._ids = [tag.id for tag in self._tags]
        self._told: tuple[float, ...] = ()

    def up(self) -> None:
        """Tell that the device answers, if that is news."""
        if self.online:
            return
        self.online = True
        self._tell("driver.online", f"{self.name} answers")

    def down(self, reason: str) -> None:
        """Tell that the device is lost, if that is news."""
        starting = self.online is None and self._port.clock.steady_ns() - self._since_ns < GRACE_NS
        if self.online is False or starting:
            return
        self.online = False
        self._tell("driver.offline", f"{self.name} does not answer: {reason}")

    def _tell(self, kind: str, text: str) -> None:
        now_ns = self._port.clock.now_ns()
        self._port.emit(Event(kind, self.name, now_ns, text))
        self._port.health(bool(self.online), "" if self.online else text)
        self.publish()

    def publish(self) -> None:
        """Submit the `sys/` tags if anything changed."""
        seen = self.traffic
        counters = (seen.requests, seen.timeouts, seen.exceptions, max(0, seen.connections - 1))
        values = (bool(self.online), *(count & 0xFFFF_FFFF for count in counters), seen.round_trip_ms)
        if values == self._told or self.online is None:
            return
        self._told = values
        raw = [tag.data_type.encode(value) for tag, value in zip(self._tags, values, strict=True)]
        self._port.submit(Batch.of(self._ids, raw, self._port.clock.now_ns()))
