"""Templates of `ironworks new`; `{{name}}` becomes the plant's name."""

from pathlib import Path

MINIMAL = Path(__file__).parent / "minimal"
LINE = Path(__file__).parent / "line"
