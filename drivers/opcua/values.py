"""Tag values as OPC UA values, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from drivers.opcua.image import Image
from runtime.contract import Clock, DataType, Quality, Tag, Value

FOREVER_NS = 2**62  # the year 2116: an end that is never reached
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = datetime(1601, 1, 1, tzinfo=UTC)  # a DateTime of 0. Source: OPC 10000-6, 5.2.2.5
_MICROSECOND = timedelta(microseconds=1)
_DURATION = 290  # i=290 Duration: a Double in ms. Source: OPC 10000-3, 8.13

# IEC type to the built-in type on the wire. Source: OPC 10000-6, 5.1.2; OPC 30000 for the IEC side.
WIRE: dict[DataType, Any] = {
    DataType.BOOL: ua.VariantType.Boolean,
    DataType.SINT: ua.VariantType.SByte,
    DataType.INT: ua.VariantType.Int16,
    DataType.DINT: ua.VariantType.Int32,
    DataType.LINT: ua.VariantType.Int64,
    DataType.USINT: ua.VariantType.Byte,
    DataType.UINT: ua.VariantType.UInt16,
    DataType.UDINT: ua.VariantType.UInt32,
    DataType.ULINT: ua.VariantType.UInt64,
    DataType.BYTE: ua.VariantType.Byte,
    DataType.WORD: ua.VariantType.UInt16,
    DataType.DWORD: ua.VariantType.UInt32,
    DataType.LWORD: ua.VariantType.UInt64,
    DataType.REAL: ua.VariantType.Float,
    DataType.LREAL: ua.VariantType.Double,
    DataType.TIME: ua.VariantType.Double,
    DataType.DT: ua.VariantType.DateTime,
    DataType.STRING: ua.VariantType.String,
}
_NULL = ua.Variant(None, ua.VariantType.Null)
_GOOD = ua.StatusCode(0)


def data_type_id(data_type: DataType) -> ua.NodeId:
    """Return the DataType attribute of a tag's variable."""
    return ua.NodeId(_DURATION if data_type is DataType.TIME else WIRE[data_type].value)


def moment(at_ns: int) -> datetime | None:
    """Return a time as asyncua wants it, whole microseconds; None where there is none."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000) if at_ns else None


def instant(at: datetime | None) -> int:
    """Return the ns since 1970 of a client's time; 0 where it gives none (1601).

    One before is 1, and the latest FOREVER_NS: clients say 9999, which 64 bits do not hold.
    """
    aware = _NO_TIME if at is None else at if at.tzinfo else at.replace(tzinfo=UTC)
    ns = int((aware - _EPOCH) // _MICROSECOND) * 1000
    return min(max(1, ns), FOREVER_NS) if aware > _NO_TIME else 0


def to_variant(data_type: DataType, value: Value) -> ua.Variant:
    """Wrap a decoded value in its type on the wire."""
    if data_type is DataType.TIME:
        value = float(value) / 1e6
    elif data_type is DataType.DT:
        return ua.Variant(_EPOCH + timedelta(microseconds=int(value) // 1000), ua.VariantType.DateTime)
    return ua.Variant(value, WIRE[data_type])


def from_variant(data_type: DataType, variant: ua.Variant | None) -> Value:
    """Unwrap what a client wants to write.

    Raises:
        TypeError: it is not the tag's type, or not a scalar.
    """
    if variant is None or variant.is_array or variant.VariantType != WIRE[data_type]:
        raise TypeError(f"not a scalar {WIRE[data_type].name}")
    value = variant.Value
    if value is None:
        if data_type is DataType.STRING:  # clients send an empty text as a null one, and mean the same
            return ""
        raise TypeError("null")
    if data_type is DataType.TIME:
        ns: float = value * 1e6
        return round(ns) if abs(ns) < 2**63 else ns  # which the gate refuses
    if data_type is DataType.DT:
        at = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int((at - _EPOCH) // _MICROSECOND) * 1000
    known: Value = value
    return known


class TagValues:
    """Reads the image as DataValues: status code and source time as they stand in the table."""

    def __init__(self, tags: Sequence[Tag], image: Image, clock: Clock) -> None:
        self.image = image
        self._clock = clock
        self.describe(tags)
        self._status: dict[int, Any] = {0: _GOOD}

    def describe(self, tags: Sequence[Tag]) -> None:
        """Take the list of tags, ids in order."""
        self.tags = tags
        self._types = [tag.data_type for tag in tags]

    def status(self, code: int) -> ua.StatusCode:
        """Return a status code object, one for each code in use."""
        known = self._status.get(code)
        if known is None:
            known = self._status[code] = ua.StatusCode(code)
        return known

    def read(self, id_: int, stamps: int = 2, extra_bits: int = 0) -> ua.DataValue:
        """Return the present value of a tag; null while its quality is Bad.

        `stamps` is TimestampsToReturn: 0 source, 1 server, 2 both, 3 neither.
        Source: OPC 10000-4, 7.11 DataValue.
        """
        image = self.image
        quality = int(image.quality[id_])
        bad = Quality.is_bad(quality)
        return ua.DataValue(
            _NULL if bad else to_variant(self._types[id_], image.value(id_)),
            self.status(quality | extra_bits),
            moment(int(image.source_ns[id_])) if stamps in (0, 2) else None,
            moment(self._clock.now_ns()) if stamps in (1, 2) else None,
        )
