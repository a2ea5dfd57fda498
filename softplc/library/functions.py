"""Standard functions as one table: parameters, generic type, result.

Source: IEC 61131-3:2013, 6.6.2.5, tables 28 to 36.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from softplc.iectypes import (
    BOOL,
    DEFAULT_STRING_LENGTH,
    ELEMENTARY,
    LDATE,
    LDT,
    LINT,
    LONG,
    LREAL,
    LTIME,
    LTOD,
    ULINT,
    Elementary,
    Enum,
    String,
    Subrange,
    Type,
    in_class,
)


@dataclass(frozen=True, slots=True)
class Function:
    """A standard function.

    Attributes:
        parameters: name and type of each; `T` is the generic type all its places share, a class
            such as ANY_INT stands for itself.
        generic: what T may be.
        result: a type name, or T.
        repeats: the last parameter may come any number of times (IN1, IN2, ...).
        operator: the operator it is another name for.
        of: what T, ANY_STRING and ANY_CHARS are in a typed variant such as ADD_INT, else None.
    """

    name: str
    parameters: tuple[tuple[str, str], ...]
    generic: str = ""
    result: str = "T"
    repeats: bool = False
    operator: str = ""
    of: Type | None = None

    @property
    def called(self) -> str:
        """Return the name as it is called."""
        if self.of is None:
            return self.name
        return f"{self.name}_{self.of.plain if isinstance(self.of, String) else self.of}"

    def parameter_type(self, place: int) -> str:
        """Return the type of a parameter; the last may repeat."""
        return self.parameters[min(place, len(self.parameters) - 1)][1]


SWAPS = ("TO_BIG_ENDIAN", "FROM_BIG_ENDIAN", "BIG_ENDIAN_TO")
ENDIAN = (*SWAPS, "TO_LITTLE_ENDIAN", "FROM_LITTLE_ENDIAN", "LITTLE_ENDIAN_TO")
OPERANDS = {  # what the operators take, as the typed variants of their functions do
    **dict.fromkeys(("+", "-", "*", "/"), "ANY_NUM"),
    **dict.fromkeys(("=", "<>", "<", ">", "<=", ">="), "ANY_ELEMENTARY"),
    **dict.fromkeys(("AND", "OR", "XOR", "NOT"), "ANY_BIT"),
    "MOD": "ANY_INT",
    "**": "ANY_REAL",
}


def _table() -> dict[str, Function]:
    rows = [
        Function("ABS", (("IN", "T"),), "ANY_NUM"),
        *(
            Function(name, (("IN", "T"),), "ANY_REAL")
            for name in ("SQRT", "LN", "LOG", "EXP", "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN")
        ),
        Function("ATAN2", (("Y", "T"), ("X", "T")), "ANY_REAL"),
        *(
            Function(name, (("IN1", "T"), ("IN2", "T")), repeats=repeats, operator=operator)
            for name, operator, repeats in (
                ("ADD", "+", True),
                ("MUL", "*", True),
                ("SUB", "-", False),
                ("DIV", "/", False),
                ("MOD", "MOD", False),
                ("EXPT", "**", False),
                ("AND", "AND", True),
                ("OR", "OR", True),
                ("XOR", "XOR", True),
                ("GT", ">", True),
                ("GE", ">=", True),
                ("EQ", "=", True),
                ("LE", "<=", True),
                ("LT", "<", True),
                ("NE", "<>", False),
            )
        ),
        Function("NOT", (("IN", "T"),), operator="NOT"),
        *(Function(name, (("IN", "T"),), "ANY") for name in ENDIAN),
        Function("IS_VALID", (("IN", "T"),), "ANY_REAL", result="BOOL"),
        Function("IS_VALID_BCD", (("IN", "T"),), "ANY_BIT", result="BOOL"),
        Function("MOVE", (("IN", "T"),), "ANY"),
        *(
            Function(name, (("IN", "T"), ("N", "ANY_INT")), "ANY_BIT")
            for name in ("SHL", "SHR", "ROL", "ROR")
        ),
        Function("SEL", (("G", "BOOL"), ("IN0", "T"), ("IN1", "T")), "ANY"),
        Function("MAX", (("IN1", "T"), ("IN2", "T")), "ANY_ELEMENTARY", repeats=True),
        Function("MIN", (("IN1", "T"), ("IN2", "T")), "ANY_ELEMENTARY", repeats=True),
        Function("LIMIT", (("MN", "T"), ("IN", "T"), ("MX", "T")), "ANY_ELEMENTARY"),
        Function("MUX", (("K", "ANY_INT"), ("IN0", "T"), ("IN1", "T")), "ANY", repeats=True),
        Function("LEN", (("IN", "ANY_STRING"),), result="INT"),
        Function("LEFT", (("IN", "ANY_STRING"), ("L", "ANY_INT")), result="STRING"),
        Function("RIGHT", (("IN", "ANY_STRING"), ("L", "ANY_INT")), result="STRING"),
        Function("MID", (("IN", "ANY_STRING"), ("L", "ANY_INT"), ("P", "ANY_INT")), result="STRING"),
        Function("CONCAT", (("IN1", "ANY_CHARS"), ("IN2", "ANY_CHARS")), result="STRING", repeats=True),
        Function("INSERT", (("IN1", "ANY_STRING"), ("IN2", "ANY_CHARS"), ("P", "ANY_INT")), result="STRING"),
        Function("DELETE", (("IN", "ANY_STRING"), ("L", "ANY_INT"), ("P", "ANY_INT")), result="STRING"),
        Function(
            "REPLACE",
            (("IN1", "ANY_STRING"), ("IN2", "ANY_CHARS"), ("L", "ANY_INT"), ("P", "ANY_INT")),
            result="STRING",
        ),
        Function("FIND", (("IN1", "ANY_STRING"), ("IN2", "ANY_CHARS")), result="INT"),
        *(
            Function(name, (("IN1", first), ("IN2", second)), operator=operator)
            for name, first, operator, second in (
                ("ADD_TIME", "TIME", "+", "TIME"),
                ("ADD_LTIME", "LTIME", "+", "LTIME"),
                ("ADD_TOD_TIME", "TOD", "+", "TIME"),
                ("ADD_LTOD_LTIME", "LTOD", "+", "LTIME"),
                ("ADD_DT_TIME", "DT", "+", "TIME"),
                ("ADD_LDT_LTIME", "LDT", "+", "LTIME"),
                ("SUB_TIME", "TIME", "-", "TIME"),
                ("SUB_LTIME", "LTIME", "-", "LTIME"),
                ("SUB_DATE_DATE", "DATE", "-", "DATE"),
                ("SUB_LDATE_LDATE", "LDATE", "-", "LDATE"),
                ("SUB_TOD_TIME", "TOD", "-", "TIME"),
                ("SUB_LTOD_LTIME", "LTOD", "-", "LTIME"),
                ("SUB_TOD_TOD", "TOD", "-", "TOD"),
                ("SUB_LTOD_LTOD", "LTOD", "-", "LTOD"),
                ("SUB_DT_TIME", "DT", "-", "TIME"),
                ("SUB_LDT_LTIME", "LDT", "-", "LTIME"),
                ("SUB_DT_DT", "DT", "-", "DT"),
                ("SUB_LDT_LDT", "LDT", "-", "LDT"),
                ("MUL_TIME", "TIME", "*", "ANY_NUM"),
                ("MULTIME", "TIME", "*", "ANY_NUM"),  # as edition 2 names it
                ("MUL_LTIME", "LTIME", "*", "ANY_NUM"),
                ("DIV_TIME", "TIME", "/", "ANY_NUM"),
                ("DIVTIME", "TIME", "/", "ANY_NUM"),
                ("DIV_LTIME", "LTIME", "/", "ANY_NUM"),
            )
        ),
        Function("CONCAT_DATE_TOD", (("IN1", "DATE"), ("IN2", "TOD")), result="DT"),
        Function("CONCAT_DATE_LTOD", (("IN1", "DATE"), ("IN2", "LTOD")), result="LDT"),
        Function("CONCAT_LDATE_LTOD", (("IN1", "LDATE"), ("IN2", "LTOD")), result="LDT"),
    ]
    return {row.name: row for row in rows}


FUNCTIONS = _table()
CODESYS_ONLY = {name: Function(name, (), result=name) for name in ("TIME", "LTIME")}  # task time
LIBRARY_ONLY = {
    "_NOW": Function("_NOW", (), result="LTIME"),
    "_MAX": Function("_MAX", (("IN", "T"),), "ANY_INT"),
    "_MIN": Function("_MIN", (("IN", "T"),), "ANY_INT"),
    "_REAL_OF": Function("_REAL_OF", (("IN", "ANY_STRING"),), result="LREAL"),
}


def typed(name: str) -> Function | None:
    """Return the typed variant of a function that a name such as ADD_INT, SHL_WORD or LEN_WSTRING means.

    Source: IEC 61131-3:2013, 6.6.2.5.1, table 21.
    """
    base, _, type_name = name.rpartition("_")
    function, type_ = FUNCTIONS.get(base), _type(type_name, {})
    if function is None or type_ is None:
        return None
    kinds = [kind for _, kind in function.parameters]
    if "T" in kinds:
        known = function.generic or OPERANDS[function.operator]
        good = in_class(type_, "ANY_ELEMENTARY" if known == "ANY" else known)
        good = good and not (base in ENDIAN and isinstance(type_, String))
    else:
        good = isinstance(type_, String) and kinds[0] in ("ANY_STRING", "ANY_CHARS")
    return replace(function, of=type_) if good else None


_CONVERSION = re.compile(r"(?:([A-Z][A-Z0-9_]*?)_)??(TO|TRUNC)_([A-Z][A-Z0-9_]*)")
STRING_KINDS = ("bool", "bits", "int", "uint", "real", "time", "date", "tod", "dt", "char")
READ = {  # what reads a value of each kind from a text, and the type it yields
    "bool": ("_STRING_TO_BOOL", BOOL),
    "bits": ("_STRING_TO_ULINT", ULINT),
    "uint": ("_STRING_TO_ULINT", ULINT),
    "int": ("_STRING_TO_LINT", LINT),
    "real": ("_STRING_TO_LREAL", LREAL),
    "time": ("_STRING_TO_LTIME", LTIME),
    "date": ("_STRING_TO_DATE", LDATE),
    "tod": ("_STRING_TO_TOD", LTOD),
    "dt": ("_STRING_TO_DT", LDT),
}
SPELT = {type_: f"_{type_}_TO_STRING" for pair in LONG.items() for type_ in pair}
ENUM_TARGETS = ("int", "uint", "bits")


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion function as named: source type (None where overloaded), target type, truncating or not."""

    source: Type | None
    target: Type
    truncates: bool


def conversion(name: str, types: dict[str, Type]) -> Conversion | None:
    """Read a name such as `REAL_TO_INT`, `TO_INT`, `REAL_TRUNC_INT` or `Color_TO_INT`."""
    found = _CONVERSION.fullmatch(name.upper())
    if found is None:
        return None
    source_name, verb, target_name = found.groups()
    target = _type(target_name, {})
    source = _type(source_name, types) if source_name else None
    if target is None or (source_name and source is None):
        return None
    truncates = verb == "TRUNC"
    if truncates and not (isinstance(target, Elementary) and target.kind in ("int", "uint")):
        return None
    if source is not None and not convertible(source, target, truncates):
        return None
    return Conversion(source, target, truncates)


def _type(name: str, types: dict[str, Type]) -> Type | None:
    if name in ("STRING", "WSTRING"):
        return String(DEFAULT_STRING_LENGTH, name == "WSTRING")
    if name in ELEMENTARY:
        return ELEMENTARY[name]
    found = types.get(name.casefold())
    return found if isinstance(found, Enum) else None


def convertible(source: Type, target: Type, truncates: bool = False) -> bool:
    """Tell whether a conversion function between the two types exists."""
    if isinstance(source, Subrange):
        source = source.base
    if truncates:
        return isinstance(source, Elementary) and source.kind == "real"
    if isinstance(source, Enum):
        return isinstance(target, Elementary) and target.kind in ENUM_TARGETS
    if isinstance(source, String) and isinstance(target, Elementary):
        return target.kind in READ or target.kind == "char"
    if isinstance(source, String):
        return isinstance(target, String)
    if not isinstance(source, Elementary):
        return False
    if isinstance(target, String):
        return source.kind in STRING_KINDS
    if not isinstance(target, Elementary):
        return False
    if "char" in (source.kind, target.kind):
        return {source.kind, target.kind} <= {"char", "bits", "int", "uint"}
    if source.kind in ("date", "tod", "dt") and target.kind in ("date", "tod", "dt"):
        return source.kind in (target.kind, "dt")
    if source.kind in ("date", "tod", "dt", "time") or target.kind in ("date", "tod", "dt", "time"):
        pair = {source.kind, target.kind}
        return pair == {"time"} or bool(pair & {"int", "uint", "real", "bits"})
    return True
