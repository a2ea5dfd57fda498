"""How `ironworks run` runs: event loop, signals, log files, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from runtime.cli.notify import Notifier
from runtime.clock import WallClock
from runtime.errors import ConfigError, PlantError
from runtime.versions.start import Beginning, choose
from runtime.versions.store import Failure

if TYPE_CHECKING:
    from runtime.kernel import Kernel

LOG_BYTES = 5_000_000
LOG_FILES = 4


def run_plant(target: Path, *, attached: bool, seconds: float | None, verbose: bool, fallback: bool) -> None:
    """Run a plant until Ctrl-C, a signal, the end of standard input (`attached`) or the given time.

    Where its configuration does not come up, the last good one runs, unless `fallback` is off.
    """
    again = True
    while again:  # a change of the configuration may need another kernel
        assembly, begin = choose(target, WallClock().now_ns(), fallback=fallback)
        with ThreadPoolExecutor(1) as background:
            checked = background.submit(assembly.check)  # the PLC compiles while the kernel's libraries load
            from runtime.kernel import Kernel

            errors = [each for each in checked.result() if each.severity == "error"]
        if errors:
            raise ConfigError(errors)
        if begin and begin.failure:
            _tell_return(begin, begin.failure)
        kernel = Kernel(assembly, begin=begin)
        start_log(assembly.plant.state, verbose)
        asyncio.run(_until_stopped(kernel, attached, seconds))
        again = kernel.again


def _tell_return(begin: Beginning, failure: Failure) -> None:
    for finding in begin.error.findings if begin.error else ():
        typer.echo(str(finding), err=True)
    typer.echo(f"this configuration does not come up: {failure.reason}", err=True)
    typer.echo("  the last good one runs instead; see `ironworks config status`", err=True)


async def _until_stopped(kernel: Kernel, attached: bool, seconds: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    with contextlib.ExitStack() as stack:
        if attached:
            stack.callback(loop.remove_reader, _watch_parent(loop, stop))
        notifier = Notifier()
        told = asyncio.create_task(_tell(kernel, notifier))
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: notifier.send("STOPPING=1"))
        try:
            await kernel.run(stop)
        finally:
            told.cancel()
            stopping.cancel()


async def _tell(kernel: Kernel, notifier: Notifier) -> None:
    """Tell who started the plant that it runs, and the watchdog that its event loop does."""
    await kernel.ready.wait()
    typer.echo(f"{kernel.plant.name} runs; Ctrl-C stops it", err=True)
    notifier.send("READY=1", f"STATUS={kernel.plant.name} runs")
    while notifier.every_s:
        await kernel.clock.sleep(notifier.every_s)
        notifier.send("WATCHDOG=1")


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> int:
    """Stop when standard input ends; returns its descriptor.

    Raises:
        PlantError: standard input is closed, or a file.
    """
    try:
        descriptor = 0
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, _read_parent, descriptor, stop)
    except OSError as exc:
        remedy = "run it from a program that holds the other end, or without --attached"
        raise PlantError("--attached needs a pipe as standard input", remedy) from exc
    return descriptor


def _read_parent(descriptor: int, stop: asyncio.Event) -> None:
    try:
        if not os.read(descriptor, 4096):
            stop.set()
    except BlockingIOError:
        return


def start_log(state: Path, verbose: bool) -> None:
    """Log to a bounded set of files in the state folder, and warnings to standard error."""
    file = logging.handlers.RotatingFileHandler(
        state / "ironworks.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
    )
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    shown = logging.StreamHandler()
    journald = "JOURNAL_STREAM" in os.environ
    shown.setFormatter(_Prefixed() if journald else _Short())
    shown.setLevel(logging.INFO if verbose or journald else logging.WARNING)
    root = logging.getLogger()
    root.handlers = [file, shown]
    root.setLevel(logging.INFO)
    for noisy in ("asyncua", "pymodbus", "uvicorn", "uvicorn.access", "websockets", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class _Short(logging.Formatter):
    """Keeps tracebacks in the file: people at the terminal get the message."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {record.getMessage()}"


class _Prefixed(logging.Formatter):
    """Begins with the level as journald reads it. Source: sd-daemon(3)."""

    def format(self, record: logging.LogRecord) -> str:
        level = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        return f"<{level}>{record.getMessage()}"
