"""The plant that is attacked: a folder and a process, with every server that a plant has."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
from argon2 import PasswordHasher

from drivers.abuse.running import SAID, running
from drivers.abuse.target import Target
from drivers.abuse.wrong import make_certificate
from drivers.opcua.chaos.process import free_port
from drivers.opcua.trust import TrustList
from runtime.endpoint import Endpoint

ROOT = "abuse/area/line"
COUNT, KEPT, WAVES = f"{ROOT}/count", f"{ROOT}/setpoint", 100
KEPT_VALUE = 42.0
USER, SECRET = "olga", "a good user"
_HEAD = """\
plant: abused
root: {root}
api: {{port: {http}}}
drivers:
  - {{kind: simulated, name: device, period: 100ms}}
  - {{kind: opcua.server, name: opcua, port: {opcua}, per_address: 50,
     security: [None, Basic256Sha256], certificates: trusted}}
  - {{kind: modbus.server, name: modbus, port: {modbus}}}
plc: {{sources: ["*.st"]}}
users:
  - {{name: {user}, role: viewer, secret: "{secret}"}}
  - {{name: victor, role: operator, secret: "{other}"}}
"""
_TAGS = """\
path,type,low,high,access,source,device,address,variable,retention,initial
count,UDINT,,,r,plc,modbus,30001,count,none,
setpoint,REAL,0,100,rw,operator,modbus,30003,setpoint,none,42
"""
_PROGRAM = """\
PROGRAM Main
VAR_EXTERNAL
    count : UDINT;
    setpoint : REAL;
END_VAR
count := count + 1;
END_PROGRAM
CONFIGURATION Plant
VAR_GLOBAL
    count : UDINT;
    setpoint : REAL;
END_VAR
RESOURCE Core ON Cpu
    TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
    PROGRAM Main WITH fast : Main;
END_RESOURCE
END_CONFIGURATION
"""


class Abused:
    """A running plant.

    Attributes:
        target: what an attacker sees of it.
        endpoint: its unix socket, where attackers do not come.
        pid: the process of its kernel.
    """

    def __init__(
        self, folder: Path, target: Target, endpoint: Endpoint, child: subprocess.Popen[bytes]
    ) -> None:
        self.folder = folder
        self.target = target
        self.endpoint = endpoint
        self._child = child
        self.pid = child.pid
        self._kernel = psutil.Process(child.pid)

    @property
    def log_size(self) -> int:
        """Return the bytes of its log and of what it said."""
        return sum(file.stat().st_size for file in self._logs())

    def _logs(self) -> list[Path]:
        return [self.folder / SAID, *(self.folder / ".ironworks").glob("ironworks.log*")]

    @property
    def memory_mib(self) -> float:
        """Return the kernel's own memory, in RAM or swapped out; 0 where it is gone.

        Not its resident size: that grows and shrinks with the pages of files that it has mapped.
        Source: Linux, Documentation/filesystems/proc.rst, /proc/<pid>/status.
        """
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            return 0.0
        sizes = (line.split() for line in lines if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:")))
        return sum(int(kib) for _, kib, _ in sizes) / 1024

    @property
    def descriptors(self) -> int:
        return int(self._kernel.num_fds())

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def complaints(self) -> list[str]:
        """Return what a user should never see."""
        found = []
        for file in self._logs():
            text = file.read_text(encoding="utf-8", errors="replace")
            at = max(text.find("Traceback"), text.find("internal error"))
            if at >= 0:
                found.append(f"{file.name}: {text[max(0, at - 200) : at + 1500]}")
        return found


@contextlib.asynccontextmanager
async def abused(folder: Path, pace: float) -> AsyncIterator[Abused]:
    """Run the plant in a folder.

    Raises:
        PlantError: it ended, or does not answer in time; with what it said.
    """
    client = folder.with_name("client")
    target = Target(free_port(), free_port(), free_port(), COUNT, KEPT, pace, client)
    _write(folder, target)
    make_certificate(client)
    TrustList(folder / ".ironworks" / "opcua" / "opcua").add(client / "certificate.der")
    async with running(folder) as (endpoint, child):
        yield Abused(folder, target, endpoint, child)


def _write(folder: Path, target: Target) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    hashed = PasswordHasher().hash(SECRET)
    head = _HEAD.format(
        root=ROOT, http=target.http, opcua=target.opcua, modbus=target.modbus,
        user=USER, secret=hashed, other=PasswordHasher().hash("nobody knows"),
    )  # fmt: skip
    waves = [f"wave{number},REAL,0,100,r,device,,sine(20s),,none," for number in range(WAVES)]
    (folder / "plant.yaml").write_text(head, encoding="utf-8")
    (folder / "tags.csv").write_text(_TAGS + "\n".join(waves) + "\n", encoding="utf-8")
    (folder / "main.st").write_text(_PROGRAM, encoding="utf-8")
