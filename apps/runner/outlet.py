"""What an app may hand in: its own products, of the right type, when they changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from apps.sdk import Output
from runtime.contract import Batch, Quality, Tag, Value

REFUSALS = 20  # an app that makes up paths fills neither memory nor journal
LENGTH = 200


class Outlet:
    """Checks outputs and turns those that changed into a batch.

    Attributes:
        refused: what was refused first, path to why; each path is told once.
    """

    def __init__(self, root: str, tags: Iterable[Tag]) -> None:
        self._tags = {tag.path.removeprefix(f"{root}/"): tag for tag in tags}
        self._sent: dict[str, tuple[Value | None, int]] = {}
        self.refused: dict[str, str] = {}
        self._told: set[str] = set()

    def accept(self, outputs: Mapping[str, Output], now_ns: int) -> Batch | None:
        """Return the outputs that changed; those that are not allowed are left out and told."""
        rows: list[tuple[Tag, Value | None, int]] = []
        for path, (value, quality) in outputs.items():
            tag = self._tags.get(path)
            if tag is None:
                self._refuse(path, "it is not among the tags that the app produces")
                continue
            row = self._judge(tag, path, value, quality)
            last, last_quality = self._sent.get(path, (None, -1))
            value, quality = row
            if value is None:
                value = last
            if value is None and not Quality.is_bad(quality):  # there is no last value to keep
                quality = Quality.BAD_WAITING_FOR_INITIAL_DATA
            if quality == last_quality and _near(value, last, tag.deadband):
                continue
            self._sent[path] = (value, quality)
            rows.append((tag, value, quality))
        return _batch(rows, now_ns)

    def silent(self, now_ns: int, quality: int = Quality.BAD_NO_COMMUNICATION) -> Batch | None:
        """Return the last outputs with a bad quality: the app does not answer."""
        rows = []
        for path, tag in self._tags.items():
            value, last_quality = self._sent.get(path, (None, -1))
            if last_quality != quality:
                self._sent[path] = (value, quality)
                rows.append((tag, value, quality))
        return _batch(rows, now_ns)

    def news(self) -> list[str]:
        """Return refusals that were not told yet."""
        new = [path for path in self.refused if path not in self._told]
        self._told.update(new)
        return [f"{path}: {self.refused[path]}" for path in new]

    def _refuse(self, path: str, why: str) -> None:
        if len(self.refused) < REFUSALS:
            self.refused.setdefault(path[:LENGTH], why[:LENGTH])

    def _judge(self, tag: Tag, path: str, value: Value | None, quality: int) -> tuple[Value | None, int]:
        if not 0 <= quality < 1 << 32:
            self._refuse(path, f"{quality} is no quality")
            return None, Quality.BAD_CONFIGURATION_ERROR
        if value is None:
            return None, quality
        try:
            tag.data_type.encode(value)
        except (TypeError, ValueError, OverflowError) as exc:
            self._refuse(path, str(exc))
            return None, Quality.BAD_CONFIGURATION_ERROR
        if isinstance(value, str | bool):
            return value, quality
        if not math.isfinite(value):
            return None, Quality.BAD
        low = -math.inf if tag.low is None else tag.low
        high = math.inf if tag.high is None else tag.high
        if not low <= value <= high and Quality.is_good(quality):
            quality = Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        return value, quality


def _near(value: Value | None, last: Value | None, deadband: float) -> bool:
    if isinstance(value, float) and isinstance(last, float):
        return abs(value - last) <= deadband
    return value == last


def _batch(rows: list[tuple[Tag, Value | None, int]], now_ns: int) -> Batch | None:
    if not rows:
        return None
    raw, text = [], {}
    for row, (tag, value, _) in enumerate(rows):
        blank: Value = "" if tag.data_type.kind == "s" else 0
        known = blank if value is None else value
        raw.append(tag.data_type.encode(known))
        if isinstance(known, str):
            text[row] = known
    import numpy as np

    quality = np.array([quality for _, _, quality in rows], np.uint32)
    return Batch.of([tag.id for tag, _, _ in rows], raw, now_ns, quality, text)
