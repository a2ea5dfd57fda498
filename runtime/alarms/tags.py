"""Figures of the alarms as tags under `sys/alarms/`."""

from __future__ import annotations

from runtime.contract import DataType, Tag

_COUNTS = (
    ("active", "Alarms whose condition holds", "当前激活的报警数"),
    ("unacknowledged", "Alarms that wait for an acknowledgement", "未确认的报警数"),
    ("shelved", "Alarms that are shelved", "已搁置的报警数"),
    ("suppressed", "Alarms that are suppressed by design", "按设计抑制的报警数"),
    ("out_of_service", "Alarms that are out of service", "停用的报警数"),
)
_LOAD = (
    (
        "rate_10min",
        DataType.UDINT,
        "Alarms announced in the last 10 minutes, to the busiest operator",
        "最忙操作员近十分钟的报警数",
    ),
    ("flood", DataType.BOOL, "More alarms come than an operator can handle", "报警泛滥"),
    ("flood_first", DataType.STRING, "The alarm that began the flood", "泛滥的首个报警"),
    ("chattering", DataType.UDINT, "Alarms that come again and again", "抖动报警数"),
    ("stale", DataType.UDINT, "Alarms that have stood for more than a day", "长期未消除的报警数"),
)
TAGS = tuple(
    Tag(
        f"sys/alarms/{name}",
        type_,
        description=en,
        description_zh=zh,
        source="alarms",
        retention="short",
    )
    for name, type_, en, zh in (*((name, DataType.UDINT, en, zh) for name, en, zh in _COUNTS), *_LOAD)
)
