"""The campaign against the S7 client: words that tell if an answer passed for another, or was old."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.chaos.campaign import KINDS, ROOT, Recoveries, Side, play
from drivers.chaos.marked import GROUPS, Marked
from drivers.chaos.process import Victim
from drivers.s7.client import ClientConfig, plugin
from runtime.contract import DataType, Tag


async def campaign(
    folder: Path,
    times: int,
    seed: int,
    tell: Callable[[Recoveries], None],
    kinds: tuple[str, ...] = KINDS,
    count: int = 100,
    pace: float = 1.0,
    **config: Any,
) -> Recoveries:
    """Play so many rounds with so many tags in ten data blocks; see `drivers.chaos.campaign.play`."""
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

    victim, report = Victim("drivers.s7.chaos.victim"), Recoveries("s7", seed)
    return await play(report, victim, side, times, tell, kinds, pace, marked.judge)
