"""Blocks that are copied where they are called, loops that are not asked to stop, texts and their tags."""

import pytest

import softplc
from softplc.codegen.native import assembly
from softplc.pipeline import lower_application

BLOCKS = """
FUNCTION_BLOCK Inner
VAR_INPUT x : INT; END_VAR
VAR_OUTPUT y : INT; END_VAR
VAR_TEMP t : INT; END_VAR
t := t + x;         // begins with 0 in every call
y := t;
IF x > 3 THEN
    RETURN;
END_IF;
y := -t;
END_FUNCTION_BLOCK
FUNCTION_BLOCK Outer
VAR_INPUT x : INT; END_VAR
VAR_OUTPUT sum : INT; END_VAR
VAR inner : ARRAY[1..3] OF Inner; i : INT; one : Inner; END_VAR
sum := 0;
FOR i := 1 TO 3 DO
    inner[i](x := x + i);
    IF i = 3 THEN
        EXIT;
    END_IF;
    sum := sum + inner[i].y;
END_FOR;
one(x := x);
sum := sum + 100 * one.y;
END_FUNCTION_BLOCK
FUNCTION_BLOCK Divider
VAR_INPUT part : INT; END_VAR
VAR_OUTPUT q : INT; END_VAR

q := 100 / part;
END_FUNCTION_BLOCK
"""
MAIN = """
PROGRAM Main
VAR
    outer : ARRAY[0..4] OF Outer;
    sums  : ARRAY[0..4] OF INT;
    i, k  : INT;
    pick  : INT := 2;
    last  : Outer;
    div   : Divider;
    part  : INT := 1;
    s     : STRING[30];
    n     : INT;
    codes : INT;
END_VAR
FOR i := 0 TO 4 DO
    outer[i](x := i, sum => sums[i]);
END_FOR;
k := pick + 1;
outer[k](x := 7);
last(x := outer[k].sum);
div(part := part);
s := '';
codes := 0;
FOR i := 1 TO 5 DO
    s := CONCAT(s, 'abc');
    n := LEN(s);
    s[n] := 'z';
    IF s[n] = 'z' AND s[n - 1] = 'b' THEN
        codes := codes + n;
    END_IF;
END_FOR;
END_PROGRAM
"""


def inner(x):
    return x if x > 3 else -x


def outer(x):
    return inner(x + 1) + inner(x + 2) + 100 * inner(x)


def wrapped(value):
    return (value + 0x8000) % 0x10000 - 0x8000


@pytest.fixture(scope="module")
def application():
    return softplc.compile(sources={"main.st": MAIN, "blocks.st": BLOCKS})


def test_copies_do_what_their_blocks_do(application):
    plc = application.simulator()
    plc.scan(3)
    assert plc.read("Main.sums") == [outer(x) for x in range(5)]
    assert plc.read("Main.outer[3].sum") == outer(7)
    assert plc.read("Main.last.sum") == wrapped(outer(outer(7)))
    assert plc.read("Main.s") == "abz" * 5
    assert plc.read("Main.codes") == 3 + 6 + 9 + 12 + 15


def test_a_fault_in_a_copy_has_file_and_line_of_its_block(application):
    line = BLOCKS.splitlines().index("q := 100 / part;") + 1
    plc = application.simulator()
    plc.scan()
    plc.write("Main.part", 0)
    with pytest.raises(softplc.PlcFaultError, match=rf"blocks\.st:{line}:"):
        plc.scan()


def looks(body, more=""):
    """Return in how many places the text of a program looks whether it is to stop."""
    source = f"{more}\nPROGRAM Main VAR i, k : DINT; n : LINT; b : B; END_VAR {body} END_PROGRAM"
    if not more:
        source = source.replace("b : B;", "")
    return assembly(lower_application((), {"main.st": source})[1]).count("load atomic")


def test_only_loops_that_may_take_long_look_whether_to_stop():
    assert looks("FOR i := 1 TO 1000 DO n := n + i; END_FOR;") == 0
    assert looks("FOR i := 1000 TO 1 BY -2 DO n := n + i; END_FOR;") == 0
    assert looks("FOR i := 1 TO 10000000 DO n := n + i; END_FOR;") == 1
    assert looks("FOR i := 1 TO k DO n := n + i; END_FOR;") == 1
    assert looks("WHILE n < 5 DO n := n + 1; END_WHILE;") == 1
    nested = "FOR i := 1 TO 1000 DO FOR k := 1 TO 1000 DO n := n + k; END_FOR; END_FOR;"
    assert looks(nested) == 1  # that around it
    block = "FUNCTION_BLOCK B VAR k : INT; END_VAR {} k := k + 1; END_FUNCTION_BLOCK"
    assert looks("FOR i := 1 TO 10 DO b(); END_FOR;", block.format("")) == 0
    assert (
        looks("FOR i := 1 TO 10 DO b(); END_FOR;", block.format("WHILE k > 0 DO k := k - 1; END_WHILE;")) == 2
    )
