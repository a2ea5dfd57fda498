"""pytest plugin, found through an entry point: the fixture `plc`, and tests in `*_test.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from softplc.testing.bench import Plc
    from softplc.testing.cases import CaseFile
    from softplc.testing.coverage import Coverage
    from softplc.testing.program import Programs

_PLC: pytest.StashKey[Plc] = pytest.StashKey()
_PROGRAMS: pytest.StashKey[Programs] = pytest.StashKey()
_SOURCES = re.compile(rb"^sources:", re.MULTILINE)
_COVERAGE: pytest.StashKey[Coverage] = pytest.StashKey()
_WORKER = "ironworks_st_coverage"
_ARGUMENTS = ("profile", "period")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --st-coverage."""
    text = "report which lines and branches of the ST source the tests with `plc` and *_test.yaml ran"
    parser.getgroup("ironworks").addoption("--st-coverage", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    text = 'plc(*patterns, profile="iec", period="10ms"): ST files that the fixture `plc` compiles'
    config.addinivalue_line("markers", text)
    if config.getoption("--st-coverage"):
        from softplc.testing.coverage import Coverage

        config.stash[_COVERAGE] = Coverage()


@pytest.fixture
def plc(request: pytest.FixtureRequest) -> Plc:
    """The plant's ST program at its cold start: `plc.run_for("2s")`, `plc["Main.motor"]`.

    `@pytest.mark.plc("plc/*.st")` names other files.
    """
    from runtime.errors import PlantError
    from softplc.testing.bench import Plc, duration_ns
    from softplc.testing.program import wanted

    marker = request.node.get_closest_marker("plc")
    patterns, options = (marker.args, marker.kwargs) if marker is not None else ((), {})
    strange = [each for each in options if each not in _ARGUMENTS]
    if strange:
        text = f"marker plc: unknown argument {strange[0]!r}; there are {', '.join(_ARGUMENTS)}"
        pytest.fail(text, pytrace=False)
    flat = [each for item in patterns for each in ([item] if isinstance(item, str) else item)]
    wrong = ""
    try:
        period_ns = duration_ns(options["period"]) if "period" in options else 0
        program = programs_of(request.config).get(wanted(request.path, flat, options.get("profile")))
    except PlantError as exc:
        wrong = str(exc)
    if wrong:
        pytest.fail(wrong, pytrace=False)
    bench = Plc(program, period_ns)
    request.node.stash[_PLC] = bench
    return bench


def programs_of(config: pytest.Config) -> Programs:
    """Return what this session has compiled."""
    from softplc.testing.program import Programs

    return config.stash.setdefault(_PROGRAMS, Programs(marked=_COVERAGE in config.stash))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> YamlFile | None:
    """Collect `*_test.yaml` of plants, and those elsewhere that name their sources."""
    if not file_path.name.endswith("_test.yaml"):
        return None
    from softplc.testing.program import plant_folder

    if plant_folder(file_path) is None and not _SOURCES.search(file_path.read_bytes()):
        return None
    return YamlFile.from_parent(parent, path=file_path)


class YamlFile(pytest.File):
    """A file of tests without Python."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each case."""
        from runtime.errors import ConfigError
        from softplc.testing.cases import CaseFile

        try:
            cases = CaseFile(self.path)
        except ConfigError as exc:
            raise self.CollectError(str(exc)) from None
        for number, case in enumerate(cases.cases.tests):
            yield YamlCase.from_parent(self, name=case.test, cases=cases, number=number)


class YamlCase(pytest.Item):
    """One test without Python."""

    def __init__(self, *, cases: CaseFile, number: int, **options: Any) -> None:
        super().__init__(**options)
        self._cases, self._number = cases, number

    def runtest(self) -> None:
        """Play the case on a program at its cold start."""
        bench = self._cases.bench(programs_of(self.config))
        self.stash[_PLC] = bench
        self._cases.run(self._number, bench)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what is wrong, without the way there."""
        from runtime.errors import PlantError
        from softplc.testing.cases import CaseError

        if isinstance(excinfo.value, CaseError | PlantError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return file, line from 0, and name."""
        return self.path, self._cases.place("tests", self._number).line - 1, self.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the variables of the test have done."""
    report = yield
    bench = item.stash.get(_PLC, None)
    if bench is not None and report.when == "call" and report.failed:
        story = bench.story()
        if story:
            report.sections.append((f"PLC until {bench.seconds:g} s", story))
    return report


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Note which lines the test has run."""
    coverage, bench = item.config.stash.get(_COVERAGE, None), item.stash.get(_PLC, None)
    if coverage is not None and bench is not None:
        coverage.add(bench)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker of pytest-xdist has seen to where the report is made."""
    coverage = session.config.stash.get(_COVERAGE, None)
    output = getattr(session.config, "workeroutput", None)
    if coverage is not None and output is not None:
        output[_WORKER] = json.dumps([coverage.files, coverage.branches])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist has seen."""
    coverage = node.config.stash.get(_COVERAGE, None)
    found = getattr(node, "workeroutput", {}).get(_WORKER)
    if coverage is not None and found:
        coverage.merge(*json.loads(found))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the coverage."""
    coverage = config.stash.get(_COVERAGE, None)
    if coverage is None:
        return
    terminalreporter.section("ST coverage")
    if not coverage.files:
        terminalreporter.write_line("no test stepped a program by `plc` or *_test.yaml")
        return
    for line in coverage.report(config.rootpath):
        terminalreporter.write_line(line)
