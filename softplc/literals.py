"""Values of literals: durations, dates, based numbers, strings.

Source: IEC 61131-3:2013, 6.3 Literals.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime
from string import hexdigits

UNITS_NS = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_PART = re.compile(r"([0-9][0-9_]*)(?:\.([0-9][0-9_]*))?(ms|us|ns|d|h|m|s)_?", re.IGNORECASE)
_ORDER = list(UNITS_NS)
_DATE = re.compile(r"(\d{1,4})-(\d{1,2})-(\d{1,2})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d(?:_?\d){0,8}))?)?")
MAX_DIGITS = 200
MAX_TEXT = 32_767
DAY_NS = UNITS_NS["d"]
ESCAPES = {"$": "$", "'": "'", '"': '"', "l": "\n", "n": "\n", "p": "\f", "r": "\r", "t": "\t"}
DATE_TYPES = {
    "D": "DATE",
    "DATE": "DATE",
    "LDATE": "LDATE",
    "LD": "LDATE",
    "TOD": "TOD",
    "LTOD": "LTOD",
    "TIME_OF_DAY": "TOD",
    "LTIME_OF_DAY": "LTOD",
    "DT": "DT",
    "LDT": "LDT",
    "DATE_AND_TIME": "DT",
    "LDATE_AND_TIME": "LDT",
}


class LiteralError(ValueError):
    """The text of a literal is wrong; the message says why."""


def real(text: str) -> float:
    """Read `1.5` or `1_000.0E-3`."""
    if "#" in text:
        raise LiteralError("a real number has no base")
    value = float(text.replace("_", ""))
    if math.isinf(value):
        raise LiteralError("the number is larger than LREAL can hold")
    return value


def whole(text: str) -> int:
    """Read `12_000`, `2#1010`, `8#17` or `16#FF`, with an optional sign before decimal digits."""
    if len(text) > MAX_DIGITS:
        raise LiteralError("the number has too many digits")
    if "#" in text:
        base, digits = text.split("#", 1)
        radix = int(base.replace("_", ""))
        if radix not in (2, 8, 16):
            raise LiteralError(f"base {radix} does not exist: use 2, 8 or 16")
        try:
            return int(digits.replace("_", ""), radix)
        except ValueError as exc:
            raise LiteralError(f"{digits} has digits that base {radix} does not have") from exc
    return int(text.replace("_", ""))


def duration_ns(text: str) -> int:
    """Read what stands after `T#`: `1d2h3m4s5ms6us7ns`, `-1.5s`."""
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    position, total, last = 0, 0, -1
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise LiteralError("a duration is numbers with units d, h, m, s, ms, us, ns, such as T#1m30s")
        if len(part.group()) > MAX_DIGITS:
            raise LiteralError("the number has too many digits")
        number, fraction, unit = part.group(1), part.group(2), part.group(3).lower()
        order = _ORDER.index(unit)
        if order <= last:
            raise LiteralError("the units of a duration go from large to small, each once")
        last = order
        scale = UNITS_NS[unit]
        total += int(number.replace("_", "")) * scale
        if fraction is not None:
            digits = fraction.replace("_", "")
            total += int(digits) * scale // 10 ** len(digits)
            if part.end() < len(text):
                raise LiteralError("only the last unit of a duration may have a fraction")
        position = part.end()
    total *= sign
    if not -(1 << 63) <= total < 1 << 63:
        raise LiteralError("the duration is longer than TIME can hold (292 years)")
    return total


def date_ns(prefix: str, text: str) -> tuple[str, int]:
    """Read what stands after `D#`, `TOD#` or `DT#`: type name and ns since 1970-01-01 or midnight."""
    kind = DATE_TYPES[prefix]
    ns = _clock(text) if kind.endswith("TOD") else _moment(kind, text)
    if not -(1 << 63) <= ns < 1 << 63:
        raise LiteralError("dates go from 1677-09-22 to 2262-04-11: they count ns in 64 bits")
    return kind, ns


def _moment(kind: str, text: str) -> int:
    found = _DATE.match(text)
    if found is None:
        raise LiteralError("a date is written year-month-day, such as D#2024-02-29")
    year, month, day = (int(each) for each in found.groups())
    try:
        moment = datetime(year, month, day, tzinfo=UTC)
    except ValueError as exc:
        raise LiteralError(f"there is no such day: {exc}") from exc
    ns = (moment - datetime(1970, 1, 1, tzinfo=UTC)).days * DAY_NS
    rest = text[found.end() :]
    if kind.endswith("DATE"):
        if rest:
            raise LiteralError("a date has no time of day: use DT# for both")
        return ns
    if not rest.startswith("-"):
        raise LiteralError("a date and time is written DT#2024-02-29-12:30:00")
    return ns + _clock(rest[1:])


def _clock(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise LiteralError("a time of day is written hours:minutes:seconds, such as TOD#12:30:00.5")
    hour, minute, second = int(found.group(1)), int(found.group(2)), int(found.group(3) or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise LiteralError("there is no such time of day")
    fraction = int((found.group(4) or "0").replace("_", "").ljust(9, "0"))
    return ((hour * 60 + minute) * 60 + second) * UNITS_NS["s"] + fraction


def text_of(quoted: str, wide: bool = False) -> str:
    """Read a quoted string with its `$` escapes.

    A wide one becomes UTF-16 code units, each a character of its own; else characters above 255 are refused.
    """
    body = quoted[1:-1]
    digits, example = (4, "four") if wide else (2, "two")
    parts: list[str] = []
    position = 0
    while position < len(body):
        char = body[position]
        position += 1
        if char != "$":
            parts.append(char)
            continue
        escape = body[position : position + 1].lower()
        if escape in ESCAPES:
            parts.append(ESCAPES[escape])
            position += 1
            continue
        code = body[position : position + digits]
        if len(code) < digits or not all(each in hexdigits for each in code):
            raise LiteralError(
                f"${code} is no escape: $$, $', $\", $L, $N, $P, $R, $T or {example} hex digits"
            )
        parts.append(chr(int(code, 16)))
        position += digits
    text = code_units("".join(parts)) if wide else "".join(parts)
    if len(text) > MAX_TEXT:
        raise LiteralError(f"a string has at most {MAX_TEXT} characters")
    foreign = next((each for each in text if ord(each) > 255), None)
    if foreign is not None and not wide:
        raise LiteralError(
            f'{foreign} is no character of STRING, which has Latin-1 only: use WSTRING, in " "'
        )
    return text


def code_units(text: str) -> str:
    """Split characters beyond U+FFFF into the two code units that UTF-16 has for them."""
    if all(ord(each) < 0x10000 for each in text):
        return text
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(map(chr, struct.unpack(f"<{len(data) // 2}H", data)))


def characters(units: str) -> str:
    """Join code units of UTF-16 to the characters they are."""
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def character(quoted: str, type_name: str) -> str:
    """Read the one character of `CHAR#'a'` or `WCHAR#"a"`."""
    text = text_of(quoted, type_name == "WCHAR")
    if len(text) != 1:
        raise LiteralError(f"{type_name} is one character{' of UTF-16' * (type_name == 'WCHAR')}")
    return text
