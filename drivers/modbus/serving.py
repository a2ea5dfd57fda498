"""What a Modbus server did: what every server tells, and writes."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.frame import serving as frame
from drivers.frame.facts import Table
from drivers.frame.serving import FACTS as EVERY
from runtime.contract import DataType, Port

WRITES = frozenset({5, 6, 15, 16, 22, 23})
FACTS: Table = {
    **EVERY,
    "writes": (DataType.UDINT, "requests that write, refused ones too", "写入请求数（含被拒绝的）"),
    "writes_refused": (DataType.UDINT, "of those, the refused ones", "其中被拒绝的写入请求数"),
}


@dataclass(slots=True)
class Served(frame.Served):
    """What the server did since it started.

    Attributes:
        writes: requests that write, refused ones too.
        writes_refused: of those, the ones that were answered with an exception.
    """

    writes: int = 0
    writes_refused: int = 0


class Serving(frame.Serving):
    """Tells of a Modbus server."""

    def __init__(self, name: str, port: Port, served: Served) -> None:
        self._modbus = served
        super().__init__(name, port, served, FACTS)

    def _count(self) -> None:
        super()._count()
        self.writes, self.writes_refused = self._modbus.writes, self._modbus.writes_refused
