"""REPLACE, INSERT and DELETE where the text lies: the same as elsewhere, and no copy of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import softplc
from softplc.codegen.native import assembly
from softplc.pipeline import lower_application

PROGRAM = """
PROGRAM Main
VAR
    before : {kind}[12];
    new    : {kind}[8];
    long   : LINT;
    from   : LINT;
    i, k   : INT := 2;
    r, d, n, c : {kind}[12];
    rs     : ARRAY[1..3] OF {kind}[12];
    e, es  : {kind}[12];
    r2, d2, n2, c2, e2 : {kind}[12];
END_VAR
r := before; d := before; n := before; c := before; e := before; rs[k] := before;
r := REPLACE(r, new, long, from);
d := DELETE(d, long, from);
n := INSERT(n, new, from);
c := REPLACE(c, {quote}xyz{quote}, 3, from);
FOR i := 1 TO 3 DO
    IF i = 2 THEN
        rs[i] := REPLACE(rs[i], new, long, from);
    END_IF;
END_FOR;
es := rs[k];
e := REPLACE(e, e, long, from);     // itself: not where it lies

r2 := REPLACE(before, new, long, from);
d2 := DELETE(before, long, from);
n2 := INSERT(before, new, from);
c2 := REPLACE(before, {quote}xyz{quote}, 3, from);
e2 := REPLACE(before, before, long, from);
END_PROGRAM
"""
NUMBERS = st.integers(-3, 16) | st.sampled_from([-(2**63), 2**63 - 1, 2**32])


def program(kind: str) -> str:
    return PROGRAM.format(kind=kind, quote="'" if kind == "STRING" else '"')


@pytest.fixture(scope="module", params=["STRING", "WSTRING"])
def line(request):
    return softplc.compile(sources={"main.st": program(request.param)}).simulator()


def replaced(text: str, new: str, count: int, before: int) -> str:
    begin = min(max(before, 0), len(text))
    return (text[:begin] + new + text[begin + max(count, 0) :])[:12]


@given(
    before=st.text("abcdefgh", max_size=12),
    new=st.text("0123", max_size=8),
    long=NUMBERS,
    start=NUMBERS,
)
@settings(max_examples=300, deadline=None)
def test_a_text_changed_where_it_lies_is_that_made_elsewhere(line, before, new, long, start):
    for name, value in {"before": before, "new": new, "long": long, "from": start}.items():
        line.write(f"Main.{name}", value)
    line.scan()
    shown = {name: line.read(f"Main.{name}") for name in ("r", "es", "d", "n", "c", "e")}
    assert [shown[name] for name in ("r", "d", "n", "c", "e")] == [
        line.read(f"Main.{name}2") for name in ("r", "d", "n", "c", "e")
    ]
    assert shown["r"] == shown["es"] == replaced(before, new, long, start - 1)
    assert shown["d"] == replaced(before, "", long, start - 1)
    assert shown["n"] == replaced(before, new, 0, start)
    assert shown["c"] == replaced(before, "xyz", 3, start - 1)
    assert shown["e"] == replaced(before, before, long, start - 1)


def test_only_a_text_that_is_surely_the_same_is_changed_where_it_lies():
    def spliced(statement: str) -> bool:
        source = f"""
        FUNCTION_BLOCK Named VAR_IN_OUT t : STRING[9]; END_VAR t := DELETE(t, 1, 1); END_FUNCTION_BLOCK
        PROGRAM Main
        VAR s, t : STRING[9]; a : ARRAY[1..4] OF STRING[9]; i : INT := 1; c : CHAR; named : Named; END_VAR
        {statement} named(t := t);
        END_PROGRAM"""
        _, module = lower_application((), {"main.st": source})
        return "call void @iw.str.splice" in assembly(module)

    assert spliced("s := DELETE(s, 1, 1);")
    assert spliced("a[i] := REPLACE(a[i], 'x', 1, 2);")
    assert spliced("s := INSERT(s, t, 2);")
    assert not spliced("s := DELETE(t, 1, 1);")
    assert not spliced("a[i] := DELETE(a[i + 1], 1, 1);")
    assert not spliced("s := INSERT(s, s, 2);")
    assert not spliced("s := INSERT(s, a[i], 2);")
    assert not spliced("s := INSERT(s, CONCAT(t, 'x'), 2);")
    assert not spliced("s := INSERT(s, c, 2);")
