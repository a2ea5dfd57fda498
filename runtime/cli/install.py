"""`ironworks install`: what makes a plant a service of this machine."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runtime.cli.session import FolderArgument, FolderOption, before_command, folder_of
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.config import Plant

app = typer.Typer(help="Make a plant a service of this machine.", no_args_is_help=True)
app.callback()(before_command)
UNITS = Path("/etc/systemd/system")
_UNIT = """\
# Written by `ironworks install systemd`. Changes of your own belong in a drop-in: systemctl edit {service}
[Unit]
Description=Ironworks plant {name}
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={python} -P -m runtime.cli run {folder}
User={user}
WorkingDirectory={here}
Restart=always
RestartSec=2
TimeoutStartSec=180
TimeoutStopSec=30
# The kernel's own event loop answers; one that hangs is ended and started again.
WatchdogSec=60
# The kernel ends its children in order. When it is killed, the PLC core scans on for the next one.
KillMode=process
SyslogIdentifier={service}

# The command line of the same account finds the plant here: sudo -u {user} ironworks ...
RuntimeDirectory=ironworks
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
Environment=XDG_RUNTIME_DIR=%t
UMask=0027

# What PLC scans need: a real-time priority, and memory that is never swapped out.
LimitRTPRIO=81
LimitMEMLOCK=infinity
LimitNOFILE=65536

# It may write its own folders, and nothing else.
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
# Netlink tells the machine's addresses, for the certificate's names.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
# adjtimex tells whether the clock is synchronised; without a capability it cannot set it.
SystemCallFilter=@system-service adjtimex
SystemCallErrorNumber=EPERM
# Left out: MemoryDenyWriteExecute (the PLC program is compiled to native code), RestrictRealtime.

[Install]
WantedBy=multi-user.target
"""


@app.command()
def systemd(
    plant: FolderArgument = None,
    named: FolderOption = None,
    user: Annotated[str, typer.Option("--user", help="Account to run it; else the folder's owner.")] = "",
    write: Annotated[bool, typer.Option("--write", help=f"Write it to {UNITS} (root).")] = False,
) -> None:
    """Print the systemd unit of a plant: started at boot, watched, restarted, and kept from all else."""
    from runtime.cli.stopped import plain_plant

    known = plain_plant(str(folder_of(plant, named)))
    service = f"ironworks-{known.name}"
    text = unit(known, service, user or _owner(known.folder))
    if not write:
        print(text, end="")
        return
    if user:
        _account(user)
    file = UNITS / f"{service}.service"
    file.write_text(text, encoding="utf-8")
    print(file)
    print(f"next:  systemctl daemon-reload   systemctl enable --now {service}   journalctl -fu {service}")


def unit(plant: Plant, service: str, user: str) -> str:
    """Return the unit of a plant.

    Raises:
        PlantError: systemd cannot name the account or a path.
    """
    backup = [plant.path(plant.head.backup.to)] if plant.head.backup else []
    folders = [plant.folder, *(each.absolute() for each in (plant.state, *backup))]
    outside = [each for each in folders[1:] if plant.folder not in each.parents]
    writable = " ".join(f"-{_quoted(each)}" for each in outside)
    needed = [*folders, Path(sys.executable), Path(sys.base_prefix)]
    in_home = any(each.is_relative_to("/home") or each.is_relative_to("/root") for each in needed)
    if not user.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise PlantError(f"{user!r} is no account", "name one with --user")
    return _UNIT.format(
        name=plant.name,
        service=service,
        python=_quoted(Path(sys.executable)).replace("$", "$$"),
        folder=_quoted(plant.folder).replace("$", "$$"),
        here=str(plant.folder).replace("%", "%%"),
        user=user,
        writable=f"{_quoted(plant.folder)} {writable}".rstrip(),
        home="read-only" if in_home else "yes",
    )


def _account(name: str) -> None:
    """Refuse an account that is not there: its service would not start."""
    try:
        pwd.getpwnam(name)
    except KeyError as exc:
        remedy = "make it first: see docs/install/README.md"
        raise PlantError(f"this machine has no account {name!r}", remedy) from exc


def _owner(folder: Path) -> str:
    try:
        owner = folder.owner()
    except KeyError as exc:
        remedy = "chown it to the account that is to run it, or name one with --user"
        raise PlantError(f"{folder} belongs to an account that this machine does not have", remedy) from exc
    if owner == "root":
        remedy = "make an account and give it the folder: see docs/install/README.md; or name one with --user"
        raise PlantError(f"{folder} belongs to root: a plant should not run as root", remedy)
    return owner


def _quoted(path: Path) -> str:
    """Return a path as systemd reads it back. Source: systemd.syntax(7), systemd.unit(5)."""
    text = str(path)
    if not text.isprintable():
        raise PlantError(f"{text!r} cannot stand in a unit", "move the plant to a plain path")
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if " " in text or '"' in text or "'" in text else text
