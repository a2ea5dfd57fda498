"""`ironworks run|check|test|new|schema`: a plant folder's life."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.looks import seconds_of
from runtime.cli.session import FolderArgument, FolderOption, folder_of

if TYPE_CHECKING:
    from runtime.assembly import Assembly
    from runtime.errors import Finding

_NO_TESTS = 5  # what pytest answers


def run(
    plant: FolderArgument = None,
    named: FolderOption = None,
    attached: Annotated[
        bool, typer.Option("--attached", help="Stop when standard input closes: for a parent process.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            parser=seconds_of,
            metavar="DURATION",
            help="Stop by itself after this time: 10min, 2h; a bare number is seconds.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log everything, not only what matters.")
    ] = False,
    fallback: Annotated[
        bool, typer.Option(help="Run the last good configuration where the present one does not come up.")
    ] = True,
) -> None:
    """Run a plant until Ctrl-C."""
    with _ending_at_once():
        from runtime.cli.running import run_plant

        folder = folder_of(plant, named)
        run_plant(folder, attached=attached, seconds=seconds, verbose=verbose, fallback=fallback)


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Let Ctrl-C, a termination and a hangup end the process until the plant takes them over.

    An exception that a signal raises in the midst of an import can be swallowed there.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if number == signal.SIGINT or before[number] != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def check(
    plant: FolderArgument = None,
    named: FolderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
) -> None:
    """Check a plant folder; every finding has file, line, column and remedy. Exit code 1 on errors."""
    from runtime.assembly import assemble
    from runtime.errors import ConfigError

    assembly = None
    try:
        assembly = assemble(folder_of(plant, named))
        findings = assembly.check()
    except ConfigError as exc:
        findings = list(exc.findings)
    errors = sum(each.severity == "error" for each in findings)
    if as_json:
        typer.echo(
            json.dumps({"ok": errors == 0, "findings": [_as_dict(each) for each in findings]}, indent=2)
        )
    else:
        for each in findings:
            typer.echo(str(each), err=each.severity == "error")
        typer.echo(_verdict(assembly, errors), err=errors > 0)
    if errors:
        raise typer.Exit(1)


def _verdict(assembly: Assembly | None, errors: int) -> str:
    if errors or assembly is None:
        return f"{errors} error{'s' if errors != 1 else ''}"
    plant = assembly.plant
    own = sum(not tag.path.startswith("sys/") for tag in plant.tags)
    found = {"tag": own, "alarm": len(plant.alarms), "section": len(assembly.sections)}
    told = (f"{number} {what}{'s' if number != 1 else ''}" for what, number in found.items())
    return f"{plant.name}: ok, {', '.join(told)}"


def _as_dict(finding: Finding) -> dict[str, object]:
    return {
        "file": str(finding.place.file),
        "line": finding.place.line,
        "column": finding.place.column,
        "severity": finding.severity,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def test(
    plant: FolderArgument = None,
    named: FolderOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML report.")] = None,
    match: Annotated[str, typer.Option("-k", help="Run only tests whose names match.")] = "",
    coverage: Annotated[
        bool, typer.Option("--st-coverage", help="Report which lines and branches of the ST source ran.")
    ] = False,
) -> None:
    """Run a plant's own tests in virtual time: PLANT/tests/test_*.py, and *_test.yaml anywhere in it."""
    import subprocess

    from runtime.assembly import assemble
    from runtime.errors import PlantError

    folder = assemble(folder_of(plant, named)).plant.folder
    tests = folder / "tests"
    found = [tests] if any(tests.glob("**/test_*.py")) else []
    found += _without_python(folder, found)
    if not found:
        text = f"{folder} has no tests: no tests/test_*.py, no *_test.yaml"
        raise PlantError(
            text, "write one: the fixture `plant` is the plant in virtual time, `plc` its program"
        )
    command = [sys.executable, "-B", "-m", "pytest", "-q", f"--rootdir={folder}", "--import-mode=importlib"]
    command += ["-p", "no:cacheprovider", "-c", "/dev/null"]
    if junit and junit.is_dir():
        raise PlantError(f"{junit} is a folder", "name a file for the report: --junit report.xml")
    if junit:
        command.append(f"--junitxml={junit.resolve()}")
    if match:
        command += ["-k", match]
    if coverage:
        command.append("--st-coverage")
    code = subprocess.run([*command, *map(str, found)], check=False).returncode
    if code == _NO_TESTS:
        raise PlantError(f"no test of {folder} matches", "correct -k, or leave it out")
    raise typer.Exit(code)


def _without_python(folder: Path, known: list[Path]) -> list[Path]:
    """Return the *_test.yaml of a plant that are in no folder of `known`; hidden folders hold none."""
    return [
        file
        for file in sorted(folder.rglob("*_test.yaml"))
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and not any(file.is_relative_to(each) for each in known)
    ]


def new(
    folder: Annotated[Path, typer.Argument(help="Folder to make; its name becomes the plant's name.")],
    template: Annotated[str, typer.Option(help="minimal or line.")] = "minimal",
) -> None:
    """Lay out a plant of your own: tags, ST program, twin, a test, editor settings."""
    from runtime.cli.layout import lay_out

    for file in lay_out(folder, template):
        typer.echo(f"  {file}")
    name = quote(str(folder))
    typer.echo(f"\nnext:  ironworks check {name}   ironworks test {name}   ironworks run {name}")


def schema(
    folder: Annotated[Path | None, typer.Argument(help="Write one file a schema there.")] = None,
) -> None:
    """Print the JSON Schemas of the plant folder's files, for editors."""
    from runtime.cli.layout import schemas, write_schemas

    if folder:
        for file in write_schemas(folder):
            typer.echo(str(file))
    else:
        typer.echo(json.dumps(schemas(), indent=2, ensure_ascii=False))
