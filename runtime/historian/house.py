"""Keeping house in the store: its tags and alarms, retention by class, the limit on disk."""

from __future__ import annotations

from runtime.config import AlarmConfig, HistoryConfig, Text
from runtime.contract import DataType, Tag
from runtime.historian.store import Store

_MIB = 1 << 20
FULL = 0.95  # of the disk limit: from here on the oldest samples go
ROOMY = 0.90  # of the disk limit: down to here


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
    _tag("failing", DataType.BOOL, "", "Samples cannot be written", "样本无法写入", "short"),
    _tag(
        "evicting",
        DataType.BOOL,
        "",
        "Old samples go early",
        "达到磁盘上限，旧样本被删除",
        "short",
    ),
    _tag("damaged", DataType.BOOL, "", "The store was damaged and begun anew", "存储损坏并已重建", "short"),
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
        text=Text(en="The history was damaged and begun anew", zh="历史存储损坏，已重新建立"),
        cause=Text(en="The disk or another program changed the file", zh="磁盘或其他程序改动了文件"),
        action=Text(
            en="Check the disk; the damaged file is kept beside the new one",
            zh="检查磁盘；损坏的文件保留在新文件旁",
        ),
    ),
)


def expire(store: Store, config: HistoryConfig, now_ns: int) -> int:
    """Delete a slice of what is over its retention; return how many samples, 0 when there are none.

    Raises:
        StoreError: the store refused.
    """
    classes = {"short": config.short, "standard": config.standard, "long": config.long}
    for name, age_ns in classes.items():
        deleted = store.delete_oldest([name], before_ns=now_ns - age_ns)
        if deleted:
            store.compact()
            return deleted
    return 0


def evict(store: Store, config: HistoryConfig, goal: float) -> int:
    """Delete a slice of the oldest samples if more than a share of the disk limit is used.

    Returns how many samples, 0 when the store fits.

    Raises:
        StoreError: the store refused.
    """
    allowed = goal * config.disk_limit_mib * _MIB
    if store.used_bytes() <= allowed:
        return 0
    store.compact()
    used = store.used_bytes()
    if used <= allowed:
        return 0
    share = max(0.01, 1 - ROOMY * config.disk_limit_mib * _MIB / used)
    deleted = store.delete_oldest(["short", "standard", "long"], share=share)
    store.compact()
    return deleted
