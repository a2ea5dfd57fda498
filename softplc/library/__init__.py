"""The library: standard functions as a table, standard and process function blocks as ST, one a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def block_files() -> dict[str, Path]:
    """Return the ST files of the library by the casefolded names of the POUs they hold."""
    return {path.stem.casefold(): path for path in sorted(FOLDER.glob("*.st"))}


@cache
def typed_variants() -> dict[str, tuple[str, str]]:
    """Return the counters for other integer types: name to base counter and type."""
    variants: dict[str, tuple[str, str]] = {}
    for base in ("CTU", "CTD", "CTUD"):
        for type_ in ("INT", "DINT", "LINT", "UDINT", "ULINT"):
            variants[f"{base}_{type_}".casefold()] = (base, type_)
    for base in ("TON", "TOF", "TP"):
        variants[f"{base}_TIME".casefold()] = (base, "TIME")
        variants[f"{base}_LTIME".casefold()] = (base, "LTIME")
    return variants


def names() -> list[str]:
    """Return the names of all function blocks and functions of the library that programs may use."""
    variants = [f"{base}_{type_}" for base, type_ in typed_variants().values()]
    return [path.stem for path in block_files().values() if not path.stem.startswith("_")] + variants


@cache
def source_of(name: str) -> str | None:
    """Return the ST text of a library POU, or None if there is none of that name."""
    key = name.casefold()
    path = block_files().get(key)
    if path is not None:
        return path.read_text(encoding="utf-8")
    variant = typed_variants().get(key)
    if variant is None:
        return None
    base, type_ = variant
    text = source_of(base) or ""
    placeholder = "TIME" if base.startswith("T") else "INT"
    return text.replace(f"FUNCTION_BLOCK {base}", f"FUNCTION_BLOCK {base}_{type_}").replace(
        f": {placeholder};", f": {type_};"
    )
