"""A watchdog for cores that are stepped by hand: it ends a scan that would never end."""

from __future__ import annotations

import threading
import time
import weakref

from runtime.clock import monotonic_ns
from softplc.core.scancore import ScanCore

_PERIOD_S = 0.25


def watch(core: ScanCore) -> None:
    """Abort scans of a core that exceed their limit, for as long as the core exists."""
    reference = weakref.ref(core)
    threading.Thread(target=_watch, args=(reference,), name="plc-step-watchdog", daemon=True).start()


def _watch(reference: weakref.ref[ScanCore]) -> None:
    while (core := reference()) is not None:
        core.native.check(core.address, monotonic_ns())
        del core
        time.sleep(_PERIOD_S)
