"""The command `ironworks`: its own commands and those that packages bring."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

import typer

from runtime.errors import ConfigError, PlantError

GROUPS = {
    "runtime.cli.plant": ("run", "check", "test", "new", "schema"),
    "runtime.cli.demo": ("demo",),
    "runtime.cli.values": ("read", "write", "watch"),
    "runtime.cli.doctor": ("doctor",),
}
APPS = ("alarms", "history", "audit", "components", "tags", "user", "bench")


def build() -> typer.Typer:
    """Return the command tree. Heavy libraries load inside commands, never here."""
    from importlib import import_module

    from runtime import registry

    app = typer.Typer(
        name="ironworks",
        help="A factory operating system: soft PLC, OPC UA, Modbus, twin, edge apps, console.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        add_completion=True,
    )
    app.callback()(_version)
    for module, names in GROUPS.items():
        loaded = import_module(module)
        for name in names:
            negative = {"ignore_unknown_options": name == "write"}  # `ironworks write x -5`
            app.command(name, context_settings=negative)(getattr(loaded, name))
    for name in APPS:
        app.add_typer(import_module(f"runtime.cli.{name}").app, name=name)
    for name in registry.names("commands"):
        try:
            found = registry.load("commands", name)
        except PlantError as exc:  # one broken package must not take the command line with it
            found = _broken(exc)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _broken(error: PlantError) -> Callable[[], None]:
    def command() -> None:
        raise error

    command.__doc__ = f"Not available: {error.text}."
    return command


def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(installed("ironworks"))
        raise typer.Exit


def main() -> None:
    """Run the command line; every error is told in words, never as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows ? for what it cannot
            else:
                stream.reconfigure(encoding="utf-8")
    try:
        build()()
    except ConfigError as exc:
        for each in exc.findings:
            typer.echo(str(each), err=True)
        sys.exit(1)
    except PlantError as exc:
        typer.echo(f"error: {exc.text}", err=True)
        if exc.remedy:
            typer.echo(f"  {exc.remedy}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as exc:
        typer.echo(f"error: {f'{exc.filename}: ' if exc.filename else ''}{exc.strerror or exc}", err=True)
        typer.echo("  check the path, its rights, and the room on its disk", err=True)
        sys.exit(1)
    except Exception as exc:
        if os.environ.get("IRONWORKS_DEBUG"):
            raise
        typer.echo(f"internal error: {type(exc).__name__}: {exc}", err=True)
        typer.echo("  please report it; IRONWORKS_DEBUG=1 shows where it arose", err=True)
        sys.exit(70)
