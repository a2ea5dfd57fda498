"""The page of the process library tells what the files say, and its examples do what they claim."""

import re
from pathlib import Path

import pytest

import softplc
from softplc import library
from softplc.explain import explanation

FOLDER = Path(library.__file__).parent
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
SECTIONS = {each.split("\n", 1)[0]: each for each in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}
CLAIM = re.compile(r"^// after (\d+)(ms|s|min): (\S+) ([=<>]) (\S+)$", re.MULTILINE)
UNIT_NS = {"ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
PERIOD_NS = 10_000_000
LABELS = ("Units:", "First scan:", "Scan time:", "Bad values:", "Example:", "Source:")


def fences(section):
    return re.findall(r"```iecst\n(.*?)```", SECTIONS[section], re.DOTALL)


@pytest.mark.parametrize("name", SECTIONS)
def test_page_and_file_agree(name):
    text = (FOLDER / f"{name}.st").read_text(encoding="utf-8")
    head = " ".join(text.split("*)")[0].split())
    assert [label for label in LABELS if label not in head] == []
    assert fences(name)[0].strip() in text, "the signature"
    assert (explanation(name.lower()) or "").endswith(fences(name)[0].strip())
    source = SECTIONS[name].split("Source: ")[1].strip()
    assert head.endswith(f"Source: {source}")
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| [{name}](#{name.lower()}) | "))
    assert head.startswith(f"(* {row.split(' | ')[1].removesuffix(' |')}")


def test_page_lists_every_block_with_such_a_head():
    listed = {path.stem for path in FOLDER.glob("*.st") if "First scan:" in path.read_text(encoding="utf-8")}
    assert listed == set(SECTIONS)


def test_examples_do_what_they_claim():
    sources = {f"{name}.st": fences(name)[1] for name in SECTIONS}
    plc = softplc.compile(sources=sources).simulator()
    claims = []
    for text in sources.values():
        program = re.match(r"PROGRAM (\w+)", text)[1]
        found = CLAIM.findall(text)
        assert found, program
        for count, unit, path, relation, value in found:
            claims.append((int(count) * UNIT_NS[unit], f"{program}.{path}", relation, value))
    for at_ns, path, relation, value in sorted(claims):
        plc.scan(max(0, (at_ns - plc.now_ns) // PERIOD_NS + 1), PERIOD_NS)
        actual = plc.read(path)
        if value in ("TRUE", "FALSE"):
            assert actual is (value == "TRUE"), (path, at_ns)
        elif relation == "=":
            last_digit = 10.0 ** -len(value.partition(".")[2])
            assert actual == pytest.approx(float(value), abs=last_digit / 2), (path, at_ns)
        else:
            assert (actual < float(value)) == (relation == "<"), (path, at_ns)
