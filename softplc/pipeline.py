"""The compiler: parse, bind, check, lay out, lower, generate. Pure: no clock, no sockets, no logging."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from softplc.application import Application, Region, TaskInfo
from softplc.bind.bodies import bind
from softplc.bind.declare import Declarations
from softplc.configuration import only_called, runs_of, tasks_of, types_of
from softplc.diagnostics import ERROR, WARNING, CompileError, Diagnostic
from softplc.iectypes import align_up
from softplc.ir import Module
from softplc.layout import REGION_ALIGN, Sizes, lay_out
from softplc.links import Links
from softplc.lower.context import LoweringError
from softplc.lower.marks import Marks
from softplc.lower.project import lower, task_symbol
from softplc.lower.sites import Sites
from softplc.lower.writers import Writers
from softplc.parser import parse
from softplc.plcopen.xml import decode, is_xml
from softplc.profiles import IEC, Profile, compiling
from softplc.rules.walk import check
from softplc.shapes import Shapes, access_of, roots_of
from softplc.source import Source, SourceSet
from softplc.symbols import Project
from softplc.syntax import Unit

GUESSES = ("ST2045", "ST2060", "ST3000")  # what a syntax error elsewhere may have caused
RECURSION_LIMIT = 60_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
M = TypeVar("M", bound=Marks)
Parser = Callable[[Source, Profile], tuple[Unit, list[Diagnostic]]]


def compile_application(
    paths: tuple[str | Path, ...], sources: Mapping[str, str], profile: Profile = IEC
) -> Application:
    """Compile files and texts into one application.

    Raises:
        CompileError: with every finding, where the program is wrong.
    """
    application, module = lower_application(paths, sources, profile)
    with deep_recursion():
        return _with_code(application, module)


def compile_marked(sources: Mapping[str, str], profile: Profile = IEC) -> tuple[Application, Marks]:
    """Compile texts into an application that marks each line that runs, for coverage.

    Raises:
        CompileError: with every finding, where the program is wrong.
    """
    return _compile_with(sources, profile, Marks)


def compile_traced(
    sources: Mapping[str, str], place: tuple[int, int, int], profile: Profile = IEC
) -> tuple[Application, Writers]:
    """Compile texts into an application that notes which statement writes a variable.

    `place` is the variable's offset and bytes, and its bit or -1.

    Raises:
        CompileError: with every finding, where the program is wrong.
    """

    def writers(project: Project, texts: SourceSet, base: int) -> Writers:
        return Writers(project, texts, base, place)

    return _compile_with(sources, profile, writers)


def _compile_with(
    sources: Mapping[str, str], profile: Profile, marks: Callable[[Project, SourceSet, int], M]
) -> tuple[Application, M]:
    texts, sizes = SourceSet(), Sizes()
    project = checked((), sources, texts, profile)
    made: list[M] = []

    def mark(base: int) -> M:
        made.append(marks(project, texts, base))
        return made[0]

    with deep_recursion(), compiling(profile):
        application, module = _lowered(project, texts, sizes, mark)
        return _with_code(application, module, made[0].ran), made[0]


@dataclass(frozen=True, slots=True)
class Stoppable:
    """A program compiled for the debugger, and all that is known of it; `texts` may be added to."""

    application: Application
    declarations: Declarations
    texts: SourceSet
    sizes: Sizes
    sites: Sites
    findings: list[Diagnostic]


def compile_stoppable(
    sources: Mapping[str, str], profile: Profile = IEC, *, library: bool = False
) -> Stoppable:
    """Compile texts into an application that asks a debugger at each statement; see `softplc.lower.sites`.

    Blocks of the library ask too where `library` is set.

    Raises:
        CompileError: with every finding, where the program is wrong.
    """
    texts, sizes = SourceSet(), Sizes()
    found = examine(sources.items(), texts, profile)
    if any(each.severity == ERROR for each in found.findings):
        raise CompileError(found.findings)
    with deep_recursion(), compiling(profile):
        application, module = _lowered(found.project, texts, sizes, asking=True, library=library)
        if sizes.sites is None:
            raise AssertionError("nothing was laid out")
        application = _with_code(application, module)
        return Stoppable(application, found.declarations, texts, sizes, sizes.sites, found.findings)


def lower_application(
    paths: tuple[str | Path, ...], sources: Mapping[str, str], profile: Profile = IEC
) -> tuple[Application, Module]:
    """Do everything but generate code."""
    texts = SourceSet()
    project = checked(paths, sources, texts, profile)
    with deep_recursion(), compiling(profile):
        return _lowered(project, texts, Sizes())


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let the tree be as deep as the parser lets it be: long chains of operators, ELSIF and constants."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, RECURSION_LIMIT))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the collector wait, which else looks through all that is known of a program again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _lowered(
    project: Project,
    texts: SourceSet,
    sizes: Sizes,
    mark: Callable[[int], Marks] | None = None,
    *,
    asking: bool = False,
    library: bool = False,
) -> tuple[Application, Module]:
    tasks = tasks_of(project)
    instances = [instance for _, members in tasks for instance in members]
    instances += only_called(project, tasks)
    layout, image = lay_out(project, instances, sizes)
    if mark is not None:
        sizes.marks = mark(len(image))
        image += bytes(align_up(sizes.marks.size, REGION_ALIGN))
    if asking:
        sizes.sites = Sites(texts, layout, len(image), library=library)
    if project.references:
        sizes.links = Links(layout)
        linked = bytearray(image)
        sizes.links.image(linked, project)
        image = bytes(linked)
    try:
        module, frames = lower(project, layout, sizes, texts, tasks)
    except LoweringError as exc:
        name = texts.files[0].name if texts.files else ""
        message = f"the compiler cannot translate this program: {exc}"
        remedy = "please report it with the program"
        raise CompileError(
            [Diagnostic("ST9001", message, 0, 0, remedy, file=name, line=1, column=1)]
        ) from exc
    if sizes.sites is not None:
        image += bytes(align_up(sizes.sites.size, REGION_ALIGN))
    _stop_at(frames.excess(), texts)
    shapes = Shapes()
    regions = {name: Region(offset, size) for name, (offset, size) in layout.regions.items()}
    roots, hidden = roots_of(project, instances, layout, shapes, sizes)
    infos = tuple(
        TaskInfo(
            task.name,
            task_symbol(i),
            task.interval_ns,
            task.priority,
            runs_of(task, members),
            types_of(task, members),
            task.resource,
        )
        for i, (task, members) in enumerate(tasks)
    )
    files = tuple(each.name for each in texts.files)
    access = access_of(project, instances, layout, shapes, regions["RETAIN"])
    table = tuple(shapes.table)
    warnings = tuple(project.warnings)
    units = module.units
    app = Application(b"", image, infos, files, regions, roots, table, access, hidden, units, warnings)
    return app, module


def _with_code(application: Application, module: Module, kept: range = range(0)) -> Application:
    """Return the application with its code, and with what FB_Init leaves in its initial image.

    Bytes that are `kept` belong to no variable, but stay as well.
    """
    from softplc.codegen.native import object_code

    application = replace(application, object_code=object_code(module))
    if not module.first:
        return application
    from softplc.firstvalues import first_values  # not for all others

    return replace(application, initial_image=first_values(application, module, kept))


@dataclass(slots=True)
class Examination:
    """What is known of a program, right or wrong.

    Attributes:
        units: the tree of each file, by its name.
        findings: errors, or warnings where there are none; in order of place.
        broken: a syntax error hides a part of the program.
    """

    profile: Profile
    declarations: Declarations
    units: dict[str, Unit]
    findings: list[Diagnostic]
    broken: bool

    @property
    def project(self) -> Project:
        return self.declarations.project


def examine(
    named: Iterable[tuple[str, str]], texts: SourceSet, profile: Profile = IEC, parse: Parser = parse
) -> Examination:
    """Parse, bind and check texts by name."""
    unit = Unit(0, 0)
    units: dict[str, Unit] = {}
    findings: list[Diagnostic] = []
    doubtful: list[Diagnostic] = []
    for name, text in named:
        if is_xml(name):
            from softplc.plcopen.loading import load  # not for a program in text: it takes 50 ms

            part, wrong, loose = load(name, text, texts, profile)
            doubtful += loose
        else:
            part, wrong = parse(texts.add(name, text), profile)
        findings += [each for each in wrong if each.severity == ERROR]
        doubtful += [each for each in wrong if each.severity == WARNING]
        units[name] = part
        _merge(unit, part)
        if profile.loose and part.globals:
            names = {each.name.casefold() for block in part.globals for each in block.declarations}
            unit.lists.setdefault(Path(name).stem.casefold(), set()).update(names)

    def load_library(name: str, text: str) -> Unit:
        part, wrong = parse(texts.add(f"library/{name.upper()}.st", text), IEC)
        _stop_at(wrong, texts)
        return part

    declarations = Declarations(load_library, profile)
    with deep_recursion(), compiling(profile):
        declarations.declare(unit)
        bind(declarations)
        found = list(check(declarations))
    broken = bool(findings)
    if broken:
        found = [each for each in found if not _follows(each, unit.skipped, texts)]
    findings += [*found, *doubtful]
    errors = [each for each in findings if each.severity == ERROR]
    return Examination(profile, declarations, units, _located(errors or findings, texts), broken)


def checked(
    paths: tuple[str | Path, ...], sources: Mapping[str, str], texts: SourceSet, profile: Profile = IEC
) -> Project:
    """Parse, bind and check; the project carries its warnings.

    Raises:
        CompileError: with every finding.
    """
    found = examine([*read_files(paths, profile), *sources.items()], texts, profile)
    if any(each.severity == ERROR for each in found.findings):
        raise CompileError(found.findings)
    found.project.warnings = found.findings
    return found.project


def _follows(finding: Diagnostic, skipped: set[str], texts: SourceSet) -> bool:
    """Tell whether a finding is about a name whose declaration could not be read, or only a guess."""
    source = texts.at(finding.at)
    text = source.text[finding.at - source.base : finding.end - source.base]
    names = {each.casefold() for each in _NAME.findall(text)}
    return finding.severity == WARNING or finding.code in GUESSES or bool(names & skipped)


def _merge(unit: Unit, part: Unit) -> None:
    unit.types += part.types
    unit.pous += part.pous
    unit.globals += part.globals
    unit.configurations += part.configurations
    unit.skipped |= part.skipped
    unit.spaces += part.spaces
    unit.internal |= part.internal
    for name, names in part.lists.items():
        unit.lists.setdefault(name, set()).update(names)


def _stop_at(findings: list[Diagnostic], texts: SourceSet) -> None:
    if any(each.severity == ERROR for each in findings):
        errors = [each for each in findings if each.severity == ERROR]
        raise CompileError(_located(errors, texts))


def _located(findings: list[Diagnostic], texts: SourceSet) -> list[Diagnostic]:
    def place(finding: Diagnostic) -> tuple[int, int, int, str]:
        source = texts.at(finding.at)
        return source.index, *source.place(finding.at), finding.code

    ordered = [each.located(texts) for each in sorted(findings, key=place)]
    # What is drawn once may be written down several times.
    return list(
        {(each.file, each.line, each.column, each.code, each.message): each for each in ordered}.values()
    )


def read_files(paths: tuple[str | Path, ...], profile: Profile) -> list[tuple[str, str]]:
    """Return names and texts of files.

    Raises:
        CompileError: one cannot be read.
    """
    texts: list[tuple[str, str]] = []
    for path in paths:
        try:
            data = Path(path).read_bytes()
            decoded = decode(data) if is_xml(str(path)) else _decoded(data, profile)
            texts.append((str(path), decoded))
        except OSError as exc:
            message = f"cannot read the file: {exc.strerror}"
            raise _unreadable(path, message, "check the path and its permissions") from exc
        except UnicodeDecodeError as exc:
            raise _unreadable(path, "the file is not UTF-8 text", "save it as UTF-8") from exc
    return texts


def _decoded(data: bytes, profile: Profile) -> str:
    """Return the text of a file; exports of older tools are in a code page, whose bytes stay."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if not profile.loose:
            raise
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unreadable(path: str | Path, message: str, remedy: str) -> CompileError:
    return CompileError([Diagnostic("ST0001", message, 0, 0, remedy, file=str(path), line=1, column=1)])
