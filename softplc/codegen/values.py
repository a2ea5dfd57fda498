"""LLVM names of types, constants and operations; no state."""

from __future__ import annotations

import struct

from softplc.iectypes import BOOL, REAL, Elementary

ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "AND": "and", "OR": "or", "XOR": "xor"}
REAL_ARITHMETIC = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
INTEGER_COMPARE = {"=": "eq", "<>": "ne", "<": "lt", ">": "gt", "<=": "le", ">=": "ge"}
REAL_COMPARE = {"=": "oeq", "<>": "une", "<": "olt", ">": "ogt", "<=": "ole", ">=": "oge"}
INTRINSICS = {
    "SQRT": "sqrt",
    "LN": "log",
    "LOG": "log10",
    "EXP": "exp",
    "SIN": "sin",
    "COS": "cos",
    "TAN": "tan",
    "ASIN": "asin",
    "ACOS": "acos",
    "ATAN": "atan",
    "ATAN2": "atan2",
    "**": "pow",
}


def value_type(type_: Elementary) -> str:
    """Return the LLVM type of a value in a register."""
    if type_ is BOOL:
        return "i1"
    if type_.kind == "real":
        return "float" if type_ is REAL else "double"
    return f"i{type_.bits}"


def memory_type(type_: Elementary) -> str:
    return "i8" if type_ is BOOL else value_type(type_)


def constant(type_: Elementary, value: bool | int | float) -> str:
    """Return a constant as LLVM text; reals as the bits of a double, which is exact."""
    if type_ is BOOL:
        return "true" if value else "false"
    if type_.kind == "real":
        number = float(value)
        if type_ is REAL:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    return str(int(value))


def intrinsic_suffix(type_: Elementary) -> str:
    if type_.kind == "real":
        return "f32" if type_ is REAL else "f64"
    return value_type(type_)


def quoted(data: bytes) -> str:
    """Return bytes as an LLVM string constant."""
    return "".join(
        f"\\{byte:02X}" if byte < 32 or byte > 126 or byte in (34, 92) else chr(byte) for byte in data
    )
