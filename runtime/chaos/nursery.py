"""Starts kernels in a few tenths of a second: a process that has loaded everything forks for each.

Run as `python -m runtime.chaos.nursery PLANT`; each line of standard input is one JSON object
(`{"said": FILE}`) and starts a kernel, of which the pid is printed. A kernel from here keeps its house every
moment instead of every minute, so that a kill meets sealing, compaction and merging too; and it calls a
configuration good after a part of the time.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
import sys
from pathlib import Path

TIDY_S = 0.2
TABLE_ROWS = 400
FILES_OF_A_DAY = 3
SETTLE_NS = 300_000_000
PERIOD_S = 0.1


def main() -> None:
    """Serve until standard input ends."""
    plant = Path(sys.argv[1])
    import runtime.cli.running
    import runtime.kernel  # noqa: F401 - loaded once for all of them
    from runtime import registry
    from runtime.assembly import plant_file
    from runtime.historian import compaction, keeping
    from runtime.versions import service

    for kind in ("simulated", "modbus.server"):  # the folder may be wrong just now: it is not asked
        registry.load("drivers", kind)
    service.SETTLE_NS, service.PERIOD_S = SETTLE_NS, PERIOD_S
    keeping.TIDY_S = TIDY_S
    compaction.table_rows = lambda room: TABLE_ROWS
    compaction._MANY = FILES_OF_A_DAY
    children: dict[int, int] = {}  # pid to what holds its standard input open
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.02)
        for pid in list(children):
            if os.waitpid(pid, os.WNOHANG)[0]:
                os.close(children.pop(pid))
        if not ready:
            continue
        line = sys.stdin.readline()
        if not line:
            return
        given, held = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(held)
            _be_a_kernel(given, Path(json.loads(line)["said"]), plant_file(plant))
        os.close(given)
        children[pid] = held
        os.set_inheritable(held, False)
        print(pid, flush=True)  # noqa: T201 - the protocol


def _be_a_kernel(given: int, said: Path, plant: Path) -> None:
    os.setsid()
    os.dup2(given, 0)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.enable()  # one that does not start says where it hangs, when it is aborted
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.argv = ["ironworks", "run", str(plant), "--attached"]
    from runtime.cli import main as ironworks

    ironworks()
    os._exit(0)


if __name__ == "__main__":
    main()
