"""What the historian tells of itself: its tags and alarms."""

from __future__ import annotations

from dataclasses import replace

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
    _tag("used_pct", DataType.REAL, "%", "Share of its room in use", "可用空间使用比例", "short"),
    _tag(
        "free_mib",
        DataType.REAL,
        "MiBy",
        "Free on the disk of the history",
        "历史数据所在磁盘剩余空间",
        "short",
    ),
    _tag("failing", DataType.BOOL, "", "Samples cannot be written", "样本无法写入", "short"),
    _tag(
        "evicting",
        DataType.BOOL,
        "",
        "Old samples go early",
        "空间用尽，旧样本被提前删除",
        "short",
    ),
    _tag("damaged", DataType.BOOL, "", "Samples were lost to damage", "存储损坏，有样本丢失", "short"),
)
SINK_TAGS = tuple(
    replace(tag, source="history-sink")
    for tag in (
        _tag("sink_connected", DataType.BOOL, "", "The sink's database answers", "目标数据库已连接", "short"),
        _tag("sink_lag_s", DataType.REAL, "s", "How far the sink is behind", "外送数据滞后时间", "short"),
        _tag("sink_waiting", DataType.ULINT, "1", "Samples to be sent", "待外送的样本数"),
        _tag("sink_sent", DataType.ULINT, "1", "Samples sent since the start", "启动以来已外送的样本数"),
        _tag(
            "sink_lost",
            DataType.ULINT,
            "1",
            "Samples deleted before they were sent",
            "未外送即被删除的样本数",
            "short",
        ),
    )
)
SINK_ALARMS = (
    AlarmConfig(
        name="history.sink_behind",
        tag="sys/history/sink_lag_s",
        kind="high",
        limit=300,
        priority="low",
        text=Text(en="The history's sink is behind", zh="历史数据外送滞后"),
        cause=Text(
            en="The database does not answer, refuses, or is too slow", zh="数据库无应答、拒绝写入或过慢"
        ),
        consequence=Text(
            en="Samples wait in the history; what it must delete is lost to the sink",
            zh="样本留在本地历史中；本地必须删除的部分将无法外送",
        ),
        action=Text(en="See why: ironworks components list", zh="查看原因：ironworks components list"),
    ),
    AlarmConfig(
        name="history.sink_lost",
        tag="sys/history/sink_lost",
        kind="high",
        limit=0.5,
        priority="high",
        text=Text(en="Samples were deleted before the sink had them", zh="有样本在外送前已被删除"),
        cause=Text(
            en="The sink was behind for longer than samples are kept, or the disk limit was reached",
            zh="外送滞后超过保存期，或达到磁盘上限",
        ),
        action=Text(
            en="Bring the database back; raise history.disk_limit_mib or the retention",
            zh="恢复数据库；提高 history.disk_limit_mib 或延长保存期",
        ),
    ),
)
_MORE_ROOM = Text(
    en="Free space on the disk of the state folder; raise history.disk_limit_mib or shorten retention",
    zh="清理状态文件夹所在磁盘；提高 history.disk_limit_mib 或缩短保存期",
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
        text=Text(en="The history uses 80 % of its room", zh="历史数据已用可用空间的 80%"),
        cause=Text(
            en="Its disk limit is nearly reached, or its disk is nearly full (sys/history/free_mib)",
            zh="接近磁盘限额，或所在磁盘将满（sys/history/free_mib）",
        ),
        consequence=Text(
            en="At 95 % the oldest samples are deleted before their time",
            zh="达到 95% 时最旧的样本被提前删除",
        ),
        action=_MORE_ROOM,
    ),
    AlarmConfig(
        name="history.evicting",
        tag="sys/history/evicting",
        kind="discrete",
        priority="low",
        text=Text(en="The history has no more room", zh="历史数据空间用尽"),
        cause=Text(
            en="It reached its disk limit, or its disk is full (sys/history/free_mib)",
            zh="达到磁盘限额，或所在磁盘已满（sys/history/free_mib）",
        ),
        consequence=Text(en="The oldest samples are deleted before their time", zh="最旧的样本被提前删除"),
        action=_MORE_ROOM,
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
