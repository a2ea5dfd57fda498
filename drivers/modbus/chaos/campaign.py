"""The campaign against the Modbus client: registers that tell if an answer passed for another, or was old."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from drivers.chaos.campaign import ROOT, Side, Subject, play
from drivers.chaos.marked import GROUPS, Marked
from drivers.chaos.process import Victim
from drivers.modbus.chaos.victim import SPACING
from drivers.modbus.client import ClientConfig, plugin
from runtime.contract import DataType, Tag


def subject(folder: Path, count: int, framing: str = "tcp", **config: Any) -> Subject:
    """Return a client whose tags are read with ten requests of one size: only content tells answers apart."""
    groups = [number % GROUPS for number in range(count)]
    places = [group * SPACING + number // GROUPS for number, group in enumerate(groups)]
    tags = [
        Tag(f"{ROOT}/r{place}", DataType.UINT, source="io", device="io", address=f"4{place + 1:04d}")
        for place in places
    ]
    marked = Marked(tags, groups)

    def side(port: int) -> Side:
        base = {"name": "io", "kind": "modbus.client", "host": "127.0.0.1", "port": port, "period": "200ms"}
        return marked.side(folder, plugin, ClientConfig.model_validate(base | {"framing": framing} | config))

    victim = Victim("drivers.modbus.chaos.victim", framing=framing)
    return Subject(f"modbus {framing}", victim, side, marked.judge)


campaign = partial(play, subject)
