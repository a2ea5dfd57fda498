"""What drivers tell of themselves: tags below `sys/drivers/NAME`, and an alarm for a queue that is full."""

from __future__ import annotations

from drivers.frame.connection import declare_link
from drivers.frame.facts import LinkTelling, Table, facts_of
from runtime.config import AlarmConfig, Declared, Text
from runtime.contract import DataType, Port

FACTS: Table = {
    "broker": (DataType.STRING, "URL that is connected", "已连接的服务器地址"),
    "host_online": (DataType.BOOL, "the primary host application is online", "主站应用在线"),
    "queued": (DataType.UDINT, "values kept: unsent, or sent within `hold`", "队列中的数值个数"),
    "queue_pct": (DataType.REAL, "how full the queue is", "队列占用率"),
    "evicted": (DataType.UDINT, "values given up unsent, oldest first", "未发送即丢弃的数值个数"),
    "evicting": (
        DataType.BOOL,
        "the queue is full, the oldest values go",
        "队列已满，正在丢弃最旧数值",
    ),
    "messages": (DataType.UDINT, "messages published", "已发布的消息数"),
    "sent": (DataType.UDINT, "values sent", "已发送的数值个数"),
    "births": (DataType.UDINT, "births sent", "已发送的出生消息数"),
    "commands": (DataType.UDINT, "writes of hosts, refused ones too", "主站写入次数（含被拒绝的）"),
    "commands_refused": (DataType.UDINT, "writes of hosts that were refused", "被拒绝的主站写入次数"),
}


def declare(name: str) -> Declared:
    """Return the tags that tell of an edge node, and its alarms."""
    link = declare_link(name, "urls")
    full = AlarmConfig(
        name=f"{name}.queue_full",
        tag=f"sys/drivers/{name}/evicting",
        kind="discrete",
        state=True,
        priority="high",
        text=Text(en=f"{name}: values are lost, the queue is full", zh=f"{name}：队列已满，数值丢失"),
        cause=Text(en="The broker or host has been away for too long", zh="服务器或主站离线时间过长"),
        consequence=Text(en="The oldest values do not reach the host", zh="最旧的数值不会到达主站"),
        action=Text(
            en="Restore the connection; raise `queue_mib:` if outages last so long",
            zh="恢复连接；如停机时间较长，请增大 queue_mib",
        ),
    )
    return Declared((*link.tags, *facts_of(name, FACTS)), (*link.alarms, full))


class Facts(LinkTelling):
    """The present state of an edge node."""

    def __init__(self, name: str, port: Port) -> None:
        super().__init__(name, port, FACTS)
        self.broker, self.host_online = "", False
        self.queued, self.queue_pct, self.evicted, self.evicting = 0, 0.0, 0, False
        self.messages, self.sent, self.births = 0, 0, 0
        self.commands, self.commands_refused = 0, 0
