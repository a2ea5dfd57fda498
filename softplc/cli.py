"""Commands `ironworks st ...`: check and run Structured Text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from runtime.errors import PlantError
    from softplc.application import Application
    from softplc.diagnostics import Diagnostic
    from softplc.profiles import Profile
    from softplc.simulator import Simulator

app = typer.Typer(help="IEC 61131-3 Structured Text: check and run programs.", no_args_is_help=True)
WRONG_PROGRAM, USAGE, FAULT = 1, 2, 3

ProfileName = Annotated[str, typer.Option("--profile", help="Dialect: iec or codesys.")]
Files = Annotated[
    list[Path], typer.Argument(help="ST files and PLCopen XML, compiled together.", metavar="FILE...")
]


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


@app.command()
def check(
    files: Files,
    form: Annotated[
        Format, typer.Option("--format", help="Text for people, or one JSON object, or a SARIF 2.1.0 log.")
    ] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    profile: ProfileName = "iec",
) -> None:
    """Check programs; exit code 1 if there are errors, 0 if there are warnings only."""
    import softplc
    from softplc.diagnostics import ERROR
    from softplc.pipeline import uncollected

    _known_profile(profile)
    form = Format.JSON if as_json else form
    with uncollected():
        findings = softplc.check(*files, profile=profile)
    errors = sum(each.severity == ERROR for each in findings)
    if form is Format.JSON:
        typer.echo(json.dumps({"ok": not errors, "diagnostics": [each.as_dict() for each in findings]}))
    elif form is Format.SARIF:
        from softplc.sarif import sarif

        typer.echo(json.dumps(sarif(findings, Path.cwd()), indent=1))
    else:
        _say_findings(findings)
    if errors:
        raise typer.Exit(WRONG_PROGRAM)
    if form is Format.TEXT:
        warnings = f", {_count(len(findings), 'warning')}" if findings else ""
        typer.echo(f"{_count(len(files), 'file')}: no errors{warnings}")


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="A code such as ST2009, or a library block such as TON.")],
) -> None:
    """Explain a finding (what is asked, accepted and rejected, the clause) or a library block."""
    from softplc.explain import explanation

    text = explanation(code)
    if text is None:
        typer.echo(
            f"error: {code} is no finding and no library block\n  help: ask as in ST2009 or TON",
            err=True,
        )
        raise typer.Exit(USAGE)
    typer.echo(text)


@app.command()
def fmt(
    files: Annotated[list[Path], typer.Argument(help="ST files, each for itself.", metavar="FILE...")],
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if a file is not formatted.")
    ] = False,
    show: Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")] = False,
    profile: ProfileName = "iec",
) -> None:
    """Format programs in place: indentation, spaces, aligned declarations, keywords in capitals.

    Every token and comment stays. A file with a syntax error is left as it is: exit code 1.
    """
    from runtime.errors import PlantError
    from softplc.diagnostics import CompileError
    from softplc.formatter.files import difference, read, replace

    chosen = _known_profile(profile)
    changed = failed = 0
    for path in files:
        try:
            text, wanted = read(path, chosen)
            if wanted == text:
                continue
            changed += 1
            if show:
                typer.echo(difference(path, text, wanted), nl=False)
            elif check_only:
                typer.echo(f"{path}: would be formatted")
            else:
                replace(path, wanted)
                typer.echo(f"{path}: formatted")
        except CompileError as exc:
            _say_findings(exc.diagnostics)
            typer.echo(f"{path}: not formatted", err=True)
            failed += 1
        except PlantError as exc:
            typer.echo(f"error: {exc.text}\n  help: {exc.remedy}", err=True)
            failed += 1
    if failed or (check_only and changed):
        raise typer.Exit(WRONG_PROGRAM)


@app.command()
def run(
    files: Files,
    program: Annotated[str | None, typer.Option(help="Print only this program instance.")] = None,
    scans: Annotated[int, typer.Option(min=0, help="How many scans.")] = 1,
    period: Annotated[str, typer.Option(help="Simulated time between two scans, such as 10ms.")] = "10ms",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set a variable or address before the first scan."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    profile: ProfileName = "iec",
) -> None:
    """Run programs in simulated time and print every variable after the last scan.

    The first scan runs at time 0. Names are PROGRAM.VAR, globals bare; arrays of elementary types are
    lists; TIME and dates are IEC text (T#1s500ms, D#2024-02-29); enumerations are numbers.
    Exit codes: 1 the program has errors, 2 wrong use, 3 a task stopped with a fault.
    """
    from runtime.errors import PlantError
    from softplc.dump import dump
    from softplc.simulator import PlcFaultError
    from softplc.texts import parse_duration

    application = _compile(files, profile)
    try:
        period_ns = parse_duration(period)
        if period_ns <= 0:
            raise PlantError(f"the period must be longer than 0, not {period}")
        if program is not None:
            _known_program(application, program)
        simulator = application.simulator()
        for assignment in assignments or ():
            _assign(simulator, assignment)
    except PlantError as exc:
        _fail(exc, USAGE)
    try:
        simulator.scan(scans, period_ns)
    except PlcFaultError as exc:
        _fail(exc, FAULT)
    values = dump(simulator, program)
    if as_json:
        typer.echo(json.dumps(values))
    else:
        for name, value in values.items():
            typer.echo(f"{name} = {_plain(value)}")


@app.command("import")
def import_project(
    file: Annotated[Path, typer.Argument(help="A project in PLCopen XML.", metavar="PROJECT.xml")],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where the ST files go.")],
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    profile: ProfileName = "iec",
) -> None:
    """Make readable Structured Text of PLCopen XML: a file for the types, and one for each unit.

    A project need not be imported to be used: .xml files are sources like .st files.
    """
    from runtime.errors import PlantError
    from softplc.diagnostics import ERROR, CompileError
    from softplc.pipeline import read_files
    from softplc.plcopen.files import texts_of, write
    from softplc.plcopen.xml import is_xml

    chosen = _known_profile(profile)
    try:
        if not is_xml(file.name):
            raise PlantError(f"{file} is no project in PLCopen XML", "name a file that ends in .xml")
        files, findings = texts_of(*read_files((file,), chosen)[0], chosen)
        write(files, folder, force=force)
    except CompileError as exc:
        _say_findings(exc.diagnostics)
        raise typer.Exit(WRONG_PROGRAM) from None
    except PlantError as exc:
        _fail(exc, USAGE)
    typer.echo(f"{folder}: {_count(len(files), 'file')}")
    errors = sum(each.severity == ERROR for each in findings)
    if errors:
        typer.echo(f"{_count(errors, 'error')} in the program: ironworks st check {folder}/*.st", err=True)


@app.command()
def export(
    files: Annotated[list[Path], typer.Argument(help="ST files and projects.", metavar="FILE...")],
    target: Annotated[Path, typer.Option("--output", "-o", help="The project to write, in PLCopen XML.")],
    profile: ProfileName = "iec",
) -> None:
    """Write one project in PLCopen XML (TC6 2.01) of ST files and projects.

    What came in as FBD, LD or SFC stays as it was drawn.
    """
    from runtime.errors import PlantError
    from softplc.diagnostics import CompileError
    from softplc.pipeline import read_files
    from softplc.plcopen.export import export as exported

    chosen = _known_profile(profile)
    try:
        text = exported(dict(read_files(tuple(files), chosen)), chosen, target.stem)
    except CompileError as exc:
        _say_findings(exc.diagnostics)
        raise typer.Exit(WRONG_PROGRAM) from None
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as exc:
        remedy = "check its folder, the rights there and the room"
        _fail(PlantError(f"{target} cannot be written: {exc.strerror}", remedy), USAGE)
    typer.echo(f"{target}: written")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return json.dumps(value) if isinstance(value, list) else str(value)


def _compile(files: list[Path], profile: str) -> Application:
    import softplc

    _known_profile(profile)
    try:
        return softplc.compile(*files, profile=profile)
    except softplc.CompileError as exc:
        _say_findings(exc.diagnostics)
        raise typer.Exit(WRONG_PROGRAM) from None


def _known_profile(name: str) -> Profile:
    from runtime.errors import PlantError
    from softplc.profiles import profile_of

    try:
        return profile_of(name)
    except PlantError as exc:
        _fail(exc, USAGE)


def _say_findings(findings: Sequence[Diagnostic]) -> None:
    from softplc.diagnostics import ERROR

    for each in findings:
        typer.echo(each.render(), err=True)
    errors = sum(each.severity == ERROR for each in findings)
    if errors:
        typer.echo(_count(errors, "error"), err=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _known_program(application: Application, program: str) -> None:
    from runtime.errors import PlantError

    names = [name for task in application.tasks for name in task.programs]
    if program.casefold() not in (name.casefold() for name in names):
        raise PlantError(
            f"there is no program instance {program}", f"there are: {', '.join(names) or 'none'}"
        )


def _assign(simulator: Simulator, assignment: str) -> None:
    from runtime.errors import PlantError
    from softplc.texts import parse_value

    path, sign, text = assignment.partition("=")
    if not sign:
        raise PlantError(f"{assignment!r} is no assignment", "write --set PATH=VALUE")
    path = path.strip().removesuffix(":").strip()
    symbol = simulator.application.symbol(path)
    simulator.write(path, parse_value(symbol, text))


def _fail(error: PlantError, code: int) -> NoReturn:
    typer.echo(f"error: {error.text}", err=True)
    if error.remedy:
        typer.echo(f"  help: {error.remedy}", err=True)
    raise typer.Exit(code)


NEEDS: dict[str, tuple[str, ...]] = {
    "check": (),
    "explain": (),
    "fmt": (),
    "run": (),
    "import": (),
    "export": (),
}  # files alone
