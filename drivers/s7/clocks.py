"""Durations and moments of S7 types, many at once: bytes of shape (n, size) to ns and back.

Moments are ns since 1970-01-01; a CPU's clock is taken as UTC.

Source: SIMATIC, Statement List for S7-300 and S7-400, formats of S5TIME, TIME, DATE, TIME_OF_DAY and
DATE_AND_TIME; TIA Portal help, DTL, LTIME, LTIME_OF_DAY and LDT.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.s7.datatypes import S7Type

Bytes = NDArray[np.uint8]
Ns = NDArray[np.int64]
Mask = NDArray[np.bool_]

MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
_EPOCH_1990_DAYS = 7305  # 1970-01-01 to 1990-01-01
_LIMITS = np.iinfo(np.int64)


def decode(raw: S7Type, data: Bytes) -> tuple[Ns, Mask]:
    """Return ns, and where the bytes are no value of the type; there ns is 0."""
    match raw:
        case S7Type.TIME:
            return _whole(data, ">i4") * MS_NS, _none(data)
        case S7Type.TOD:
            ns = _whole(data, ">u4") * MS_NS
            return _zero(ns, ns >= DAY_NS)
        case S7Type.LTIME:
            return _whole(data, ">i8"), _none(data)
        case S7Type.LDT:
            ns = _whole(data, ">i8")
            return _zero(ns, ns < 0)
        case S7Type.LTOD:
            ns = _whole(data, ">i8")
            return _zero(ns, (ns < 0) | (ns >= DAY_NS))
        case S7Type.DATE:
            return (_whole(data, ">u2") + _EPOCH_1990_DAYS) * DAY_NS, _none(data)
        case S7Type.S5TIME:
            value, bad = _bcd(data & np.array([0x0F, 0xFF], np.uint8))
            base = (data[:, 0] >> 4).astype(np.int64)
            return _zero(value * 10 ** np.minimum(base, 3) * 10 * MS_NS, bad | (base > 3))
        case S7Type.DT:
            return _date_and_time(data)
        case S7Type.DTL:
            year = _whole(data[:, 0:2], ">u2")
            month, day, hour, minute, second = (data[:, at].astype(np.int64) for at in (2, 3, 5, 6, 7))
            part = _whole(data[:, 8:12], ">u4")
            return _moment(year, month, day, hour, minute, second, part)
    raise ValueError(f"{raw.text} is no time")


def encode(raw: S7Type, ns: Ns) -> tuple[Bytes, Mask]:
    """Return the bytes, and where the type cannot hold the value; there they are 0."""
    match raw:
        case S7Type.TIME:
            return _fit(_rounded(ns, MS_NS), ">i4", -(1 << 31), (1 << 31) - 1)
        case S7Type.TOD:
            return _fit(_rounded(ns, MS_NS), ">u4", 0, DAY_NS // MS_NS - 1)
        case S7Type.LTIME | S7Type.LDT:
            return _fit(ns, ">i8", 0 if raw is S7Type.LDT else int(_LIMITS.min), int(_LIMITS.max))
        case S7Type.LTOD:
            return _fit(ns, ">i8", 0, DAY_NS - 1)
        case S7Type.DATE:
            return _fit(ns // DAY_NS - _EPOCH_1990_DAYS, ">u2", 0, 0xFFFF)
        case S7Type.S5TIME:
            return _s5time(ns)
        case S7Type.DT:
            return _to_date_and_time(ns)
        case S7Type.DTL:
            fields, part = _fields(ns)
            year, month, day, weekday, hour, minute, second = fields
            out = np.zeros((len(ns), 12), np.uint8)
            out[:, 0:2] = _bytes(year, ">u2")
            for at, field in zip(range(2, 8), (month, day, weekday, hour, minute, second), strict=True):
                out[:, at] = field
            out[:, 8:12] = _bytes(part, ">u4")
            unfit = ns < 0
            out[unfit] = 0
            return out, unfit
    raise ValueError(f"{raw.text} is no time")


def counter_value(data: Bytes) -> tuple[Ns, Mask]:
    """Return the count of STEP 7 counters: three BCD digits."""
    value, bad = _bcd(data & np.array([0x0F, 0xFF], np.uint8))
    return _zero(value, bad)


def _whole(data: Bytes, dtype: str) -> Ns:
    return np.ascontiguousarray(data).view(dtype)[:, 0].astype(np.int64)


def _bytes(values: Ns, dtype: str) -> Bytes:
    return values.astype(dtype).view(np.uint8).reshape(len(values), -1)


def _none(data: Bytes) -> Mask:
    return np.zeros(len(data), np.bool_)


def _zero(ns: Ns, bad: Mask) -> tuple[Ns, Mask]:
    return np.where(bad, 0, ns), bad


def _fit(values: Ns, dtype: str, low: int, high: int) -> tuple[Bytes, Mask]:
    unfit = (values < low) | (values > high)
    return _bytes(np.where(unfit, 0, values), dtype), unfit


def _rounded(ns: Ns, unit_ns: int) -> Ns:
    """Return whole units, halves up; the greatest values do not wrap around."""
    whole, rest = np.divmod(ns, unit_ns)
    return whole + (2 * rest >= unit_ns)


def _bcd(data: Bytes) -> tuple[Ns, Mask]:
    """Return the number that all digits of each row make, and where a digit is none."""
    value = np.zeros(len(data), np.int64)
    bad = _none(data)
    for column in data.T:
        for digit in (column >> 4, column & 0x0F):
            value = value * 10 + digit
            bad |= digit > 9
    return value, bad


def _to_bcd(value: Ns) -> Bytes:
    return (value // 10 * 16 + value % 10).astype(np.uint8)


def _s5time(ns: Ns) -> tuple[Bytes, Mask]:
    """Return S5TIME with the finest base that can hold the value: 10 ms, 100 ms, 1 s, 10 s."""
    out = np.zeros((len(ns), 2), np.uint8)
    left = ns >= 0
    for base in range(4):
        units = _rounded(ns, 10 ** (base + 1) * MS_NS)
        here = left & (units <= 999)
        count = units[here]
        out[here, 0] = base << 4 | count // 100
        out[here, 1] = _to_bcd(count % 100)
        left &= ~here
    return out, left | (ns < 0)


def _moment(year: Ns, month: Ns, day: Ns, hour: Ns, minute: Ns, second: Ns, part: Ns) -> tuple[Ns, Mask]:
    """Return ns of calendar fields, and where they are no moment between 1970 and 2262."""
    bad = (year < 1970) | (year > 2262) | (month < 1) | (month > 12) | (day < 1)
    bad |= (hour > 23) | (minute > 59) | (second > 59) | (part >= SECOND_NS)
    months = np.where(bad, 0, (year - 1970) * 12 + month - 1)
    first = _days(months)
    bad |= first + day > _days(months + 1)
    days = np.where(bad, 0, first + day - 1)
    seconds = (hour * 60 + minute) * 60 + second
    last_days, last_ns = divmod(int(_LIMITS.max), DAY_NS)
    bad |= (days > last_days) | ((days == last_days) & (seconds * SECOND_NS + part > last_ns))
    return _zero(np.where(bad, 0, days) * DAY_NS + np.where(bad, 0, seconds * SECOND_NS + part), bad)


def _days(months: Ns) -> Ns:
    return months.astype("M8[M]").astype("M8[D]").astype(np.int64)


def _fields(ns: Ns) -> tuple[tuple[Ns, ...], Ns]:
    """Return year, month, day, weekday (1 is Sunday), hour, minute and second, and the ns of the second."""
    days, rest = np.divmod(ns, DAY_NS)
    months = days.astype("M8[D]").astype("M8[M]").astype(np.int64)
    seconds, part = np.divmod(rest, SECOND_NS)
    day = days - _days(months) + 1
    calendar = (months // 12 + 1970, months % 12 + 1, day, (days + 4) % 7 + 1)
    return (*calendar, seconds // 3600, seconds // 60 % 60, seconds % 60), part


def _date_and_time(data: Bytes) -> tuple[Ns, Mask]:
    fields = [_bcd(data[:, at : at + 1]) for at in range(6)]
    ms, bad = _bcd(data[:, 6:8] & np.array([0xFF, 0xF0], np.uint8))
    for _, wrong in fields:
        bad |= wrong
    year, month, day, hour, minute, second = (value for value, _ in fields)
    year += np.where(year < 90, 2000, 1900)
    ns, wrong = _moment(year, month, day, hour, minute, second, ms // 10 * MS_NS)
    return _zero(ns, bad | wrong)


def _to_date_and_time(ns: Ns) -> tuple[Bytes, Mask]:
    first, last = _days(np.array([20 * 12, 120 * 12])) * DAY_NS  # 1990 to 2089
    unfit = (ns < first) | (ns >= last)
    (year, month, day, weekday, hour, minute, second), part = _fields(np.where(unfit, first, ns))
    ms = part // MS_NS
    out = np.zeros((len(ns), 8), np.uint8)
    for at, field in enumerate((year % 100, month, day, hour, minute, second, ms // 10)):
        out[:, at] = _to_bcd(field)
    out[:, 7] = (ms % 10) << 4 | weekday
    out[unfit] = 0
    return out, unfit
