"""Kill a store at each instant of its work, in a process of its own; prints what was found.

Run as `python kill_steps.py FOLDER`: forks for each instant, before any thread is there.
"""

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import conftest as kit
import numpy as np

from runtime.config import HistoryConfig
from runtime.historian import compaction
from runtime.historian.store import Store

NOW = kit.T0 + 80 * kit.HOUR


class Instants:
    """Kills this process when the counted instants are over."""

    def __init__(self, left):
        self.left = left

    def pass_one(self):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner, name):
        work = getattr(owner, name)

        def counted(*given, **more):
            self.pass_one()
            result = work(*given, **more)
            self.pass_one()
            return result

        setattr(owner, name, counted)

    def around_transactions(self):
        work = Store.transaction

        @contextlib.contextmanager
        def counted(*given, **more):
            self.pass_one()
            with work(*given, **more) as connection:
                yield connection
                self.pass_one()
            self.pass_one()

        Store.transaction = counted


def compact(store):
    """Do what the historian does in a round, without its threads."""
    for table in store.sealed():
        store.commit_parts(compaction.write_table(store, table), table)
        store.sweep()
    while group := compaction.mergeable(store.parts(), NOW, 10**7):
        store.commit_parts([compaction.merge(store, group)], None, group)
        store.sweep()


def work(path, confirm):
    """Append numbered batches over three days, out of order; compact again and again."""
    shelf = kit.Shelf(path)
    for number in range(6):
        hours = (number * 11) % 60
        times = hours * 3600 + np.arange(40)
        shelf.append(kit.batch(shelf.tags[0], times, np.full(40, float(number))))
        confirm(number)
        if number % 2:
            shelf.store.seal()
        if number % 3 == 2:
            compact(shelf.store)
    old = list(compaction.expired(shelf.store.parts(), HistoryConfig(standard="20h"), NOW))
    for part in old[:1]:
        shelf.store.drop_part(part, shelf.store.newest(part))
        confirm(100)
    shelf.store.sweep()
    shelf.store.close()


def check(path, confirmed, when):
    """Whatever was confirmed is there once; what was about to be confirmed is there wholly or not at all."""
    shelf = kit.Shelf(path)
    assert shelf.store.problems == [], shelf.store.problems
    for _ in range(2):
        found = shelf.read()
        numbers, counts = np.unique(found.raw.view(np.float64), return_counts=True)
        appended = [number for number in confirmed if number < 100]
        there = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        following = {appended[-1] + 1 if appended else 0}
        all_there = dict.fromkeys(appended, 40)
        with_one_more = dict.fromkeys([*appended, *following], 40)
        a_day_dropped = {2.0: 1, 3.0: 40, 4.0: 40, 5.0: 40}  # its last value stays
        allowed = [all_there, with_one_more] if len(appended) < 6 else [all_there, a_day_dropped]
        assert there in (allowed[1:] if 100 in confirmed else allowed), (when, there, confirmed)
        assert (np.diff(found.source_ns) > 0).all()
        if shelf.store.waiting_rows:
            shelf.store.seal()
        compact(shelf.store)
    files = {file.relative_to(shelf.store.folder).as_posix() for file in shelf.store.folder.glob("*/*")}
    assert files == {part.name for part in shelf.store.parts()}, (when, files)
    shelf.store.close()


def forked(job, *given):
    """Run a job in a child; return its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            job(*given)
            code = 0
        except BaseException:  # noqa: BLE001 - the child has no one else to tell
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def killed_at(folder, instant):
    """Do the work until an instant, then look; return whether the work came to its end."""
    home = folder / str(instant)
    home.mkdir()
    told = os.open(home / "confirmed", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def job():
        instants = Instants(instant)
        instants.around(os, "fsync")
        instants.around(Path, "replace")
        instants.around(Path, "unlink")
        instants.around_transactions()
        work(home / "h.duckdb", lambda number: os.write(told, f"{number}\n".encode()))

    code = forked(job)
    assert code in (0, -signal.SIGKILL), code
    confirmed = [int(line) for line in (home / "confirmed").read_text().split()]
    assert forked(check, home / "h.duckdb", confirmed, instant) == 0, f"killed at instant {instant}"
    return code == 0


def main():
    folder, step = Path(sys.argv[1]), int(sys.argv[2])
    instant = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    while not killed_at(folder, instant):
        instant += step
    print("fine", instant)


main()
