"""Where a running plant can be found: its unix socket, its port, and the file that tells of both."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from pathlib import Path

import msgspec
import psutil

from runtime.config import Plant, is_loopback
from runtime.endpoint import Endpoint, registration_name, runtime_folder
from runtime.errors import PlantError

_BACKLOG = 128
_WILD = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound
_SOCKET_PATH_LIMIT = 107  # sun_path holds 108 bytes with its zero


class Registration:
    """The listening sockets of one plant, and its entry in the runtime folder."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        base = runtime_folder() / registration_name(plant.file)
        self._socket_file = base.with_suffix(".sock")
        self._entry_file = base.with_suffix(".json")
        self.unix: socket.socket | None = None
        self.tcp: socket.socket | None = None
        self.outside = False

    def bind(self) -> None:
        """Take the unix socket and the port on loopback; another free one where the plant file names none.

        Raises:
            PlantError: the plant runs already, or the port that the plant file names is taken.
        """
        self.unix = self._bind_unix()
        api = self._plant.head.api
        if api is None or api.port is None:
            return
        try:
            self.tcp = self._bind_tcp(_loopback(api.host), api.port)
        except PlantError:
            if "port" in api.model_fields_set:
                self.release()
                raise
            self.tcp = self._bind_tcp(_loopback(api.host), 0)  # a second plant on this machine

    def move(self, outside: bool) -> None:
        """Listen on the address that the plant file names, or on loopback again; on the same port.

        Raises:
            PlantError: that cannot be listened on; it listens where it did.
        """
        api = self._plant.head.api
        assert api is not None
        assert self.tcp is not None
        number = self.tcp.getsockname()[1]
        there, back = api.host, _loopback(api.host)
        if not outside:
            there, back = back, there
        overlaps = _WILD & {there, back}
        if overlaps:
            self.tcp.close()
        try:
            made = self._bind_tcp(there, number)
        except PlantError:
            if overlaps:
                self.tcp = self._bind_tcp(back, number)
            raise
        self.tcp.close()
        self.tcp, self.outside = made, outside

    @property
    def url(self) -> str:
        """Return where the API answers on TCP; empty where it does not."""
        api = self._plant.head.api
        if self.tcp is None or api is None:
            return ""
        host, port = self.tcp.getsockname()[:2]
        if host in _WILD:
            host = socket.gethostname()
        return f"http{'s' if api.outside else ''}://{f'[{host}]' if ':' in host else host}:{port}"

    def announce(self) -> None:
        """Write the entry by which clients find the plant."""
        endpoint = Endpoint(
            plant=self._plant.name,
            file=str(self._plant.file.resolve()),
            pid=os.getpid(),
            socket=str(self._socket_file),
            http=self.url or None,
            rack=self._plant.head.rack,
        )
        temporary = self._entry_file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(msgspec.json.encode(endpoint))
        temporary.replace(self._entry_file)

    def release(self) -> None:
        """Close the sockets and take the entry away."""
        if self.unix:
            self._entry_file.unlink(missing_ok=True)
            self._socket_file.unlink(missing_ok=True)
            self.unix.close()
        if self.tcp:
            self.tcp.close()
        self.unix = self.tcp = None
        self.outside = False

    def _bind_unix(self) -> socket.socket:
        _private(self._socket_file.parent)
        _sweep(self._socket_file.parent)
        if len(os.fsencode(self._socket_file)) > _SOCKET_PATH_LIMIT:
            raise PlantError(
                f"{self._socket_file}: too long for a unix socket", "set XDG_RUNTIME_DIR to a shorter folder"
            )
        listener = _peer_pid(self._socket_file)
        if listener is not None:
            raise PlantError(
                f"{self._plant.file} is already running (pid {listener})", "stop it first, or use it as it is"
            )
        self._socket_file.unlink(missing_ok=True)
        made = socket.socket(socket.AF_UNIX)
        try:
            made.bind(str(self._socket_file))
            made.listen(_BACKLOG)
        except OSError as exc:
            made.close()
            raise PlantError(f"{self._socket_file}: {exc.strerror}", "check the folder and its disk") from exc
        made.setblocking(False)
        return made

    def _bind_tcp(self, host: str, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(_BACKLOG)
        except OSError as exc:
            made.close()
            taken = exc.errno == errno.EADDRINUSE
            why = "is used by another program" if taken else f"cannot be opened: {exc.strerror}"
            if exc.errno == errno.EADDRNOTAVAIL:
                place = self._plant.place("api", "host")
                text = f"{place}: {host} is not an address of this machine"
                raise PlantError(text, "correct api: host:, or bring the network up") from exc
            place = self._plant.place("api", "port")
            remedy = "set api: {port: ...} in plant.yaml to a free port, 0 for any, or api: null for none"
            raise PlantError(f"{place}: port {port} on {host} {why}", remedy) from exc
        made.setblocking(False)
        return made


def _private(folder: Path) -> None:
    """Make the runtime folder, or check that it is ours alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as exc:
        remedy = "set XDG_RUNTIME_DIR to a folder of your own"
        raise PlantError(f"{folder} cannot be made: {exc.strerror}", remedy) from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PlantError(
            f"{folder} is not a private folder of this account", f"remove it, or chmod 700 {folder}"
        )


def _sweep(folder: Path) -> None:
    """Take away the entries of kernels that were killed."""
    for entry in folder.glob("*.json"):
        try:
            pid = msgspec.json.decode(entry.read_bytes(), type=Endpoint).pid
            alive = psutil.pid_exists(pid)
        except (OSError, msgspec.MsgspecError):
            continue
        if not alive:
            entry.with_suffix(".sock").unlink(missing_ok=True)
            entry.unlink(missing_ok=True)


def _peer_pid(socket_file: Path) -> int | None:
    """Return the pid of who listens on a unix socket, None if nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(socket_file))
        except OSError:
            return None
        return peer_credentials(probe)[0]


def peer_credentials(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the process at the other end of a unix socket."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", packed)
    return pid, uid


def _loopback(host: str) -> str:
    """Return the address by which this machine reaches itself, of the same family."""
    return host if is_loopback(host) else "::1" if ":" in host else "127.0.0.1"
