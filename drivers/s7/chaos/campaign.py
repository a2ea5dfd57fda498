"""The campaign against the S7 client: words that tell if an answer passed for another, or was old."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from drivers.chaos.campaign import ROOT, Side, Subject, play
from drivers.chaos.marked import GROUPS, Marked
from drivers.chaos.process import Victim
from drivers.s7.client import ClientConfig, plugin
from runtime.contract import DataType, Tag


def subject(folder: Path, count: int, **config: Any) -> Subject:
    """Return a client whose tags are in ten data blocks."""
    blocks = [1 + number % GROUPS for number in range(count)]
    tags = [
        Tag(
            f"{ROOT}/t{number}",
            DataType.UINT,
            source="io",
            device="io",
            address=f"DB{block}.DBW{2 * (number // GROUPS)}",
        )
        for number, block in enumerate(blocks)
    ]
    marked = Marked(tags, blocks)

    def side(port: int) -> Side:
        base = {"name": "io", "kind": "s7.client", "host": "127.0.0.1", "port": port, "period": "200ms"}
        settings = ClientConfig.model_validate(base | {"timeout": "500ms"} | config)
        return marked.side(folder, plugin, settings)

    return Subject("s7", Victim("drivers.s7.chaos.victim"), side, marked.judge)


campaign = partial(play, subject)
