"""DataValues of many tags at once, as the bytes that OPC UA has on the wire.

Each is built in a row whose fields are columns, the optional ones in front right-aligned; then the bytes that
count are taken out of all rows at once. Source: OPC 10000-6, 5.2.2.17 DataValue, 5.2.2.16 Variant.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.opcua.values import WIRE
from runtime.contract import DataType, Quality, Tag

_ROW = np.dtype(
    {
        "names": ["value", "status", "source", "server"],
        "formats": ["<u8", "<u4", "<i8", "<i8"],
        "offsets": [6, 14, 18, 26],
        "itemsize": 34,
    }
)  # in front of the value, as narrow as it is: client handle, mask, type
_SOURCE, _SERVER = slice(18, 26), slice(26, 34)
_COLUMNS = np.arange(_ROW.itemsize)
_VALUE_ENDS = 14
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE, _HAS_SERVER = 1, 2, 4, 8
_SINCE_1601 = 116_444_736_000_000_000  # 100 ns. Source: OPC 10000-6, 5.2.2.5 DateTime
_PLAIN, _REAL, _TIME, _DT, _TEXT = range(5)
_SPECIAL = {DataType.REAL: _REAL, DataType.TIME: _TIME, DataType.DT: _DT, DataType.STRING: _TEXT}
_WIDTH = {DataType.BOOL: 1, DataType.STRING: 0}
_NEVER = 0
# type as a NodeId of four bytes; time, handle, result, no diagnostics, no strings, no additional header
_HEAD = struct.Struct("<BBHqIIBiBBB")


@dataclass(frozen=True, slots=True)
class Samples:
    """n values of tags: 64-bit patterns, status codes, times in ns since 1970, texts by row."""

    ids: NDArray[np.int32]
    raw: NDArray[np.uint64]
    status: NDArray[np.uint32]
    source_ns: NDArray[np.int64]
    server_ns: NDArray[np.int64] | int
    texts: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, chosen: NDArray[np.bool_]) -> Samples:
        """Return some of the rows."""
        if chosen.all():
            return self
        server_ns = self.server_ns
        places = {int(row): place for place, row in enumerate(np.flatnonzero(chosen))} if self.texts else {}
        return Samples(
            self.ids[chosen],
            self.raw[chosen],
            self.status[chosen],
            self.source_ns[chosen],
            server_ns if isinstance(server_ns, int) else server_ns[chosen],
            {places[row]: text for row, text in self.texts.items() if row in places},
        )


class Wire:
    """Knows how each tag's value lies in a message."""

    def __init__(self, tags: Sequence[Tag], types: Sequence[int] = ()) -> None:
        """`types` are the built-in types of the wire, where they are not those of the tags."""
        self._kind = np.array([_SPECIAL.get(tag.data_type, _PLAIN) for tag in tags], np.uint8)
        self._type = np.array(types or [WIRE[tag.data_type].value for tag in tags], np.uint8)
        self._width = np.array([_width(tag.data_type) for tag in tags], np.uint8)

    def texts(self, ids: NDArray[np.int32]) -> list[int]:
        """Return the rows whose tags are of STRING."""
        return np.flatnonzero(self._kind[ids] == _TEXT).tolist()

    def encode(
        self,
        samples: Samples,
        stamps: int,
        handles: NDArray[np.uint32] | None = None,
        others: Mapping[int, bytes] | None = None,
    ) -> bytes:
        """Return the DataValues one after another; with `handles` each as a MonitoredItemNotification.

        `stamps` is TimestampsToReturn: 0 source, 1 server, 2 both, 3 neither. `others` are bytes that stand
        in the place of rows. A value whose status is Bad is null, as is everything about a time of 0.
        """
        given = dict(others or {})
        kinds = self._kind[samples.ids]
        for row in np.flatnonzero(kinds == _TEXT).tolist():
            if row not in given and not Quality.is_bad(int(samples.status[row])):
                handle = b"" if handles is None else struct.pack("<I", int(handles[row]))
                given[row] = handle + _text(samples, row, stamps)
        if not given:
            return self._encode(samples, kinds, stamps, handles)[0].tobytes()
        plain = np.ones(len(samples), np.bool_)
        plain[list(given)] = False
        some = samples.where(plain)
        data, lengths = self._encode(some, kinds[plain], stamps, None if handles is None else handles[plain])
        return _spliced(data.tobytes(), lengths, plain, given)

    def _encode(
        self, samples: Samples, kinds: NDArray[np.uint8], stamps: int, handles: NDArray[np.uint32] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the bytes of all rows, and how many each has."""
        n, ids = len(samples), samples.ids
        bad = samples.status >> 31 != 0
        width = np.where(bad, 0, self._width[ids]).astype(np.int64)
        rows = np.zeros(n, _ROW)
        cells = rows.view(np.uint8).reshape(n, _ROW.itemsize)
        rows["value"] = _patterns(samples.raw, kinds) << ((8 - width) * 8 % 64).astype(np.uint64)
        rows["status"] = samples.status
        rows["source"], sourced = _moments(samples.source_ns), samples.source_ns != _NEVER
        rows["server"] = _moments(samples.server_ns)
        has_source, has_server = sourced & (stamps in (0, 2)), stamps in (1, 2)
        mask = (_HAS_VALUE | _HAS_STATUS | _HAS_SERVER * has_server) + _HAS_SOURCE * has_source
        line, first = np.arange(n), _VALUE_ENDS - width - 2
        cells[line, first + 1] = np.where(bad, 0, self._type[ids])
        cells[line, first] = mask
        if handles is not None:
            first = first - 4
            parts = handles.astype("<u4").view(np.uint8).reshape(n, 4)
            for byte in range(4):
                cells[line, first + byte] = parts[:, byte]
        lengths = _SOURCE.start - first + 8 * has_source + 8 * has_server
        if n and has_server and has_source.all() and (first == first[0]).all():
            return np.ascontiguousarray(cells[:, first[0] :]).reshape(-1), lengths
        counts = first[:, None] <= _COLUMNS
        counts[:, _SOURCE] = has_source[:, None]
        counts[:, _SERVER] = has_server
        return cells[counts], lengths


def response_header(service: int, handle: int, now_ns: int) -> bytes:
    """Return the start of a response that went well: its type and header. Source: OPC 10000-4, 7.33."""
    return _HEAD.pack(1, 0, service, _moments(now_ns), handle, 0, 0, 0, 0, 0, 0)


def _width(data_type: DataType) -> int:
    return _WIDTH.get(data_type, data_type.bits // 8)


def _patterns(raw: NDArray[np.uint64], kinds: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the patterns of values as the wire has them, in the lowest bytes."""
    if not kinds.any():
        return raw
    made = raw.copy()
    if (real := kinds == _REAL).any():
        with np.errstate(over="ignore", invalid="ignore"):
            made[real] = raw[real].view(np.float64).astype(np.float32).view(np.uint32)
    if (time := kinds == _TIME).any():
        made[time] = (raw[time].view(np.int64) / 1e6).view(np.uint64)
    if (date := kinds == _DT).any():
        made[date] = (raw[date].view(np.int64) // 1000 * 10 + _SINCE_1601).view(np.uint64)
    return made


def _moments(at_ns: NDArray[np.int64] | int) -> NDArray[np.int64] | int:
    """Return times in 100 ns since 1601, whole microseconds."""
    return at_ns // 1000 * 10 + _SINCE_1601


def _text(samples: Samples, row: int, stamps: int) -> bytes:
    data = samples.texts.get(row, "").encode()
    source_ns = int(samples.source_ns[row]) if stamps in (0, 2) else _NEVER
    has_server = stamps in (1, 2)
    mask = _HAS_VALUE | _HAS_STATUS | (_HAS_SOURCE if source_ns else 0) | (_HAS_SERVER if has_server else 0)
    parts = [struct.pack("<BBi", mask, WIRE[DataType.STRING].value, len(data)), data]
    parts.append(struct.pack("<I", int(samples.status[row])))
    if source_ns:
        parts.append(struct.pack("<q", _moments(source_ns)))
    if has_server:
        server_ns = samples.server_ns
        at_ns = server_ns if isinstance(server_ns, int) else int(server_ns[row])
        parts.append(struct.pack("<q", _moments(at_ns)))
    return b"".join(parts)


def _spliced(
    data: bytes, lengths: NDArray[np.int64], plain: NDArray[np.bool_], given: Mapping[int, bytes]
) -> bytes:
    """Put the given rows between those that were encoded together."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    before = np.cumsum(plain)
    pieces, at = [], 0
    for row in sorted(given):
        end = int(ends[before[row]])
        pieces += [data[at:end], given[row]]
        at = end
    return b"".join([*pieces, data[at:]])
