"""Broken, deep and huge programs: findings with a place or a program that runs, never an internal error."""

import random
import re
from pathlib import Path

import pytest

import softplc
from softplc.diagnostics import CompileError
from softplc.pipeline import checked
from softplc.profiles import IEC, PROFILES
from softplc.source import SourceSet

TOKEN = re.compile(
    r"\(\*.*?\*\)|//[^\n]*|'[^'\n]*'|[A-Za-z_]\w*|[0-9][0-9_.]*|:=|=>|<=|>=|<>|\*\*|\.\.|\s+|.", re.DOTALL
)
STRAY = [
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ";",
        ":",
        ":=",
        "=>",
        ",",
        ".",
        "..",
        "#",
        "%",
        "^",
        "$",
        "'",
        '"',
        "(*",
        "*)",
    ),
    *(
        "//",
        "T#",
        "16#",
        "%IX0.0",
        "AT",
        "OF",
        "ARRAY",
        "STRUCT",
        "END_STRUCT",
        "END_VAR",
        "VAR",
        "1.0E400",
        "-",
    ),
    *("9" * 30, "NOT", "**", "MOD", "T#99999999d", "D#0000-00-00", "'$9'", "INT#", "BOOL#3", "\0", "\u2028"),
    *(
        "TYPE",
        "FUNCTION",
        "TASK",
        "STRING[0]",
        "STRING[70000]",
        "ARRAY[9..1]",
        "CASE",
        "ELSE",
        "EXIT",
        "EN",
        "SEL",
    ),
]
SOURCES = sorted((Path(__file__).parents[1] / "conformance").rglob("*.st"))
MUTANTS = 150


def mutant(seed):
    """Return a valid program with up to five tokens deleted, doubled, swapped, replaced, or cut off."""
    pick = random.Random(seed)
    file = pick.choice(SOURCES)
    tokens = TOKEN.findall(file.read_text("utf-8"))
    for _ in range(pick.choice([1, 1, 1, 2, 5])):
        i, j = pick.randrange(len(tokens)), pick.randrange(len(tokens))
        match pick.randrange(7):
            case 0:
                del tokens[i]
            case 1:
                tokens.insert(i, tokens[j])
            case 2:
                tokens[i], tokens[j] = tokens[j], tokens[i]
            case 3:
                tokens[i] = pick.choice(STRAY)
            case 4:
                tokens.insert(i, pick.choice(STRAY))
            case 5:
                tokens[i:i] = tokens[i : i + pick.randrange(1, 30)]
            case 6:
                del tokens[max(i, 1) :]
    return "".join(tokens), PROFILES.get(file.parent.name, IEC)


def findings(source, profile=IEC):
    """Check a program; a refusal without a finding is an error."""
    try:
        checked((), {"mutant.st": source}, SourceSet(), profile)
    except CompileError as error:
        return error.diagnostics or [None]
    return []


@pytest.mark.parametrize("first", range(0, 8 * MUTANTS, MUTANTS))
def test_mutants_of_valid_programs_get_findings_with_a_place(first):
    for seed in range(first, first + MUTANTS):
        source, profile = mutant(seed)
        for each in findings(source, profile):
            place = each.as_dict()
            assert 1 <= place["line"] <= source.count("\n") + 2, (seed, place)
            assert place["column"] >= 1, (seed, place)
            assert each.render(), seed


def program(body, variables="x : INT; y : DINT; r : LREAL; b : BOOL;", before=""):
    return f"{before}\nPROGRAM Main VAR {variables} END_VAR\n{body}\nEND_PROGRAM\n"


def chain(count, backwards):
    """Return constants, each one more than the one before."""
    items = [f"c{i} : DINT := c{i - 1} + 1;" for i in range(1, count)]
    items.insert(0, "c0 : DINT := 1;")
    return f"VAR_GLOBAL CONSTANT {' '.join(reversed(items) if backwards else items)} END_VAR"


REFUSED_SIZES = {
    "100,000 parentheses": program(f"y := {'(' * 100_000}y{')' * 100_000};"),
    "500 nested IF": program("IF b THEN " * 500 + "x := 1;" + "END_IF;" * 500),
    "5,000 NOT": program(f"b := {'NOT ' * 5000}b;"),
    "300 nested calls": program(f"r := {'MAX(r, ' * 300}r{')' * 300};"),
    "20,000 operands": program(f"y := {'+'.join(['y'] * 20_000)};"),
    "array of 2 GiB": program("a[x] := 1;", "a : ARRAY[0..536870911] OF DINT; x : INT;"),
    "array over all LINT": program("", "a : ARRAY[-9223372036854775808..9223372036854775807] OF BYTE;"),
    "structures that double": program(
        "",
        "q : s39;",
        "TYPE s0 : STRUCT v : INT; END_STRUCT; "
        + " ".join(f"s{i} : STRUCT a, b : s{i - 1}; END_STRUCT;" for i in range(1, 40))
        + " END_TYPE",
    ),
    "text of 100,000 characters": program(f"s := '{'a' * 100_000}';", "s : STRING;"),
    "number of 100,000 digits": program(f"y := {'9' * 100_000};"),
    "duration of 10,000 digits": program(f"t := T#{'9' * 10_000}d;", "t : TIME;"),
    "REAL constant without end": program("", "x : INT; END_VAR VAR CONSTANT c : INT := 1.0E400;"),
    "5,000 wrong statements": program("\n".join(f"q{i} := z{i} +;" for i in range(5000))),
    "100,000 open comments": "(*" * 100_000,
    "only NUL": "\0" * 1000,
}
RUNNING_SIZES = {
    "100 parentheses": program(f"y := {'(' * 100}y{')' * 100};"),
    "1,000 operands": program(f"y := {'+'.join(['y'] * 1000)};"),
    "1,000 ELSIF": program(
        "IF x = 0 THEN x := 1; "
        + "".join(f"ELSIF x = {i} THEN x := 7;\n" for i in range(1, 1000))
        + "END_IF;"
    ),
    "CASE of 2,000": program("CASE x OF " + "".join(f"{i}: y := {i};\n" for i in range(2000)) + "END_CASE;"),
    "CASE over all DINT": program("CASE y OF -2147483648..2147483647: x := 1; END_CASE;"),
    "10,000 variables": program("v9999 := 2;", "\n".join(f"v{i} : INT := {i % 100};" for i in range(10_000))),
    "array of 10 MiB": program("a[x] := 1;", "a : ARRAY[0..2621439] OF DINT := [2621440(7)]; x : INT;"),
    "array of rank 20": program(
        f"a[{','.join('1' * 20)}] := 1;", f"a : ARRAY[{','.join(['0..1'] * 20)}] OF BYTE;"
    ),
    "2,000 constants in a chain": program("y := c1999;", before=chain(2000, backwards=False)),
    "2,000 constants in a chain backwards": program("y := c1999;", before=chain(2000, backwards=True)),
    "name of 100,000 letters": program(f"{'b' * 100_000} := 1;", f"{'b' * 100_000} : INT;"),
    "comment of 500,000 lines": "(*" + "x\n" * 500_000 + "*)" + program("x := 1;"),
    "comments nested 5,000 deep": "(*" * 5000 + "*)" * 5000 + program("x := 1;"),
    "line of 20,000 statements' length": program("y := y + 1; " * 2000),
    "no text at all": "",
}


@pytest.mark.parametrize("source", REFUSED_SIZES.values(), ids=REFUSED_SIZES)
@pytest.mark.timeout(120)
def test_what_is_too_deep_or_too_big_is_refused_in_words(source):
    with pytest.raises(CompileError) as refused:
        softplc.compile(sources={"big.st": source})
    assert len(refused.value.diagnostics) <= 100


@pytest.mark.parametrize("source", RUNNING_SIZES.values(), ids=RUNNING_SIZES)
@pytest.mark.timeout(120)
def test_what_is_big_but_sound_runs(source):
    softplc.compile(sources={"big.st": source}).simulator().scan(2)


def test_texts_of_many_statements_share_their_place():
    statements = "w := CONCAT(w, w);" * 150  # 9.8 MB if each kept its own
    source = f'PROGRAM Main VAR w : WSTRING[32767] := "ab"; END_VAR {statements} END_PROGRAM'
    simulator = softplc.compile(sources={"x.st": source}).simulator()
    simulator.scan()
    assert simulator.read("Main.w") == "ab" * 16383 + "a"


@pytest.mark.parametrize(
    "source",
    [
        "FUNCTION F : INT VAR a : ARRAY[0..3000000] OF INT; END_VAR F := a[1]; END_FUNCTION "
        "PROGRAM Main VAR x : INT; END_VAR x := F(); END_PROGRAM",
        "FUNCTION G : INT VAR a : ARRAY[0..1500000] OF INT; END_VAR G := a[1]; END_FUNCTION "
        "FUNCTION F : INT VAR a : ARRAY[0..1500000] OF INT; END_VAR F := a[1] + G(); END_FUNCTION "
        "PROGRAM Main VAR x : INT; END_VAR x := F(); END_PROGRAM",
    ],
    ids=["in one function", "in a chain of calls"],
)
def test_more_stack_than_there_is_is_refused(source):
    with pytest.raises(CompileError, match="KiB of stack"):
        softplc.compile(sources={"x.st": source})
