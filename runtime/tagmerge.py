"""A tag list that goes into a plant's tag table: what it changes, and whether the plant is right then."""

from __future__ import annotations

import csv
import io
import os
import stat
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from dataclasses import replace as replace_
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from runtime.config import COLUMNS, PlantFile, load_model, read_tags, read_text, write_tags
from runtime.contract import Tag
from runtime.endpoint import plant_file
from runtime.errors import ConfigError, Finding, Place, PlantError

_HIDDEN = ("id", "path")
_MARK = BOM_UTF8.decode()


@dataclass(frozen=True)
class Table:
    """The tag table of a plant folder.

    Attributes:
        plant: the plant file; `file` the table.
        drivers: names of the plant's drivers.
    """

    plant: Path
    file: Path
    root: str
    drivers: tuple[str, ...]

    def tags(self, device: str = "") -> list[Tag]:
        """Return its tags, or those of a device.

        Raises:
            ConfigError: it is wrong.
        """
        return [tag for tag, _ in read_tags(self.file, self.root) if not device or device_of(tag) == device]

    def check_device(self, name: str) -> None:
        """Check that the plant has a driver of that name.

        Raises:
            PlantError: it has none.
        """
        if name not in self.drivers:
            close = get_close_matches(name, self.drivers, 1)
            known = f"there are: {', '.join(self.drivers) or 'none'}"
            raise PlantError(
                f"{self.plant} has no driver {name!r}", f"did you mean {close[0]!r}?" if close else known
            )


def table_of(plant: str | None) -> Table:
    """Return the tag table of a plant folder or file; of the one here without.

    Raises:
        PlantError: there is no plant.
    """
    file = plant_file(plant)
    if file is None:
        raise PlantError("no plant here", "go to its folder, or name it with --plant")
    head, _ = load_model(PlantFile, file)
    names = tuple(str(each.get("name")) for each in head.drivers)
    return Table(file, file.parent / head.tags, head.root, names)


def device_of(tag: Tag) -> str:
    """Return the driver that a tag has its place on; it may stand as its source only."""
    return tag.device or tag.source


@dataclass(frozen=True)
class Difference:
    """What an import changes: tags added, tags with (field, old, new) changed, tags that the list lacks."""

    added: list[Tag]
    changed: list[tuple[Tag, list[tuple[str, Any, Any]]]]
    missing: list[Tag]

    def touches(self, *, replace: bool) -> bool:
        """Tell whether anything changes; with `replace` what is missing goes."""
        return bool(self.added or self.changed or (replace and self.missing))


def difference(old: Sequence[Tag], new: Sequence[Tag]) -> Difference:
    """Return what changes when the new tags go into the old ones."""
    before, paths = {tag.path: tag for tag in old}, {tag.path for tag in new}
    changed = []
    for tag in new:
        was = before.get(tag.path)
        if was is not None and was != tag:
            names = [each.name for each in fields(tag) if each.name not in _HIDDEN]
            moved = [(name, getattr(was, name), getattr(tag, name)) for name in names]
            changed.append((tag, [each for each in moved if each[1] != each[2]]))
    added = [tag for tag in new if tag.path not in before]
    return Difference(added, changed, [tag for tag in old if tag.path not in paths])


def strangers(read: Sequence[tuple[Tag, Place]], device: str) -> Iterator[Finding]:
    """Yield the tags of a list that are not of a device."""
    for tag, place in read:
        if device_of(tag) != device:
            text = f"tag {tag.path!r} is of {device_of(tag)!r}, not of {device!r}"
            yield Finding(text, place, f"set device to {device}, or take it out; `tags import` takes any")


def check_merged(table: Table, read: Sequence[tuple[Tag, Place]], gone: Sequence[Tag] = ()) -> list[Finding]:
    """Return what would be wrong with the plant with these tags in its table, places in the list itself.

    What is wrong with it already is not told again.

    Raises:
        ConfigError: the plant cannot be understood, with these tags or at all.
    """
    from runtime.assembly import assemble

    present = read_tags(table.file, table.root)
    new = {tag.path: (tag, place) for tag, place in read}
    left = {tag.path for tag in gone}
    merged = [new.pop(tag.path, (tag, place)) for tag, place in present if tag.path not in left]
    found = assemble(table.plant, [*merged, *new.values()]).check()
    if not found:
        return []
    known = {each.text for each in assemble(table.plant).check()}
    return [each for each in found if each.text not in known]


def merge(
    table: Table, csv: Path, device: str = "", *, replace: bool = False, dry_run: bool = False
) -> tuple[Difference, list[Finding]]:
    """Put a list into a plant's table, if the plant is right with it; return what changes, and warnings.

    A column that the list lacks stays as it is. `device`: of that one alone; `replace`: the tags that the
    list lacks go; `dry_run`: nothing is written.

    Raises:
        ConfigError: the list or the plant with it is wrong; nothing was written.
        PlantError: the table cannot be written.
    """
    present = table.tags()
    read = read_tags(csv, table.root, present)
    wrong = list(strangers(read, device)) if device else []
    new = [tag for tag, _ in read]
    found = difference(present, new)
    if device:
        found = replace_(found, missing=[tag for tag in found.missing if device_of(tag) == device])
    gone = found.missing if replace else []
    touched = found.touches(replace=replace)
    findings = wrong or (check_merged(table, read, gone) if touched else [])
    if any(each.severity == "error" for each in findings):
        raise ConfigError(findings)
    if touched and not dry_run:
        put_text(table.file, merged_text(table, new, gone))
    return found, findings


def merged_text(table: Table, new: Sequence[Tag], gone: Sequence[Tag] = ()) -> str:
    """Return the new text of the table: order and comments stay, new tags come last."""
    by_path = {tag.path: tag for tag in new}
    old = {tag.path: tag for tag in table.tags()}
    left = {tag.path for tag in gone}
    lines = io.StringIO(read_text(table.file), newline=None).readlines()
    rows = csv.reader(lines)
    column = [name.strip().lower() for name in next(rows)].index("path")
    out = [",".join(COLUMNS)]
    done = rows.line_num
    for cells in rows:
        first, done = done, rows.line_num
        if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
            out.append("".join(lines[first:done]).removesuffix("\n"))
            continue
        path = cells[column].strip()
        path = path if path.startswith(f"{table.root}/") else f"{table.root}/{path}"
        if path not in left:
            out.append(_row(by_path.get(path, old[path]), table.root))
    out += [_row(tag, table.root) for tag in new if tag.path not in old]
    return "\n".join(out) + "\n"


def _row(tag: Tag, root: str) -> str:
    return write_tags([tag], root).split("\n", 1)[1].removesuffix("\n")


def for_spreadsheets(text: str) -> str:
    """Return a table with the mark by which spreadsheets know UTF-8; without it they take Chinese for GBK."""
    return text if text.isascii() else f"{_MARK}{text}"


def put_text(file: Path, text: str) -> None:
    """Write a file so that a kill leaves the old or the new one, with the rights and the owner of the old.

    What a link points to is written, and what is no file, such as a device, is written into. A byte order
    mark stays.

    Raises:
        PlantError: it cannot be written.
    """
    target = Path(os.path.realpath(file))
    try:
        if target.exists() and not target.is_file():
            target.write_text(text.removeprefix(_MARK), encoding="utf-8", newline="")  # no spreadsheet
        else:
            marked = target.exists() and _is_marked(target)
            _put(target, f"{_MARK}{text}" if marked and not text.startswith(_MARK) else text)
    except OSError as exc:
        raise PlantError(
            f"{file} cannot be written: {exc.strerror}", "check the folder's rights and room"
        ) from exc


def check_place(file: Path) -> None:
    """Refuse a file that cannot be written, before the work whose result it is to hold.

    Raises:
        PlantError: its folder is not there, or it is a folder itself.
    """
    if file.is_dir():
        raise PlantError(f"{file} is a folder", "name a file in it")
    if not file.parent.is_dir():
        raise PlantError(f"there is no folder {file.parent}", f"make it, or write {file.name} elsewhere")


def _is_marked(file: Path) -> bool:
    with file.open("rb") as present:
        return present.read(len(BOM_UTF8)) == BOM_UTF8


def _put(file: Path, text: str) -> None:
    before = file.stat() if file.exists() else None
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            if before:
                os.fchmod(out.fileno(), stat.S_IMODE(before.st_mode))
                if os.geteuid() == 0:
                    os.fchown(out.fileno(), before.st_uid, before.st_gid)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def as_data(found: Difference, *, replace: bool, dry_run: bool) -> dict[str, Any]:
    """Return a difference for machines."""
    return {
        "added": [tag.path for tag in found.added],
        "changed": {
            tag.path: {name: [_plain(before), _plain(after)] for name, before, after in moved}
            for tag, moved in found.changed
        },
        "removed": [tag.path for tag in found.missing] if replace else [],
        "kept": [] if replace else [tag.path for tag in found.missing],
        "dry_run": dry_run,
    }


def as_lines(table: Table, found: Difference, *, replace: bool, dry_run: bool) -> list[str]:
    """Return a difference for people, and what became of it."""
    lines = [f"+ {tag.path} ({tag.data_type.iec})" for tag in found.added]
    for tag, moved in found.changed:
        what = ", ".join(f"{name}: {_plain(before)!r} -> {_plain(after)!r}" for name, before, after in moved)
        lines.append(f"~ {tag.path}  {what}")
    if replace:
        lines += [f"- {tag.path}" for tag in found.missing]
    elif found.missing:
        lines.append(f"= {len(found.missing)} tags that the CSV lacks stay (--replace removes them)")
    if not found.touches(replace=replace):
        return [*lines, "nothing to change"]
    if dry_run:
        return [*lines, f"{table.file} is unchanged (--dry-run)"]
    return [*lines, f"{table.file} is written; a running plant takes it with `ironworks config apply`"]


def _plain(value: Any) -> Any:
    return getattr(value, "iec", None) or (value.name.lower() if hasattr(value, "name") else value)
