"""What a host tells of itself: tags below `sys/drivers/NAME`."""

from __future__ import annotations

from drivers.frame.connection import declare_link
from drivers.frame.facts import LinkTelling, Table, facts_of
from runtime.config import Declared
from runtime.contract import DataType, Port

FACTS: Table = {
    "broker": (DataType.STRING, "URL that is connected", "已连接的服务器地址"),
    "nodes": (DataType.UDINT, "edge nodes that are read", "读取的边缘节点数"),
    "nodes_online": (DataType.UDINT, "edge nodes that are online", "在线的边缘节点数"),
    "messages": (DataType.UDINT, "messages received", "已接收的消息数"),
    "values": (DataType.UDINT, "values received", "已接收的数值个数"),
    "rebirths": (DataType.UDINT, "births asked for", "已请求的重新出生次数"),
}


def declare(name: str) -> Declared:
    """Return the tags that tell of a host, and the alarm for the loss of its broker."""
    link = declare_link(name, "urls")
    return Declared((*link.tags, *facts_of(name, FACTS)), link.alarms)


class Facts(LinkTelling):
    """The present state of a host."""

    def __init__(self, name: str, port: Port, nodes: int) -> None:
        super().__init__(name, port, FACTS)
        self.broker, self.nodes = "", nodes
        self.nodes_online, self.messages, self.values, self.rebirths = 0, 0, 0, 0
