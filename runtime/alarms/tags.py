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
TAGS = tuple(
    Tag(
        f"sys/alarms/{name}",
        DataType.UDINT,
        description=en,
        description_zh=zh,
        source="alarms",
        retention="short",
    )
    for name, en, zh in _COUNTS
)
