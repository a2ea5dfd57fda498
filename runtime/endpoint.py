"""Where a running plant answers, and how it is found."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from runtime.errors import ConnectError, PlantError

PLANT_VARIABLE = "IRONWORKS_PLANT"
_PROBE_S = 0.5
_SERVICE = Path("/run/ironworks")  # of the account that runs plants as services: `ironworks install`


class Endpoint(Struct, frozen=True, omit_defaults=True):
    """Where a plant answers; as a file of the runtime folder it registers a running kernel.

    Attributes:
        file: resolved path of the plant file.
        socket: path of the unix socket.
        http: URL on TCP, where there is one.
        user: whom the URL names, as in https://anna@gateway:8420.
        rack: the device that this process plays, when it is a rack beside a plant.
    """

    plant: str = ""
    file: str = ""
    pid: int = 0
    socket: str | None = None
    http: str | None = None
    rack: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        return self.socket or self.http or self.file


def runtime_folder() -> Path:
    """Return the folder of sockets and registrations of this account."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return Path(base) / "ironworks"
    if _SERVICE.is_dir() and _SERVICE.stat().st_uid == os.getuid():
        return _SERVICE
    return Path(tempfile.gettempdir()) / f"ironworks-{os.getuid()}"


def registration_name(file: Path) -> str:
    """Return the name, without suffix, under which a plant file registers."""
    return hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]


def answers(socket_file: Path | str) -> bool:
    """Tell whether a process listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(socket_file))
        except OSError:
            return False
    return True


def running() -> list[Endpoint]:
    """Return the plants that run under this account; what a killed process left behind is ignored."""
    found = []
    for each in sorted(runtime_folder().glob("*.json")):
        try:
            endpoint = msgspec.json.decode(each.read_bytes(), type=Endpoint)
        except (OSError, msgspec.DecodeError):
            continue  # gone since the listing, or not a registration
        if endpoint.socket and _alive(endpoint.pid) and answers(endpoint.socket):
            found.append(endpoint)
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def plant_file(target: Path | str | None) -> Path | None:
    """Return the plant file that is meant: the target, $IRONWORKS_PLANT, or ./plant.yaml; None without any.

    Raises:
        PlantError: there is no such file or folder.
    """
    named = target or os.environ.get(PLANT_VARIABLE)
    if not named:
        here = Path("plant.yaml")
        try:
            return here.resolve() if here.is_file() else None
        except PermissionError:  # sudo -u ironworks, in a folder of root
            return None
    if str(named).startswith(("http:/", "https:/")):
        remedy = "name its folder, on the machine where it is"
        raise PlantError(f"{named} is an address, and this reads the plant's files", remedy)
    path = Path(named).expanduser()
    file = path / "plant.yaml" if path.is_dir() else path
    if not file.is_file():
        raise PlantError(f"{file}: no such plant", "name a plant folder, or its plant.yaml")
    return file.resolve()


def find(target: Path | str | None = None) -> Endpoint:
    """Return where the plant answers: a folder, file or http URL, or the only one that runs.

    Raises:
        ConnectError: it does not run, or it is not clear which is meant; lists what runs.
    """
    named = target or os.environ.get(PLANT_VARIABLE)
    if named and str(named).startswith(("http://", "https://")):
        return _at(str(named))
    file = plant_file(target)
    there = running()
    if file:
        for each in there:
            if each.file == str(file):
                return each
        start = f"ironworks run {quote(str(file.parent))}"
        raise ConnectError(f"{file} is not running", f"start it: {start}{_list(there)}")
    plants = [each for each in there if not each.rack]
    if len(plants) == 1:
        return plants[0]
    if not plants:
        raise ConnectError(
            "no plant is running", f"start one: ironworks run PLANT{_of_others()}{_list(there)}"
        )
    raise ConnectError(f"{len(plants)} plants are running", f"say which with --plant{_list(plants)}")


def _of_others() -> str:
    """Return how to ask the plants that run as services, where another account runs them."""
    try:
        mine, owner = _SERVICE.stat().st_uid == os.getuid(), _SERVICE.owner()
    except (OSError, KeyError):  # there is no service, or its account has no name
        return ""
    return "" if mine else f"; those of the service: sudo -u {owner} ironworks ..."


def _at(url: str) -> Endpoint:
    """Return the endpoint of a URL; plain HTTP goes no further than this machine.

    Raises:
        PlantError: it is no address, holds a secret, or would send one in the clear.
    """
    from runtime.config import is_loopback

    try:
        parts = urlsplit(url)
        host, number = parts.hostname or "", parts.port
    except ValueError:
        host, number = "", None
    if not host:
        raise PlantError(f"{url!r} is not an address", "write it like https://gateway:8420")
    if parts.password is not None:
        remedy = "leave it out: it is asked for, or comes from $IRONWORKS_SECRET_FILE or $IRONWORKS_SECRET"
        raise PlantError("a secret does not belong into an address", remedy)
    if parts.scheme == "http" and not is_loopback(host):
        raise PlantError(f"{url} would send secrets in the clear", f"use https://{host}:{number or 8420}")
    shown = f"[{host}]" if ":" in host else host
    return Endpoint(http=f"{parts.scheme}://{shown}{f':{number}' if number else ''}", user=parts.username)


def _list(there: Sequence[Endpoint]) -> str:
    if not there:
        return ""
    return "\n  running: " + "\n           ".join(
        f"{each.plant} {each.file} (pid {each.pid})" for each in there
    )
