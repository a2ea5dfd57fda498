"""Plants made for measuring: n tags, written to a folder."""

from __future__ import annotations

from pathlib import Path

ROOT = "bench/area/line"


def plant_of(folder: Path, tags: int, source: str, address: str = "", head: str = "") -> Path:
    """Write a plant of n REAL tags with one source; returns its file."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"unit{n // 100}/signal{n % 100},REAL,0,100,{source},{address},standard" for n in range(tags)]
    header = "path,type,low,high,source,address,retention"
    (folder / "tags.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    file = folder / "plant.yaml"
    file.write_text(f"plant: bench\nroot: {ROOT}\napi: {{port: null}}\n{head}", encoding="utf-8")
    return file
