"""Polling by Read, for servers that have no subscription for us."""

from __future__ import annotations

from drivers.opcua.client.errors import SilentError
from drivers.opcua.client.reading import RETEST_S, Reading
from drivers.opcua.client.session import CHUNK, Session, chunks
from drivers.opcua.client.subscribe import Group
from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import ConnectError


async def poll(session: Session, group: Group, reading: Reading, clock: Clock) -> None:
    """Read a group at its period until the connection is lost; what was missed is not made up for.

    One answer that does not come makes its values uncertain, the second in a row ends the connection. What is
    refused is asked for more slowly.

    Raises:
        ConnectError: the server does not answer.
    """
    at_ns = clock.steady_ns()
    silent = 0
    retest_ns = 0
    while True:
        refused = set(reading.items.refused) if clock.steady_ns() < retest_ns else set()
        if not refused:
            retest_ns = clock.steady_ns() + round(RETEST_S * SECOND_NS)
        rows = [row for row in group.rows.tolist() if row not in refused]
        for chunk in chunks(reading.wanted(rows), CHUNK):
            try:
                found = await session.read([each for _, each in chunk])
            except SilentError as exc:
                silent += 1
                if silent > 1:
                    raise ConnectError(exc.text) from exc
                reading.hold(group.rows)
                break
            silent = 0
            reading.take([(row, data) for (row, _), data in zip(chunk, found, strict=True)])
        now_ns = clock.steady_ns()
        periods = max(1, (now_ns - at_ns) // group.period_ns + 1)
        session.traffic.overruns += periods - 1
        at_ns += group.period_ns * periods
        await clock.sleep(max(0, at_ns - now_ns) / SECOND_NS)
