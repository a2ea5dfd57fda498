"""Elements of arrays in loops: blocks have a pointer that moves on, whatever the loop does."""

import pytest

import softplc
from softplc.codegen.native import assembly
from softplc.pipeline import lower_application

STATION = """
FUNCTION_BLOCK Station
VAR_INPUT on : BOOL; add : INT; END_VAR
VAR_OUTPUT sum, times : INT; END_VAR
VAR was : BOOL; END_VAR
IF on AND NOT was THEN
    times := times + 1;
END_IF;
was := on;
IF on THEN
    sum := sum + add;
END_IF;
END_FUNCTION_BLOCK
"""
MAIN = """
PROGRAM Main
VAR a : ARRAY[-2..7] OF Station; sums, times : ARRAY[-2..7] OF INT; i, k : INT; n : UINT; tick : INT; END_VAR
tick := tick + 1;
{loop}
FOR k := -2 TO 7 DO
    sums[k] := a[k].sum;
    times[k] := a[k].times;
END_FOR;
END_PROGRAM
"""
CALL = "a[i](on := i > 0 AND (tick > 2 OR i = 3), add := i);"
LOOPS = {
    "up": (f"FOR i := -2 TO 7 DO {CALL} END_FOR;", range(-2, 8)),
    "up by three": (f"FOR i := -1 TO 7 BY 3 DO {CALL} END_FOR;", range(-1, 8, 3)),
    "down": (f"FOR i := 7 TO -2 BY -1 DO {CALL} END_FOR;", range(7, -3, -1)),
    "down by two": (f"FOR i := 6 TO -2 BY -2 DO {CALL} END_FOR;", range(6, -3, -2)),
    "left early": (f"FOR i := -2 TO 7 DO IF i = 5 THEN EXIT; END_IF; {CALL} END_FOR;", range(-2, 5)),
    "one left out": (
        f"FOR i := -2 TO 7 DO IF i = 4 THEN CONTINUE; END_IF; {CALL} END_FOR;",
        [i for i in range(-2, 8) if i != 4],
    ),
    "never": (f"FOR i := 7 TO -2 DO {CALL} END_FOR;", ()),
    "again and again": (
        f"FOR k := 1 TO 2 DO FOR i := 0 TO 7 DO {CALL} END_FOR; END_FOR;",
        [*range(8), *range(8)],
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_each_element_is_reached_in_its_round(name):
    loop, rounds = LOOPS[name]
    plc = softplc.compile(sources={"main.st": STATION + MAIN.format(loop=loop)}).simulator()
    sums, times, was = dict.fromkeys(range(-2, 8), 0), dict.fromkeys(range(-2, 8), 0), dict[int, bool]()
    for tick in range(1, 5):
        plc.scan()
        for i in rounds:
            on = i > 0 and (tick > 2 or i == 3)
            times[i] += on and not was.get(i, False)
            was[i] = on
            sums[i] += i * on
    assert plc.read("Main.sums") == list(sums.values())
    assert plc.read("Main.times") == list(times.values())


def test_a_grid_in_a_block_is_reached_by_both_indices():
    source = (
        STATION
        + """
    FUNCTION_BLOCK Hall
    VAR_INPUT add : INT; END_VAR
    VAR_OUTPUT all : INT; END_VAR
    VAR row : ARRAY[1..3, 0..2] OF Station; i, k : INT; END_VAR
    all := 0;
    FOR i := 1 TO 3 DO
        FOR k := 2 TO 0 BY -1 DO
            row[i, k](on := add > 0 AND i <> k, add := add + 10 * i + k);
            all := all + row[i, k].sum + 1000 * row[i, k].times;
        END_FOR;
    END_FOR;
    END_FUNCTION_BLOCK
    PROGRAM Main VAR hall : ARRAY[1..2] OF Hall; i, all : INT; END_VAR
    all := 0;
    FOR i := 1 TO 2 DO hall[i](add := i); all := all + hall[i].all; END_FOR;
    END_PROGRAM"""
    )
    plc = softplc.compile(sources={"main.st": source}).simulator()
    plc.scan()
    pairs = [(i, k) for i in range(1, 4) for k in range(3) if i != k]
    assert plc.read("Main.all") == sum(add + 10 * i + k + 1000 for add in (1, 2) for i, k in pairs)


def test_blocks_that_decide_have_a_pointer_and_all_else_an_index():
    def pointers(loop: str, station: str = STATION) -> int:
        _, module = lower_application((), {"main.st": station + MAIN.format(loop=loop)})
        return assembly(module).count("call ptr @llvm.launder.invariant.group")

    calls = "FOR i := -2 TO 7 DO a[i](on := tick > 1, add := i); sums[i] := tick; END_FOR;"
    assert pointers(calls) == 1
    plain = STATION[: STATION.index("IF")] + "sum := sum + add; was := on; END_FUNCTION_BLOCK"
    assert pointers(calls, plain) == 0
    assert pointers("FOR i := -2 TO 7 DO a[i].on := a[i].sum > 1; a[i].add := a[i].times; END_FOR;") == 0
