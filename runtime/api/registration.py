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

from runtime.client import Endpoint, registration_name, runtime_folder
from runtime.config import Plant
from runtime.errors import PlantError

_BACKLOG = 128
_SOCKET_PATH_LIMIT = 107  # sun_path holds 108 bytes with its zero


class Registration:
    """The listening sockets of one plant, and its entry in the runtime folder."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        base = runtime_folder() / registration_name(plant.file)
        self._socket_file = base.with_suffix(".sock")
        self._entry_file = base.with_suffix(".json")
        self.sockets: list[socket.socket] = []

    def bind(self) -> None:
        """Take the unix socket and the port; another free one where the plant file names none.

        Raises:
            PlantError: the plant runs already, or the port that the plant file names is taken.
        """
        self.sockets = [self._bind_unix()]
        api = self._plant.head.api
        if api is None or api.port is None:
            return
        try:
            self.sockets.append(self._bind_tcp(api.host, api.port))
        except PlantError:
            if "port" in api.model_fields_set:
                self.release()
                raise
            self.sockets.append(self._bind_tcp(api.host, 0))  # a second plant on this machine

    def announce(self) -> Endpoint:
        """Write the entry by which clients find the plant."""
        endpoint = Endpoint(
            plant=self._plant.name,
            file=str(self._plant.file.resolve()),
            pid=os.getpid(),
            socket=str(self._socket_file),
            http=_url(self.sockets[1]) if len(self.sockets) > 1 else None,
            rack=self._plant.head.rack,
        )
        temporary = self._entry_file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(msgspec.json.encode(endpoint))
        temporary.replace(self._entry_file)
        return endpoint

    def release(self) -> None:
        """Close the sockets and take the entry away."""
        if self.sockets:
            self._entry_file.unlink(missing_ok=True)
            self._socket_file.unlink(missing_ok=True)
        for each in self.sockets:
            each.close()
        self.sockets = []

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


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
