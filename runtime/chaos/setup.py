"""What the victim's plant folder says: the plant of a campaign, and what an engineer changes of it."""

from __future__ import annotations

import csv
import hashlib
import io
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runtime.gate.identity import hash_secret

UNITS = 24
GUESTS = 6  # units that come and go with the configuration
HOLD_BASE = 5
SECOND = ("second", "a second person")  # who approves, and the secret
ENGINEER = ("engineer", "who changes the plant")
DEVICE = "  - {{kind: simulated, name: device, period: {period_ms}ms}}\n"
HEAD = """
gate: {{two_person: ["unit*/safe"], longest_hold: {longest_h}h}}
history: {{flush: 50ms}}
api: {{port: null}}
log: {{files: {log_files}}}
users:
  - {{name: {second}, role: operator, secret: "{second_secret}"}}
  - {{name: {engineer}, role: engineer, secret: "{engineer_secret}"}}
"""
LATE = "  - {{kind: modbus.server, name: late, port: {port}}}\n"
WRONG = ("no yaml", "nobody", "no tag")  # found by a check
FAILS = "late"  # passes every check and faults at its start
FLAWS = (*WRONG, FAILS)


@dataclass(frozen=True)
class Base:
    """The files without what a setup says; `port` is one that cannot be had.

    Attributes:
        head: the plant file, up to where its drivers are listed, and the rest of it.
        program: name and text of the PLC's program, empty where there is none.
    """

    head: tuple[str, str]
    tags: str
    alarms: str
    port: int
    program: tuple[str, str] = ("", "")
    secrets: tuple[str, ...] = field(
        default_factory=lambda: tuple(hash_secret(secret) for _, secret in (SECOND, ENGINEER))
    )


@dataclass(frozen=True)
class Setup:
    """One configuration.

    Attributes:
        guests: numbers of the units that are there beside the usual ones.
        limit: of the alarm unit0.high; `deadband` of unit0/count.
        interlock: what unit1/value asks of unit0/value; it always holds.
        period_ms: of the simulated device.
        longest_h: how long a value may be written for a time.
        log_files: of the log; another number needs a restart of the plant.
        note: in the PLC's program.
        flaw: what is wrong with it; none if empty.
    """

    guests: frozenset[int] = frozenset()
    limit: int = 1_000_000
    deadband: int = 0
    interlock: int = 0
    period_ms: int = 50
    longest_h: int = 24
    log_files: int = 5
    note: int = 0
    flaw: str = ""

    @property
    def numbers(self) -> list[int]:
        return [*range(UNITS), *sorted(self.guests)]

    def changed(self, rng: random.Random) -> Setup:
        """Return another one: a few things changed at once, in one file or in several."""
        one = replace(self, flaw="")
        for _ in range(rng.choice((1, 1, 2, 3))):
            match rng.randrange(7):
                case 0 | 1:
                    one = replace(one, guests=one.guests ^ {rng.randrange(UNITS, UNITS + GUESTS)})
                case 2:
                    one = replace(one, limit=rng.randrange(1, 2000) * 1_000_000)
                case 3:
                    one = replace(one, deadband=rng.randrange(4))
                case 4:
                    one = replace(one, interlock=-rng.randrange(1000))
                case 5:
                    one = replace(one, period_ms=rng.randrange(20, 100))
                case _:
                    one = replace(one, longest_h=rng.randrange(2, 2000))
        return one

    def files(self, base: Base) -> dict[str, str]:
        """Return the texts of the files that a setup says something in, by name."""
        drivers = DEVICE.format(period_ms=self.period_ms)
        if self.flaw == FAILS:
            drivers += LATE.format(port=base.port)
        second, engineer = base.secrets
        rest = HEAD.format(
            longest_h=self.longest_h,
            log_files=self.log_files,
            second=SECOND[0],
            second_secret=second,
            engineer=ENGINEER[0],
            engineer_secret=engineer,
        )
        head, more = base.head
        files = {
            "plant.yaml": head + drivers + more + rest + ("more: [\n" if self.flaw == "no yaml" else ""),
            "tags.csv": base.tags + units(base.tags, self.numbers, self.deadband, self.interlock),
            "alarms.yaml": base.alarms + "".join(self._alarms()),
        }
        if self.flaw == "nobody":
            files["tags.csv"] += row(base.tags, path="stray", type="DINT", source="nobody")
        name, program = base.program
        return files | ({name: f"{program}(* {self.note} *)\n"} if name else {})

    def _alarms(self) -> Iterable[str]:
        yield f"  - {{name: unit0.high, tag: unit0/value, kind: high, limit: {self.limit}, text: high}}\n"
        for n in self.numbers:
            yield f"  - {{name: unit{n}.trip, tag: unit{n}/trip, kind: discrete, text: unit {n} tripped}}\n"
        if self.flaw == "no tag":
            yield "  - {name: stray, tag: stray, kind: discrete, text: stray}\n"


def print_of(digests: Mapping[str, str]) -> str:
    """Return what tells setups apart, from the SHA-256 of their files."""
    return " ".join(f"{name}:{digest[:12]}" for name, digest in sorted(digests.items()))


def digests_of(files: Mapping[str, str]) -> dict[str, str]:
    """Return the SHA-256 of texts."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}


def units(tags: str, numbers: Iterable[int] = range(UNITS), deadband: int = 0, interlock: int = 0) -> str:
    """Return the rows of units' tags, for a table with such a header."""
    rows = []
    for n in numbers:
        for name, kind in (("value", "DINT"), ("trip", "BOOL"), ("hold", "DINT"), ("safe", "DINT")):
            cells = {"path": f"unit{n}/{name}", "type": kind, "access": "rw"}
            if name == "hold":
                cells["initial"] = str(HOLD_BASE)
            if (n, name) == (1, "value") and interlock:
                cells["interlock"] = f"unit0/value >= {interlock}"
            rows.append(row(tags, **cells))
        rows.append(row(tags, path=f"unit{n}/out", type="DINT", access="rw", source="device"))
        count = {"path": f"unit{n}/count", "type": "DINT", "source": "device", "address": "counter(50ms)"}
        rows.append(row(tags, **count, **({"deadband": str(deadband)} if deadband and not n else {})))
    return "".join(rows)


def row(tags: str, **cells: str) -> str:
    """Return one row for a table with such a header."""
    text = io.StringIO()
    csv.DictWriter(text, tags.partition("\n")[0].split(","), lineterminator="\n").writerow(cells)
    return text.getvalue()
