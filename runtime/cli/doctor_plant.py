"""What `ironworks doctor` looks at in a plant: folder, ports, rights, certificates, stores, backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.cli.doctor import FAIL, OK, WARN, Check, disk

if TYPE_CHECKING:
    import sqlite3

    from runtime.assembly import Assembly
    from runtime.config import Plant
    from runtime.endpoint import Endpoint

_MIB = 1 << 20
_DAY_NS = 86_400_000_000_000


def plant_checks(file: Path, mine: Endpoint | None) -> Iterator[Check]:
    from runtime.assembly import assemble
    from runtime.errors import ConfigError, PlantError

    try:
        assembly = assemble(file)
        found = assembly.check()
        errors = [each for each in found if each.severity == "error"]
    except ConfigError as exc:
        errors = list(exc.findings)
        assembly = None
    except PlantError as exc:
        yield Check("plant", FAIL, exc.text, exc.remedy)
        return
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        yield Check("plant", FAIL, f"{errors[0].place}: {errors[0].text}{more}", "ironworks check shows all")
    else:
        hints = sum(each.severity != "error" for each in found)
        text = f"{file}" + (f", {hints} warnings" if hints else "")
        yield Check("plant", WARN if hints else OK, text, "ironworks check shows them")
    if assembly is None:
        return
    plant = assembly.plant
    limit_mib = plant.head.history.disk_limit_mib if plant.head.history else 256
    more_mib = max(0, limit_mib - _used_mib(plant.state))
    yield from disk(plant.state, more_mib, _growth_mib(plant.state / "history"))
    yield from _ports(assembly, mine)
    yield from _rights(plant.state, plant.folder)
    yield from _certificates(plant.state)
    yield from _stores(plant, mine)


def _ports(assembly: Assembly, mine: Endpoint | None) -> Iterator[Check]:
    head = assembly.plant.head
    wanted: dict[str, tuple[str, int]] = {}
    if head.api and head.api.port and "port" in head.api.model_fields_set:
        wanted["api"] = (head.api.host, head.api.port)
    for driver in head.drivers:
        port = driver.get("port")
        if str(driver.get("kind", "")).endswith(".server") and isinstance(port, int):
            wanted[str(driver.get("name"))] = (str(driver.get("host", "127.0.0.1")), port)
    own = _listens(mine.pid) if mine else set()
    for name, (host, port) in wanted.items():
        if port in own:
            yield Check("port", OK, f"{port} ({name}) is the running plant's")
        elif why := _not_free(host, port):
            yield Check(
                "port", FAIL, f"{port} ({name}) {why}", "stop what uses it, or choose another in plant.yaml"
            )
        else:
            yield Check("port", OK, f"{port} ({name}) is free")


def _listens(pid: int) -> set[int]:
    """Return the TCP ports on which a process listens."""
    import psutil

    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:  # it ended, or is another account's
        return set()
    return {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}


def _not_free(host: str, port: int) -> str:
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            return f"cannot be opened on {host}: {exc.strerror}"
    return ""


def _used_mib(state: Path) -> int:
    """Return what history takes by now."""
    return sum(_size(file) for file in (*state.glob("history.duckdb*"), *state.glob("history/*/*"))) // _MIB


def _growth_mib(folder: Path) -> float:
    """Return by how much cold history grew a day, over its last seven days that are over."""
    days = sorted(each for each in folder.glob("????-??-??") if each.is_dir())[-8:-1]
    sizes = [sum(_size(file) for file in day.glob("*")) for day in days]
    return sum(sizes) / len(sizes) / _MIB if sizes else 0.0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # it became part of another: the plant runs
        return 0


def _rights(state: Path, folder: Path) -> Iterator[Check]:
    import os

    if not state.exists():
        above = next(each for each in state.parents if each.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            remedy = f"make {above} a folder with room and rights, or set state: in plant.yaml"
            yield Check("state", FAIL, f"{state} cannot be made", remedy)
        return
    whose = folder.stat().st_uid
    who = _account(state.stat().st_uid) if os.geteuid() == 0 else ""
    if not os.access(state, os.W_OK):
        yield Check("state", FAIL, f"{state} may not be written by this account", f"chown or chmod {state}")
    elif state.stat().st_mode & 0o002:
        yield Check("state", FAIL, f"anyone may write {state}", f"chmod o-w {state}")
    elif whose and (of_root := [each for each in (state, *state.iterdir()) if each.stat().st_uid == 0]):
        text = f"{of_root[0]} belongs to root, the plant to {_account(whose)}, which cannot write it"
        yield Check("state", WARN, text, f"chown -R {_account(whose)} {state}")
    elif state.stat().st_mode & 0o001:
        text = f"anyone may read hashes of secrets in {state}"
        yield Check("state", WARN, text, f"chmod o-rx {state}")
    else:
        yield Check("state", OK, f"{state}" + (f" of {who}" if who else ""))
    keys = [file for file in state.rglob("*.pem") if b"PRIVATE KEY" in _head(file)]
    for file in keys:
        if file.stat().st_mode & 0o077:
            yield Check("keys", FAIL, f"others may read the private key {file}", f"chmod 600 {file}")


def _account(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # of a container, for one
        return str(uid)


def _head(file: Path) -> bytes:
    try:
        return file.read_bytes()[: 1 << 16]
    except OSError:
        return b""


def _certificates(state: Path) -> Iterator[Check]:
    from datetime import UTC, datetime

    from cryptography import x509

    from runtime.clock import WallClock

    now = datetime.fromtimestamp(WallClock().now_ns() / 1e9, UTC)
    for file in sorted((*state.rglob("*.pem"), *state.rglob("*.der"))):
        data = _head(file)
        try:
            if file.suffix == ".der":
                found = x509.load_der_x509_certificate(data)
            elif b"BEGIN CERTIFICATE" in data:
                found = x509.load_pem_x509_certificate(data)
            else:
                continue
        except ValueError as exc:
            yield Check("certificate", FAIL, f"{file}: {exc}", "remove it: the next start makes a new one")
            continue
        end = found.not_valid_after_utc
        days = (end - now).days
        verdict = FAIL if days < 0 else WARN if days < 30 else OK
        left = "has no end" if end.year == 9999 else f"ends in {days} days"  # RFC 5280, 4.1.2.5
        text = f"{file.relative_to(state)} {left if days >= 0 else 'has ended'}"
        yield Check("certificate", verdict, text, "restart the plant, which renews its own; replace others")


def _stores(plant: Plant, mine: Endpoint | None) -> Iterator[Check]:
    from runtime.clock import WallClock
    from runtime.errors import StoreError
    from runtime.journal import Journal

    def looked_at(store: sqlite3.Connection) -> list[Check]:
        return [_journal(journal, store), *_times(plant, store)]

    journal = plant.state / "journal.sqlite"
    if not journal.exists():
        yield Check("journal", OK, "none yet: the first start makes it")
    else:
        try:
            yield from Journal(journal, WallClock()).read_now(looked_at)
        except StoreError as exc:
            remedy = "the next start sets it aside and begins a new one: copy the state folder first"
            yield Check("journal", FAIL, exc.text, remedy)
    yield _history(plant.state / "history.duckdb", mine)


def _journal(file: Path, store: sqlite3.Connection) -> Check:
    from runtime.journal.schema import VERSION

    remedy = "the next start sets it aside and begins a new one: copy the state folder first"
    (report,) = store.execute("PRAGMA quick_check(1)").fetchone()
    (version,) = store.execute("PRAGMA user_version").fetchone()
    if report != "ok":
        return Check("journal", FAIL, f"{file}: {report}", remedy)
    if version > VERSION:
        newer = "install the Ironworks that wrote it, or restore a backup"
        return Check("journal", FAIL, f"{file} is of a later Ironworks (format {version})", newer)
    (audit,) = store.execute("SELECT count(*) FROM audit").fetchone()
    (moves,) = store.execute("SELECT count(*) FROM alarm_journal").fetchone()
    old = f"; format {version}, the next start makes it {VERSION}" if version < VERSION else ""
    return Check("journal", OK, f"{audit} audit rows, {moves} alarm transitions{old}")


def _times(plant: Plant, store: sqlite3.Connection) -> Iterator[Check]:
    from runtime.clock import WallClock
    from runtime.journal import last_done_ns

    now_ns = WallClock().now_ns()
    newest = store.execute("SELECT at_ns FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    if newest and newest[0] > now_ns + 60 * 10**9:
        remedy = "set the clock; if it is right now, it was wrong when the plant ran last"
        yield Check("time", WARN, "the last audit row lies in the future: the clock was set back", remedy)
    last_ns = last_done_ns(store, "backup")
    every_ns = plant.head.backup.every if plant.head.backup else 30 * _DAY_NS
    if last_ns is None:
        remedy = "make one: ironworks backup; or on a schedule: backup: {to: FOLDER} in plant.yaml"
        yield Check("backup", WARN, "never made", remedy)
        return
    days = (now_ns - last_ns) / _DAY_NS
    late = now_ns - last_ns > 2 * every_ns
    yield Check(
        "backup", WARN if late else OK, f"last made {days:.1f} days ago", "make one: ironworks backup"
    )


def _history(store: Path, mine: Endpoint | None) -> Check:
    from runtime.errors import PlantError
    from runtime.historian import open_readonly

    if mine:
        return Check("history", OK, "in use by the running plant; ask `ironworks history`")
    if not store.exists():
        return Check("history", OK, "none yet, or this plant keeps none")
    try:
        with open_readonly(store) as archive:
            return Check("history", OK, f"{store} opens, {len(archive.tags)} tags recorded")
    except PlantError as exc:
        return Check("history", FAIL, exc.text, exc.remedy)
