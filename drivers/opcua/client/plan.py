"""What a client does, as the plant file says."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.opcua.client.address import Point
from drivers.opcua.client.subscribe import Group


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client does, as the plant file says.

    Attributes:
        urls: servers in order of preference, each with the same variables.
        back_after_ns: how long a server before the one that is used must be well to be gone back to.
        certificates: kinds of certificates that are used.
        groups: of the items, in rows.
        polls: whether it reads instead of subscribing.
        fill_gaps: whether history is asked for what was missed.
        conditions: tags that are TRUE while a condition is active.
        events: whether the plant is told what happens on the server.
        verify: whether outputs are read back.
    """

    name: str
    urls: tuple[str, ...]
    read: tuple[Point, ...]
    groups: tuple[Group, ...]
    written: tuple[Point, ...]
    commanded: tuple[Point, ...]
    results: tuple[Point, ...]
    keep_alive_ns: int
    back_after_ns: int | None
    certificates: tuple[str, ...]
    polls: bool
    fill_gaps: bool
    conditions: tuple[Point, ...]
    events: bool
    verify: bool
