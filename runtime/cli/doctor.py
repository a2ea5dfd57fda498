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
    from runtime.endpoint import Endpoint

_MIB = 2**20
OK, WARN, FAIL = "ok", "warn", "fail"
_CAP_IPC_LOCK, _CAP_SYS_NICE = 14, 23


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
            if check.remedy and check.verdict != OK:
                print(f"      {check.remedy}")
    failed = any(check.verdict == FAIL for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        raise typer.Exit(1)


def _all(plant: str | None) -> Iterator[Check]:
    from runtime.endpoint import plant_file, running

    there = running()
    file = None if plant and "://" in plant else plant_file(plant)
    mains = [each for each in there if not each.rack]
    if file is None and plant is None and len(mains) == 1:
        file = Path(mains[0].file)
    mine = next((each for each in there if each.file == str(file)), None)
    yield _version()
    yield _clock()
    yield from _limits(mine.pid if mine else 0)
    yield _memory()
    yield from _terminal()
    yield _instances(there)
    if file is not None:
        from runtime.cli.doctor_plant import plant_checks

        yield from plant_checks(file, mine)
    elif plant is None:
        yield from disk(Path.cwd())
    if file is None and plant is not None:
        yield Check("gateway", OK, f"this machine is looked at; that of {plant} has its own ironworks doctor")
        yield from _components(plant)
    elif mine is not None:
        yield from _components(str(file))


def _components(plant: str) -> Iterator[Check]:
    """Ask a plant that runs what does not work."""
    from runtime.cli.session import ask
    from runtime.errors import ConnectError, PlantError

    try:
        found = ask(plant, lambda client: client.components())
    except PlantError as exc:
        yield Check("components", FAIL if isinstance(exc, ConnectError) else WARN, exc.text, exc.remedy)
        return
    ill = [each for each in found if each.state in ("degraded", "faulted")]
    for each in ill:
        verdict = FAIL if each.state == "faulted" else WARN
        text = f"{each.name} is {each.state}" + (f": {each.text}" if each.text else "")
        yield Check("components", verdict, text, f"ironworks logs --component {each.name} tells more")
    if not ill:
        yield Check("components", OK, f"{len(found)}, none is degraded or faulted")


def _version() -> Check:
    import platform
    from importlib.metadata import version

    text = f"Ironworks {version('ironworks')}, Python {platform.python_version()} on {platform.machine()}"
    return Check("version", OK, text)


def _clock() -> Check:
    from runtime.clock import synchronised

    state = synchronised()
    if state is None:
        return Check("clock", WARN, "its state cannot be read here", "check it on the host: timedatectl")
    if not state:
        remedy = "start chrony or systemd-timesyncd: times in history and alarms rely on it"
        return Check("clock", WARN, "not synchronised", remedy)
    return Check("clock", OK, "synchronised")


def _limits(pid: int) -> Iterator[Check]:
    """Look at what the plant that runs may have, which systemd gave it; 0: what this account may have."""
    import resource

    try:
        priority, locked, (soft, hard) = (
            resource.prlimit(pid, which)
            for which in (resource.RLIMIT_RTPRIO, resource.RLIMIT_MEMLOCK, resource.RLIMIT_NOFILE)
        )
        capabilities = _capabilities(pid)
    except (ProcessLookupError, FileNotFoundError):  # it has ended since
        yield from _limits(0)
        return
    yield _realtime(priority[0], capabilities)
    yield _locked_memory(locked[0], capabilities)
    verdict = OK if soft >= 1024 or soft == resource.RLIM_INFINITY else WARN
    remedy = "give the account nofile in /etc/security/limits.d, or LimitNOFILE= in the service unit"
    yield Check("open files", verdict, f"at most {soft} (hard limit {hard})", remedy)


def _realtime(limit: int, capabilities: int) -> Check:
    if limit in (0, 1) and not capabilities >> _CAP_SYS_NICE & 1:
        remedy = "give the account rtprio 81 in /etc/security/limits.d, or LimitRTPRIO=81 in the service unit"
        return Check("real time", WARN, "SCHED_FIFO is not permitted: PLC scans have more jitter", remedy)
    return Check("real time", OK, "SCHED_FIFO is permitted")


def _locked_memory(limit: int, capabilities: int) -> Check:
    if limit < 0 or limit >= 256 * _MIB or capabilities >> _CAP_IPC_LOCK & 1:
        return Check("locked memory", OK, "PLC memory can be locked")
    remedy = "give the account memlock in /etc/security/limits.d, or LimitMEMLOCK= in the service unit"
    return Check("locked memory", WARN, f"limited to {limit // 1024} KiB: a scan may wait for a page", remedy)


def _capabilities(pid: int) -> int:
    status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)


def _memory() -> Check:
    import psutil

    free_mib = psutil.virtual_memory().available // _MIB
    text = f"{free_mib} MiB available"
    if free_mib < 150:
        return Check("memory", FAIL, text, "a plant needs about 300 MiB: stop other programs")
    return Check("memory", WARN if free_mib < 512 else OK, text, "a plant needs about 300 MiB")


def disk(folder: Path, wanted_mib: int = 2048, day_mib: float = 0.0) -> Iterator[Check]:
    """Look at the room for a folder that may take so much more, and grows by so much a day."""
    import os
    import shutil

    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free_mib = shutil.disk_usage(there).free // _MIB
    text = f"{free_mib} MiB free for {folder}"
    if day_mib >= 1:
        text += f"; history grows by {day_mib:.0f} MiB a day"
    remedy = (
        f"history may take {wanted_mib} MiB more; where the disk is nearly full its oldest goes early:"
        " free space, or lower history.disk_limit_mib"
    )
    soon = day_mib >= 1 and free_mib < 7 * day_mib
    verdict = FAIL if free_mib < 100 else WARN if free_mib < wanted_mib or soon else OK
    yield Check("disk", verdict, text, remedy)
    facts = os.statvfs(there)
    if facts.f_files:
        share = 100 * facts.f_favail // facts.f_files
        verdict = FAIL if facts.f_favail < 1000 else WARN if share < 5 else OK
        yield Check("inodes", verdict, f"{share} % free for {folder}", "delete small files on that disk")


def _terminal() -> Iterator[Check]:
    import locale
    import os

    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    remedy = "export LANG=C.UTF-8, or en_US.UTF-8, zh_CN.UTF-8"
    if encoding == "utf8":
        yield Check("locale", OK, ".".join(each or "C" for each in locale.getlocale()))
    else:
        yield Check("locale", WARN, f"{sys.stdout.encoding} cannot show every text", remedy)
    if not sys.stdout.isatty():
        yield Check("terminal", OK, "none: output goes to a file or pipe")
    elif os.environ.get("TERM", "dumb") in ("dumb", "") or os.environ.get("NO_COLOR"):
        yield Check("terminal", WARN, "no colours", "export TERM=xterm-256color if the terminal has them")
    else:
        true_colour = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
        yield Check(
            "terminal", OK, f"{os.environ['TERM']}, {'16M' if true_colour else '256 or fewer'} colours"
        )


def _instances(there: list[Endpoint]) -> Check:
    text = ", ".join(f"{each.plant} (pid {each.pid}, {each.file})" for each in there)
    return Check("running", OK, text or "no plant runs under this account")
