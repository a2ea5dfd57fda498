"""Every row of softplc/profiles.md is what the compiler does."""

from pathlib import Path

import pytest

import softplc
from softplc.texts import parse_value, shown

PAGE = Path(softplc.__file__).parent / "profiles.md"


def rows(profile: str) -> list[tuple[int, str, str, str]]:
    """Return number, variables, statement and what is to be of every row."""
    found = []
    for number, line in enumerate(PAGE.read_text(encoding="utf-8").splitlines(), 1):
        cells = [cell.strip().strip("`") for cell in line.split(" | ")]
        if len(cells) == 5 and not set(line) <= set("| -") and "variables" not in cells:
            wanted = cells[3 if profile == "iec" else 4].removesuffix(" |")
            found.append((number, cells[1], cells[2], wanted))
    return found


def block(number: int, variables: str, statement: str) -> str:
    return f"FUNCTION_BLOCK R{number} VAR {variables} END_VAR {statement} END_FUNCTION_BLOCK\n"


@pytest.mark.parametrize("profile", ["iec", "codesys"])
def test_each_choice_is_as_the_page_says(profile):
    page = rows(profile)
    assert len(page) > 40
    run = [row for row in page if row[3] != "refused"]
    text = "".join(block(*row[:3]) for row in run)
    instances = "".join(f"r{row[0]} : R{row[0]};" for row in run)
    calls = "".join(f"IF row = {row[0]} THEN r{row[0]}(); END_IF;" for row in run)
    text += f"PROGRAM Main VAR row : INT; {instances} END_VAR {calls} END_PROGRAM"
    plc = softplc.compile(sources={"page.st": text}, profile=profile).simulator()
    wrong = []
    for number, _, statement, wanted in run:
        plc.write("Main.row", number)
        symbol = plc.application.symbol(f"Main.r{number}.x")
        try:
            plc.scan(1, 0)
            seen = shown(symbol.type, plc.read(symbol.path))
        except softplc.PlcFaultError as fault:
            seen = f"fault: {fault.cause}"
        if not wanted.startswith("fault"):
            text_of = f"'{wanted}'" if symbol.type == "STRING" else wanted
            wanted = shown(symbol.type, parse_value(symbol, text_of))
        if seen != wanted:
            wrong.append(f"profiles.md:{number}: {statement} gives {seen!r}, not {wanted!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("profile", ["iec", "codesys"])
def test_what_the_page_calls_refused_is_refused(profile):
    for number, variables, statement, wanted in rows(profile):
        if wanted == "refused":
            text = block(number, variables, statement)
            assert softplc.check(sources={"page.st": text}, profile=profile), f"profiles.md:{number}"
