"""Values as IEC text and back: `T#1s500ms`, `D#2024-02-29`, shortest decimal of a REAL."""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.errors import PlantError
from softplc.application import Symbol
from softplc.literals import (
    DATE_TYPES,
    UNITS_NS,
    LiteralError,
    characters,
    date_ns,
    duration_ns,
    text_of,
    whole,
)

DATES = ("DATE", "LDATE", "TOD", "LTOD", "DT", "LDT")
_TIMES = {"T": "TIME", "TIME": "TIME", "LT": "TIME", "LTIME": "TIME"} | {
    name: type_.removeprefix("L") for name, type_ in DATE_TYPES.items()
}  # short and long ones stand for each other
_PREFIXED = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)#(.*)")
_WHOLE = re.compile(r"[+-]?(?:[0-9]+#)?[0-9A-Fa-f]+(?:_[0-9A-Fa-f]+)*")
QUOTES = {"STRING": "'", "CHAR": "'", "WSTRING": '"', "WCHAR": '"'}
SECOND_NS = 1_000_000_000
DAY_S = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def duration_text(ns: int, prefix: str = "T#") -> str:
    """Return a duration as a literal; zero is `T#0s`."""
    if ns == 0:
        return f"{prefix}0s"
    rest, parts = abs(ns), []
    for unit, scale in UNITS_NS.items():
        number, rest = divmod(rest, scale)
        if number:
            parts.append(f"{number}{unit}")
    return prefix + ("-" if ns < 0 else "") + "".join(parts)


def shown(type_: str, value: Any) -> Any:
    """Return what stands for a value in JSON: numbers, booleans and text as such, times as literals."""
    if type_ in ("TIME", "LTIME"):
        return duration_text(value, "T#" if type_ == "TIME" else "LTIME#")
    if type_ in DATES:
        return _date_text(type_, value)
    if type_ in ("REAL", "LREAL"):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return shortest(value) if type_ == "REAL" else value
    return value


def shortest(value: float) -> float:
    """Return the double with the fewest digits that is this REAL."""
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.unpack("<f", struct.pack("<f", short))[0] == value:
            return short
    return value


def _date_text(type_: str, ns: int) -> str:
    seconds, fraction = divmod(ns, SECOND_NS)
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    if type_.endswith("TOD"):
        minutes, second = divmod(seconds, 60)
        return f"{type_}#{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{tail}"
    try:
        moment = EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"{type_}#{ns}ns"
    if type_.endswith("DATE"):
        return moment.strftime(f"{'D' if type_ == 'DATE' else type_}#%Y-%m-%d")
    return moment.strftime(f"{type_}#%Y-%m-%d-%H:%M:%S") + tail


def parse_duration(text: str) -> int:
    """Read `10ms`, `1s500ms` or `T#10ms` as ns.

    Raises:
        PlantError: it is no duration.
    """
    body = text.split("#", 1)[-1]
    try:
        if not body:
            raise LiteralError("the duration is empty")
        return duration_ns(body)
    except LiteralError as exc:
        raise PlantError(f"{text!r} is no duration: {exc}", "write 10ms, 1s or T#1m30s") from exc


def parse_value(symbol: Symbol, text: str) -> Any:
    """Read the text of a value for a variable: a literal of its type, with or without the type's name.

    Raises:
        PlantError: it is no value of the variable's type.
    """
    text = text.strip()
    try:
        if symbol.type in QUOTES:
            wide = symbol.type.startswith("W")
            body = text.removeprefix(f"{symbol.type}#")
            quoted = len(body) >= 2 and body[0] == body[-1] == QUOTES[symbol.type]
            return characters(text_of(body, wide)) if quoted else text
        prefix, body = _split(symbol, text)
        if symbol.type == "BOOL":
            if body.upper() in ("TRUE", "FALSE", "0", "1"):
                return body.upper() in ("TRUE", "1")
            raise LiteralError("write TRUE, FALSE, 1 or 0")
        if symbol.type in ("TIME", "LTIME"):
            return parse_duration(text)
        if symbol.type in DATES:
            return date_ns(prefix or symbol.type, body)[1]
        if symbol.values and not body.lstrip("+-")[:1].isdigit():
            return body
        if symbol.type in ("REAL", "LREAL") and body.isascii():
            return float(body)
        if _WHOLE.fullmatch(body) is None:
            raise ValueError(body)
        sign = -1 if body.startswith("-") else 1
        return sign * whole(body.lstrip("+-"))
    except LiteralError as exc:
        raise PlantError(f"{text!r} is no value for {symbol.path}, which is {symbol.type}: {exc}") from exc
    except ValueError:
        raise PlantError(f"{text!r} is no value for {symbol.path}, which is {symbol.type}") from None


def _split(symbol: Symbol, text: str) -> tuple[str, str]:
    """Return the name of the type before a value, in capitals, and the value.

    Raises:
        LiteralError: it is the name of another type.
    """
    found = _PREFIXED.fullmatch(text)
    if found is None:
        return "", text
    name = found[1].upper()
    same = _TIMES.get(name, name) == _TIMES.get(symbol.type, symbol.type)
    if not same and name != symbol.declared.upper():
        raise LiteralError(f"{found[1]} is another type")
    return name, found[2]
