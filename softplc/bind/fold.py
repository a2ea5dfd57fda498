"""Constant folding with the semantics of the generated code: wrapping integers, IEEE reals."""

from __future__ import annotations

import math
import struct

from softplc.iectypes import BOOL, INT_LITERAL, REAL, REAL_LITERAL, Elementary, Enum, String, Type, base_of
from softplc.syntax import Scalar


def wrap(value: int, type_: Elementary) -> int:
    """Reduce a whole number to the type, as two's complement does."""
    value &= (1 << type_.bits) - 1
    return value - (1 << type_.bits) if type_.signed and value >> (type_.bits - 1) else value


def as_type(value: Scalar, type_: Type | None) -> Scalar:
    """Bring a constant into the domain of a type it converts to."""
    type_ = base_of(type_)
    if isinstance(type_, String) and not isinstance(value, str):  # only CHAR and WCHAR convert to one
        return chr(int(value))
    if isinstance(value, str) or isinstance(type_, Enum) or not isinstance(type_, Elementary):
        return value
    if type_.kind == "real":
        number = float(value)
        return single(number) if type_ is REAL else number
    if type_ is BOOL:
        return bool(value)
    if type_.kind == "literal":
        return value
    return wrap(int(value), type_)


def single(value: float) -> float:
    """Round to the nearest REAL."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def unary(op: str, value: Scalar, type_: Type | None) -> Scalar | None:
    if isinstance(value, str):
        return None
    if op == "NOT":
        if isinstance(value, bool):
            return not value
        return as_type(~int(value), type_) if type_ is not INT_LITERAL else None
    if op == "-":
        return as_type(-value, type_)
    return value


def binary(op: str, left: Scalar, right: Scalar, operand: Type | None) -> Scalar | None:
    """Return the value of an operation on constants of one type, or None if it has none."""
    if op in _COMPARE:
        return _compare(op, left, right)
    if isinstance(left, str) or isinstance(right, str):
        return None
    if op in ("AND", "OR", "XOR"):
        a, b = int(left), int(right)
        result = a & b if op == "AND" else a | b if op == "OR" else a ^ b
        return bool(result) if operand is BOOL else result
    real = operand is REAL_LITERAL or (isinstance(operand, Elementary) and operand.kind == "real")
    if real:
        return _real(op, float(left), float(right), operand)
    return _whole(op, int(left), int(right), operand)


_COMPARE = ("=", "<>", "<", ">", "<=", ">=")


def _compare(op: str, left: Scalar, right: Scalar) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        a, b = str(left), str(right)
        order = (a > b) - (a < b)
    else:
        if math.isnan(left) or math.isnan(right):
            return op == "<>"
        order = (left > right) - (left < right)
    return {
        "=": order == 0,
        "<>": order != 0,
        "<": order < 0,
        ">": order > 0,
        "<=": order <= 0,
        ">=": order >= 0,
    }[op]


def _real(op: str, left: float, right: float, operand: Type | None) -> Scalar | None:
    try:
        if op == "/":
            result = left / right
        elif op == "**":
            result = math.pow(left, right)
        elif op in ("+", "-", "*"):
            result = left + right if op == "+" else left - right if op == "-" else left * right
        else:
            return None
    except (ArithmeticError, ValueError):
        return None
    return as_type(result, operand)


def _whole(op: str, left: int, right: int, operand: Type | None) -> Scalar | None:
    if op == "+":
        result = left + right
    elif op == "-":
        result = left - right
    elif op == "*":
        result = left * right
    elif op == "/":
        if right == 0:
            return None
        result = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    elif op == "MOD":
        result = 0 if right == 0 else abs(left) % abs(right) * (-1 if left < 0 else 1)
    elif op == "**" and 0 <= right <= 256:
        result = left**right
    else:
        return None
    return as_type(result, operand) if abs(result) < 1 << 128 else None
