"""The command `ironworks`: its own commands and those that packages bring."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from runtime.errors import ConfigError, PlantError

if TYPE_CHECKING:
    import typer

GROUPS = {
    "runtime.cli.plant": ("run", "check", "test", "new", "schema"),
    "runtime.cli.demo": ("demo",),
    "runtime.cli.login": ("login", "logout"),
    "runtime.cli.values": ("read", "write", "watch"),
    "runtime.cli.backup": ("restore",),
    "runtime.cli.doctor": ("doctor",),
    "runtime.cli.logs": ("logs",),
}
APPS = (
    "alarms",
    "history",
    "audit",
    "gate",
    "config",
    "components",
    "plc",
    "tags",
    "user",
    "tls",
    "backup",
    "install",
    "bench",
    "chaos",
)


def build() -> typer.Typer:
    """Return the command tree. Heavy libraries load inside commands, never here."""
    from importlib import import_module

    import typer

    from runtime import registry
    from runtime.cli.broken import load_command
    from runtime.cli.root import Root
    from runtime.cli.session import before_command

    app = typer.Typer(
        name="ironworks",
        cls=Root,
        help="A factory operating system: soft PLC, OPC UA, Modbus, twin, edge apps, console.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        add_completion=True,
    )
    app.callback()(_version())
    for module, names in GROUPS.items():
        loaded = import_module(module)
        for name in names:
            negative = {"ignore_unknown_options": name == "write"}  # `ironworks write x -5`
            app.command(name, context_settings=negative)(getattr(loaded, name))
    for name in APPS:
        app.add_typer(import_module(f"runtime.cli.{name}").app, name=name)
    for name in registry.names("commands"):
        found = load_command("commands", name)
        if isinstance(found, typer.Typer):
            if found.registered_callback is None and _takes_plant(found):
                found.callback()(before_command)
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _takes_plant(group: typer.Typer) -> bool:
    return any("plant" in getattr(each.callback, "__annotations__", ()) for each in group.registered_commands)


def _version() -> Callable[[bool, str, str], None]:
    import typer

    def tell(wanted: bool) -> None:
        if wanted:
            from importlib.metadata import version as installed

            typer.echo(installed("ironworks"))
            raise typer.Exit

    def options(
        version: bool = typer.Option(
            False, "--version", help="Print the version and exit.", is_eager=True, callback=tell
        ),
        user: str = typer.Option(
            "", "--user", help="Plant user; the secret is asked for, or in $IRONWORKS_SECRET(_FILE)."
        ),
        certificate: str = typer.Option(
            "", "--certificate", metavar="FILE", help="Client certificate with its key (PEM), for https."
        ),
    ) -> None:
        """Take the options that stand before a command."""
        for name, value in (("IRONWORKS_USER", user), ("IRONWORKS_CERTIFICATE", certificate)):
            if value:
                os.environ[name] = value

    return options


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Run the command line; every error is told in words, never as a traceback."""
    try:
        _run()
    except SystemExit as exc:
        if "runtime.kernel" in sys.modules:
            # All that a kernel held is closed by now: spare the seconds in which the interpreter looks
            # through every object of its libraries once more.
            for stream in (sys.stdout, sys.stderr):
                with suppress(AttributeError, OSError):  # it may be closed
                    stream.flush()
            os._exit(exc.code if isinstance(exc.code, int) else int(exc.code is not None))
        raise


def _drop_output() -> None:
    """Send what could not be written nowhere: Python tries once more at its end, and would tell it again."""
    if sys.stdout:
        with suppress(OSError):  # it is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ready_streams() -> None:
    if sys.stdin is None:  # closed by whoever started this: there is nobody to ask
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows ? for what it cannot
            else:
                stream.reconfigure(encoding="utf-8")


def _run() -> None:
    _ready_streams()
    try:
        commands = build()
        for ending in (signal.SIGTERM, signal.SIGHUP):  # so that no temporary folder and no child stays
            if signal.getsignal(ending) == signal.SIG_DFL:
                signal.signal(ending, _end)
        try:
            commands()
        finally:
            if sys.stdout:
                sys.stdout.flush()  # a full disk and a reader that left are told as any other error
    except ConfigError as exc:
        _tell(*map(str, exc.findings))
        sys.exit(1)
    except PlantError as exc:
        _tell(f"error: {exc.text}", *([f"  {exc.remedy}"] if exc.remedy else []))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _drop_output()
        sys.exit(141)
    except ConnectionError as exc:
        _tell(f"error: the connection was lost: {exc}", "  see whether the other side runs, and try again")
        sys.exit(1)
    except TimeoutError as exc:
        _tell(f"error: {str(exc) or 'no answer in time'}", "  see whether the other side runs, and try again")
        sys.exit(1)
    except OSError as exc:
        name = f"{exc.filename}: " if exc.filename else ""
        _tell(f"error: {name}{exc.strerror or exc}", "  check the path, its rights, and the room on its disk")
        _drop_output()
        sys.exit(1)
    except Exception as exc:
        if isinstance(exc, UnicodeEncodeError) and any(
            "\udc80" <= each <= "\udcff" for each in "".join(sys.argv)
        ):
            _tell("error: what was typed is not UTF-8", "  set the terminal to UTF-8, and type it again")
            sys.exit(1)
        if os.environ.get("IRONWORKS_DEBUG"):
            raise
        _tell(
            f"internal error: {type(exc).__name__}: {exc}",
            "  please report it; IRONWORKS_DEBUG=1 shows where it arose",
        )
        sys.exit(70)
