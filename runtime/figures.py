"""The kernel's own figures as tags: updates, overflow, memory, loop lag, faulted components, journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from runtime.clock import SECOND_NS, monotonic_ns
from runtime.config.models import AlarmConfig, Text
from runtime.config.plant import Declared
from runtime.contract import Batch, DataType, Port, Tag
from runtime.supervisor import State

if TYPE_CHECKING:
    from runtime.kernel import Kernel

PERIOD_S = 1.0
_TAGS = (
    ("uptime_s", DataType.UDINT, "s", "Seconds since the kernel started", "内核运行时间"),
    ("updates", DataType.ULINT, "1", "Tag values taken in since the start", "已接收的标签更新数"),
    (
        "bus_overflow",
        DataType.ULINT,
        "1",
        "Values lost because a subscriber was too slow",
        "因订阅者过慢而丢失的值",
    ),
    ("components_faulted", DataType.UDINT, "1", "Components that are faulted now", "当前故障的组件数"),
    ("memory_mib", DataType.REAL, "MiBy", "Resident memory of the kernel", "内核驻留内存"),
    ("loop_lag_ms", DataType.REAL, "ms", "How late the event loop woke up", "事件循环延迟"),
    ("journal_failing", DataType.BOOL, "", "The journal cannot be written", "日志库无法写入"),
    ("log_failing", DataType.BOOL, "", "The log cannot be written", "运行日志无法写入"),
    (
        "journal_damaged",
        DataType.BOOL,
        "",
        "The journal was damaged; what was is set aside",
        "日志库曾损坏，损坏部分已隔离",
    ),
)


def declare() -> Declared:
    """Return the kernel's tags and the alarms on them."""
    tags = [
        Tag(
            f"sys/kernel/{name}",
            kind,
            unit,
            unit,
            description=en,
            description_zh=zh,
            source="kernel",
            retention="short",
        )
        for name, kind, unit, en, zh in _TAGS
    ]
    alarms = [
        AlarmConfig(
            name="kernel.component_faulted",
            tag="sys/kernel/components_faulted",
            kind="high",
            limit=0.5,
            on_delay="2s",
            priority="high",
            text=Text(en="A component is faulted", zh="有组件故障"),
            cause=Text(
                en="It ended with an error and is restarted with back-off", zh="组件出错退出，正在退避重启"
            ),
            action=Text(
                en="See the system screen or `ironworks components list`",
                zh="查看系统画面或运行 ironworks components list",
            ),
        ),
        AlarmConfig(
            name="kernel.values_lost",
            tag="sys/kernel/bus_overflow",
            kind="high",
            limit=0.5,
            priority="high",
            text=Text(en="Values were lost on the bus", zh="总线丢失数据"),
            cause=Text(en="A subscriber that needs every value is too slow", zh="需要每个值的订阅者处理过慢"),
            action=Text(en="Check disk and CPU load of the gateway", zh="检查网关的磁盘和处理器负载"),
        ),
        AlarmConfig(
            name="journal.failing",
            tag="sys/kernel/journal_failing",
            kind="discrete",
            priority="high",
            text=Text(en="Alarms and audit cannot be written", zh="报警和审计记录无法写入"),
            cause=Text(en="The disk is full or failing", zh="磁盘已满或故障"),
            consequence=Text(
                en="Writes of operators and acknowledgements are refused until it can be written",
                zh="恢复写入之前，操作员写入和报警确认将被拒绝",
            ),
            action=Text(en="Free space on the disk of the state folder", zh="清理状态文件夹所在磁盘"),
        ),
        AlarmConfig(
            name="kernel.log_failing",
            tag="sys/kernel/log_failing",
            kind="discrete",
            priority="low",
            text=Text(en="The log cannot be written", zh="运行日志无法写入"),
            cause=Text(en="The disk is full or failing", zh="磁盘已满或故障"),
            action=Text(en="Free space on the disk of the state folder", zh="清理状态文件夹所在磁盘"),
        ),
        AlarmConfig(
            name="journal.damaged",
            tag="sys/kernel/journal_damaged",
            kind="discrete",
            priority="high",
            text=Text(en="The journal was damaged; what was is set aside", zh="日志库曾损坏，损坏部分已隔离"),
            cause=Text(en="The disk or another program changed the file", zh="磁盘或其他程序改动了文件"),
            consequence=Text(
                en="Of what is set aside values are the initial ones; alarms and users are missing",
                zh="被隔离的内容不再生效：设定值恢复为初始值，报警和用户缺失",
            ),
            action=Text(
                en="Check what the log names, the operator values and the disk; nothing is deleted",
                zh="日志列出了具体内容：请核对这些内容、操作员设定值和磁盘；未删除任何数据",
            ),
        ),
    ]
    return Declared(tags, alarms)


class Figures:
    """Submits the kernel's figures each second, and settles components that have started."""

    name = "kernel"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def run(self, port: Port) -> None:
        process = psutil.Process()
        ids = [port.tags[f"sys/kernel/{name}"].id for name, *_ in _TAGS]
        types = [kind for _, kind, *_ in _TAGS]
        kernel = self._kernel
        port.health(True)
        while True:
            before = monotonic_ns()
            await port.clock.sleep(PERIOD_S)
            lag_ms = max(0.0, (monotonic_ns() - before) / 1e6 - PERIOD_S * 1e3)
            kernel.supervisor.settle()
            now_ns = port.clock.now_ns()
            values = (
                (port.clock.steady_ns() - kernel.started_steady_ns) // SECOND_NS,
                kernel.table.updates,
                kernel.bus.overflow,
                kernel.supervisor.count(State.FAULTED),
                process.memory_info().rss / 2**20,
                lag_ms,
                kernel.journal.failing,
                kernel.log is not None and kernel.log.failing,
                bool(kernel.journal.problems),
            )
            raws = [kind.encode(value) for kind, value in zip(types, values, strict=True)]
            port.submit(Batch.of(ids, raws, now_ns))
