"""The feature tables of IEC 61131-3, and the programs that show each row: both make docs/conformance.md.

A trace says in its first lines what it shows: `# shows 44.1 44.2`. The rows are in `features.txt`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent.parent / "docs" / "conformance.md"
HEAD = """# Conformance

IEC 61131-3:2013 (third edition), feature by feature, by the numbers of its tables. Made by `make conformance`
out of `tests/conformance/`: each program there runs in CI and must keep to its trace, and says which rows it
shows; the tests of PLCopen XML show the graphical languages. Nothing else counts: a row without a program is
"not shown", whatever the compiler can do. Numbers and texts were written from memory; where a number was not
known for sure, the row has no number.

"""
_COMMENTS = re.compile(r"\(\*.*?\*\)|//[^\n]*|/\*.*?\*/", re.DOTALL)
ABOUT_COMMENTS = ("3.", "4.")


@dataclass
class Feature:
    """One row: its table, its id there, and what it is.

    Attributes:
        pattern: what must occur in a program that shows it.
        refusal: why it is not supported, else empty.
        elsewhere: the file of other tests that show it, and a text that it has; else empty.
        shown: names of the programs that show it.
    """

    table: str
    id: str
    text: str
    pattern: str
    refusal: str
    elsewhere: tuple[str, str] | None = None
    shown: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.table}.{self.id}"

    def occurs(self, source: str) -> bool:
        if self.elsewhere or self.pattern == "?":
            return False
        text = source if self.key.startswith(ABOUT_COMMENTS) else _COMMENTS.sub(" ", source)
        return re.search(self.pattern, text, re.IGNORECASE | re.MULTILINE) is not None


def tables() -> dict[str, list[Feature]]:
    """Return the rows by the heading of their table."""
    found: dict[str, list[Feature]] = {}
    for line in (FOLDER / "features.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
            rows = found[heading] = []
        elif line and not line.startswith("#"):
            id_, text, pattern = (each.strip() for each in line.split(" | ", 2))
            refusal = pattern.removeprefix("- ") if pattern.startswith("- ") else ""
            row = Feature(heading.split()[0], id_, text, pattern, refusal)
            if pattern.startswith("= "):
                file, has = pattern.removeprefix("= ").split(" ", 1)
                row.elsewhere = (file, has)
                row.shown.append(file.removeprefix("tests/"))
            rows.append(row)
    return found


def claims() -> dict[str, list[str]]:
    """Return the keys of rows that each trace claims, by the program's name."""
    found = {}
    for path in sorted(FOLDER.rglob("*.trace")):
        lines = path.read_text(encoding="utf-8").splitlines()
        keys = [key for line in lines if line.startswith("# shows ") for key in line.split()[2:]]
        found[path.relative_to(FOLDER).with_suffix("").as_posix()] = keys
    return found


def collected() -> dict[str, list[Feature]]:
    """Return the tables, each row with the programs that show it."""
    found = tables()
    rows = {row.key: row for features in found.values() for row in features}
    for name, keys in claims().items():
        for key in keys:
            if key in rows:
                rows[key].shown.append(name)
    return found


def page() -> str:
    """Return the page."""
    found = collected()
    rows = [row for features in found.values() for row in features]
    shown, refused = sum(bool(row.shown) for row in rows), sum(bool(row.refusal) for row in rows)
    text = HEAD + f"{len(rows)} rows: {shown} shown, {refused} not supported, "
    text += f"{len(rows) - shown - refused} not shown.\n"
    for heading, features in found.items():
        word = "Tables" if re.match(r"\d+ to \d+", heading) else "Table"
        text += f"\n## {word} {heading}\n\n| no. | feature | state | shown by |\n| --- | --- | --- | --- |\n"
        for row in features:
            number = row.id if row.id[0].isdigit() else ""
            state = "not" if row.refusal else "yes" if row.shown else "not shown"
            by = row.refusal or ", ".join(row.shown[:4])
            cell = row.text.replace("|", "\\|")
            text += f"| {number} | {cell} | {state} | {by} |\n"
    return text
