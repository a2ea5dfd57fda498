"""The trend chart: every pen over its own range, the axis in the units of the selected one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import ceil, floor, log10
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual_plot import HiResMode, PlotWidget

from tui.trend import Curve

_STEPS_S = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
_TICK_CELLS = 12
_BOTTOM = 1e-6  # at 0 the plot draws outside of its rows, and nothing is seen


class Chart(Container):
    """Draws curves; knows nothing of where they come from."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--pen-{number}" for number in range(1, 5)}

    def compose(self) -> ComposeResult:
        plot = PlotWidget(allow_pan_and_zoom=False)
        plot.can_focus = False
        yield plot

    def on_mount(self) -> None:
        plot = self.query_one(PlotWidget)
        plot.margin_top = 0
        plot.margin_bottom = 1
        plot.margin_left = 8
        plot.set_ylimits(0.0, 1.0)

    def show(self, curves: Sequence[Curve], selected: int, start_ns: int, end_ns: int) -> None:
        """Draw the curves between two instants; `selected` is the number of the pen on the axis."""
        plot = self.query_one(PlotWidget)
        plot.clear()
        plot.set_xlimits(start_ns / 1e9, end_ns / 1e9)
        plot.set_x_formatter(_TimeAxis(max(2, self.size.width // _TICK_CELLS)))
        axis = next((each for each in curves if each.number == selected), None)
        if axis:
            plot.set_y_formatter(_ValueAxis(axis.low, axis.high))
        for curve in sorted(curves, key=lambda each: each.number == selected):
            colour = self.get_component_rich_style(f"chart--pen-{curve.number}", partial=True).color
            style = colour.name if colour else "default"
            span = curve.high - curve.low or 1.0
            for segment in curve.segments:
                x = [at_ns / 1e9 for at_ns, _ in segment]
                y = [min(1.0, max(_BOTTOM, (value - curve.low) / span)) for _, value in segment]
                if len(segment) == 1:
                    plot.scatter(x, y, marker_style=style, hires_mode=HiResMode.BRAILLE)
                else:
                    plot.plot(x, y, line_style=style, hires_mode=HiResMode.BRAILLE)


class _TimeAxis:
    """Ticks at round times of day."""

    def __init__(self, count: int) -> None:
        self._count = count

    def get_ticks_and_labels(
        self, min_: float, max_: float, max_ticks: int = 8
    ) -> tuple[list[float], list[str]]:
        count = min(self._count, max_ticks)
        step = next((each for each in _STEPS_S if (max_ - min_) / each <= count), _STEPS_S[-1])
        offset = datetime.fromtimestamp(min_).astimezone().utcoffset()
        shift = offset.total_seconds() % step if offset else 0.0
        first = ceil((min_ + shift) / step) * step - shift
        ticks = [first + step * index for index in range(floor((max_ - first) / step) + 1)]
        pattern = "%H:%M" if step >= 60 else "%H:%M:%S"
        labels = [datetime.fromtimestamp(tick).astimezone().strftime(pattern) for tick in ticks]
        return ticks, labels


class _ValueAxis:
    """Ticks at round values of one pen; the axis itself runs from 0 to 1."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def get_ticks_and_labels(
        self, min_: float, max_: float, max_ticks: int = 8
    ) -> tuple[list[float], list[str]]:
        span = (self._high - self._low) or 1.0
        power = 10.0 ** floor(log10(span / 4))
        step = next(each * power for each in (1.0, 2.0, 2.5, 5.0, 10.0) if span / (each * power) <= 5)
        first = ceil(self._low / step - 1e-9)
        values = [step * index for index in range(first, floor(self._high / step + 1e-9) + 1)]
        decimals = max(0, -floor(log10(step) + 1e-9) + (1 if step / power == 2.5 else 0))
        return [(value - self._low) / span for value in values], [f"{value:.{decimals}f}" for value in values]
