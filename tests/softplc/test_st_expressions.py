"""Generated expressions against a small oracle: compiled code, constant folding and Python agree."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import softplc
from softplc.simulator import PlcFaultError

WIDTHS = {
    "SINT": (8, True),
    "INT": (16, True),
    "DINT": (32, True),
    "LINT": (64, True),
    "USINT": (8, False),
    "UINT": (16, False),
    "UDINT": (32, False),
    "ULINT": (64, False),
}


def wrap(value: int, bits: int, signed: bool) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a: int, b: int) -> int:
    return 0 if b == 0 else abs(a) % abs(b) * (-1 if a < 0 else 1)


OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": quotient,
    "MOD": remainder,
}


@st.composite
def tree(draw, depth=4):
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from("abcd"))
    op = draw(st.sampled_from([*OPERATIONS, "NEG", "ABS", "MAX", "MIN"]))
    if op in ("NEG", "ABS"):
        return (op, draw(tree(depth=depth - 1)))
    return (op, draw(tree(depth=depth - 1)), draw(tree(depth=depth - 1)))


def text_of(node) -> str:
    if isinstance(node, str):
        return node
    if node[0] == "NEG":
        return f"(-{text_of(node[1])})"
    if node[0] in ("ABS", "MAX", "MIN"):
        return f"{node[0]}({', '.join(map(text_of, node[1:]))})"
    return f"({text_of(node[1])} {node[0]} {text_of(node[2])})"


def value_of(node, variables, bits, signed):
    if isinstance(node, str):
        return variables[node]
    arguments = [value_of(each, variables, bits, signed) for each in node[1:]]
    if node[0] == "/" and arguments[1] == 0:
        raise ZeroDivisionError
    unary = {"NEG": lambda a: -a, "ABS": abs, "MAX": max, "MIN": min}
    return wrap((OPERATIONS.get(node[0]) or unary[node[0]])(*arguments), bits, signed)


def has_negation(node) -> bool:
    return not isinstance(node, str) and (node[0] == "NEG" or any(map(has_negation, node[1:])))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_integer_expressions_agree_with_the_oracle(data):
    name = data.draw(st.sampled_from(list(WIDTHS)))
    bits, signed = WIDTHS[name]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    number = st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, 1, low + 1, high - 1]))
    variables = {each: data.draw(number) for each in "abcd"}
    node = data.draw(tree().filter(lambda each: signed or not has_negation(each)))
    declared = "; ".join(f"{key} : {name} := {value}" for key, value in variables.items())
    folded = "; ".join(f"{key} : {name} := {value}" for key, value in variables.items())
    run = softplc.compile(
        sources={"x.st": f"PROGRAM P VAR {declared}; r : {name}; END_VAR r := {text_of(node)}; END_PROGRAM"}
    ).simulator()
    try:
        wanted = value_of(node, variables, bits, signed)
    except ZeroDivisionError:
        with pytest.raises(softplc.PlcFaultError, match="division by zero"):
            run.scan()
        return
    run.scan()
    assert run.read("P.r") == wanted
    constants = f"VAR CONSTANT {folded}; END_VAR VAR r : {name}; END_VAR r := {text_of(node)};"
    constant_run = softplc.compile(sources={"x.st": f"PROGRAM P {constants} END_PROGRAM"}).simulator()
    constant_run.scan()
    assert constant_run.read("P.r") == wanted


@settings(max_examples=40, deadline=None)
@given(
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.sampled_from("+-*/"),
)
def test_real_arithmetic_is_single_precision_ieee(a, b, op):
    run = softplc.compile(
        sources={"x.st": f"PROGRAM P VAR a, b, r : REAL; END_VAR r := a {op} b; END_PROGRAM"}
    ).simulator()
    run.write("P.a", a)
    run.write("P.b", b)
    run.scan()
    if op == "/" and b == 0:
        wanted = math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)
    else:
        exact = a + b if op == "+" else a - b if op == "-" else a * b if op == "*" else a / b
        try:
            wanted = struct.unpack("<f", struct.pack("<f", exact))[0]
        except OverflowError:
            wanted = math.copysign(math.inf, exact)
    seen = run.read("P.r")
    assert seen == wanted or (seen != seen and wanted != wanted)


REALS = st.one_of(
    st.floats(width=64), st.sampled_from([0.5, 1.5, 2.5, -0.5, -1.5, 127.5, 128.4999, -128.5, 1e300])
)


@settings(max_examples=40, deadline=None)
@given(REALS, st.sampled_from(list(WIDTHS)))
def test_reals_round_to_nearest_even_and_saturate(value, name):
    bits, signed = WIDTHS[name]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    run = softplc.compile(
        sources={"x.st": f"PROGRAM P VAR x : LREAL; r : {name}; END_VAR r := LREAL_TO_{name}(x); END_PROGRAM"}
    ).simulator()
    run.write("P.x", value)
    run.scan()
    wanted = (
        0 if math.isnan(value) else low if value == -math.inf else high if value == math.inf else round(value)
    )
    assert run.read("P.r") == min(max(wanted, low), high)


@pytest.mark.parametrize("index", [2**64 - 1, 2**63, 3])
def test_an_index_beyond_63_bits_is_outside_of_bounds_below_zero(index):
    """Found by the oracle: 2**64 - 1 looked like -1."""
    source = (
        "PROGRAM Main VAR i : ULINT; here : INT := -1; a : ARRAY[-1..2] OF INT; END_VAR\n"
        "a[here] := a[here] + 1;\na[i] := 7; END_PROGRAM"
    )
    plc = softplc.compile(sources={"main.st": source}).simulator()
    plc.write("Main.i", index)
    with pytest.raises(PlcFaultError) as caught:
        plc.scan()
    assert caught.value.line == 3
    assert plc.read("Main.a") == [1, 0, 0, 0]
