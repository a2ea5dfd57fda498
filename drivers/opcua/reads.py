"""Read requests answered from the image, many values at once, in the bytes of the wire."""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from numpy.typing import NDArray

from drivers.opcua.image import Image
from drivers.opcua.model import PlantNodes
from drivers.opcua.picking import is_whole
from drivers.opcua.wire import Samples, Wire

_KNOWN_REQUESTS = 256
_KNOWN_BYTES = 8 * 1024 * 1024
_MOST_COLD = 64
MOST_BYTES = 4 * 1024 * 1024
_HEAD = struct.Struct("<dI")  # MaxAge, TimestampsToReturn. Source: OPC 10000-4, 5.11.2
_COUNT = struct.Struct("<i")
_NO_DIAGNOSTICS = _COUNT.pack(0)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a list of nodes to read asks for: tags by id, -1 where it is something else (`cold`, by place)."""

    ids: NDArray[np.int32]
    cold: dict[int, Any]
    texts: tuple[int, ...]


def _encoded(wanted: dict[int, Any], cold: Any, stamps: int) -> dict[int, bytes]:
    """Return the bytes of values that are no tag's.

    Raises:
        ServiceError: there are too many: one of asyncua's own nodes has 340 kB.
    """
    made, size = {}, 0
    for row, each in wanted.items():
        made[row] = struct_to_binary(cold(each, stamps))
        size += len(made[row])
        if size > MOST_BYTES:
            raise ServiceError(ua.StatusCodes.BadResponseTooLarge)
    return made


class Reads:
    """Answers Read requests; knows again what it was asked before.

    Clients ask for the same list over and over: its bytes lead to the tags without being decoded.
    """

    def __init__(self, image: Image, nodes: PlantNodes, wire: Wire) -> None:
        self._image = image
        self._nodes = nodes
        self._wire = wire
        self._plans: OrderedDict[bytes, _Plan] = OrderedDict()
        self._size = 0
        self._last: tuple[bytes, _Plan] | None = None

    def renew(self, wire: Wire) -> None:
        """Go by other tags from now on."""
        self._wire = wire
        self._plans.clear()
        self._size = 0
        self._last = None

    def answer(self, body: Any, most: int, now_ns: int, cold: Any) -> tuple[bytes, int] | None:
        """Return results and diagnostics of a response, and how many values; None where asyncua says why not.

        Args:
            body: the parameters of a ReadRequest, asyncua's buffer; it is left where it is.
            most: nodes that one request may have.
            now_ns: the server's time.
            cold: gives the DataValue of a node to read that is no tag's whole value, with these timestamps.
        """
        data = bytes(body.copy())
        if len(data) < _HEAD.size + _COUNT.size:
            return None
        max_age, stamps = _HEAD.unpack_from(data)
        (count,) = _COUNT.unpack_from(data, _HEAD.size)
        if count > most:  # said before sixty thousand nodes are decoded
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        if not max_age >= 0 or stamps > 3 or count <= 0:
            return None
        plan = self._plan(data[_HEAD.size :], body)
        image, ids = self._image, plan.ids
        samples = Samples(
            ids,
            image.raw[ids],
            image.quality[ids],
            image.source_ns[ids],
            now_ns,
            {row: image.text.get(int(ids[row]), "") for row in plan.texts},
        )
        others = _encoded(plan.cold, cold, stamps)
        return _COUNT.pack(count) + self._wire.encode(samples, stamps, others=others) + _NO_DIAGNOSTICS, count

    def _plan(self, key: bytes, body: Any) -> _Plan:
        if self._last is not None and self._last[0] == key:  # cheaper than to hash what may be 50 kB
            return self._last[1]
        known = self._plans.get(key)
        if known is not None:
            self._plans.move_to_end(key)
            self._last = key, known
            return known
        wanted = struct_from_binary(ua.ReadParameters, body.copy()).NodesToRead
        ids = [self._nodes.tag_id(each.NodeId) if is_whole(each) else -1 for each in wanted]
        cold = {row: each for row, each in enumerate(wanted) if ids[row] < 0}
        made = np.array([max(0, each) for each in ids], np.int32)
        plan = _Plan(made, cold, tuple(row for row in self._wire.texts(made) if row not in cold))
        if len(cold) > _MOST_COLD:  # somebody who browses, and objects to keep
            return plan
        self._plans[key] = plan
        self._size += len(key)
        while len(self._plans) > _KNOWN_REQUESTS or self._size > _KNOWN_BYTES:
            self._size -= len(self._plans.popitem(last=False)[0])
        return plan
