"""The journal's room: the oldest transitions of alarms go when it is used up; nothing else ever does."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.config.models import AlarmConfig, JournalConfig, Text
from runtime.config.plant import Declared
from runtime.contract import Batch, DataType, Event, Port, Tag
from runtime.errors import StoreError
from runtime.journal.store import Journal

LOOK_S = 600.0
FULL, ROOMY = 0.95, 0.90  # of the limit: from here on transitions go, down to there
PIECE = 1_000  # transitions in one commit: others wait for it
_MIB = 1 << 20

log = logging.getLogger(__name__)


def _tag(name: str, kind: DataType, unit: str, en: str, zh: str) -> Tag:
    return Tag(
        f"sys/journal/{name}", kind, unit, unit, description=en, description_zh=zh,
        source="journal", retention="short",
    )  # fmt: skip


_TAGS = (
    _tag("used_mib", DataType.REAL, "MiBy", "Disk used by the journal", "日志库占用磁盘"),
    _tag(
        "used_pct", DataType.REAL, "%", "Share of the journal's disk limit in use", "日志库磁盘限额使用比例"
    ),
)
_ALARMS = (
    AlarmConfig(
        name="journal.disk",
        tag="sys/journal/used_pct",
        kind="high",
        limit=80,
        deadband=2,
        priority="low",
        text=Text(en="The journal uses 80 % of its disk", zh="日志库已用磁盘限额的 80%"),
        consequence=Text(
            en="At 95 % the oldest transitions of alarms are deleted; the audit is kept",
            zh="达到 95% 时最旧的报警记录被删除；审计记录始终保留",
        ),
        action=Text(
            en="Raise journal.disk_limit_mib in plant.yaml", zh="在 plant.yaml 中提高 journal.disk_limit_mib"
        ),
    ),
)


def declare() -> Declared:
    """Return the journal's tags and the alarm on them."""
    return Declared(list(_TAGS), list(_ALARMS))


@dataclass(frozen=True, slots=True)
class Forget:
    """Takes transitions out, up to a sequence number."""

    until: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM alarm_journal WHERE seq <= ?", (self.until,)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the room that the records take; what is free for new ones does not count."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def oldest(connection: sqlite3.Connection, most: int) -> tuple[int, int]:
    """Return the number of the last of so many oldest transitions, and how many they are."""
    rows = "SELECT seq FROM alarm_journal ORDER BY seq LIMIT ?"
    last, count = connection.execute(f"SELECT max(seq), count(*) FROM ({rows})", (most,)).fetchone()  # noqa: S608
    return last or 0, count


class Room:
    """Looks after the journal's size."""

    name = "journal"

    def __init__(self, journal: Journal, config: JournalConfig) -> None:
        self._journal = journal
        self._limit = config.disk_limit_mib * _MIB

    async def run(self, port: Port) -> None:
        """Look again and again; what fails is tried again the next time."""
        ids = [port.tags[tag.path].id for tag in _TAGS]
        port.health(True)
        while True:
            try:
                deleted = await self._make_room()
                used = await self._journal.read(used_bytes)
            except StoreError as exc:
                log.error("the journal's room cannot be looked after: %s", exc)
            else:
                figures = (used / _MIB, 100 * used / self._limit)
                raws = [DataType.REAL.encode(each) for each in figures]
                port.submit(Batch.of(ids, raws, port.clock.now_ns()))
                if deleted:
                    text = f"{deleted} transitions of alarms were deleted: the journal reached its disk limit"
                    log.warning("%s", text)
                    port.emit(
                        Event("journal.deleted", self.name, port.clock.now_ns(), text, {"rows": deleted})
                    )
            await port.clock.sleep(LOOK_S)

    async def _make_room(self) -> int:
        """Delete the oldest transitions where the limit is near; return how many."""
        deleted, goal = 0, FULL
        while await self._journal.read(used_bytes) > goal * self._limit:
            goal = ROOMY
            until, count = await self._journal.read(oldest, PIECE)
            if not count:
                break
            await self._journal.append(Forget(until))
            deleted += count
        return deleted
