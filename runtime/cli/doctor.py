"""`ironworks doctor`: what of this machine and plant would keep Ironworks from its best, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from runtime.cli.session import JsonOption, PlantOption, print_json

if TYPE_CHECKING:
    from runtime.assembly import Assembly
    from runtime.client import Endpoint

_MIB = 2**20
_OK, _WARN, _FAIL = "ok", "warn", "fail"
_CAP_IPC_LOCK = 14


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; verdict is `ok`, `warn` or `fail`."""

    name: str
    verdict: str
    text: str
    remedy: str = ""


def doctor(plant: PlantOption = None, json: JsonOption = False) -> None:
    """Look at this machine and the plant; exit code 1 if something must be mended."""
    checks = []
    for check in _all(plant):
        checks.append(check)
        if not json:
            print(f"{check.verdict:<4}  {check.name}: {check.text}", flush=True)
            if check.remedy and check.verdict != _OK:
                print(f"      {check.remedy}")
    failed = any(check.verdict == _FAIL for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        raise typer.Exit(1)


def _all(plant: str | None) -> Iterator[Check]:
    from runtime.client import plant_file, running

    yield _python()
    yield _clock()
    yield _realtime()
    yield _locked_memory()
    yield _memory()
    yield from _terminal()
    there = running()
    yield _instances(there)
    file = None if plant and "://" in plant else plant_file(plant)
    mains = [each for each in there if not each.rack]
    if file is None and plant is None and len(mains) == 1:
        file = Path(mains[0].file)
    if file is None:
        yield _disk(Path.cwd())
        return
    yield from _plant(file, next((each for each in there if each.file == str(file)), None))


def _python() -> Check:
    import platform

    return Check("python", _OK, f"{platform.python_version()} on {platform.machine()}")


def _clock() -> Check:
    from runtime.clock import synchronised

    state = synchronised()
    if state is None:
        return Check("clock", _WARN, "its state cannot be read here", "check it on the host: timedatectl")
    if not state:
        remedy = "start chrony or systemd-timesyncd: times in history and alarms rely on it"
        return Check("clock", _WARN, "not synchronised", remedy)
    return Check("clock", _OK, "synchronised")


def _realtime() -> Check:
    import os

    if not hasattr(os, "sched_setscheduler"):
        return Check("real time", _WARN, "this system has no SCHED_FIFO: PLC scans have more jitter")
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        remedy = "give the account rtprio in /etc/security/limits.d, or LimitRTPRIO= in the service unit"
        return Check("real time", _WARN, "SCHED_FIFO is not permitted: PLC scans have more jitter", remedy)
    os.sched_setscheduler(0, policy, parameter)
    return Check("real time", _OK, "SCHED_FIFO is permitted")


def _locked_memory() -> Check:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY or soft >= 256 * _MIB or _has_capability(_CAP_IPC_LOCK):
        return Check("locked memory", _OK, "PLC memory can be locked")
    remedy = "give the account memlock in /etc/security/limits.d, or LimitMEMLOCK= in the service unit"
    return Check("locked memory", _WARN, f"limited to {soft // 1024} KiB: a scan may wait for a page", remedy)


def _has_capability(number: int) -> bool:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(mask, 16) >> number & 1)


def _memory() -> Check:
    import psutil

    free_mib = psutil.virtual_memory().available // _MIB
    text = f"{free_mib} MiB available"
    if free_mib < 150:
        return Check("memory", _FAIL, text, "a plant needs about 300 MiB: stop other programs")
    return Check("memory", _WARN if free_mib < 512 else _OK, text, "a plant needs about 300 MiB")


def _disk(folder: Path, wanted_mib: int = 2048) -> Check:
    import shutil

    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free_mib = shutil.disk_usage(there).free // _MIB
    text = f"{free_mib} MiB free for {folder}"
    remedy = f"history may take {wanted_mib} MiB: free space, or lower history.disk_limit_mib"
    verdict = _FAIL if free_mib < 100 else _WARN if free_mib < wanted_mib else _OK
    return Check("disk", verdict, text, remedy)


def _terminal() -> Iterator[Check]:
    import locale
    import os

    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    remedy = "export LANG=C.UTF-8, or en_US.UTF-8, zh_CN.UTF-8"
    if encoding == "utf8":
        yield Check("locale", _OK, ".".join(each or "C" for each in locale.getlocale()))
    else:
        yield Check("locale", _WARN, f"{sys.stdout.encoding} cannot show every text", remedy)
    if not sys.stdout.isatty():
        yield Check("terminal", _OK, "none: output goes to a file or pipe")
    elif os.environ.get("TERM", "dumb") in ("dumb", "") or os.environ.get("NO_COLOR"):
        yield Check("terminal", _WARN, "no colours", "export TERM=xterm-256color if the terminal has them")
    else:
        true_colour = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
        yield Check(
            "terminal", _OK, f"{os.environ['TERM']}, {'16M' if true_colour else '256 or fewer'} colours"
        )


def _instances(there: list[Endpoint]) -> Check:
    text = ", ".join(f"{each.plant} (pid {each.pid}, {each.file})" for each in there)
    return Check("running", _OK, text or "no plant runs under this account")


def _plant(file: Path, mine: Endpoint | None) -> Iterator[Check]:
    from runtime.assembly import assemble
    from runtime.errors import ConfigError, PlantError

    try:
        assembly = assemble(file)
        errors = [each for each in assembly.check() if each.severity == "error"]
    except ConfigError as exc:
        errors = list(exc.findings)
        assembly = None
    except PlantError as exc:
        yield Check("plant", _FAIL, exc.text, exc.remedy)
        return
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        yield Check("plant", _FAIL, f"{errors[0].place}: {errors[0].text}{more}", "ironworks check shows all")
    else:
        yield Check("plant", _OK, str(file))
    if assembly is None:
        return
    plant = assembly.plant
    limit_mib = plant.head.history.disk_limit_mib if plant.head.history else 256
    yield _disk(plant.state, limit_mib)
    yield from _ports(assembly, mine)
    yield from _stores(plant.state, mine)


def _ports(assembly: Assembly, mine: Endpoint | None) -> Iterator[Check]:
    head = assembly.plant.head
    wanted: dict[str, tuple[str, int]] = {}
    if head.api and head.api.port and "port" in head.api.model_fields_set:
        wanted["api"] = (head.api.host, head.api.port)
    for driver in head.drivers:
        port = driver.get("port")
        if str(driver.get("kind", "")).endswith(".server") and isinstance(port, int):
            wanted[str(driver.get("name"))] = (str(driver.get("host", "127.0.0.1")), port)
    for name, (host, port) in wanted.items():
        if mine:
            yield Check("port", _OK, f"{port} ({name}) is the running plant's")
        elif why := _not_free(host, port):
            yield Check(
                "port", _FAIL, f"{port} ({name}) {why}", "stop what uses it, or choose another in plant.yaml"
            )
        else:
            yield Check("port", _OK, f"{port} ({name}) is free")


def _not_free(host: str, port: int) -> str:
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            return f"cannot be opened on {host}: {exc.strerror}"
    return ""


def _stores(state: Path, mine: Endpoint | None) -> Iterator[Check]:
    import os
    import sqlite3
    from contextlib import closing

    if state.exists() and not os.access(state, os.W_OK):
        yield Check("state", _FAIL, f"{state} may not be written by this account", f"chown or chmod {state}")
    journal = state / "journal.sqlite"
    if journal.exists():
        try:
            with closing(
                sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
            ) as store:
                (report,) = store.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as exc:
            report = str(exc)
        remedy = "the next start sets it aside and begins a new one: copy the state folder first"
        yield Check("journal", _OK if report == "ok" else _FAIL, f"{journal}: {report}", remedy)
    else:
        yield Check("journal", _OK, "none yet: the first start makes it")
    yield _history(state / "history.duckdb", mine)


def _history(store: Path, mine: Endpoint | None) -> Check:
    from runtime.errors import PlantError
    from runtime.historian import open_readonly

    if mine:
        return Check("history", _OK, "in use by the running plant; ask `ironworks history`")
    if not store.exists():
        return Check("history", _OK, "none yet, or this plant keeps none")
    try:
        with open_readonly(store) as archive:
            return Check("history", _OK, f"{store} opens, {len(archive.tags)} tags recorded")
    except PlantError as exc:
        return Check("history", _FAIL, exc.text, exc.remedy)
