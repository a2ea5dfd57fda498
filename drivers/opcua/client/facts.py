"""What a client tells of itself beside what every link tells: tags below `sys/drivers/NAME`."""

from __future__ import annotations

from drivers.frame.connection import declare_link
from drivers.frame.facts import LinkTelling, Table, facts_of
from runtime.config import Declared
from runtime.contract import DataType, Port

FACTS: Table = {
    "server": (DataType.STRING, "URL that is connected", "已连接的服务器地址"),
    "service_level": (DataType.USINT, "how well the server can serve: 200 and more is well", "服务级别"),
    "standby": (DataType.STRING, "other servers and their service level", "备用服务器及其服务级别"),
}


def declare(name: str) -> Declared:
    """Return the tags that tell of a client, and the alarm for its loss."""
    link = declare_link(name, "urls")
    return Declared((*link.tags, *facts_of(name, FACTS)), link.alarms)


class Facts(LinkTelling):
    """The present state, told when it changes."""

    def __init__(self, name: str, port: Port) -> None:
        super().__init__(name, port, FACTS)
        self.clock = port.clock
        self.server, self.standby, self.service_level = "", "", 0

    def lose(self) -> None:
        """Tell that no server is connected."""
        self.server, self.service_level = "", 0
        self.tell()
