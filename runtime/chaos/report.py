"""What a campaign found, for people and for machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """A campaign so far.

    Attributes:
        done: what was done to the plant: kills by process, faults by kind.
        confirmed: what the plant confirmed to its clients, by kind; each was looked for after each round.
        starts_ms: how long each start took until the plant answered.
        findings: what should not have been, each with its round.
        kept: folder with the plant as it was at the first finding.
    """

    campaign: str
    seed: int
    rounds: int = 0
    done: Counter[str] = field(default_factory=Counter)
    confirmed: Counter[str] = field(default_factory=Counter)
    starts_ms: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    kept: str = ""

    def found(self, texts: list[str]) -> None:
        """Take findings of the present round."""
        self.findings += [f"round {self.rounds} (seed {self.seed}): {text}" for text in texts]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        starts = sorted(self.starts_ms)
        shown: dict[str, Any] = {
            "campaign": self.campaign,
            "seed": self.seed,
            "rounds": self.rounds,
            "done": dict(self.done),
            "confirmed": dict(self.confirmed),
            "findings": self.findings,
            "kept": self.kept,
            "ok": not self.findings,
        }
        if starts:
            shown["start_ms"] = {"median": round(starts[len(starts) // 2]), "longest": round(starts[-1])}
        return shown

    def lines(self) -> list[str]:
        """Return the report as people read it."""
        shown = self.as_dict()
        lines = [f"{self.rounds} rounds, seed {self.seed}: {_counted(self.done)}"]
        lines.append(f"confirmed and looked for: {_counted(self.confirmed)}")
        if self.starts_ms:
            lines.append("starts: median {median} ms, longest {longest} ms".format(**shown["start_ms"]))
        lines += self.findings
        if not self.findings:
            lines.append("nothing lost, nothing doubled")
        elif self.kept:
            lines.append(f"kept in {self.kept}")
        return lines


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
