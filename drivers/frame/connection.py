"""The state of a link: told once per change as event, health and `sys/` tags."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

from runtime.config import AlarmConfig, Declared, Text
from runtime.contract import Batch, DataType, Event, Port, Tag, Value

GRACE_NS = 5_000_000_000  # a device may take that long to answer at first, before it is called lost
ROUNDS = 1000
CODES = 16  # exceptions that are told apart; the rest are told together
_FACTS: dict[str, tuple[DataType, str, str, str]] = {
    "online": (DataType.BOOL, "", "it answers", "通信正常"),
    "state": (DataType.STRING, "", "connecting, online, degraded, demoted or off", "连接状态"),
    "requests": (DataType.UDINT, "", "requests sent", "已发送请求数"),
    "timeouts": (DataType.UDINT, "", "requests without an answer", "超时请求数"),
    "exceptions": (DataType.UDINT, "", "requests that the device refused", "设备拒绝的请求数"),
    "exception_codes": (DataType.STRING, "", "those by code, the most frequent first", "按代码统计的拒绝数"),
    "reconnects": (DataType.UDINT, "", "connections made after the first", "重新连接次数"),
    "overruns": (DataType.UDINT, "", "scans not done when the next was due", "扫描超时次数"),
    "items": (DataType.UDINT, "", "tags that are read", "读取的变量数"),
    "refused": (DataType.UDINT, "", "tags whose address the device refuses", "设备拒绝其地址的变量数"),
    "scan_requests": (DataType.UDINT, "", "requests that read them all once", "一次全部读取的请求数"),
    "round_trip_ms": (DataType.REAL, "ms", "time from the last request to its answer", "最近请求往返时间"),
    "round_trip_p50_ms": (DataType.REAL, "ms", "half of the answers came within", "应答时间中位数"),
    "round_trip_p99_ms": (DataType.REAL, "ms", "99 of 100 answers came within", "应答时间 99 百分位"),
    "bytes_sent": (DataType.ULINT, "By", "bytes sent", "已发送字节数"),
    "bytes_received": (DataType.ULINT, "By", "bytes received", "已接收字节数"),
}


class Backoff:
    """Growing delays between attempts: `first_s`, doubled up to `last_s`.

    `jitter` is the part of each delay that is left to chance, so that many do not come back at once.
    """

    def __init__(self, first_s: float = 0.1, last_s: float = 5.0, jitter: float = 0.0) -> None:
        self._first_s, self._last_s, self._jitter = first_s, last_s, jitter
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the delay before the next attempt."""
        delay = self._next_s
        self._next_s = min(delay * 2, self._last_s)
        return delay * (1 - self._jitter * random())

    def reset(self) -> None:
        self._next_s = self._first_s


def declare_link(name: str, key: str = "host") -> Declared:
    """Return the tags that tell of a link, and the alarm for its loss; `key` names the device."""
    base = f"sys/drivers/{name}"
    tags = [
        Tag(
            path=f"{base}/{fact}",
            data_type=data_type,
            unit=unit,
            unit_text="B" if unit == "By" else unit,
            description=f"{name}: {text}",
            description_zh=f"{name}：{text_zh}",
            source=name,
            retention="standard" if fact == "online" else "short",
        )
        for fact, (data_type, unit, text, text_zh) in _FACTS.items()
    ]
    alarm = AlarmConfig(
        name=f"{name}.offline",
        tag=f"{base}/online",
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
            en=f"Check power, cable and `{key}:` in the plant file", zh=f"检查电源、网线和配置中的 {key}"
        ),
    )
    return Declared(tags, (alarm,))


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of one connection: address and port, ours first; `secret` where TLS is in between."""

    own: tuple[str, int]
    peer: tuple[str, int]
    secret: bool = False


NOWHERE = Ends(("0.0.0.0", 0), ("0.0.0.0", 0))  # noqa: S104  a name, nothing listens there


def ends_of(transport: asyncio.BaseTransport) -> Ends:
    """Return the two ends of a connection; `NOWHERE` for what has none, such as a serial line."""
    own, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    return _between(own, peer, secret=transport.get_extra_info("sslcontext") is not None)


def ends_of_socket(sock: object) -> Ends:
    """Return the two ends of a socket; `NOWHERE` where it is not connected any more."""
    if not isinstance(sock, socket.socket):
        return NOWHERE
    try:
        return _between(sock.getsockname(), sock.getpeername(), secret=isinstance(sock, ssl.SSLSocket))
    except OSError:
        return NOWHERE


def _between(own: object, peer: object, *, secret: bool) -> Ends:
    if not isinstance(own, tuple) or not isinstance(peer, tuple):
        return NOWHERE
    return Ends((own[0], own[1]), (peer[0], peer[1]), secret)


Tap = Callable[[Ends, bool, bytes], None]  # of which connection, sent by us, what


@dataclass(slots=True)
class Traffic:
    """What went over a link since the component started.

    Attributes:
        overruns: scans that were not done when the next was due.
        round_trip_ms: the last one; `rounds_ms` the last thousand.
        codes: exceptions by code.
        tap: who is told of all bytes, while somebody records them.
    """

    connections: int = 0
    requests: int = 0
    timeouts: int = 0
    exceptions: int = 0
    overruns: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    round_trip_ms: float = 0.0
    rounds_ms: deque[float] = field(default_factory=lambda: deque(maxlen=ROUNDS))
    codes: dict[str, int] = field(default_factory=dict)
    tap: Tap | None = None

    def took(self, ms: float) -> None:
        """Note how long an answer took."""
        self.round_trip_ms = ms
        self.rounds_ms.append(ms)

    def refused(self, code: str) -> None:
        """Count a request that the device refused."""
        self.exceptions += 1
        known = code if code in self.codes or len(self.codes) < CODES else "other"
        self.codes[known] = self.codes.get(known, 0) + 1

    def sent(self, ends: Ends, data: bytes) -> None:
        """Count bytes that go out, and show them to who records."""
        self.bytes_sent += len(data)
        if self.tap is not None:
            self.tap(ends, True, data)

    def received(self, ends: Ends, data: bytes) -> None:
        """Count bytes that came in, and show them to who records."""
        self.bytes_received += len(data)
        if self.tap is not None:
            self.tap(ends, False, data)


class Link:
    """Tells of a connection's state and traffic through the port.

    Attributes:
        online: whether the device answers; None until that is known.
        state: connecting, online, degraded, demoted or off.
        items, refused, scan_requests: as their tags.
    """

    def __init__(self, name: str, port: Port) -> None:
        self.name = name
        self.traffic = Traffic()
        self.online: bool | None = None
        self.state = "connecting"
        self.items = self.refused = self.scan_requests = 0
        self._port = port
        self._since_ns = port.clock.steady_ns()
        self._tags = [port.tags[f"sys/drivers/{name}/{fact}"] for fact in _FACTS]
        self._told: list[Value | None] = [None] * len(self._tags)
        self._stands = False
        self._reason = ""
        self._troubles: dict[str, str] = {}
        self._judged = (-1, 0.0, 0.0)

    def up(self) -> None:
        """Tell that the device answers, if that is news."""
        if self._stands:
            return
        self._stands = True
        self._reason = ""
        if not self.online:
            self.online = True
            self._emit("driver.online", f"{self.name} answers")
        self._assess()

    def leave(self) -> None:
        """Tell that the connection is given up for a better one: the device is not lost."""
        self._stands = False
        self.state = "connecting"
        self._troubles.clear()
        self.publish()

    def trouble(self, of: str, text: str) -> None:
        """Tell what is not as it should be while the device answers; no text tells that it is over."""
        if self._troubles.get(of, "") == text:
            return
        self._troubles[of] = text
        if self._stands:
            self._assess()

    def _assess(self) -> None:
        said = "; ".join(each for each in self._troubles.values() if each)
        self.state = "degraded" if said else "online"
        self._port.health(not said, said)
        self.publish()

    def down(self, reason: str, state: str = "connecting") -> None:
        """Tell that the device is lost, if that is news; one that denies us (off) has no time to start."""
        self._stands = False
        self.state = state
        self._troubles.clear()
        text = f"{self.name} does not answer: {reason}"
        is_new, self._reason = reason != self._reason, reason
        age_ns = self._port.clock.steady_ns() - self._since_ns
        starting = state != "off" and self.online is None and age_ns < GRACE_NS
        if self.online is not False and not starting:
            self.online = False
            self._emit("driver.offline", text)
            self._port.health(False, text)
        elif is_new and self.online is False:
            self._port.health(False, text)
        if is_new and state == "off":
            self._emit("driver.denied", reason)
        self.publish()

    def _emit(self, kind: str, text: str) -> None:
        self._port.emit(Event(kind, self.name, self._port.clock.now_ns(), text))

    def publish(self) -> None:
        """Submit those of the `sys/` tags that changed."""
        seen = self.traffic
        values = (
            self.online,
            self.state,
            _count(seen.requests),
            _count(seen.timeouts),
            _count(seen.exceptions),
            in_words(seen.codes),
            _count(max(0, seen.connections - 1)),
            _count(seen.overruns),
            self.items,
            self.refused,
            self.scan_requests,
            round(seen.round_trip_ms, 2),
            *self._percentiles(),
            seen.bytes_sent,
            seen.bytes_received,
        )
        ids: list[int] = []
        raw: list[int] = []
        text: dict[int, str] = {}
        for row, (tag, value) in enumerate(zip(self._tags, values, strict=True)):
            if value is None or value == self._told[row]:
                continue
            if isinstance(value, str):
                text[len(ids)] = value
            ids.append(tag.id)
            raw.append(tag.data_type.encode(value))
            self._told[row] = value
        if ids:
            self._port.submit(Batch.of(ids, raw, self._port.clock.now_ns(), text=text))

    def _percentiles(self) -> tuple[float, float]:
        """Return median and 99th percentile of the last round trips; sorted only after new ones."""
        if self._judged[0] != self.traffic.requests and self.traffic.rounds_ms:
            ordered = sorted(self.traffic.rounds_ms)
            p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
            self._judged = self.traffic.requests, round(ordered[len(ordered) // 2], 2), round(p99, 2)
        return self._judged[1:]


def _count(number: int) -> int:
    return number & 0xFFFF_FFFF


def in_words(codes: dict[str, int]) -> str:
    """Return counts by code, the greatest first."""
    return ", ".join(f"{code}: {count}" for code, count in sorted(codes.items(), key=lambda each: -each[1]))
