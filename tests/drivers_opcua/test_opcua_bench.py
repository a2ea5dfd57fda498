"""The bench of the server measures what it prints."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from drivers.bench.exposed import measure


def test_the_cpu_time_of_few_commits_is_told_finer_than_in_ticks(opcua_state: Path) -> None:
    told = asyncio.run(measure(100, 1000, opcua_state))
    ticks = told["cpu_s"] * os.sysconf("SC_CLK_TCK")
    assert ticks > 0
    assert abs(ticks - round(ticks)) > 1e-6, "no more than the system's own account has"
    assert told["nodes"] > 100
