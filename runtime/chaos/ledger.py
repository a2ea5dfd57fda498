"""The ledger of a campaign: what the plant has confirmed to its clients, and whether it is still so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.contract import Value
from runtime.errors import WriteRejectedError

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.wire import AuditEntry

Point = tuple[int, Value | None, int]  # time, value, quality
_PAGE = 500
_LISTED = 5


@dataclass
class Expected:
    """The last confirmed value of something, and what was tried after it without an answer."""

    value: Value | None
    tried: set[Value | None] = field(default_factory=set)

    def allows(self, found: Value | None) -> bool:
        return found == self.value or found in self.tried


class Ledger:
    """Kept by the load generator alone: it learns from answers, never from the plant's files.

    `answered` is called after each confirmation is noted: the campaign may kill at that instant.
    """

    def __init__(self, answered: Callable[[], None]) -> None:
        self._answered = answered
        self._number = 0
        self.confirmed: Counter[str] = Counter()
        self.values: dict[str, Expected] = {}
        self.acknowledged: dict[str, Expected] = {}
        self.users: dict[str, Expected] = {}
        self.tokens: set[str] = set()
        self.rows: set[tuple[str, str]] = set()  # (action, reason) of each confirmed attempt
        self.holds: dict[str, Value] = {}  # what each tag that is written for a time goes back to
        self.raised: set[tuple[str, int]] = set()
        self.samples: dict[str, set[Point]] = {}
        self._fresh_rows: set[tuple[str, str]] = set()
        self._fresh_raised: set[tuple[str, int]] = set()
        self._audit_seq = 0
        self._alarm_seq = 0
        self._counted: Counter[tuple[str, str]] = Counter()
        self._counted_raised: Counter[tuple[str, int]] = Counter()

    # What the load generator notes.

    def reason(self, kind: str) -> str:
        """Return a reason that no other attempt has."""
        self._number += 1
        return f"{kind}-{self._number}"

    @contextmanager
    def trying(self, book: dict[str, Expected], name: str, *values: Value | None) -> Iterator[None]:
        """Note what is about to be asked for, in the end the last of `values`.

        Without an answer any of them may be so; a refusal means that it is as before.
        """
        known = book.setdefault(name, Expected(0 if book is self.values else None))
        fresh = set(values) - known.tried
        known.tried |= fresh
        try:
            yield
        except WriteRejectedError:
            known.tried -= fresh
            raise
        book[name] = Expected(values[-1])

    def done(self, kind: str, *rows: tuple[str, str]) -> None:
        """Note a confirmation with the rows of the audit that it must have."""
        self.confirmed[kind] += 1
        self.rows.update(rows)
        self._fresh_rows.update(rows)
        self._answered()

    def saw_raised(self, alarm: str, at_ns: int) -> None:
        """Note that the plant told of an alarm."""
        if (alarm, at_ns) not in self.raised:
            self.confirmed["alarms raised"] += 1
            self.raised.add((alarm, at_ns))
            self._fresh_raised.add((alarm, at_ns))

    def saw_samples(self, path: str, points: Iterable[Point]) -> None:
        """Note what history told."""
        known = self.samples.setdefault(path, set())
        before = len(known)
        known.update(points)
        self.confirmed["samples"] += len(known) - before

    # What is looked for.

    async def check(self, client: PlantClient, *, whole: bool) -> list[str]:
        """Return what is missing, doubled or otherwise wrong: of the last life, or of `whole` campaign."""
        if whole:
            self._audit_seq = self._alarm_seq = 0
            self._counted.clear()
            self._counted_raised.clear()
            self._fresh_rows, self._fresh_raised = set(self.rows), set(self.raised)
        return [
            *await self._check_audit(client),
            *await self._check_alarms(client),
            *await self._check_values(client),
            *await self._check_accounts(client),
            *await self._check_samples(client),
        ]

    async def _check_audit(self, client: PlantClient) -> list[str]:
        seen: list[AuditEntry] = []
        before: int | None = None
        while True:
            page = await client.audit(_PAGE, before)
            seen += [row for row in page if row.seq > self._audit_seq]
            if len(page) < _PAGE or page[-1].seq <= self._audit_seq:
                break
            before = page[-1].seq
        fresh = Counter(
            (row.action, row.reason.rpartition(": ")[2])
            for row in seen
            if row.action != "revert" and (row.action, row.outcome) != ("request", "failed")  # too late
        )
        self._audit_seq = max([self._audit_seq, *(row.seq for row in seen)])
        self._counted += fresh
        found = [f"no audit row: {row}" for row in self._fresh_rows if not self._counted[row]]
        found += [
            f"{self._counted[row]} audit rows: {row}"
            for row in fresh
            if self._counted[row] > 1 and "-" in row[1]
        ]
        self._fresh_rows.clear()
        report = await client.verify_audit()
        if not report.ok:
            found += [f"audit chain: {each.text}" for each in report.findings]
        return found[:_LISTED]

    async def _check_alarms(self, client: PlantClient) -> list[str]:
        seen = []
        before: int | None = None
        while True:
            page = await client.alarm_journal(_PAGE, before)
            seen += [entry for entry in page if entry.seq > self._alarm_seq]
            if len(page) < _PAGE or page[-1].seq <= self._alarm_seq:
                break
            before = page[-1].seq
        raised = Counter((each.alarm, each.at_ns) for each in seen if each.transition == "raised")
        self._alarm_seq = max([self._alarm_seq, *(each.seq for each in seen)])
        self._counted_raised += raised
        found = [f"raised and not journaled: {each}" for each in self._fresh_raised - raised.keys()]
        found += [f"journaled {count} times: {each}" for each, count in raised.items() if count > 1]
        self._fresh_raised.clear()
        there = {alarm.name: alarm for alarm in await client.alarms(all=True)}
        for name, expected in self.acknowledged.items():
            if name not in there:  # taken out; it comes back as it was
                continue
            comment = there[name].comment if there[name].state == "acknowledged" else None
            if not expected.allows(comment):
                found.append(f"{name}: acknowledged with {expected.value!r}, found {comment!r}")
        return found[:_LISTED]

    async def _check_values(self, client: PlantClient) -> list[str]:
        held = {hold.path for hold in (await client.gate()).holds}
        present = {tag.path: tag for tag in await client.tags("**/unit*/*")}
        found = [
            f"{path} is {present[path].value!r}, confirmed {expected.value!r}"
            for path, expected in self.values.items()
            if path in present and not expected.allows(present[path].value)
        ]
        found += [
            f"{path} is {present[path].value!r}, nothing takes it back to {base!r}"
            for path, base in self.holds.items()
            if path in present and present[path].value != base and path not in held
        ]
        return found[:_LISTED]

    async def _check_accounts(self, client: PlantClient) -> list[str]:
        there = {user.name: user.role for user in await client.users()}
        missing = self.tokens - {token.id for token in await client.tokens()}
        return [f"token {id_} is missing" for id_ in missing] + [
            f"user {name} is {there.get(name)}, confirmed {expected.value}"
            for name, expected in self.users.items()
            if not expected.allows(there.get(name))
        ]

    async def _check_samples(self, client: PlantClient) -> list[str]:
        found = []
        there = {tag.path for tag in await client.tags("**/unit*/*")}
        paths = sorted(there.intersection(self.samples))
        oldest = min((at for points in self.samples.values() for at, *_ in points), default=0)
        for first in range(0, len(paths), 20):
            for series in await client.history(paths[first : first + 20], oldest, 2**62, 100_000):
                points = list(series.points)
                if missing := self.samples[series.path] - set(points):
                    (again,) = await client.history([series.path], oldest, 2**62, 100_000)
                    left = missing - set(again.points)
                    found.append(
                        f"{series.path}: {len(missing)} of {len(self.samples[series.path])} samples missing,"
                        f" {len(left)} when asked again, from {min(missing)} to {max(missing)}"
                    )
                if doubled := [point for point, count in Counter(points).items() if count > 1]:
                    found.append(f"{series.path}: {len(doubled)} samples doubled, such as {doubled[0]}")
        damaged = await client.tags("sys/history/damaged", "sys/history/dropped")  # its store is open by now
        return [*(f"{tag.path} is {tag.value}" for tag in damaged if tag.value), *found][:_LISTED]

    def forget_samples(self) -> None:
        """Look for these samples no longer: they were found often enough."""
        self.samples.clear()
