"""The campaign against the OPC UA client: stock asyncua behind a relay."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from drivers.chaos import campaign as chaos
from drivers.chaos.campaign import ROOT, Subject
from drivers.opcua.chaos.process import Victim
from drivers.opcua.client.section import ClientConfig, plugin
from runtime.contract import DataType, Tag

__all__ = ["ROOT", "Side", "campaign"]


class Side(chaos.Side):
    """An OPC UA client in a plant of its own, without a kernel."""

    def __init__(self, folder: Path, tags: list[Tag], **config: Any) -> None:
        settings = ClientConfig.model_validate({"name": "io", "kind": "opcua.client"} | config)
        super().__init__(folder, tags, plugin, settings)


def subject(folder: Path, count: int, **config: Any) -> Subject:
    """Return a client of so many counters."""
    tags = [
        Tag(f"{ROOT}/c{number}", DataType.UDINT, source="io", device="io", address=f"ns=2;s=Counter{number}")
        for number in range(count)
    ]

    def side(port: int) -> Side:
        return Side(folder, tags, urls=[f"opc.tcp://127.0.0.1:{port}"], period="200ms", **config)

    return Subject("opcua", Victim(count=count), side)


campaign = partial(chaos.play, subject)
