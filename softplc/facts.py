"""What the PLC tells about itself: tags under `sys/plc/` and the alarm on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from runtime.config import AlarmConfig, Declared, Text
from runtime.contract import Batch, DataType, Tag, Value
from softplc.taskfacts import tags_of, values_of

if TYPE_CHECKING:
    from softplc.core.stats import Stats

OWNER = "plc"
_FOLDER = "sys/plc"
_TAGS = (
    ("running", DataType.BOOL, "", "Every task scans", "所有任务正在扫描"),
    ("fault", DataType.BOOL, "", "A task is stopped by a fault", "有任务因故障停止"),
    (
        "died",
        DataType.BOOL,
        "",
        "The core died within the last minute and came back",
        "内核在一分钟内曾异常退出并恢复",
    ),
    (
        "retain_lost",
        DataType.BOOL,
        "",
        "Retained values are damaged or cannot be stored",
        "保持变量已损坏或无法存储",
    ),
    (
        "forces_lost",
        DataType.BOOL,
        "",
        "The book of forces was damaged, so nothing of it is forced",
        "强制记录已损坏，其中的强制均未生效",
    ),
    ("forces", DataType.UDINT, "1", "Variables that are forced", "被强制的变量数"),
    ("scans", DataType.ULINT, "1", "Scans since the start", "启动以来的扫描次数"),
    ("overruns", DataType.ULINT, "1", "Scans that were not done when the next was due", "超时的扫描次数"),
    ("skipped", DataType.ULINT, "1", "Activations dropped after an overrun", "超时后丢弃的激活次数"),
    (
        "inputs_held",
        DataType.ULINT,
        "1",
        "Input values of bad quality, not taken",
        "因质量差而保持的输入值数",
    ),
    ("scan_p50_us", DataType.REAL, "us", "Median duration of a scan", "扫描时间中位数"),
    ("scan_p99_us", DataType.REAL, "us", "99 % of scans are shorter", "扫描时间 99 百分位"),
    ("scan_max_us", DataType.REAL, "us", "Longest scan", "最长扫描时间"),
    (
        "latency_p99_us",
        DataType.REAL,
        "us",
        "99 % of scans start sooner after they are due",
        "启动延迟 99 百分位",
    ),
)


def declare(tasks: Sequence[str] = ()) -> Declared:
    """Return the PLC's own tags and alarms; `tasks` are names of those that have tags too."""
    tags = [
        Tag(
            f"{_FOLDER}/{name}",
            kind,
            unit,
            "µs" if unit == "us" else unit,
            description=en,
            description_zh=zh,
            source=OWNER,
            retention="short",
        )
        for name, kind, unit, en, zh in _TAGS
    ]
    tags += [tag for name in tasks for tag in tags_of(name, OWNER)]
    alarm = AlarmConfig(
        name="plc.fault",
        tag=f"{_FOLDER}/fault",
        kind="discrete",
        state=True,
        priority="critical",
        text=Text(en="A PLC task is stopped by a fault", zh="PLC 任务因故障停止"),
        cause=Text(
            en="The program divided by zero, left an array's bounds or ran too long; "
            "the component `plc` tells file and line",
            zh="程序除零、数组越界或运行超时；组件 plc 给出文件和行号",
        ),
        consequence=Text(en="Its outputs are at their safe values", zh="其输出处于安全值"),
        action=Text(
            en="Correct the program, then restart the component `plc`", zh="修正程序，然后重启组件 plc"
        ),
    )
    died = AlarmConfig(
        name="plc.died",
        tag=f"{_FOLDER}/died",
        kind="discrete",
        state=True,
        priority="high",
        text=Text(en="The PLC core died and was started again", zh="PLC 内核异常退出，已重新启动"),
        cause=Text(
            en="It was killed, by hand or when memory ran out; the component `plc` and the system's log tell",
            zh="进程被终止（人为或内存不足）；见组件 plc 和系统日志",
        ),
        consequence=Text(
            en="For a moment nothing was controlled; it went on from its last whole scan",
            zh="控制曾短暂中断；已从最后一个完整扫描周期继续",
        ),
        action=Text(en="See that the plant is as it should be", zh="确认现场状态正常"),
    )
    retain = AlarmConfig(
        name="plc.retain",
        tag=f"{_FOLDER}/retain_lost",
        kind="discrete",
        state=True,
        priority="high",
        text=Text(
            en="Retained values of the PLC are damaged or cannot be stored", zh="PLC 保持变量损坏或无法存储"
        ),
        cause=Text(
            en="The disk is full or failing, or a file of .ironworks/plc was changed; the log tells",
            zh="磁盘已满或故障，或 .ironworks/plc 中的文件被改动；详见日志",
        ),
        consequence=Text(
            en="The older store is used, or initial values where there is none",
            zh="使用较早的存储；若没有，则使用初始值",
        ),
        action=Text(
            en="Check setpoints and counters of the program, then the disk",
            zh="检查程序的设定值和计数，然后检查磁盘",
        ),
    )
    forces_lost = AlarmConfig(
        name="plc.forces_lost",
        tag=f"{_FOLDER}/forces_lost",
        kind="discrete",
        state=True,
        priority="high",
        text=Text(en="Forces of the PLC are lost", zh="PLC 强制已丢失"),
        cause=Text(
            en="`.ironworks/plc/forces.json` was damaged or cannot be read; the log tells, "
            "and `forces.corrupt` beside it is the damaged file",
            zh="`.ironworks/plc/forces.json` 已损坏或无法读取；详见日志，"
            "损坏的文件保存为同目录下的 forces.corrupt",
        ),
        consequence=Text(
            en="What was forced is not any more: the program and the devices move it",
            zh="原先的强制已失效，变量由程序和设备控制",
        ),
        action=Text(
            en="Make the places safe where people work, then force again what must be: "
            "`ironworks audit list` tells what was",
            zh="先确保有人作业的位置安全，再重新强制；ironworks audit list 可查原有强制",
        ),
    )
    forces = AlarmConfig(
        name="plc.forced",
        tag=f"{_FOLDER}/forces",
        kind="high",
        limit=0.5,
        priority="medium",
        text=Text(en="Variables of the PLC are forced", zh="PLC 变量被强制"),
        cause=Text(
            en="An engineer forced them: `ironworks plc forces` tells which, who, why and until when",
            zh="工程师进行了强制：ironworks plc forces 显示变量、人员、原因和截止时间",
        ),
        consequence=Text(
            en="They keep their forced value whatever the program and the devices say",
            zh="无论程序和设备给出什么，它们都保持强制值",
        ),
        action=Text(
            en="Release them when the work is done: `ironworks plc unforce`",
            zh="工作完成后解除：ironworks plc unforce",
        ),
    )
    return Declared(tags, [alarm, died, retain, forces, forces_lost])


class TagLookup(Protocol):
    """Tags with ids: a plant's list, or the table of a running one."""

    def __len__(self) -> int: ...
    def __contains__(self, path: str) -> bool: ...
    def __iter__(self) -> Iterator[Tag]: ...
    def __getitem__(self, key: int | str) -> Tag: ...


class Facts:
    """Writes the PLC's own tags."""

    def __init__(self, tags: TagLookup) -> None:
        self._all = tags
        self._tags = {name: tags[f"{_FOLDER}/{name}"] for name, *_ in _TAGS}

    def timing(self, stats: Stats, at_ns: int) -> Batch:
        """Return counters and durations."""
        of_tasks = {path: value for path, value in values_of(stats.tasks) if path in self._all}
        self._tags |= {path: self._all[path] for path in of_tasks}
        return self._batch(
            {
                **self._counters(stats),
                **of_tasks,
                "scan_p50_us": stats.execution.p50_us,
                "scan_p99_us": stats.execution.p99_us,
                "scan_max_us": stats.execution.max_us,
                "latency_p99_us": stats.latency.p99_us,
            },
            at_ns,
        )

    def counters(self, stats: Stats, at_ns: int) -> Batch:
        """Return what is the same in each virtual run: counters, no durations."""
        return self._batch(self._counters(stats), at_ns)

    def state(
        self,
        *,
        fault: bool,
        running: bool,
        at_ns: int,
        died: bool = False,
        retain: bool = False,
        forces: int = 0,
        forces_lost: bool = False,
    ) -> Batch:
        """Return whether it scans, a task has failed, the core died just now, retained values are lost.

        `forces` is how many variables are forced, `forces_lost` that the book of them could not be read.
        """
        told: dict[str, Value] = {"fault": fault, "running": running, "died": died, "retain_lost": retain}
        return self._batch({**told, "forces": forces, "forces_lost": forces_lost}, at_ns)

    @staticmethod
    def _counters(stats: Stats) -> dict[str, Value]:
        return {
            "scans": stats.scans,
            "overruns": stats.overruns,
            "skipped": stats.skipped,
            "inputs_held": stats.held_inputs,
        }

    def _batch(self, values: dict[str, Value], at_ns: int) -> Batch:
        tags = [self._tags[name] for name in values]
        raw = [tag.data_type.encode(value) for tag, value in zip(tags, values.values(), strict=True)]
        return Batch.of([tag.id for tag in tags], np.array(raw, np.uint64), at_ns)
