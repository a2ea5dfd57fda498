"""Coverage: which lines of the ST source ran in a session, and which branches were taken."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softplc.testing.bench import Plc

Hits = dict[str, dict[int, bool]]


class Coverage:
    """Lines with statements by file, and whether one of their statements ran; branches likewise.

    A branch is a line, that of its statement and what it is, as in `12 10 ELSE of IF level > 3`.
    """

    def __init__(self) -> None:
        self.files: Hits = {}
        self.branches: dict[str, dict[str, bool]] = {}

    def add(self, plc: Plc) -> None:
        """Take in what a test has run."""
        program = plc.program
        if program.marks is None:
            return
        image, base = plc.simulator.image, program.marks.base
        for number, (name, line) in enumerate(program.marks.lines):
            if name in program.sources:
                lines = self.files.setdefault(str(program.folder / name), {})
                lines[line] = lines.get(line, False) or bool(image[base + number])
        for number, (name, line, owner, what) in enumerate(program.marks.ways, len(program.marks.lines)):
            if name in program.sources:
                ways = self.branches.setdefault(str(program.folder / name), {})
                key = f"{line} {owner} {what}"
                ways[key] = ways.get(key, False) or bool(image[base + number])

    def merge(
        self, files: Mapping[str, Mapping[object, bool]], branches: Mapping[str, Mapping[str, bool]]
    ) -> None:
        """Take in what another process has run; line numbers may be text, as JSON has them."""
        for name, taken in branches.items():
            ways = self.branches.setdefault(name, {})
            for key, ran in taken.items():
                ways[key] = ways.get(key, False) or ran
        for name, found in files.items():
            lines = self.files.setdefault(name, {})
            for line, ran in found.items():
                number = int(str(line))
                lines[number] = lines.get(number, False) or ran

    def report(self, home: Path) -> Iterator[str]:
        """Yield a table: file, lines with statements, missed, percent, which are missing; then the branches.

        Branches of lines that did not run are not told again.
        """
        names = {name: os.path.relpath(name, home) for name in sorted(self.files)}
        rows = [(names[name], list(lines.values()), missing(lines)) for name, lines in self.files.items()]
        total = [ran for _, lines, _ in rows for ran in lines]
        width = max((len(each) for each in (*names.values(), "TOTAL")), default=5)
        yield f"{'file':{width}}  lines  missed  cover  missing"
        for name, lines, which in (*sorted(rows), ("TOTAL", total, "")):
            missed = lines.count(False)
            percent = 100 * (len(lines) - missed) // max(len(lines), 1)
            yield f"{name:{width}}  {len(lines):5}  {missed:6}  {percent:4}%  {which}".rstrip()
        yield from self._branches(names)

    def _branches(self, names: Mapping[str, str]) -> Iterator[str]:
        ways = [taken for each in self.branches.values() for taken in each.values()]
        if not ways:
            return
        yield f"branches: {sum(ways)} of {len(ways)} taken"
        for name, found in sorted(self.branches.items()):
            for key, taken in found.items():
                line, owner, what = key.split(" ", 2)
                if not taken and self.files.get(name, {}).get(int(owner), True):
                    yield f"{names.get(name, name)}:{line} branch not taken: {what}"


def missing(lines: Mapping[int, bool]) -> str:
    """Return the lines that did not run, those in a row of statements as ranges: `12-14, 20`."""
    parts = []
    for ran, group in groupby(sorted(lines), key=lambda line: lines[line]):
        if not ran:
            run = list(group)
            parts.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(parts)
