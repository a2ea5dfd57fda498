"""How `ironworks run` runs: event loop, signals, log files, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from runtime import heap
from runtime.cli.notify import Notifier
from runtime.clock import WallClock
from runtime.errors import ConfigError, PlantError
from runtime.versions.start import Beginning, choose
from runtime.versions.store import Failure

if TYPE_CHECKING:
    from runtime.kernel import Kernel

SETTLED_S, TIDY_S = 5.0, 60.0


def run_plant(target: Path, *, attached: bool, seconds: float | None, verbose: bool, fallback: bool) -> None:
    """Run a plant until Ctrl-C, a signal, the end of standard input (`attached`) or the given time.

    Where its configuration does not come up, the last good one runs, unless `fallback` is off.
    """
    heap.keep_compact()
    notifier = Notifier()
    again = True
    while again:  # a change of the configuration may need another kernel
        assembly, begin = choose(target, WallClock().now_ns(), fallback=fallback)
        with ThreadPoolExecutor(1) as background:
            checked = background.submit(assembly.check)  # the PLC compiles while the kernel's libraries load
            from runtime.kernel import Kernel
            from runtime.logs import start_log
            from runtime.tracing import tracing

            errors = [each for each in checked.result() if each.severity == "error"]
        if errors:
            raise ConfigError(errors)
        if begin and begin.failure:
            _tell_return(begin, begin.failure)
        kernel = Kernel(assembly, begin=begin)
        kernel.log = start_log(assembly.plant.state, assembly.plant.head.log, verbose)
        with tracing(assembly.plant.head.traces, assembly.plant.name):
            asyncio.run(_until_stopped(kernel, notifier, attached, seconds))
        again = kernel.again
        if again:
            del assembly, begin, checked, kernel
            heap.look_through()  # all of it was set aside, and would stay beside what comes


def _tell_return(begin: Beginning, failure: Failure) -> None:
    for finding in begin.error.findings if begin.error else ():
        typer.echo(str(finding), err=True)
    typer.echo(f"this configuration does not come up: {failure.reason}", err=True)
    good = begin.store.standing().good == begin.content.digest
    which = "the last good one" if good else "the one that was applied last"
    typer.echo(f"  {which} runs instead; see `ironworks config status`", err=True)


async def _until_stopped(kernel: Kernel, notifier: Notifier, attached: bool, seconds: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    with contextlib.ExitStack() as stack:
        if attached:
            stack.callback(loop.remove_reader, _watch_parent(loop, stop))
        tasks = [asyncio.create_task(_tell(kernel, notifier)), asyncio.create_task(_tidy(kernel))]
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda done: None if done.cancelled() else notifier.send("STOPPING=1"))
        try:
            await kernel.run(stop)
        finally:
            for task in (*tasks, stopping):
                task.cancel()


async def _tell(kernel: Kernel, notifier: Notifier) -> None:
    """Tell who started the plant that it runs, and the watchdog that its event loop does."""
    await kernel.ready.wait()
    typer.echo(f"{kernel.plant.name} runs; Ctrl-C stops it", err=True)
    notifier.send("READY=1", f"STATUS={kernel.plant.name} runs")
    while notifier.every_s:
        await kernel.clock.sleep(notifier.every_s)
        notifier.send("WATCHDOG=1")


async def _tidy(kernel: Kernel) -> None:
    """Spare the garbage collector what a configuration loaded, and collect the rest every minute.

    What clients have made by the time when something is set aside is not collected before the next
    configuration, so this is not put off.
    """
    aside = None
    await kernel.ready.wait()
    await kernel.clock.sleep(SETTLED_S)
    while True:
        if kernel.plant is aside:
            heap.tidy()
        else:
            if aside is not None:  # another configuration has taken its place
                heap.look_through()
            aside = kernel.plant
            heap.set_aside()
        await kernel.clock.sleep(TIDY_S)


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
