"""What came of a campaign, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from drivers.abuse.machine import Spent

QUIET = "no attack"


@dataclass
class Report:
    """What came of it so far.

    Attributes:
        served: for each attack, and for the time before all, what each good client saw.
        spent: likewise, of processors.
        memory_mib: of the kernel: before, the most, and after.
        findings: what is wrong with the plant, or with the campaign itself.
        unjudged: waits that were too long while the machine was busy with something else.
    """

    seed: int
    rounds: int = 0
    done: Counter[str] = field(default_factory=Counter)
    tried: dict[str, int] = field(default_factory=dict)
    served: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    memory_mib: dict[str, float] = field(default_factory=dict)
    plc: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings and not self.unjudged

    def found(self, text: str) -> None:
        self.findings.append(self._told(text))

    def leave(self, text: str) -> None:
        """Note what cannot be judged."""
        self.unjudged.append(self._told(text))

    def _told(self, text: str) -> str:
        return f"round {self.rounds} (seed {self.seed}): {text}"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "campaign": "abuse",
            "seed": self.seed,
            "rounds": self.rounds,
            "done": dict(self.done),
            "tried": self.tried,
            "served": self.served,
            "spent": {name: asdict(each) for name, each in self.spent.items()},
            "memory_mib": self.memory_mib,
            "plc": self.plc,
            "findings": self.findings,
            "unjudged": self.unjudged,
            "ok": self.ok,
        }

    def lines(self) -> list[str]:
        """Return the report as people read it."""
        lines = [f"{self.rounds} attacks, seed {self.seed}"]
        lines += [f"  {number:>12,} {what}" for what, number in self.tried.items()]
        lines.append("answers to good clients, p50 / p99 / longest ms:")
        for attack, clients in self.served.items():
            spent = self.spent[attack]
            withheld = f", {spent.machine_s:.1f} s withheld by the machine" if spent.machine_s else ""
            lines.append(f"  {attack} ({spent.kernel_s} s of CPU in the kernel{withheld})")
            for name, seen in clients.items():
                figures = " / ".join(f"{seen[each] or 0:.0f}" for each in ("p50_ms", "p99_ms", "max_ms"))
                lines.append(f"    {name:<22} {seen['asked']:>6}  {figures}")
        memory = ", ".join(f"{value:.0f} {name}" for name, value in self.memory_mib.items())
        lines += [f"memory of the kernel in MiB: {memory}"]
        lines += [f"PLC: {', '.join(f'{value} {name}' for name, value in self.plc.items())}"]
        lines += [f"finding: {each}" for each in self.findings]
        lines += [f"not judged: {each}" for each in self.unjudged]
        if self.unjudged:
            lines.append("the machine was loaded: run those again when it is quiet (--only)")
        return (
            lines
            if not self.ok
            else [*lines, "every good client was served, nothing was written without right"]
        )
