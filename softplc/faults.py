"""Faults that stop a task: codes in the image header, and what they mean."""

from __future__ import annotations

from enum import IntEnum


class Fault(IntEnum):
    """Why a task stopped; 0 in the header means that it did not.

    Source: IEC 61131-3:2013, annex A lists these as errors to be reported at run time.
    """

    DIVISION_BY_ZERO = 1
    INDEX_OUT_OF_RANGE = 2
    WATCHDOG = 3
    VALUE_OUT_OF_RANGE = 4
    NULL_REFERENCE = 5
    POINTER_OUT_OF_OBJECT = 6

    @property
    def text(self) -> str:
        return _TEXTS[self]


def operands_text(code: int, operands: tuple[int, int, int], *, unsigned: bool = False) -> str:
    """Write what an operation worked on, as far as the fault says so; else nothing."""
    a, b, c = (each & _WHOLE for each in operands) if unsigned else operands
    if code == Fault.DIVISION_BY_ZERO:
        return f"{a} / {b}"
    if code == Fault.INDEX_OUT_OF_RANGE:
        return f"{a} is not in {b}..{b + c - 1}"
    if code == Fault.VALUE_OUT_OF_RANGE:
        return f"{a} is not in {b}..{c}"
    return ""


_WHOLE = (1 << 64) - 1
_TEXTS = {
    Fault.DIVISION_BY_ZERO: "division by zero",
    Fault.INDEX_OUT_OF_RANGE: "index out of range",
    Fault.WATCHDOG: "a loop ran longer than the watchdog allows",
    Fault.VALUE_OUT_OF_RANGE: "value outside its subrange",
    Fault.NULL_REFERENCE: "a reference that is NULL was followed",
    Fault.POINTER_OUT_OF_OBJECT: "a pointer was followed outside of its object",
}
