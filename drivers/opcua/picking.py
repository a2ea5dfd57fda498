"""What of a value a client asks for: a range of its elements, its encoding, and which timestamps.

asyncua gives the whole value, whatever was asked for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError

BINARY = "Default Binary"
_OTHER_ENCODINGS = ("Default XML", "Default JSON")
_SOURCE, _SERVER = (0, 2), (1, 2)  # TimestampsToReturn
NEITHER = 3
_RANGE = re.compile(r"(\d{1,10})(?::(\d{1,10}))?")
_CODES = ua.StatusCodes
_VALUE = ua.AttributeIds.Value
_CUT = (ua.VariantType.String, ua.VariantType.ByteString)


def stamps_of(params: Any) -> int:
    """Return the TimestampsToReturn of a request.

    Raises:
        ServiceError: it is none of the four. Source: OPC 10000-4, 7.39 TimestampsToReturn.
    """
    stamps = int(params.TimestampsToReturn)
    if not 0 <= stamps <= NEITHER:
        raise ServiceError(_CODES.BadTimestampsToReturnInvalid)
    return stamps


def is_whole(wanted: Any) -> bool:
    """Tell whether a ReadValueId asks for a whole value as it is."""
    return bool(wanted.AttributeId == _VALUE and not wanted.IndexRange and not wanted.DataEncoding.Name)


def span_of(text: str) -> tuple[int, int] | None:
    """Return the first and the last index of a range of one dimension; None where the text is none.

    Source: OPC 10000-4, 7.27 NumericRange.
    """
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first = int(found[1])
    if found[2] is None:
        return first, first
    last = int(found[2])
    return (first, last) if first < last else None


def unfit_range(text: str) -> int:
    """Return why a range cannot be of a value that is neither an array nor a text."""
    parts = text.split(",")
    wrong = any(span_of(each) is None for each in parts)
    return int(_CODES.BadIndexRangeInvalid if wrong else _CODES.BadIndexRangeNoData)


def wrong_encoding(wanted: Any) -> int:
    """Return what is wrong with the encoding of a ReadValueId, Good where nothing is.

    Source: OPC 10000-4, 5.11.2.4 StatusCodes.
    """
    name = wanted.DataEncoding.Name
    if not name or (wanted.AttributeId == _VALUE and name == BINARY):
        return int(_CODES.Good)
    other = wanted.AttributeId == _VALUE and name in _OTHER_ENCODINGS
    return int(_CODES.BadDataEncodingUnsupported if other else _CODES.BadDataEncodingInvalid)


def picked(value: Any, wanted: Any, stamps: int) -> Any:
    """Return of a node's DataValue what a ReadValueId and TimestampsToReturn ask for."""
    code = wrong_encoding(wanted)
    if code:
        return ua.DataValue(StatusCode=ua.StatusCode(code))
    if wanted.IndexRange and (value.StatusCode is None or not value.StatusCode.is_bad()):
        value = _part(value, wanted.IndexRange)
    return stamped(value, stamps)


def stamped(value: Any, stamps: int) -> Any:
    """Return a DataValue with the timestamps that TimestampsToReturn names."""
    source = value.SourceTimestamp if stamps in _SOURCE else None
    server = value.ServerTimestamp if stamps in _SERVER else None
    if source is value.SourceTimestamp and server is value.ServerTimestamp:
        return value
    return replace(
        value, SourceTimestamp=source, ServerTimestamp=server, SourcePicoseconds=None, ServerPicoseconds=None
    )


def _part(value: Any, text: str) -> Any:
    variant = value.Value
    inner = None if variant is None else variant.Value
    span = span_of(text)
    fits = isinstance(inner, list) or (variant is not None and variant.VariantType in _CUT)
    if span is None or not fits or inner is None or not inner[span[0] : span[1] + 1]:
        return ua.DataValue(StatusCode=ua.StatusCode(unfit_range(text)))
    part = ua.Variant(inner[span[0] : span[1] + 1], variant.VariantType, is_array=variant.is_array)
    return replace(value, Value=part)
