"""The ledger's book of configurations: what may run after a kill, and whether it is that, whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.chaos.ledger import Expected
from runtime.chaos.setup import ENGINEER, FAILS, UNITS, WRONG, Base, Setup, digests_of, print_of
from runtime.clock import SECOND_NS, WallClock, monotonic_ns
from runtime.config import format_duration
from runtime.errors import WriteRejectedError

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.configview import ConfigStatus, FailureView, VersionList
    from runtime.wire import TagView

STARTS = 3  # so many lives may end before a configuration that was not seen to come up is left
BACK_NS = 60 * SECOND_NS  # within which the last good one runs in place of one that faults
_LOG = 1000
_HOUR_NS = 3600 * SECOND_NS
_FOR_EVER_NS = 10**6 * _HOUR_NS


class Configurations:
    """Learns from answers, as the ledger does; it knows the texts that were written, by their print.

    Attributes:
        force: what runs: confirmed last, and tried since without an answer.
        folder: what the plant folder may hold.
        good: what the last good version may be, once there is one.
    """

    def __init__(self, base: Base, root: str) -> None:
        self._base = base
        self._root = root
        self._setups: dict[str, Setup] = {}
        self._numbers: dict[int, str] = {}
        self._confirmed: dict[int, tuple[str, str]] = {}  # by number: action and comment of the last
        self._comments: dict[str, Expected] = {}  # by print: of who brought it into force last
        self._fresh: set[tuple[str, str]] = set()  # steps that the log must have
        self._starts: Counter[str] = Counter()
        first = self.know(Setup())
        self.force = Expected(first)
        self.folder = {first}
        self.good: set[str] = set()
        self.findings: list[str] = []
        self._read: set[int] = set()  # versions whose content was looked at
        self._last_good = ""  # that was told

    # What the engineer notes.

    def know(self, setup: Setup) -> str:
        """Return the print of a setup whose files are about to be in the folder."""
        name = print_of(digests_of(setup.files(self._base)))
        self._setups[name] = setup
        return name

    def present(self) -> Setup:
        """Return what runs by the last answer."""
        return self._setups[str(self.force.value)]

    def is_there(self, unit: int) -> bool:
        """Tell whether a unit is in what was confirmed last."""
        return unit < UNITS or unit in self.present().guests

    def edited(self, setup: Setup, *, meanwhile: bool = False) -> str:
        """Note that the folder was edited; a start may take it as it is. Returns its print.

        `meanwhile`: while the plant starts, which may take it as it was or as it is.
        """
        name = self.know(setup)
        self.folder = {name, *(self.folder if meanwhile else ())}
        return name

    def in_folder(self) -> Setup | None:
        """Return what is in the folder, if that is known."""
        return self._setups[next(iter(self.folder))] if len(self.folder) == 1 else None

    def may_have_started_again(self) -> None:
        """Note that a kernel may have begun of which nobody had an answer, with whatever might run."""
        began = {*map(str, (self.force.value, *self.force.tried)), *self.folder}
        self._starts.update(began)
        self.good |= {each for each in began if self._is_sound(each)}

    @contextmanager
    def trying(self, action: str, name: str, comment: str) -> Iterator[list[int]]:
        """Note that a setup is about to be asked for; the number of its version is put into the list."""
        by = self._comments.setdefault(name, Expected(""))
        by.tried.add(comment)
        fresh, folder = {name} - self.force.tried, self.folder
        self.force.tried |= fresh
        if action == "rollback":
            self.folder = self.folder | {name}
        number: list[int] = []
        try:
            yield number
        except WriteRejectedError:
            self.folder = folder
            self.force.tried -= fresh
            by.tried.discard(comment)
            raise
        self.folder = {name}
        self.force = Expected(name)
        self._comments[name] = Expected(comment)
        self._starts[name] = 0
        self._fresh.add((action, comment))
        self._confirmed[number[0]] = (action, comment)
        self._numbers.setdefault(number[0], name)
        if self._is_sound(name):
            self.good.add(name)
        else:  # it may have gone back by itself when it is looked at next
            self.force.tried |= self.good
        if self._numbers[number[0]] != name:
            self.findings.append(f"version {number[0]} was confirmed for what it is not")

    def versions(self) -> list[int]:
        """Return the numbers of versions that are known."""
        return sorted(self._numbers)

    def print_of_version(self, number: int) -> str:
        return self._numbers[number]

    def _is_sound(self, name: str) -> bool:
        return not self._setups[name].flaw

    # What is looked for.

    async def check(self, client: PlantClient, *, began: bool = False, whole: bool = False) -> list[str]:
        """Return what is wrong with the configuration that runs, and the list of versions.

        `began`: after a start; else in the middle of a life. `whole`: old versions too.
        """
        if whole:
            self._read.clear()
        while True:
            status = await client.config()
            if status.failure is not None and status.failure.version == status.running:
                await WallClock().sleep(0.05)  # it goes back just now
                continue
            found = await self._look(client, status, began)
            running = self._setups.get(self._numbers.get(status.running or 0, ""))
            if running is None or not running.flaw or await client.config() == status:
                return found
            began = False  # it went back to the last good one meanwhile: look at that

    async def gone_back(self, client: PlantClient) -> bool:
        """Wait while a configuration that faults runs and another can; return whether there was one."""
        status = await client.config()
        running = status.running
        faults = not self._is_sound(str(self.force.value)) and status.good is not None
        end_ns = monotonic_ns() + BACK_NS
        while faults and status.running == running:
            if monotonic_ns() > end_ns:
                self.findings.append(f"{self.present()} faults, and {status.good} does not come back")
                break
            await WallClock().sleep(0.1)
            status = await client.config()
        return faults

    async def _look(self, client: PlantClient, status: ConfigStatus, began: bool) -> list[str]:
        listed = await client.config_versions()
        found = self.findings + await self._check_list(client, listed) + await self._check_log(client)
        running = self._numbers.get(status.running or 0)
        if found or running is None:
            return found or [f"version {status.running} runs, which is not in the list"]
        if began:
            self._starts[running] += 1
        good = self.good
        found += self._check_good(status, running)
        if began:
            found += self._check_begun(status, running, good | {self._last_good})
        elif not self.force.allows(running):
            found.append(f"version {status.running} runs, confirmed was {self.present()}")
        self.force = Expected(running)
        if self._is_sound(running):
            self.good.add(running)
        else:  # it may go back by itself
            self.force.tried |= self.good
        found += await self._check_what_runs(client, self._setups[running])
        plan = await client.config_diff("running", "folder")
        if (status.folder == "same") != (not plan.changes):
            found.append(f"the folder is {status.folder!r}, and differs in {len(plan.changes)} things")
        return found

    async def _check_list(self, client: PlantClient, shown: VersionList) -> list[str]:
        listed, most = shown.versions, shown.most
        numbers = [each.number for each in listed]
        found = []
        if numbers != sorted(set(numbers), reverse=True):
            found.append(f"versions are listed as {numbers}")
        if len({each.digest for each in listed}) != len(listed):
            found.append("the same files are listed as two versions")
        oldest = numbers[most - 1] if len(numbers) >= most else 0
        gone = [number for number in self._confirmed if oldest <= number not in numbers]
        found += [f"version {number}, {self._confirmed[number]}, is not in the list" for number in gone]
        for each in listed:
            if each.number not in self._read:
                found += await self._read_version(client, each.number)
            by = self._comments.get(self._numbers.get(each.number, ""))
            if by is not None and by.value and by.allows(each.comment) and each.actor != ENGINEER[0]:
                found.append(f"version {each.number} is by {each.actor!r}")
            if by is not None and by.value and not by.allows(each.comment):
                what = f"{each.actor!r}, {each.action} {each.comment!r}"
                found.append(f"version {each.number} is by {what}, confirmed {by.value!r}")
        return found

    async def _read_version(self, client: PlantClient, number: int) -> list[str]:
        """A version is what someone wrote, whole, and stays that."""
        ours = Setup().files(self._base)
        files = (await client.config_files(str(number))).files
        name = print_of({file.path: file.digest for file in files if file.path in ours})
        self._read.add(number)
        if name not in self._setups:
            return [f"version {number} is a mixture that nobody wrote: {name}"]
        if self._numbers.setdefault(number, name) != name:
            return [f"version {number} was another before"]
        return []

    async def _check_log(self, client: PlantClient) -> list[str]:
        log = await client.config_log(_LOG)
        counts = Counter((each.action, each.comment) for each in log if each.result == "applied")
        missing = [each for each in self._fresh if not counts[each]]
        doubled = [each for each, count in counts.items() if each[1] and count > 1]
        self._fresh.clear()
        return [f"not in the log of configurations: {each}" for each in missing] + [
            f"twice in the log of configurations: {each}" for each in doubled
        ]

    def _check_good(self, status: ConfigStatus, running: str) -> list[str]:
        """The last good version is what it was, or something that ran since."""
        if status.good is None:
            return ["there is no last good version any more"] if self._last_good else []
        name = self._numbers[status.good]
        since = {each for each in (running, str(self.force.value)) if self._is_sound(each)}
        if self._last_good and name not in self.good | since:
            return [f"the last good version is {status.good}, which is neither the last one nor newer"]
        self._last_good = name
        self.good = {name} | since
        return []

    def _check_begun(self, status: ConfigStatus, running: str, good: set[str]) -> list[str]:
        """A start runs the folder; or, where that cannot run, what was confirmed last, or good."""
        failure = status.failure
        found = []
        if failure is None:
            if running not in self.folder or (status.folder != "same" and len(self.folder) == 1):
                found.append(
                    f"version {status.running} runs ({self._setups[running]}), the folder is"
                    f" {status.folder!r}, written {[self._setups[each] for each in self.folder]}"
                )
            self.folder = {running} if status.folder == "same" else self.folder - {running}
        else:
            found += self._check_failure(failure)
            asked = {str(each) for each in (self.force.value, *self.force.tried)}
            sure = all(self._starts[each] < STARTS or each == self._last_good for each in asked)
            at_once = all(self._setups[each].flaw in WRONG for each in self.folder)  # before it ran
            # What faults runs until it has faulted three times; what came up once is never left.
            if running not in (asked if sure and at_once else good | asked):
                found.append(
                    f"version {status.running} runs in place of {failure}: neither confirmed nor good"
                )
        return found

    def _check_failure(self, failure: FailureView) -> list[str]:
        """A configuration is given up for a reason."""
        name = self._numbers.get(failure.version or 0, "")
        if name in self.folder:
            self.folder = {name}
        elif not self.force.allows(name):  # else it ran in place of the folder, and faulted
            return [f"{failure} is neither what the folder holds nor what ran"]
        if name == self._last_good:
            return [f"given up though it came up once: {failure}"]
        flaw = self._setups[name].flaw
        ended = re.search(r"the kernel ended (\d+) times", failure.reason)
        if ended:
            if int(ended[1]) < STARTS or self._starts[name] < STARTS:
                return [f"given up after {self._starts[name]} starts: {failure}"]
        elif flaw not in WRONG and not (flaw == FAILS and "late faulted" in failure.reason):
            return [f"given up without need: {failure}"]
        return []

    async def _check_what_runs(self, client: PlantClient, setup: Setup) -> list[str]:
        """Tags, alarms and rules are those of one setup and no other."""
        tags = {tag.path: tag for tag in await client.tags("**/unit*/*")}
        expected = {
            f"{self._root}/unit{n}/{name}"
            for n in setup.numbers
            for name in ("value", "trip", "hold", "safe", "out", "count")
        }
        found = [f"tag {path} is not as configured" for path in sorted(tags.keys() ^ expected)[:3]]
        alarms = {alarm.name: alarm for alarm in await client.alarms(all=True)}
        trips = {name for name in alarms if re.fullmatch(r"unit\d+\.trip", name)}
        wanted = {f"unit{n}.trip" for n in setup.numbers}
        found += [f"alarm {name} is not as configured" for name in sorted(trips ^ wanted)[:3]]
        if alarms["unit0.high"].limit != setup.limit:
            found.append(f"unit0.high has the limit {alarms['unit0.high'].limit}, configured {setup.limit}")
        found += self._check_interlock(tags.get(f"{self._root}/unit1/value"), setup)
        try:
            await client.write(f"{self._root}/unit0/value", 0, for_ns=_FOR_EVER_NS, dry_run=True)
            found.append("a value may be written for ever")
        except WriteRejectedError as exc:
            longest = format_duration(setup.longest_h * _HOUR_NS)
            if not exc.remedy.endswith(f" {longest}"):
                found.append(f"the gate's rule is {exc}, configured {longest}")
        there = any(each.name == "late" for each in await client.components())
        if there != (setup.flaw == FAILS):
            found.append("component late is not as configured")
        return found

    def _check_interlock(self, tag: TagView | None, setup: Setup) -> list[str]:
        wanted = f"unit0/value >= {setup.interlock}" if setup.interlock else ""
        have = (tag.interlock or "") if tag else wanted
        return [] if have == wanted else [f"unit1/value has the interlock {have!r}, configured {wanted!r}"]
