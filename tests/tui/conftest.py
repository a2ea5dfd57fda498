"""A plant in memory that fulfils `tui.client.Client`: a small bottling line that can be cut off."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
from textual.pilot import Pilot, WaitForScreenTimeout

from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Quality, Value
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.logins import OVER, Signing
from runtime.wire import (
    AlarmChange,
    AlarmNote,
    AlarmView,
    BusHealth,
    ComponentChange,
    ComponentView,
    GateView,
    Health,
    HistoryHealth,
    Info,
    JournalEntry,
    Message,
    RequestView,
    TagView,
    Text,
    TrendSeries,
    User,
    Values,
    Written,
)

ROOT = "nb/bottling/line1"

# path, type, unit, low, high, English, Chinese, access, value
LINE = [
    ("tank/level_pct", "REAL", "%", 0, 100, "Syrup level", "糖浆液位", "r", 63.4),
    ("tank/temperature_c", "REAL", "°C", 0, 100, "Syrup temperature", "糖浆温度", "r", 22.81),
    ("tank/inflow_lpm", "REAL", "L/min", 0, 60, "Inflow", "进料流量", "r", 18.02),
    ("filler/state", "INT", "", None, None, "State", "状态", "r", 2),
    ("filler/rate_bpm", "REAL", "bpm", 0, 60, "Rate", "速度", "r", 42.0),
    ("filler/volume_ml", "REAL", "mL", 0, 600, "Volume", "灌装量", "r", 500.4),
    ("conv1/state", "INT", "", None, None, "State", "状态", "r", 2),
    ("conv1/speed_pct", "REAL", "%", 0, 100, "Speed", "速度", "r", 70.0),
    ("buffer1/bottle_count", "UDINT", "", 0, 40, "Bottles", "瓶数", "r", 13),
    ("capper/state", "INT", "", None, None, "State", "状态", "r", 5),
    ("capper/torque_nm", "REAL", "N·m", 0, 5, "Torque", "扭矩", "r", 1.93),
    ("capper/current_a", "REAL", "A", 0, 10, "Current", "电流", "r", 3.41),
    ("capper/cycle_s", "REAL", "s", 0, 5, "Cycle time", "节拍", "r", 1.21),
    ("capper/vibration_mm_s", "REAL", "mm/s", 0, 20, "Vibration", "振动", "r", None),
    ("capper/fault", "BOOL", "", None, None, "Fault", "故障", "r", True),
    ("conv2/state", "INT", "", None, None, "State", "状态", "r", 3),
    ("conv2/speed_pct", "REAL", "%", 0, 100, "Speed", "速度", "r", 70.0),
    ("labeller/state", "INT", "", None, None, "State", "状态", "r", 2),
    ("labeller/rate_bpm", "REAL", "bpm", 0, 60, "Rate", "速度", "r", 41.5),
    ("conv3/state", "INT", "", None, None, "State", "状态", "r", 4),
    ("conv3/speed_pct", "REAL", "%", 0, 100, "Speed", "速度", "r", 69.0),
    ("line/bottles_total", "UDINT", "bottles", 0, 1e9, "Bottles", "总瓶数", "r", 12873),
    ("line/rate_bpm", "REAL", "bpm", 0, 60, "Line rate", "产线速度", "r", 41.2),
    ("line/oee_pct", "REAL", "%", 0, 100, "OEE", "综合效率", "r", 83.1),
    ("line/run_cmd", "BOOL", "", None, None, "Run command", "运行命令", "rw", True),
    ("line/speed_sp_bpm", "REAL", "bpm", 0, 60, "Speed setpoint", "速度设定", "rw", 42.0),
]
SYS = [
    ("sys/plc/scan_p50_us", "LREAL", "µs", None, None, "Scan time, median", "扫描时间中位数", "r", 41.3),
    ("sys/plc/scan_p99_us", "LREAL", "µs", None, None, "Scan time, p99", "扫描时间 p99", "r", 118.2),
    ("sys/plc/overruns", "ULINT", "", None, None, "Overruns", "超时次数", "r", 0),
    ("sys/remote_io/rtt_ms", "LREAL", "ms", None, None, "Round trip", "往返时间", "r", 0.9),
]


def tag_view(id_: int, row: tuple, now_ns: int, root: str = ROOT) -> TagView:
    path, type_, unit, low, high, en, zh, access, value = row
    return TagView(
        id=id_, path=path if path.startswith("sys/") else f"{root}/{path}", type=type_, unit=unit,
        unit_text=unit, low=low, high=high, description=en, description_zh=zh, access=access,
        source="operator" if access == "rw" else "plc" if path.startswith("sys/plc") else "remote_io",
        device="remote_io", address="", variable="", role="operator", interlock=None, value=value,
        quality=Quality.GOOD if value is not None else Quality.BAD_SENSOR_FAILURE,
        quality_text="", source_ns=now_ns,
    )  # fmt: skip


def alarm_view(name: str, tag: str, priority: str, en: str, zh: str, raised_ns: int, **more) -> AlarmView:
    alarm = AlarmView(
        name=name, tag=f"{ROOT}/{tag}", kind="high", limit=4.0, priority=priority, state="unacknowledged",
        active=True, acknowledged=False, text=Text(en, zh), cause=Text("Clutch worn", "离合器磨损"),
        consequence=Text("Caps come loose; bottles are rejected", "瓶盖松动，产品被剔除"),
        action=Text("Stop the capper and replace the clutch", "停止旋盖机并更换离合器"),
        raised_ns=raised_ns, cleared_ns=None, acknowledged_ns=None, acknowledged_by=None, comment=None,
        value=4.21, count=1,
    )  # fmt: skip
    return msgspec.structs.replace(alarm, **more)


def _parts(signature: Signing | None) -> tuple[tuple[str, str, str], ...]:
    return ((signature.name, signature.secret, signature.meaning),) if signature else ()


@dataclass
class FakePlant:
    """Everything that a console can ask of; `calls` remembers what it did ask."""

    tag_list: list[TagView]
    alarm_list: dict[str, AlarmView] = field(default_factory=dict)
    component_list: dict[str, ComponentView] = field(default_factory=dict)
    calls: list[tuple] = field(default_factory=list)
    refusal: WriteRejectedError | None = None
    up: bool = True
    out: bool = False
    asked: int = 0
    gate_view: GateView = field(default_factory=lambda: GateView("auto", "", "", 0, (), ()))
    _streams: list[tuple[asyncio.Queue[Message | None], tuple[str, ...]]] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self):
        yield self

    def cut(self) -> None:
        """Break every connection and answer nothing more."""
        self.up = False
        for queue, _ in self._streams:
            queue.put_nowait(None)

    def end_session(self) -> None:
        """Let nobody in until somebody signs in."""
        self.out = True
        for queue, _ in self._streams:
            queue.put_nowait(None)

    def _answer(self) -> None:
        if self.out:
            raise PlantError(OVER, "log in again: ironworks login")
        if not self.up:
            raise ConnectError("the plant at /run/x.sock cannot be reached: refused", "is it running?")

    def push(self, path: str, value: Value | None, quality: int = Quality.GOOD) -> None:
        """Give a tag another value and stream it."""
        index = next(i for i, tag in enumerate(self.tag_list) if tag.path in (path, f"{ROOT}/{path}"))
        now_ns = WallClock().now_ns()
        tag = msgspec.structs.replace(
            self.tag_list[index], value=value, quality=int(quality), source_ns=now_ns
        )
        self.tag_list[index] = tag
        for queue, tags in self._streams:
            if tag.path in tags:
                queue.put_nowait(Values(((tag.id, value, int(quality), now_ns),)))

    def _tell(self, message: Message) -> None:
        for queue, tags in self._streams:
            if not tags:
                queue.put_nowait(message)

    async def info(self) -> Info:
        self._answer()
        now_ns = WallClock().now_ns()
        title = Text("Bottling line 1", "灌装线一号")
        user = User("wang", "operator", "socket")
        return Info("bottling", title, ROOT, "0.1.0", now_ns, now_ns - 7_543 * SECOND_NS, user)

    async def tags(self, *match: str) -> list[TagView]:
        self._answer()
        return [t for t in self.tag_list if not match or any(fnmatch.fnmatch(t.path, m) for m in match)]

    async def write(
        self, path: str, value: Value, reason: str = "", *, signature: Signing | None = None
    ) -> Written:
        self._answer()
        self._told("write", path, value, reason, *_parts(signature))
        old = next(tag.value for tag in self.tag_list if tag.path == path)
        self.push(path, value)
        return Written(value, old)

    def two_person(self, path: str, *meanings: str) -> None:
        """Make writes of a tag take two persons, and signatures where these have meanings."""
        for index, tag in enumerate(self.tag_list):
            if tag.path == f"{ROOT}/{path}":
                self.tag_list[index] = msgspec.structs.replace(tag, two_person=True, signature=meanings)

    def ask(self, path: str, value: Value, actor: str, reason: str = "", **more) -> RequestView:
        """Have somebody ask for a write."""
        now_ns = WallClock().now_ns()
        waiting = self.gate_view.requests
        fields = {"for_ns": 0, "at_ns": now_ns, "until_ns": now_ns + 600 * SECOND_NS} | more
        self.asked += 1
        made = RequestView(self.asked, f"{ROOT}/{path}", value, actor, "operator", reason, **fields)
        self.gate_view = msgspec.structs.replace(self.gate_view, requests=(*waiting, made))
        return made

    def end(self, *numbers: int) -> None:
        """Let requests wait no more."""
        left = tuple(each for each in self.gate_view.requests if each.id not in numbers)
        self.gate_view = msgspec.structs.replace(self.gate_view, requests=left)

    async def gate(self) -> GateView:
        self._answer()
        return self.gate_view

    def _told(self, *call: object) -> None:
        self._answer()
        self.calls.append(call)
        if self.refusal:
            raise self.refusal

    async def set_mode(self, mode: str, reason: str) -> GateView:
        self._told("mode", mode, reason)
        self.gate_view = msgspec.structs.replace(self.gate_view, mode=mode, actor="wang", reason=reason)
        return self.gate_view

    async def set_read_only(self, on: bool, reason: str) -> GateView:
        return await self.set_mode("read_only" if on else "auto", reason)

    async def request_write(
        self, path: str, value: Value, reason: str = "", *, signature: Signing | None = None
    ) -> RequestView:
        self._told("request", path, value, reason, *_parts(signature))
        return self.ask(path.removeprefix(f"{ROOT}/"), value, "wang", reason)

    async def approve(self, id_: int, reason: str = "", signature: Signing | None = None) -> Written:
        self._told("approve", id_, reason, *_parts(signature))
        found = next(each for each in self.gate_view.requests if each.id == id_)
        old = next(tag.value for tag in self.tag_list if tag.path == found.path)
        self.end(id_)
        self.push(found.path, found.value)
        return Written(found.value, old)

    async def reject(self, id_: int, reason: str = "") -> GateView:
        self._told("reject", id_, reason)
        self.end(id_)
        return self.gate_view

    async def trend(
        self, paths: Sequence[str], start_ns: int, end_ns: int, buckets: int
    ) -> tuple[TrendSeries, ...]:
        self._answer()
        self.calls.append(("trend", tuple(paths), end_ns - start_ns, buckets))
        out = []
        for number, path in enumerate(paths):
            tag = next(tag for tag in self.tag_list if tag.path == path)
            span = (tag.high or 1.0) - (tag.low or 0.0)
            points = []
            for i in range(buckets):
                at = start_ns + (end_ns - start_ns) * i // buckets
                if buckets * 0.4 < i < buckets * 0.5 and number == 1:
                    points.append((at, None, None, None))
                    continue
                wave = ((i * (number + 3)) % 97) / 97 * 0.15 + 0.2 * number + (i / buckets) * 0.1
                points.append((at, span * wave, span * (wave + 0.02), span * (wave + 0.04)))
            out.append(TrendSeries(path, tag.unit_text, tuple(points)))
        return tuple(out)

    async def alarms(self) -> tuple[AlarmView, ...]:
        self._answer()
        return tuple(self.alarm_list.values())

    async def acknowledge(self, name: str, comment: str = "") -> AlarmView:
        self._answer()
        self.calls.append(("acknowledge", name, comment))
        if self.refusal:
            raise self.refusal
        alarm = msgspec.structs.replace(
            self.alarm_list[name], state="acknowledged", acknowledged=True, acknowledged_by="wang",
            acknowledged_ns=WallClock().now_ns(), comment=comment,
        )  # fmt: skip
        self.alarm_list[name] = alarm
        self._tell(AlarmChange(alarm))
        return alarm

    def _hide(self, name: str, call: tuple, **changes) -> AlarmView:
        self._answer()
        self.calls.append(call)
        if self.refusal:
            raise self.refusal
        alarm = msgspec.structs.replace(self.alarm_list[name], **changes)
        hidden = bool(alarm.shelved or alarm.out_of_service)
        self.alarm_list[name] = alarm = msgspec.structs.replace(alarm, hidden=hidden)
        self._tell(AlarmChange(alarm))
        return alarm

    async def confirm(self, name: str, comment: str = "") -> AlarmView:
        return self._hide(name, ("confirm", name, comment), confirmed=True, confirmed_by="wang")

    async def shelve(self, name: str, for_ns: int, reason: str) -> AlarmView:
        note = AlarmNote(1, "wang", reason, 1 + for_ns)
        return self._hide(name, ("shelve", name, for_ns, reason), shelved=note)

    async def unshelve(self, name: str, reason: str = "") -> AlarmView:
        return self._hide(name, ("unshelve", name, reason), shelved=None)

    async def out_of_service(self, name: str, reason: str) -> AlarmView:
        return self._hide(name, ("out-of-service", name, reason), out_of_service=AlarmNote(1, "wang", reason))

    async def in_service(self, name: str, reason: str = "") -> AlarmView:
        return self._hide(name, ("in-service", name, reason), out_of_service=None)

    async def reset_alarm(self, name: str, reason: str = "") -> AlarmView:
        return self._hide(name, ("reset", name, reason), latched=False, state="normal")

    def raise_alarm(self, alarm: AlarmView) -> None:
        self.alarm_list[alarm.name] = alarm
        self._tell(AlarmChange(alarm))

    async def alarm_journal(self, limit: int = 100) -> tuple[JournalEntry, ...]:
        self._answer()
        now_ns = WallClock().now_ns()
        return tuple(
            JournalEntry(
                30 - i,
                now_ns - i * 61 * SECOND_NS,
                "capper.torque_high",
                ("raised", "acknowledged", "cleared")[i % 3],
                ("unacknowledged", "acknowledged", "normal")[i % 3],
                "wang",
                "",
                4.2,
                type="LREAL",
                unit_text="Nm",
            )
            for i in range(30)
        )

    async def components(self) -> tuple[ComponentView, ...]:
        self._answer()
        return tuple(self.component_list.values())

    async def restart(self, name: str) -> ComponentView:
        self._answer()
        self.calls.append(("restart", name))
        component = msgspec.structs.replace(self.component_list[name], state="starting", restarts=3)
        self.component_list[name] = component
        self._tell(ComponentChange(component))
        return component

    async def health(self) -> Health:
        self._answer()
        history = HistoryHealth(samples=184_220, committed=184_102, dropped=0, lag_ms=412.0)
        return Health(True, {"running": 4}, history, BusHealth(updates=2_204_112, overflow=0))

    async def stream(
        self,
        tags: Sequence[str] = (),
        alarms: bool = False,
        components: bool = False,
        interval_ms: int = 200,
    ) -> AsyncGenerator[Message, None]:
        self._answer()
        if len(tags) > 32:
            raise PlantError(f"{len(tags)} patterns are too many", "send up to 32")
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        entry = (queue, tuple(tags))
        self._streams.append(entry)
        self.calls.append(("stream", len(tags)))
        try:
            if tags:
                rows = [(t.id, t.value, t.quality, t.source_ns) for t in self.tag_list if t.path in set(tags)]
                yield Values(tuple(rows))
            while True:
                message = await queue.get()
                if message is None:
                    raise ConnectError("the plant closed the stream", "")
                yield message
        finally:
            self._streams.remove(entry)


@pytest.fixture
def plant() -> FakePlant:
    now_ns = WallClock().now_ns()
    tags = [tag_view(i, row, now_ns) for i, row in enumerate(LINE + SYS)]
    alarms = [
        alarm_view(
            "capper.torque_high", "capper/torque_nm", "critical", "Capper torque high", "旋盖扭矩过高",
            now_ns - 95 * SECOND_NS,
        ),
        alarm_view(
            "tank.level_low", "tank/level_pct", "high", "Syrup tank level low", "糖浆罐液位低",
            now_ns - 400 * SECOND_NS, kind="low", limit=20.0, value=19.2, state="acknowledged",
            acknowledged=True, acknowledged_by="li", acknowledged_ns=now_ns - 300 * SECOND_NS,
            comment="refill on its way",
        ),
        alarm_view(
            "capper.vibration_bad", "capper/vibration_mm_s", "medium", "Vibration sensor fault",
            "振动传感器故障", now_ns - 60 * SECOND_NS, kind="bad_quality", limit=None, value=None,
            state="returned", active=False,
        ),
    ]  # fmt: skip
    since = now_ns - 7_000 * SECOND_NS
    components = [
        ComponentView("plc", "plc", "running", since, 0, ""),
        ComponentView("remote_io", "modbus.client", "degraded", since, 2, "2 of 6 blocks time out"),
        ComponentView("opc", "opcua.server", "running", since, 0, ""),
        ComponentView("rack", "twin", "running", since, 0, ""),
        ComponentView("fault_warning", "app", "faulted", now_ns - 30 * SECOND_NS, 5, "model.onnx: not found"),
    ]
    return FakePlant(tags, {each.name: each for each in alarms}, {each.name: each for each in components})


@pytest.fixture(autouse=True)
def patient_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `pilot.press` end when the keys had their effect: an idle CPU may be one that others have."""
    press, wait = Pilot.press, Pilot._wait_for_screen

    async def pressed(pilot: Pilot, *keys: str) -> None:
        await press(pilot, *keys)
        async with asyncio.timeout(60):
            while pilot.app._key_on_its_way and pilot.app.is_running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def waited(pilot: Pilot) -> bool:
        try:
            return await wait(pilot, timeout=5.0)
        except WaitForScreenTimeout:  # a widget that went meanwhile never answers
            return False

    monkeypatch.setattr(Pilot, "press", pressed)
    monkeypatch.setattr(Pilot, "_wait_for_screen", waited)


@pytest.fixture
def make_tag() -> Callable[..., TagView]:
    return tag_view


@pytest.fixture
def make_alarm() -> Callable[..., AlarmView]:
    return alarm_view


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait until something is so; fail after a minute."""

    async def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        clock = WallClock()
        end_ns = clock.now_ns() + round(seconds * SECOND_NS)
        while not condition():
            assert clock.now_ns() < end_ns, "it did not come about in time"
            await clock.sleep(0.02)

    return wait
