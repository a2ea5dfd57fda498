"""What the server tells of itself: what every server tells, and what its sessions do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drivers.frame import serving
from drivers.frame.facts import Table
from runtime.contract import DataType, Port

if TYPE_CHECKING:
    from drivers.opcua.session import TagServer

FACTS: Table = {
    "running": (DataType.BOOL, "OPC UA server is listening", "OPC UA 服务器正在监听"),
    "sessions": (DataType.UDINT, "Sessions open", "打开的会话"),
    "subscriptions": (DataType.UDINT, "Subscriptions open", "打开的订阅"),
    "items": (DataType.UDINT, "Monitored items of all subscriptions", "所有订阅的监视项"),
    "reads": (DataType.UDINT, "Values read by clients", "客户端读取的值"),
    "writes": (DataType.UDINT, "Values written by clients, refused ones too", "客户端写入的值(含被拒绝的)"),
    **serving.FACTS,
}


class Facts(serving.Serving):
    """Tells of a server; what it tells is looked up once a second."""

    def __init__(self, name: str, port: Port, server: TagServer) -> None:
        self.running = False
        self.sessions = self.subscriptions = self.items = self.reads = self.writes = 0
        self._server = server
        super().__init__(name, port, server.served, FACTS)

    def take(self, addresses: Iterable[str], *, running: bool) -> None:
        """Tell what changed; `addresses` has that of each connection."""
        server, self.running = self._server, running
        sessions = [each for each in server.sessions if each.is_activated()] if running else []
        subscriptions = [
            made for each in sessions for made in each.subscription_service.subscriptions.values()
        ]
        self.sessions, self.subscriptions = len(sessions), len(subscriptions)
        self.items = sum(len(each.monitored_item_srv._monitored_items) for each in subscriptions)
        self.reads, self.writes = server.context.reads, server.context.writes
        self.look(addresses if running else ())
