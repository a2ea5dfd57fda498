"""A fault put in on purpose: its severity over time."""

from __future__ import annotations

from twin.model.fault import FaultModel

STRIKES = 0.5


class Fault:
    """Rises from nothing to the wanted severity; goes at once when taken away, as after a repair."""

    __slots__ = ("base", "model", "severity", "since_ns")

    def __init__(self, model: FaultModel) -> None:
        self.model = model
        self.severity = 0.0
        self.base = 0.0
        self.since_ns = 0

    def set(self, severity: float, now_ns: int) -> None:
        """Want another severity (0 to 1); less comes at once, more over `model.over`."""
        severity = min(1.0, max(0.0, severity))
        self.base = min(severity, self.level(now_ns))
        self.severity = severity
        self.since_ns = now_ns

    def level(self, now_ns: int) -> float:
        """Return the severity reached."""
        if not self.model.over:
            return self.severity
        return min(self.severity, self.base + (now_ns - self.since_ns) / self.model.over)

    def grows(self, now_ns: int) -> bool:
        """Tell whether it is still on its way to the wanted severity."""
        return self.level(now_ns) < self.severity

    def strikes(self, now_ns: int) -> bool:
        """Tell whether half severity is reached, where equipment stops and sensors stick."""
        return self.level(now_ns) >= STRIKES

    def crossing_ns(self) -> int | None:
        """Return when half severity is reached, None if it never is."""
        if self.severity < STRIKES:
            return None
        return self.since_ns + max(0, -int(-(STRIKES - self.base) * self.model.over // 1))

    def snapshot(self) -> tuple[float, float, int]:
        return self.severity, self.base, self.since_ns

    def restore(self, state: tuple[float, float, int]) -> None:
        self.severity, self.base, self.since_ns = state
