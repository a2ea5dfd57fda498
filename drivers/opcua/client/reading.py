"""What comes from the server, handed to the plant: values, refusals, and silence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from drivers.opcua.client.items import Items
from drivers.opcua.client.session import Session, read_id, status_name
from drivers.opcua.client.structures import Layout, Layouts
from drivers.opcua.client.values import element, said
from drivers.opcua.client.wiretypes import WireTypes
from runtime.contract import Batch, Event, Port, Quality

PERMANENT = frozenset(
    getattr(ua.StatusCodes, name)
    for name in (
        "BadNodeIdInvalid", "BadNodeIdUnknown", "BadAttributeIdInvalid", "BadIndexRangeInvalid",
        "BadNotReadable", "BadUserAccessDenied", "BadNotSupported", "BadDataEncodingInvalid",
        "BadDataEncodingUnsupported", "BadIndexRangeNoData", "BadNodeNotInView", "BadEncodingError",
    )
)  # fmt: skip
UNENCODED = int(ua.StatusCodes.BadEncodingError)
_NO_NODE = int(ua.StatusCodes.BadNodeIdUnknown)
RETEST_S = 30.0  # what the server refuses is asked for again after that
_SKEW_NS = 1_000_000_000  # clocks that differ by less are taken as one


class Reading:
    """The wanted items, and what one connection knows of them.

    Attributes:
        skew_ns: how far the server's clock is ahead of ours. Marks stand in the server's time, as its
            values do.
    """

    def __init__(self, name: str, items: Items, port: Port) -> None:
        self.items = items
        self.skew_ns = 0
        self._name = name
        self._port = port
        self._node_ids: list[Any] = []
        self._layouts: Layouts | None = None
        self._layout: dict[int, Layout | None] = {}
        self._whole: set[Any] = set()  # nodes of which the whole array comes where an element is asked for
        self._told: set[int] = set()
        self._unfit: set[int] = set()

    @property
    def everything(self) -> NDArray[np.intp]:
        return np.arange(len(self.items))

    def now_ns(self) -> int:
        """Return the time by the server's clock, where that differs from ours."""
        return self._port.clock.now_ns() + (self.skew_ns if abs(self.skew_ns) > _SKEW_NS else 0)

    async def meet(self, session: Session, types: WireTypes) -> None:
        """Look the nodes up as this server has them today.

        Raises:
            ConnectError: it does not answer.
        """
        self._node_ids = [session.node_id(point.address.node) for point in self.items.points]
        self._layouts, self._layout = Layouts(session, types), {}
        self._whole.clear()
        rows = [
            row for row, point in enumerate(self.items.points) if point.address.fields and self._node_ids[row]
        ]
        wanted = [read_id(self._node_ids[row], ua.AttributeIds.DataType) for row in rows]
        for row, found in zip(rows, await session.read(wanted) if wanted else (), strict=True):
            data_type = found.Value.Value if found.Value is not None else None
            if data_type is not None:
                self._layout[row] = await self._layouts.learn(data_type)

    def wanted(self, rows: Iterable[int]) -> list[tuple[int, Any]]:
        """Return row and ReadValueId; rows whose namespace the server has not are refused."""
        found, missing = [], []
        for row in rows:
            node_id = self._node_ids[row]
            if node_id is None:
                missing.append((row, _NO_NODE))
            else:
                found.append((row, read_id(node_id, index_range=self.items.points[row].address.index_range)))
        self.refuse(missing)
        return found

    async def unencoded(self, session: Session, rows: Iterable[int]) -> list[int]:
        """Return the rows whose values the server cannot encode: one would spoil all that is said beside it.

        Raises:
            ConnectError: the server does not answer.
        """
        wanted = self.wanted(rows)
        found = await session.read([each for _, each in wanted])
        return [row for (row, _), data in zip(wanted, found, strict=True) if _code(data) == UNENCODED]

    def take(self, values: Sequence[tuple[int, Any]]) -> None:
        """Take in DataValues by row, in order of time."""
        now_ns = self.now_ns()
        known, refused = [], dict[int, int]()  # what is refused after all, by row
        for row, data in values:
            code = _code(data)
            if code in PERMANENT:
                refused[row] = code
                continue
            refused.pop(row, None)
            tag = self.items.points[row].tag
            each = said(row, tag.data_type, self._part(row, data), data, now_ns)
            if each.quality == Quality.BAD_CONFIGURATION_ERROR and row not in self._unfit:
                self._unfit.add(row)
                kind = type(data.Value.Value).__name__ if data.Value is not None else "nothing"
                at = self.items.points[row].address
                text = f"{at} is {kind} on {self._name}, which {tag.data_type.iec} cannot be"
                self._emit("driver.type_differs", text, [tag.path])
            known.append(each)
        self._told.difference_update(each.row for each in known)
        self.submit(self.items.take(known, now_ns))
        self.refuse(list(refused.items()))

    def refuse(self, refused: Sequence[tuple[int, int]]) -> None:
        """Tell what the server refuses, by row and status code; each once until it was good again."""
        if not refused:
            return
        self.submit(self.items.refuse(np.array([row for row, _ in refused], np.intp), self.now_ns()))
        news = [(row, code) for row, code in refused if row not in self._told]
        self._told.update(row for row, _ in news)
        by_code: dict[int, list[int]] = {}
        for row, code in news:
            by_code.setdefault(code, []).append(row)
        for code, rows in by_code.items():
            points = [self.items.points[row] for row in rows]
            more = f" and {len(points) - 3} more" if len(points) > 3 else ""
            some = ", ".join(str(point.address) for point in points[:3])
            text = f"{self._name} refuses {some}{more}: {status_name(code)}"
            self._emit("driver.address_refused", text, [point.tag.path for point in points])

    def hold(self, rows: NDArray[np.intp]) -> None:
        self.submit(self.items.hold(rows, self.now_ns()))

    def lose(self, rows: NDArray[np.intp]) -> None:
        self.submit(self.items.lose(rows, self.now_ns()))

    def degrade(self) -> None:
        """After a loss: what was uncertain already is bad, the rest uncertain."""
        self.lose(self.items.held)
        self.hold(self.everything)

    def affirm(self, rows: NDArray[np.intp]) -> None:
        self.submit(self.items.affirm(rows, self.now_ns()))

    def settle(self) -> None:
        self.submit(self.items.settle(self.now_ns()))

    def submit(self, batch: Batch | None) -> None:
        if batch is not None:
            self._port.submit(batch)

    def _part(self, row: int, data: Any) -> Any:
        """Return the part of a value that the tag is."""
        value = data.Value.Value if data.Value is not None else None
        address = self.items.points[row].address
        if address.index:
            node = self._node_ids[row]
            if isinstance(value, list) and len(value) > 1:
                self._whole.add(node)
            value = element(value, address.index, is_whole=node in self._whole)
        if address.fields and value is not None and self._layouts is not None:
            return self._layouts.field(value, address.fields, self._layout.get(row))
        return value

    def _emit(self, kind: str, text: str, paths: Sequence[str]) -> None:
        self._port.emit(Event(kind, self._name, self._port.clock.now_ns(), text, {"tags": list(paths)}))


def _code(data: Any) -> int:
    return data.StatusCode.value if data.StatusCode is not None else 0
