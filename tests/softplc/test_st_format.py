"""`ironworks st fmt`: the same program in good order, or a file left alone."""

import os
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from softplc.cli import app
from softplc.diagnostics import CompileError
from softplc.formatter import format_text
from softplc.lexer import tokenise
from softplc.profiles import IEC, PROFILES
from softplc.source import SourceSet

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file for folder in ("softplc", "twin", "apps", "tests") for file in (ROOT / folder).rglob("*.st")
)
RANDOM_PROGRAMS = int(os.environ.get("IRONWORKS_ST_PROGRAMS", "15"))
COMMENT = re.compile(r"//[^\n]*|\(\*.*?\*\)", re.DOTALL)
UGLY = """(* head *)
program  p {attribute 'keep'}
VAR a:int;// one
long_name : array[0..3]of real:=[4(0.5)] ; (* two
  lines *)
// own
b , c:bool;end_var
if a>1 then a:=-a ;elsif not b then ; else
case a of 1,2..4 : a:=1; 5: a:=2;a:=3; else a:=0;end_case;end_if // last
fb(x:=1, // first
y:=a*(2+3),q=>b);
while b do b:=false;end_while;repeat a:=a+1;until a>9 end_repeat;
end_program
// end"""
NEAT = """(* head *)
PROGRAM p  {attribute 'keep'}
VAR
    a         : INT;  // one
    long_name : ARRAY[0..3] OF REAL := [4(0.5)];  (* two
  lines *)
    // own
    b, c : BOOL;
END_VAR

IF a > 1 THEN
    a := -a;
ELSIF NOT b THEN
    ;
ELSE
    CASE a OF
        1, 2..4: a := 1;
        5:
            a := 2;
            a := 3;
    ELSE
        a := 0;
    END_CASE;
END_IF  // last
fb(x := 1, // first
    y := a * (2 + 3), q => b);
WHILE b DO
    b := FALSE;
END_WHILE;
REPEAT
    a := a + 1;
UNTIL a > 9
END_REPEAT;
END_PROGRAM
// end
"""


def tokens(text):
    """Return the tokens, capitals of words that may be keywords aside, and the comments."""
    found, _ = tokenise(SourceSet().add("x.st", text))
    words = [each.key if each.kind in ("kw", "id") else each.text for each in found]
    # Comments as plain text search finds them, without strings before them.
    bare = re.sub(r"'(?:\$.|[^'$\n])*'", "''", text)
    comments = re.findall(r"//[^\n]*|\(\*.*?\*\)|\{.*?\}", bare, re.DOTALL)
    return words, [re.sub(r"\s+", " ", each).strip() for each in comments]


def invoke(*arguments):
    return CliRunner().invoke(app, ["fmt", *map(str, arguments)])


def test_an_ugly_file_becomes_neat():
    assert format_text(UGLY) == NEAT


@pytest.mark.parametrize("folder", sorted({file.parent.relative_to(ROOT).as_posix() for file in FILES}))
def test_every_file_keeps_its_meaning_and_is_formatted_once(folder):
    for file in FILES:
        if file.parent != ROOT / folder:
            continue
        text = file.read_text(encoding="utf-8")
        profile = PROFILES.get(file.parent.name, IEC)
        formatted = format_text(text, file.name, profile)
        assert tokens(formatted) == tokens(text), file
        assert format_text(formatted, file.name, profile) == formatted, file
        code = COMMENT.sub("", formatted).splitlines()
        assert max(map(len, code), default=0) <= 110, file


def test_the_plants_we_ship_are_formatted():
    shipped = [file for file in FILES if "twin" in file.relative_to(ROOT).parts[:1]]
    assert len(shipped) >= 12
    assert invoke("--check", *shipped).stdout == ""


def test_random_programs_keep_their_meaning_and_are_formatted_once():
    sys.path.insert(0, str(ROOT / "tests" / "softplc_blackbox"))
    try:
        from st_random import Generator
    finally:
        sys.path.pop(0)
    for seed in range(RANDOM_PROGRAMS):
        text = Generator(seed).program().text()
        formatted = format_text(text)
        assert tokens(formatted) == tokens(text), seed
        assert format_text(formatted) == formatted, seed


def test_long_lines_break_where_it_reads_well():
    names = [f"a_rather_long_name_{number}" for number in range(9)]
    text = f"PROGRAM P {names[0]} := {' AND '.join(names)}; fb({', '.join(f'{n} := {n}' for n in names)});"
    lines = format_text(f"{text} END_PROGRAM").splitlines()
    assert max(map(len, lines)) <= 110
    assert {line.split()[0] for line in lines[2:4]} == {"AND"}
    assert all(line.endswith(",") for line in lines[4:-2])


def test_breaks_and_empty_lines_of_the_author_stay():
    text = "PROGRAM P\na := b\n  AND c;\n\n\n\nfb(\n x := 1,\n y := 2\n);\nEND_PROGRAM"
    assert format_text(text) == (
        "PROGRAM P\na := b\n    AND c;\n\nfb(\n    x := 1,\n    y := 2\n);\nEND_PROGRAM\n"
    )


def test_an_action_without_colon_is_formatted():
    text = "PROGRAM P\nVAR\n    n : INT;\nEND_VAR\n\n"
    text += "    ACTION up\n        n := n + 1;\n    END_ACTION\n\nup();\nEND_PROGRAM\n"
    ugly = text.replace("    ", "").replace("ACTION up\n", "action up ")
    assert format_text(ugly.replace(" : ", ":"), profile=PROFILES["codesys"]) == text


def test_a_syntax_error_is_told_and_the_file_left_alone(tmp_path):
    path = tmp_path / "bad.st"
    path.write_text("program p\nx = 1;\nend_program", encoding="utf-8")
    with pytest.raises(CompileError):
        format_text(path.read_text(encoding="utf-8"))
    result = invoke(path)
    assert result.exit_code == 1
    assert f"{path}:2:3: error ST1010" in result.stderr
    assert f"{path}: not formatted" in result.stderr
    assert path.read_text(encoding="utf-8") == "program p\nx = 1;\nend_program"


def test_check_and_diff_write_nothing(tmp_path):
    path = tmp_path / "p.st"
    path.write_text("program p\nend_program\n", encoding="utf-8")
    result = invoke("--check", path)
    assert (result.exit_code, result.stdout) == (1, f"{path}: would be formatted\n")
    result = invoke("--diff", path)
    assert result.exit_code == 0
    assert "-program p\n" in result.stdout
    assert "+PROGRAM p\n" in result.stdout
    assert path.read_text(encoding="utf-8") == "program p\nend_program\n"
    assert invoke(path).exit_code == 0
    assert invoke("--check", path).exit_code == 0


def test_line_ends_byte_order_mark_and_mode_stay(tmp_path):
    path = tmp_path / "p.st"
    path.write_bytes("\ufeffprogram p\r\nend_program\r\n".encode())
    path.chmod(0o640)
    assert invoke(path).exit_code == 0
    assert path.read_bytes() == "\ufeffPROGRAM p\r\nEND_PROGRAM\r\n".encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["p.st"]


def test_what_cannot_be_read_is_told(tmp_path):
    good, bad = tmp_path / "good.st", tmp_path / "bad.st"
    good.write_text("program p\nend_program\n", encoding="utf-8")
    bad.write_bytes(b"program \xff")
    result = invoke(tmp_path / "absent.st", bad, good)
    assert result.exit_code == 1
    assert "cannot read the file" in result.stderr
    assert "not UTF-8" in result.stderr
    assert good.read_text(encoding="utf-8") == "PROGRAM p\nEND_PROGRAM\n"
