"""What drivers tell of themselves beside what every link tells: tags below `sys/drivers/NAME`."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.frame.connection import Link
from runtime.contract import Batch, DataType, Port, Tag, Value

Table = Mapping[str, tuple[DataType, str, str]]
_UNITS = {"bytes": ("By", "B"), "pct": ("%", "%")}


def facts_of(name: str, table: Table) -> list[Tag]:
    """Return a tag for each fact: its name, type and description in English and Chinese."""
    tags = []
    for fact, (data_type, text, text_zh) in table.items():
        unit, unit_text = next((_UNITS[part] for part in fact.split("_") if part in _UNITS), ("", ""))
        tags.append(
            Tag(
                f"sys/drivers/{name}/{fact}",
                data_type,
                unit=unit,
                unit_text=unit_text,
                description=f"{name}: {text}",
                description_zh=f"{name}：{text_zh}",
                source=name,
                retention="short",
            )
        )
    return tags


class Telling:
    """Facts are attributes, named as the tags are; what changed is told together."""

    def __init__(self, name: str, port: Port, table: Table) -> None:
        self._port = port
        self._tags = {fact: port.tags[f"sys/drivers/{name}/{fact}"] for fact in table}
        self._told: dict[str, Value] = {}

    def tell(self) -> None:
        """Submit what changed."""
        values: dict[str, Value] = {fact: getattr(self, fact) for fact in self._tags}
        for fact, value in values.items():
            if type(value) is int and self._tags[fact].data_type is DataType.UDINT:
                values[fact] = value & 0xFFFF_FFFF
        news = {fact: value for fact, value in values.items() if self._told.get(fact) != value}
        if not news:
            return
        self._told |= news
        ids = [self._tags[fact].id for fact in news]
        raw = [self._tags[fact].data_type.encode(value) for fact, value in news.items()]
        text = {row: value for row, value in enumerate(news.values()) if isinstance(value, str)}
        self._port.submit(Batch.of(ids, raw, self._port.clock.now_ns(), text=text))


class LinkTelling(Telling):
    """The facts of a driver beside those of its link, which are told with them."""

    def __init__(self, name: str, port: Port, table: Table) -> None:
        super().__init__(name, port, table)
        self.link = Link(name, port)

    def tell(self) -> None:
        """Submit what changed."""
        self.link.publish()
        super().tell()
