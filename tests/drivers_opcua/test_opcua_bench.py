"""The bench of the server measures what it prints."""

from __future__ import annotations

import asyncio
from pathlib import Path

from drivers.bench.exposed import measure


def test_the_cpu_time_of_few_commits_is_small_and_not_nothing(opcua_state: Path) -> None:
    told = asyncio.run(measure(100, 1000, opcua_state))
    assert 0.0 < told["cpu_s"] < 0.01, "less than a tick of the system's own account"
    assert told["nodes"] > 100
