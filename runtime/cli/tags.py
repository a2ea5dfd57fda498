"""`ironworks tags import|export`: the plant's tag table as CSV, with a look before the leap."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.cli.session import JsonOption, print_json
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.contract import Tag

app = typer.Typer(help="The plant's tag table as CSV.", no_args_is_help=True)
FolderOption = Annotated[
    str | None, typer.Option("--plant", "-p", help="Plant folder or file; else the one in this folder.")
]
_HIDDEN = ("id", "path")


@dataclass(frozen=True)
class Difference:
    """What an import changes: tags added, tags with (field, old, new) changed, tags that the CSV lacks."""

    added: list[Tag]
    changed: list[tuple[Tag, list[tuple[str, Any, Any]]]]
    missing: list[Tag]


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="CSV to write; standard output without.")] = None,
    plant: FolderOption = None,
) -> None:
    """Write the plant's tags as CSV."""
    from runtime.config import read_tags, write_tags

    table, root = _table_of(plant)
    text = write_tags([tag for tag, _ in read_tags(table, root)], root)
    if file is None:
        print(text, end="")
    else:
        _replace(file, text)
        print(f"{text.count(chr(10)) - 1} tags written to {file}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="CSV", help="Tag table to merge into the plant's.")],
    plant: FolderOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Remove tags that the CSV lacks.")] = False,
    json: JsonOption = False,
) -> None:
    """Merge a CSV into the plant's tags, in their order; shows what changes."""
    from runtime.config import read_tags

    table, root = _table_of(plant)
    old = {tag.path: tag for tag, _ in read_tags(table, root)}
    new = {tag.path: tag for tag, _ in read_tags(file, root)}
    difference = _difference(old, new)
    touched = bool(difference.added or difference.changed or (replace and difference.missing))
    if touched and not dry_run:
        _replace(table, _merged(table, root, old, new, difference, replace))
    if json:
        print_json(_as_data(difference, replace, dry_run))
        return
    for line in _as_lines(difference, replace):
        print(line)
    if not touched:
        print("nothing to change")
    elif dry_run:
        print(f"{table} is unchanged (--dry-run)")
    else:
        print(
            f"{table} is written; check it with `ironworks check`, a running plant takes it at its next start"
        )


def _table_of(plant: str | None) -> tuple[Path, str]:
    from runtime.config import PlantFile, load_model
    from runtime.endpoint import plant_file

    file = plant_file(plant)
    if file is None:
        raise PlantError("no plant here", "go to its folder, or name it with --plant")
    head, _ = load_model(PlantFile, file)
    return file.parent / head.tags, head.root


def _difference(old: dict[str, Tag], new: dict[str, Tag]) -> Difference:
    changed = []
    for path, tag in new.items():
        before = old.get(path)
        if before is not None and before != tag:
            names = [each.name for each in fields(tag) if each.name not in _HIDDEN]
            moved = [(name, getattr(before, name), getattr(tag, name)) for name in names]
            changed.append((tag, [each for each in moved if each[1] != each[2]]))
    return Difference(
        [tag for path, tag in new.items() if path not in old],
        changed,
        [tag for path, tag in old.items() if path not in new],
    )


def _merged(
    table: Path, root: str, old: dict[str, Tag], new: dict[str, Tag], difference: Difference, replace: bool
) -> str:
    """Return the new text of the table: order and comments stay, new tags come last."""
    from runtime.config import COLUMNS, read_text

    text = read_text(table)
    lines = text.splitlines()
    rows = csv.reader(io.StringIO(text))
    column = [name.strip().lower() for name in next(rows)].index("path")
    out = [",".join(COLUMNS)]
    for cells in rows:
        if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
            out.append(lines[rows.line_num - 1])
            continue
        path = cells[column].strip()
        path = path if path.startswith(f"{root}/") else f"{root}/{path}"
        if path in new or not replace:
            out.append(_row(new.get(path, old[path]), root))
    out += [_row(tag, root) for tag in difference.added]
    return "\n".join(out) + "\n"


def _row(tag: Tag, root: str) -> str:
    from runtime.config import write_tags

    return write_tags([tag], root).split("\n", 1)[1].removesuffix("\n")


def _replace(file: Path, text: str) -> None:
    """Write a file so that a kill leaves the old or the new one."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise PlantError(
            f"{file} cannot be written: {exc.strerror}", "check the folder's rights and room"
        ) from exc


def _plain(value: Any) -> Any:
    return getattr(value, "iec", None) or (value.name.lower() if hasattr(value, "name") else value)


def _as_data(difference: Difference, replace: bool, dry_run: bool) -> dict[str, Any]:
    return {
        "added": [tag.path for tag in difference.added],
        "changed": {
            tag.path: {name: [_plain(before), _plain(after)] for name, before, after in moved}
            for tag, moved in difference.changed
        },
        "removed": [tag.path for tag in difference.missing] if replace else [],
        "kept": [] if replace else [tag.path for tag in difference.missing],
        "dry_run": dry_run,
    }


def _as_lines(difference: Difference, replace: bool) -> list[str]:
    lines = [f"+ {tag.path} ({tag.data_type.iec})" for tag in difference.added]
    for tag, moved in difference.changed:
        what = ", ".join(f"{name}: {_plain(before)!r} -> {_plain(after)!r}" for name, before, after in moved)
        lines.append(f"~ {tag.path}  {what}")
    if replace:
        lines += [f"- {tag.path}" for tag in difference.missing]
    elif difference.missing:
        lines.append(f"= {len(difference.missing)} tags that the CSV lacks stay (--replace removes them)")
    return lines
