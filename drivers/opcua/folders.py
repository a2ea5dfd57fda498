"""The plant's folders: the levels of the tags' paths, and ranges of names where a level has many below it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runtime.contract import Tag

PLANT = "/"
MOST_CHILDREN = 500  # of one folder; clients show all of them at once
_DIGITS = re.compile("[0-9]+")


@dataclass(slots=True)
class Folder:
    """One ISA-95 level, or a range of names in one: keys of the folders below, tags in it.

    Attributes:
        above: key of the folder that it is in; empty for the plant's own.
        begins: where in the order of names each of its ranges begins; these are the last of `folders`.
        judged: whether it was seen how many are below it.
    """

    name: str
    above: str
    folders: list[str] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    begins: list[str] = field(default_factory=list)
    judged: bool = False


class Folders:
    """The folders of tags by key: the path with a slash at its end.

    A folder of more than `MOST_CHILDREN` has them in ranges, `pump1 … pump500`, whose keys are
    `PATH//pump1 … pump500/`: tags first, the levels below too where they are many. Names are in order as
    people count (`pump9` before `pump10`). This is done when a client first looks at the folder.
    """

    def __init__(self, plant: str, tags: Iterable[Tag]) -> None:
        self._all: dict[str, Folder] = {PLANT: Folder(plant, "")}
        for tag in tags:
            self._level(tag.path.rpartition("/")[0]).tags.append(tag)

    @property
    def plant(self) -> Folder:
        """Return the folder of the whole plant."""
        self._judge(PLANT)
        return self._all[PLANT]

    def __getitem__(self, key: str) -> Folder:
        """Return a folder that is known to be there."""
        return self._all[key]

    def find(self, key: str) -> Folder | None:
        """Return a folder as clients see it, None where there is none."""
        level, ranged, _ = key.partition("//")
        if ranged and f"{level}/" in self._all:
            self._judge(f"{level}/")
        found = self._all.get(key)
        if found is not None:
            self._judge(key)
            if found.above:
                self._judge(found.above)
        return found

    def holder(self, tag: Tag) -> str:
        """Return the key of the folder in which clients see a tag."""
        key = f"{tag.path.rpartition('/')[0]}/"
        self._judge(key)
        while begins := self._all[key].begins:
            place = bisect_right(begins, _place(tag)) - 1
            key = self._all[key].folders[place - len(begins)]
        return key

    def _level(self, path: str) -> Folder:
        """Return the folder of a path without the last slash; its parents come with it."""
        key = f"{path}/"
        known = self._all.get(key)
        if known is None:
            above, _, name = path.rpartition("/")
            parent = self._level(above) if above else self._all[PLANT]
            parent.folders.append(key)
            known = self._all[key] = Folder(name, f"{above}/")
        return known

    def _judge(self, key: str) -> None:
        """Divide a folder that has too many below it, once."""
        folder = self._all[key]
        if folder.judged:
            return
        folder.judged = True
        if len(folder.folders) + len(folder.tags) <= MOST_CHILDREN:
            return
        apart = folder.folders if len(folder.folders) > MOST_CHILDREN // 2 else []
        entries: list[str | Tag] = [*apart, *folder.tags]
        entries.sort(key=_place)
        folder.folders, folder.tags = ([] if apart else folder.folders), []
        self._divide(key, folder, entries, MOST_CHILDREN // 2)

    def _divide(self, key: str, folder: Folder, entries: Sequence[str | Tag], most: int) -> None:
        """Put entries, in order, into ranges below a folder; into ranges of ranges beyond so many."""
        size = MOST_CHILDREN
        while size * most < len(entries):
            size *= MOST_CHILDREN
        start = key if is_range(key) else f"{key}/"
        for at in range(0, len(entries), size):
            part = entries[at : at + size]
            name = _ranged(_name(part[0]), _name(part[-1]))
            made = self._all[f"{start}{name}/"] = Folder(name, key, judged=True)
            folder.folders.append(f"{start}{name}/")
            folder.begins.append(_place(part[0]))
            if size > MOST_CHILDREN:
                self._divide(f"{start}{name}/", made, part, MOST_CHILDREN)
                continue
            for each in part:
                if isinstance(each, Tag):
                    made.tags.append(each)
                else:
                    made.folders.append(each)
                    self._all[each].above = f"{start}{name}/"


def is_range(key: str) -> bool:
    """Tell whether a folder's key is that of a range: no level of a path."""
    return "//" in key


def ranges(paths: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return paths, in the order of their last levels, in ranges of as many as a folder shows, with names."""
    ordered = sorted(paths, key=lambda path: (_counted(_last(path)), path))
    parts = [ordered[at : at + MOST_CHILDREN] for at in range(0, len(ordered), MOST_CHILDREN)]
    return [(_ranged(_last(part[0]), _last(part[-1])), part) for part in parts]


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _ranged(first: str, last: str) -> str:
    return first if first == last else f"{first} … {last}"


def _name(entry: str | Tag) -> str:
    return _last(entry.path if isinstance(entry, Tag) else entry[:-1])


def _place(entry: str | Tag) -> str:
    """Return what puts tags, and keys of folders, in the order of names as people count."""
    name = _name(entry)
    return f"{_counted(name)}\0{name}\0{'tag' if isinstance(entry, Tag) else ''}"


def _counted(name: str) -> str:
    return _DIGITS.sub(_padded, name.casefold())


def _padded(digits: re.Match[str]) -> str:
    return digits[0].zfill(20)
