"""Values of tags as people write them in tables, commands and the console, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from runtime.config.positions import shortened
from runtime.contract import DataType, Value

TIMES = (DataType.TIME, DataType.DT)
_BOOLS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
_BASED = re.compile(r"(2|8|16)#([0-9a-f_]+)", re.IGNORECASE)
_TIME = re.compile(
    r"(?:L?T(?:IME)?#)?([+-]?)((?:\s*\d[\d_]*(?:\.\d+)?\s*(?:d|h|min|ms|m|s|us|ns))+|0)", re.IGNORECASE
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_DT = re.compile(
    r"(L?DT#|L?DATE_AND_TIME#)?(\d{4}-\d\d-\d\d)(?:[-T ](\d\d:\d\d(?::\d\d)?)(\.\d{1,9})?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)
_SECOND_NS = 1_000_000_000
_UNITS_NS = {
    "d": 86_400 * _SECOND_NS, "h": 3600 * _SECOND_NS, "m": 60 * _SECOND_NS, "min": 60 * _SECOND_NS,
    "s": _SECOND_NS, "ms": 1_000_000, "us": 1000, "ns": 1,
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_value(data_type: DataType, text: str) -> Value:
    """Read a value as people write it; times as `3s`, `T#1m30s`, `2026-01-31 12:00:00` or `DT#...`.

    A date without a zone is this machine's time, as the console shows it; the literal DT# is UTC.

    Raises:
        ValueError: the text is no value of the type; `wanted` says what would be.
    """
    if data_type is DataType.STRING:
        return text
    text = text.strip()
    try:
        value = _parse(data_type, text)
        data_type.encode(value)
    except (ValueError, TypeError, OverflowError, KeyError) as exc:
        raise ValueError(f"{shortened(text)} is not a value of {data_type.iec}") from exc
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError(f"{shortened(text)} is not a finite number")
    return value


def _parse(data_type: DataType, text: str) -> Value:
    if data_type is DataType.BOOL:
        return _BOOLS[text.lower()]
    if data_type is DataType.TIME:
        return _duration_ns(text)
    if data_type is DataType.DT:
        return _instant_ns(text)
    if data_type.kind == "f":
        return float(text)
    if based := _BASED.fullmatch(text):
        return int(based[2], int(based[1]))
    return int(text) if text.lstrip("+-").isdecimal() else int(text, 0)


def _duration_ns(text: str) -> int:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError
    parts = _PART.findall(found[2].replace("_", "").lower())
    ns = round(sum(Decimal(number) * _UNITS_NS[unit] for number, unit in parts))
    return -ns if found[1] == "-" else ns


def _instant_ns(text: str) -> int:
    found = _DT.fullmatch(text)
    if not found:
        raise ValueError
    literal, date, clock, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{date}T{clock or '00:00'}{(zone or '').upper()}")
    if literal and not zone:
        moment = moment.replace(tzinfo=UTC)
    whole = (moment.astimezone() - _EPOCH) // timedelta(seconds=1)
    return whole * _SECOND_NS + int((fraction or ".0")[1:].ljust(9, "0"))


def wanted(data_type: DataType) -> str:
    """Return how a value of the type is written."""
    if data_type is DataType.BOOL:
        return "write true or false"
    if data_type is DataType.TIME:
        return "write it with units, such as 3s, 250ms or T#1h30m"
    if data_type is DataType.DT:
        return "write it like 2026-01-31 12:00:00, with Z or +08:00 behind it for another zone than here"
    if limits := data_type.limits:
        return f"write a whole number from {limits[0]} to {limits[1]}"
    return "write a number such as 2.5"


def value_text(data_type: DataType, value: Value) -> str:
    """Write a value, or a number on the scale of the type, so that `parse_value` reads the same one."""
    if isinstance(value, bool):
        return str(value).lower()
    if data_type is DataType.TIME:
        return _duration_text(int(value))
    if data_type is DataType.DT:
        return _instant_text(int(value))
    if isinstance(value, float):
        return f"{value:.17g}" if float(f"{value:g}") != value else f"{value:g}"
    return str(value)


def _duration_text(ns: int) -> str:
    rest, parts = abs(ns), []
    for unit, scale in _UNITS_NS.items():
        number, rest = divmod(rest, scale)
        parts += [f"{number}{unit}"] if number else []
    return f"T#{'-' if ns < 0 else ''}{''.join(parts) or '0s'}"


def _instant_text(ns: int) -> str:
    seconds, fraction = divmod(ns, _SECOND_NS)
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{_EPOCH + timedelta(seconds=seconds):DT#%Y-%m-%d-%H:%M:%S}{tail}"
