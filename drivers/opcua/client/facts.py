"""What a client tells of itself beside what every link tells: tags below `sys/drivers/NAME`."""

from __future__ import annotations

from drivers.frame.connection import Link, declare_link
from runtime.config import Declared
from runtime.contract import Batch, DataType, Port, Tag, Value

_FACTS = {
    "server": (DataType.STRING, "URL that is connected", "已连接的服务器地址"),
    "service_level": (DataType.USINT, "how well the server can serve: 200 and more is well", "服务级别"),
    "standby": (DataType.STRING, "other servers and their service level", "备用服务器及其服务级别"),
}


def declare(name: str) -> Declared:
    """Return the tags that tell of a client, and the alarm for its loss."""
    link = declare_link(name, "urls")
    more = [
        Tag(
            f"sys/drivers/{name}/{fact}",
            data_type,
            description=f"{name}: {text}",
            description_zh=f"{name}：{text_zh}",
            source=name,
            retention="short",
        )
        for fact, (data_type, text, text_zh) in _FACTS.items()
    ]
    return Declared((*link.tags, *more), link.alarms)


class Facts:
    """The present state, told when it changes."""

    def __init__(self, name: str, port: Port) -> None:
        self.link = Link(name, port)
        self.clock = port.clock
        self.server, self.standby, self.service_level = "", "", 0
        self._port = port
        self._tags = [port.tags[f"sys/drivers/{name}/{fact}"] for fact in _FACTS]
        self._told: tuple[object, ...] = ()

    def lose(self) -> None:
        """Tell that no server is connected."""
        self.server, self.service_level = "", 0
        self.tell()

    def tell(self) -> None:
        """Submit what changed."""
        self.link.publish()
        values: tuple[Value, ...] = (self.server, self.service_level, self.standby)
        if values == self._told:
            return
        self._told = values
        raw = [tag.data_type.encode(value) for tag, value in zip(self._tags, values, strict=True)]
        ids = [tag.id for tag in self._tags]
        text = {0: self.server, 2: self.standby}
        self._port.submit(Batch.of(ids, raw, self.clock.now_ns(), text=text))
