"""Figures of each task as tags: `sys/plc/tasks/NAME/...`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from runtime.contract import DataType, Tag, Value

if TYPE_CHECKING:
    from softplc.core.stats import Spread, TaskStats

FOLDER = "sys/plc/tasks"
_IGNORED = re.compile(r"\(\*.*?\*\)|/\*.*?\*/|//[^\n]*|'(?:\$.|[^'$\n])*'|\"(?:\$.|[^\"$\n])*\"", re.DOTALL)
_TASK = re.compile(
    r"\b(?:(TASK)\s+([A-Za-z_]\w*)\s*\(|RESOURCE\s+([A-Za-z_]\w*)|(END_RESOURCE)\b)", re.IGNORECASE
)
_IN_XML = re.compile(
    r"<(?:\w+:)?(?:(task)\b[^>]*?\bname=[\"']([A-Za-z_]\w*)[\"']|resource\b[^>]*?\bname=[\"']([A-Za-z_]\w*)[\"'])"
    r"|(</(?:\w+:)?resource\s*>)",
    re.IGNORECASE,
)
_COUNTERS = (
    ("scans", "Scans", "扫描次数"),
    ("overruns", "Scans that were not done when the next was due", "超时的扫描次数"),
    ("skipped", "Activations dropped after an overrun", "超时后丢弃的激活次数"),
    ("worst_scan", "Number of the longest scan", "最长扫描的编号"),
)
_SPREADS = (
    ("execution", "Duration of a scan", "扫描时间"),
    ("latency", "From when a scan was due to its start", "启动延迟"),
)
_MARKS = (
    ("last", "newest", "最新"),
    ("min", "least", "最小"),
    ("p50", "median", "中位数"),
    ("p99", "99 % are shorter", "99 百分位"),
    ("p999", "99.9 % are shorter", "99.9 百分位"),
    ("max", "longest", "最大"),
)


def task_names(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the tasks that the texts of a program declare; `default` where they declare none.

    Where several resources have a task of one name, it begins with that of the resource. It only
    looks for their names, since nothing is compiled when a plant file is read.
    """
    found: dict[str, dict[str, str]] = {}
    for source in sources:
        is_xml = source.lstrip("\ufeff \t\r\n").startswith("<")
        within = ""
        for task, name, resource, _ in (
            _IN_XML.findall(source) if is_xml else _TASK.findall(_IGNORED.sub(" ", source))
        ):
            if task:
                full = f"{within}.{name}" if within else name
                found.setdefault(name.casefold(), {}).setdefault(within.casefold(), full)
            else:
                within = resource
    names = [
        name if len(owners) > 1 else name.rpartition(".")[2]
        for owners in found.values()
        for name in owners.values()
    ]
    return tuple(names) or ("default",)


def tags_of(name: str, owner: str) -> Iterator[Tag]:
    """Yield the tags of a task."""
    for what, en, zh in _COUNTERS:
        yield _tag(f"{name}/{what}", DataType.ULINT, "1", f"Task {name}: {en}", f"任务 {name}：{zh}", owner)
    for what, en, zh in _SPREADS:
        for mark, suffix, suffix_zh in _MARKS:
            text, text_zh = f"Task {name}: {en}, {suffix}", f"任务 {name}：{zh}，{suffix_zh}"
            yield _tag(f"{name}/{what}_{mark}_us", DataType.REAL, "us", text, text_zh, owner)


def _tag(path: str, kind: DataType, unit: str, en: str, zh: str, owner: str) -> Tag:
    return Tag(
        f"{FOLDER}/{path}", kind, unit, "µs" if unit == "us" else unit,
        description=en, description_zh=zh, source=owner, retention="short",
    )  # fmt: skip


def values_of(tasks: Iterable[TaskStats]) -> Iterator[tuple[str, Value]]:
    """Yield paths and values of all tasks."""
    for task in tasks:
        for what, *_ in _COUNTERS:
            yield f"{FOLDER}/{task.name}/{what}", getattr(task, what)
        for what, *_ in _SPREADS:
            spread: Spread = getattr(task, what)
            for mark, *_ in _MARKS:
                yield f"{FOLDER}/{task.name}/{what}_{mark}_us", getattr(spread, f"{mark}_us")
