"""Writes the record while a core scans; whatever becomes of the record, the plant goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from runtime.clock import SECOND_NS
from runtime.contract import Event, Port
from softplc.facts import OWNER
from softplc.record.recorder import Recorder

log = logging.getLogger(__name__)

_EVERY_NS = SECOND_NS
_ANY = (ArithmeticError, LookupError, TypeError, ValueError, OSError)


async def recording(port: Port, recorder: Recorder) -> None:
    """Write what the core has recorded, every second."""
    told = recorder.figures
    due_ns = port.clock.steady_ns()
    while await asyncio.to_thread(written, recorder.drain):
        figures = recorder.figures
        if figures.lost > told.lost:
            text = f"{figures.lost - told.lost} scans are not in the record: {figures.error or 'it was full'}"
            port.emit(Event("plc.record.lost", OWNER, port.clock.now_ns(), text))
        told = figures
        due_ns = max(due_ns + _EVERY_NS, port.clock.steady_ns())
        await port.clock.sleep_until(due_ns)


def written(write: Callable[[], None]) -> bool:
    """Write; tells whether that may be tried again."""
    try:
        write()
    except _ANY:
        log.exception("the record of scans has stopped: please report this")
        return False
    return True
