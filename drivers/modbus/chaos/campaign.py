"""The campaign against the Modbus client: registers that tell if an answer passed for another, or was old."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.chaos.campaign import KINDS, ROOT, Recoveries, Side, play
from drivers.chaos.marked import GROUPS, Marked
from drivers.chaos.process import Victim
from drivers.modbus.chaos.victim import SPACING
from drivers.modbus.client import ClientConfig, plugin
from runtime.contract import DataType, Tag


async def campaign(
    folder: Path,
    times: int,
    seed: int,
    tell: Callable[[Recoveries], None],
    kinds: tuple[str, ...] = KINDS,
    count: int = 100,
    pace: float = 1.0,
    framing: str = "tcp",
    **config: Any,
) -> Recoveries:
    """Play so many rounds with so many tags; see `drivers.chaos.campaign.play`.

    The tags are read with ten requests of the same size, whose answers only their content tells apart.
    """
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

    victim, report = (
        Victim("drivers.modbus.chaos.victim", framing=framing),
        Recoveries(f"modbus {framing}", seed),
    )
    return await play(report, victim, side, times, tell, kinds, pace, marked.judge)
