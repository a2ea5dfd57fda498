"""Configurations: addresses and values of instances, access paths, blocks with tasks of their own."""

import pytest

import softplc
from runtime.contract import Access, DataType, Tag
from runtime.errors import PlantError
from softplc.wiring import wire

UNITS = """
FUNCTION_BLOCK F VAR_OUTPUT q : INT; END_VAR VAR x AT %I* : INT; END_VAR q := x; END_FUNCTION_BLOCK
FUNCTION_BLOCK G VAR f : F; n : INT; END_VAR f(); n := n + 1; END_FUNCTION_BLOCK
VAR_GLOBAL g : INT; END_VAR VAR_GLOBAL CONSTANT c : INT := 1; END_VAR
PROGRAM A VAR x AT %Q* : INT; y : INT; gs : ARRAY[1..2] OF G; t : TON; r : REF_TO INT; END_VAR
x := 1; gs[1](); gs[2](); t(IN := TRUE); y := y + 1; END_PROGRAM
PROGRAM B VAR y : INT; f : TON; h : G2; END_VAR y := y + 1; END_PROGRAM
FUNCTION_BLOCK G2 VAR_OUTPUT n : INT; END_VAR n := n + 1; END_FUNCTION_BLOCK
"""
PLACED = "r.p.x AT %QW4 : INT; r.p.gs[1].f.x AT %IW3 : INT; r.p.gs[2].f.x AT %IW4 : INT;"


def told(text: str) -> list[str]:
    findings = softplc.check(sources={"x.st": UNITS + text})
    return [f"{each.code} {each.message}; {each.remedy}" for each in findings if each.severity == "error"]


def configuration(settings: str = "", access: str = "", program: str = "PROGRAM q WITH t : B;") -> str:
    return f"""CONFIGURATION C RESOURCE r ON PLC
    TASK t(INTERVAL := T#10ms, PRIORITY := 1); {program} END_RESOURCE
    VAR_ACCESS {access} END_VAR VAR_CONFIG {settings} END_VAR END_CONFIGURATION"""


MEMBERS = """
TYPE M : STRUCT i AT %I* : INT; q AT %Q* : BOOL := TRUE; n : INT; END_STRUCT; Ms : ARRAY[0..1] OF M; END_TYPE
FUNCTION Plain : INT VAR_INPUT m : M; END_VAR VAR own : M; END_VAR own.n := m.i; Plain := own.n; END_FUNCTION
FUNCTION_BLOCK Part VAR_INPUT given : M; END_VAR VAR_OUTPUT m : M; END_VAR m.n := given.i; END_FUNCTION_BLOCK
PROGRAM D VAR ms : Ms; part : Part; END_VAR part(given := ms[0]); ms[1].n := Plain(part.m); END_PROGRAM
"""
ONES = ("ms[0]", "ms[1]", "part.m")
PARTS = [f"r.p.{one}.i AT %IW{at} : INT; r.p.{one}.q AT %QX1.{at} : BOOL;" for at, one in enumerate(ONES)]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        (" ".join(PARTS), []),
        (
            " ".join(PARTS[:2]),
            [
                "ST2045 r.p.part.m.i has no address: %I* is to be completed by VAR_CONFIG; "
                "add VAR_CONFIG r.p.part.m.i AT %I... : INT; END_VAR"
            ],
        ),
        (
            " ".join([PARTS[0], PARTS[2], PARTS[1].partition(";")[0], ";"]),
            [
                "ST2045 r.p.ms[1].q has no address: %Q* is to be completed by VAR_CONFIG; "
                "add VAR_CONFIG r.p.ms[1].q AT %Q... : BOOL; END_VAR"
            ],
        ),
        (
            " ".join([*PARTS, "r.p.ms[1].n AT %MW0 : INT;"]),
            ["ST2045 n is not declared AT %I*, %Q* or %M*: it cannot be placed here; remove AT"],
        ),
        (
            " ".join(PARTS).replace("%IW2", "%QW2"),
            ["ST2045 i is declared AT %I*: %QW2 is elsewhere; use %I..."],
        ),
        (" ".join(PARTS).replace("%IW2", "%ID2"), ["ST2008 %ID2 has 4 bytes, INT 2; use %IW..."]),
        (
            " ".join([*PARTS, "r.p.part.m.i AT %IW9 : INT;"]),
            ["ST2045 i has its address already; remove one of the two"],
        ),
        (
            " ".join(PARTS) + " END_VAR END_CONFIGURATION VAR_GLOBAL other : M; END_VAR "
            "TYPE T : STRUCT OVERLAP a AT %I* : INT; b : INT; END_STRUCT; "
            "U : STRUCT s AT %I* : STRING; END_STRUCT; V : STRUCT x AT %IW* : INT; END_STRUCT; END_TYPE "
            "CONFIGURATION E VAR_CONFIG",
            [
                "ST2045 other.i can have no address: VAR_CONFIG reaches program instances only; "
                "declare other in a PROGRAM",
                "ST2051 a shares its bytes: it has no address of its own; remove AT",
                "ST2050 STRING cannot be located; remove AT",
                "ST2051 %IW* is no place in a structure; write %B4, %W2, %D1 or %X3.0, or %I*",
            ],
        ),
    ],
    ids=["whole", "in a block", "in an array", "no place", "elsewhere", "size", "twice", "types"],
)
def test_members_of_structures_get_their_addresses(text, findings):
    configured = configuration(text, program="PROGRAM p WITH t : D;")
    assert sorted(told(MEMBERS + configured)) == sorted(findings)


def test_bits_that_share_a_byte_get_their_addresses():
    text = """TYPE B : STRUCT a AT %I* : BIT; b AT %Q* : BIT := 1; c AT %Q* : BIT; END_STRUCT; END_TYPE
    PROGRAM P VAR x : B; END_VAR x.c := x.a; x.b := NOT x.a; END_PROGRAM """
    settings = "r.p.x.a AT %IX0.3 : BIT; r.p.x.b AT %QX0.1 : BIT; r.p.x.c AT %QX0.2 : BIT;"
    text += configuration(settings, program="PROGRAM p WITH t : P;")
    plc = softplc.compile(sources={"x.st": text}, profile="codesys").simulator()
    assert [plc.read(f"%QX0.{bit}") for bit in range(4)] == [False, True, False, False]
    plc.inputs["%IX0.3"] = True
    plc.scan()
    assert [plc.read(f"%QX0.{bit}") for bit in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        (PLACED[PLACED.index(";") + 1 :], "r.p.x has no address: %Q* is to be completed by VAR_CONFIG"),
        (PLACED.replace("r.p.gs[2].f.x AT %IW4 : INT;", ""), "r.p.gs[2].f.x has no address"),
        (PLACED.replace("%QW4", "%IW4"), "ST2045 x is declared AT %Q*: %IW4 is elsewhere; use %Q..."),
        (PLACED.replace("%QW4", "%QB4"), "ST2008 %QB4 has 1 bytes, INT 2; use %QW..."),
        (PLACED.replace("%QW4", "%QW4.9"), "ST2045 %QW4.9 is no direct address"),
        (PLACED.replace("%QW4", "%QX4"), "ST2008 a bit cannot hold INT; use %QW..."),
        (PLACED + "r.p.x AT %QW5 : INT;", "ST2045 x has its address already"),
        (PLACED + "r.p.y AT %QW5 : INT;", "ST2045 y is not declared AT %I*, %Q* or %M*"),
        (PLACED + "r.p.y : DINT := 1;", "ST2044 y is INT, not DINT; write INT"),
        (PLACED + "r.p.y : INT := 'a';", "ST3001 STRING[1] does not convert to INT"),
        (PLACED + "r.p.y : INT := g;", "ST2006 an initial value must be a constant expression"),
        (PLACED + "r.p.y : INT;", "ST2044 VAR_CONFIG gives neither address nor value here"),
        (PLACED + "r.p.yy : INT := 1;", "ST2044 A has no variable yy; there are x, y, gs, t, r"),
        (PLACED + "r.pp.y : INT := 1;", "ST2044 there is no program instance pp; there are p, r"),
        (PLACED + "r.p.t : TON := (PP := T#1s);", "ST2007 TON has no member PP; it has IN, PT"),
        (PLACED + "r.p.gs[3].n : INT := 1;", "ST2044 the index is no constant from 1 to 2"),
        (PLACED + "r.p.gs.n : INT := 1;", "ST2044 ARRAY[1..2] OF G has no member n"),
        (PLACED + "r.p : INT := 1;", "ST2044 p is a program instance, not a variable"),
        (PLACED + "r.p.y AT 4 : INT;", "ST1010 expected an address, found '4'"),
        (PLACED + "g : INT := 1;", "ST2044 there is no program instance g"),
    ],
)
def test_what_var_config_cannot_give_is_told_once(settings, finding):
    (only,) = told(configuration(settings, program="PROGRAM p WITH t : A;"))
    assert finding in only


@pytest.mark.parametrize(
    ("access", "finding"),
    [
        ("a : r.q.y : DINT;", "ST2044 y is INT, not DINT; write INT"),
        ("a : r.q.z : INT;", "ST2044 B has no variable z"),
        ("g : r.q.y : INT;", "ST2002 g is already declared"),
        ("a : r.q.y : INT; a : g : INT;", "ST2002 a is already declared"),
        ("a : c : INT READ_WRITE;", "ST2044 c is a constant; make it READ_ONLY"),
        ("a : r.%IW3 : DINT;", "ST2008 %IW3 has 2 bytes, DINT 4; use %ID..."),
        ("a : %IX3.9 : BOOL;", "ST2044 %IX3.9 is no direct address"),
        ("a r.q.y : INT;", "ST1010 expected ':', found 'r'"),
    ],
)
def test_what_var_access_cannot_name_is_told_once(access, finding):
    (only,) = told(configuration(access=access))
    assert finding in only


@pytest.mark.parametrize(
    ("program", "finding"),
    [
        ("PROGRAM q WITH t : B(f WITH u);", "ST2042 there is no task u; declare the task in this resource"),
        ("PROGRAM q WITH t : B(ff WITH t);", "ST2042 B has no function block ff; it has f, h"),
        ("PROGRAM q WITH t : B(y WITH t);", "ST2042 B has no function block y; it has f, h"),
        ("PROGRAM q WITH t : B(h WITH t, h WITH t);", "ST2042 h has its task already; remove one of the two"),
        ("PROGRAM q WITH t : B(h WITH);", "ST1010 expected the name of a task, found ')'"),
    ],
)
def test_a_block_with_a_task_that_cannot_be_is_told_once(program, finding):
    assert (
        told(configuration(program=program)) == [finding]
        or finding in told(configuration(program=program))[0]
    )


def test_addresses_are_missing_without_a_configuration_too():
    text = "PROGRAM P VAR x AT %I* : BOOL; y : BOOL; END_VAR y := x; END_PROGRAM"
    (finding,) = softplc.check(sources={"x.st": text})
    assert (finding.code, finding.column) == ("ST2045", text.index("%I*") + 1)
    assert finding.remedy == "add VAR_CONFIG P.x AT %I... : BOOL; END_VAR"


def test_a_function_has_no_address_to_complete():
    (only,) = told(configuration() + " FUNCTION h : INT VAR a AT %I* : INT; END_VAR h := a; END_FUNCTION")
    assert only.startswith("ST2008 a has no instances")


def test_a_global_block_has_no_addresses_to_complete():
    (only,) = told(configuration() + " VAR_GLOBAL many : ARRAY[0..1] OF G; END_VAR")
    assert only.startswith(
        "ST2045 many[0].f.x can have no address: VAR_CONFIG reaches program instances only"
    )


def test_a_block_in_itself_is_told_for_that_alone():
    text = "FUNCTION_BLOCK K VAR a, b : K; x AT %I* : INT; END_VAR x := 1; END_FUNCTION_BLOCK "
    text += "PROGRAM P VAR k : K; END_VAR k(); END_PROGRAM"
    assert {each.code for each in softplc.check(sources={"x.st": text})} == {"ST2005"}


def application() -> softplc.Application:
    access = "Part : r.q.h.n : INT; Count : r.q.y : INT READ_WRITE;"
    program = "TASK slow(INTERVAL := T#50ms, PRIORITY := 2); PROGRAM RETAIN q WITH t : B(h WITH slow);"
    return softplc.compile(sources={"x.st": UNITS + configuration(access=access, program=program)})


def test_access_paths_are_read_and_written_as_they_say():
    plc = application().simulator()
    plc.scan(11)
    plc.write("count", 40)
    assert (plc.read("q.y"), plc.read("Part")) == (40, 3)
    with pytest.raises(PlantError, match="Part is READ_ONLY"):
        plc.write("Part", 1)


def test_tags_are_bound_by_access_paths():
    tags = [
        Tag("a", DataType.INT, source="plc", variable="Part", access=Access.READ),
        Tag("b", DataType.INT, source="plc", variable="Count", access=Access.READ_WRITE),
        Tag("c", DataType.INT, source="field", variable="Count"),
        Tag("d", DataType.INT, source="field", variable="Part"),
    ]
    wiring = wire(tags, application())
    assert [(each.tag.path, each.text) for each in wiring.problems] == [
        ("d", "Part is READ_ONLY, but field would write it")
    ]
    assert (len(wiring.inputs), len(wiring.outputs)) == (1, 2)


def test_an_output_of_a_block_hangs_on_the_task_of_the_block():
    tags = [Tag(n, DataType.INT, source="plc", variable=v) for n, v in (("a", "q.h.n"), ("b", "q.y"))]
    assert [bound.tasks for bound in wire(tags, application()).outputs] == [{"slow"}, {"t"}]


def test_a_retained_program_lies_in_retain():
    found = application()
    region = found.regions["RETAIN"]
    assert all(
        region.offset <= found.symbol(f"q.{n}").offset < region.offset + region.size for n in ("y", "h.n")
    )
    assert found.symbol("q.y").retain
