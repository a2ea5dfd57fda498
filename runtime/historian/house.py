"""What the historian tells of itself: its tags and alarms."""

from __future__ import annotations

from runtime.config import AlarmConfig, Text
from runtime.contract import DataType, Tag


def _tag(name: str, kind: DataType, unit: str, en: str, zh: str, retention: str = "none") -> Tag:
    return Tag(
        f"sys/history/{name}", kind, unit, unit, description=en, description_zh=zh,
        source="historian", retention=retention,
    )  # fmt: skip


TAGS = (
    _tag("stored", DataType.ULINT, "1", "Samples committed since the start", "启动以来已存储的样本数"),
    _tag("dropped", DataType.ULINT, "1", "Samples lost since the start", "启动以来丢失的样本数", "short"),
    _tag("lag_ms", DataType.REAL, "ms", "Age of the oldest sample not on disk", "最早未写入样本的等待时间"),
    _tag("used_mib", DataType.REAL, "MiBy", "Disk used by the history", "历史数据占用磁盘", "short"),
    _tag("used_pct", DataType.REAL, "%", "Share of the disk limit in use", "磁盘限额使用比例", "short"),
    _tag("failing", DataType.BOOL, "", "Samples cannot be written", "样本无法写入", "short"),
    _tag(
        "evicting",
        DataType.BOOL,
        "",
        "Old samples go early",
        "达到磁盘上限，旧样本被删除",
        "short",
    ),
    _tag("damaged", DataType.BOOL, "", "Samples were lost to damage", "存储损坏，有样本丢失", "short"),
)
ALARMS = (
    AlarmConfig(
        name="history.failing",
        tag="sys/history/failing",
        kind="discrete",
        priority="high",
        text=Text(en="History cannot be written", zh="历史数据无法写入"),
        cause=Text(en="The disk is full or failing", zh="磁盘已满或故障"),
        consequence=Text(en="Samples wait in memory, then they are lost", zh="样本先留在内存，随后会丢失"),
        action=Text(en="Free space on the disk of the state folder", zh="清理状态文件夹所在磁盘"),
    ),
    AlarmConfig(
        name="history.disk",
        tag="sys/history/used_pct",
        kind="high",
        limit=80,
        deadband=2,
        priority="low",
        text=Text(en="The history uses 80 % of its disk", zh="历史数据已用磁盘限额的 80%"),
        consequence=Text(
            en="At 95 % the oldest samples are deleted before their time",
            zh="达到 95% 时最旧的样本被提前删除",
        ),
        action=Text(
            en="Raise history.disk_limit_mib or shorten retention",
            zh="提高 history.disk_limit_mib 或缩短保存期",
        ),
    ),
    AlarmConfig(
        name="history.evicting",
        tag="sys/history/evicting",
        kind="discrete",
        priority="low",
        text=Text(en="The history reached its disk limit", zh="历史数据达到磁盘上限"),
        consequence=Text(en="The oldest samples are deleted before their time", zh="最旧的样本被提前删除"),
        action=Text(
            en="Raise history.disk_limit_mib or shorten retention",
            zh="提高 history.disk_limit_mib 或缩短保存期",
        ),
    ),
    AlarmConfig(
        name="history.damaged",
        tag="sys/history/damaged",
        kind="discrete",
        priority="high",
        text=Text(en="The history was damaged; samples are lost", zh="历史存储损坏，有样本丢失"),
        cause=Text(en="The disk or another program changed the file", zh="磁盘或其他程序改动了文件"),
        action=Text(
            en="Check the disk; see the event for which samples, and where the damaged file is kept",
            zh="检查磁盘；事件说明丢失了哪些样本，以及损坏文件的位置",
        ),
    ),
)
