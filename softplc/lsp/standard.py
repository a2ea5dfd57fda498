"""What the functions of the standard do, in a sentence each.

Source: IEC 61131-3:2013, 6.6.2.5, tables 28 to 36.
"""

from __future__ import annotations

from softplc.library.functions import FUNCTIONS, Function, conversion

_ABOUT = {
    "ABS": "The magnitude of a number.",
    "SQRT": "The square root.",
    "LN": "The natural logarithm.",
    "LOG": "The logarithm to base 10.",
    "EXP": "e to the power of IN.",
    "SIN": "The sine of an angle in radians.",
    "COS": "The cosine of an angle in radians.",
    "TAN": "The tangent of an angle in radians.",
    "ASIN": "The angle in radians with that sine.",
    "ACOS": "The angle in radians with that cosine.",
    "ATAN": "The angle in radians with that tangent.",
    "ATAN2": "The angle in radians of the point (X, Y), in all four quadrants.",
    "MOVE": "The value as it is.",
    "SHL": "IN shifted left by N bits, filled with 0.",
    "SHR": "IN shifted right by N bits, filled with 0.",
    "ROL": "IN rotated left by N bits.",
    "ROR": "IN rotated right by N bits.",
    "SEL": "IN0 while G is FALSE, IN1 while it is TRUE.",
    "MAX": "The greatest of the values.",
    "MIN": "The least of the values.",
    "LIMIT": "IN, but not less than MN and not more than MX.",
    "MUX": "The input that K counts to, from 0.",
    "LEN": "How many characters a text has.",
    "LEFT": "The first L characters.",
    "RIGHT": "The last L characters.",
    "MID": "L characters from position P, which counts from 1.",
    "CONCAT": "The texts one behind the other.",
    "INSERT": "IN1 with IN2 put in behind position P.",
    "DELETE": "IN without L characters from position P.",
    "REPLACE": "IN1 with IN2 in the place of L characters from position P.",
    "FIND": "The position in IN1 where IN2 begins, 0 where it does not occur.",
    "CONCAT_DATE_TOD": "A date and a time of day as one.",
    "REF": "A reference to a variable.",
    "LOWER_BOUND": "The lowest index of a dimension of an array.",
    "UPPER_BOUND": "The highest index of a dimension of an array.",
    "TRUNC": "A real number without its fraction.",
}


def signature(function: Function) -> str:
    """Return name, parameters and result of a standard function."""
    parameters = [f"{name} : {type_}" for name, type_ in function.parameters]
    more = ", ..." if function.repeats else ""
    return f"{function.name}({', '.join(parameters)}{more}) : {function.result}"


def about(name: str) -> tuple[str, str]:
    """Return the signature of a standard function and what it does; empty where it is none."""
    key = name.upper()
    function = FUNCTIONS.get(key)
    if function is not None:
        text = _ABOUT.get(key, "")
        if function.operator:
            text = f"Another name of the operator {function.operator}."
        generic = f" T is {function.generic}." if function.generic else ""
        return signature(function), text + generic
    found = conversion(key, {})
    if found is not None:
        how = "Cuts the fraction off." if found.truncates else "Converts a value to another type."
        return f"{key}(IN : {found.source or 'ANY'}) : {found.target}", how
    return (f"{key}(...)", _ABOUT[key]) if key in _ABOUT else ("", "")
