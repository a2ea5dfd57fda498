"""The plant's apps: what they produce and tell of themselves, and a method that begins one anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from drivers.opcua.methods import REASON, Method
from drivers.opcua.model import MODEL
from drivers.opcua.parts import FOLDER_TYPE, ORGANIZES, Built, Running
from runtime.contract import Actor, Role, Tag

APPS = ua.NodeId("apps", MODEL)
_FIGURES = "sys/apps/"
_OBJECT = ua.NodeId(ua.ObjectIds.BaseObjectType)


def add_apps(built: Built, tags: Sequence[Tag], plant: Any, port: Running) -> None:
    """Add an object for each app that has figures; nothing where there is no app."""
    names = {tag.source for tag in tags if tag.path.startswith(f"{_FIGURES}{tag.source}/")}
    if not names:
        return
    built.object("apps", "Apps", FOLDER_TYPE, plant, MODEL, ORGANIZES)
    owners = {
        name: built.object(f"apps/{name}", name, _OBJECT, APPS, MODEL, ORGANIZES) for name in sorted(names)
    }
    for name, owner in owners.items():
        built.method(f"apps/{name}/Restart", "Restart", "Begin the app anew", _restart(port, name, owner))
    for tag in tags:
        if tag.source in owners:
            built.have(owners[tag.source], tag)


def _restart(port: Running, name: str, owner: Any) -> Method:
    async def work(actor: Actor, reason: str) -> None:
        await port.restart(name, actor, reason)

    return Method(owner, (REASON,), Role.ENGINEER, work)
