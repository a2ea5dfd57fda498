"""Cases: tests without Python, `*_test.yaml`: given, set, advance, scan, expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from runtime.config import Document, DurationNs, Section, load_model
from runtime.errors import ConfigError, Finding, Place, PlantError
from softplc.testing.bench import Plc, TaskFaultError
from softplc.testing.conditions import NAME, Conditions
from softplc.testing.program import Programs, wanted


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Step(Section):
    """What is done, always in this order: set, advance, scan, expect.

    Attributes:
        set: variables by path; text is read as a literal.
        advance: how long to scan on.
        scan: how many scans.
        expect: ST expressions of BOOL that hold now.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    advance: DurationNs = 0
    scan: int = Field(0, ge=0, le=100_000_000)
    expect: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)


class Case(Section):
    """One test: what is so before the first scan, then steps."""

    test: str = Field(min_length=1)
    given: dict[str, Any] = Field(default_factory=dict)
    steps: list[Step] = Field(min_length=1)


class Cases(Section):
    """A file of tests, each from a cold start.

    Attributes:
        sources: the program's files; without them the plant's.
        period: virtual time between two scans; 0s: what fits the tasks.
    """

    sources: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    profile: Literal["iec", "codesys"] | None = None
    period: DurationNs = 0
    tests: list[Case] = Field(min_length=1)


class CaseFile:
    """A file of cases, read and checked; compiled when the first of them runs."""

    def __init__(self, file: Path) -> None:
        self.cases, self._document = load_model(Cases, file)
        findings = list(_findings(self.cases, self._document))
        if findings:
            raise ConfigError(findings)
        self._file = file
        self._conditions: Conditions | None = None
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._texts: list[str] = []
        for i, case in enumerate(self.cases.tests):
            for j, step in enumerate(case.steps):
                for k, text in enumerate(step.expect):
                    self._numbers[i, j, k] = len(self._texts)
                    self._texts.append(text)

    def place(self, *key: str | int) -> Place:
        """Return where something stands in the file."""
        return self._document.place(*key)

    def bench(self, programs: Programs) -> Plc:
        """Return the program at its cold start.

        Raises:
            PlantError: it cannot be found or compiled.
        """
        if self._conditions is None:
            program = programs.get(wanted(self._file, self.cases.sources, self.cases.profile))
            self._conditions = Conditions(program, self._texts)
        return Plc(self._conditions.program, self.cases.period, by_hand=NAME)

    def run(self, number: int, plc: Plc) -> None:
        """Play one case.

        Raises:
            CaseError: what was expected is not so, or something of the case means nothing.
        """
        case = self.cases.tests[number]
        self._set(case.given, plc, "tests", number, "given")
        for j, step in enumerate(case.steps):
            key = ("tests", number, "steps", j)
            self._set(step.set, plc, *key, "set")
            try:
                plc.run_for(step.advance / 1e9)
                plc.scan(step.scan)
            except TaskFaultError as exc:
                what = "advance" if step.advance else "scan"
                raise CaseError(self.place(*key, what), str(exc)) from None
            for k in range(len(step.expect)):
                self._expect(self._numbers[number, j, k], plc, self._place_of(step, key, k))

    def _place_of(self, step: Step, key: tuple[str | int, ...], k: int) -> Place:
        return self.place(*key, "expect", k) if len(step.expect) > 1 else self.place(*key, "expect")

    def _set(self, values: Mapping[str, Any], plc: Plc, *key: str | int) -> None:
        for path, value in values.items():
            try:
                plc[path] = value
            except PlantError as exc:
                raise CaseError(self.place(*key, path), exc.text, exc.remedy) from None

    def _expect(self, number: int, plc: Plc, place: Place) -> None:
        conditions = self._conditions
        if conditions is None:
            raise AssertionError("a case runs on a bench of its file")
        try:
            for path in conditions.paths(number):
                plc.touch(path)
            if conditions.holds(number, plc.simulator):
                return
        except PlantError as exc:
            raise CaseError(place, exc.text, exc.remedy) from None
        values = "".join(f"\n    {each}" for each in conditions.values(number, plc.simulator))
        raise CaseError(place, f"expected {self._texts[number]} at {plc.seconds:g} s{values}")


class CaseError(AssertionError):
    """A case failed: where, why, and what to do where there is something to do."""

    def __init__(self, place: Place, text: str, remedy: str = "") -> None:
        super().__init__(f"{place}: {text}" + (f"\n    help: {remedy}" if remedy else ""))
        self.place = place


def _findings(cases: Cases, document: Document) -> Iterator[Finding]:
    names = Counter(each.test for each in cases.tests)
    for i, case in enumerate(cases.tests):
        place = document.place("tests", i, "test")
        if names[case.test] > 1:
            yield Finding(f"two tests are named {case.test!r}", place, "give each a name of its own")
            names[case.test] = 0
        if not any(step.expect for step in case.steps):
            yield Finding(f"the test {case.test!r} expects nothing", place, "add a step with expect:")
