"""What differs between two configurations, in the terms of a plant, and what it takes to make it hold."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from runtime.assembly import Assembly
from runtime.contract import Tag
from runtime.online import OnlineView
from runtime.versions.folder import Content, digest_of
from runtime.versions.hidden import is_secret, without_hashes
from runtime.versions.units import Mark, Unit, units_of

PLANT = "plant"
LIVE = "live"
NOTHING = "concerns nothing that runs"
_TEXT_LINES = 400
_OWN_KEYS = ("drivers",)
_LIVE_SETTINGS = (
    "title", "tags", "alarms", "users", "gate",
    "history.flush", "history.short", "history.standard", "history.long", "history.disk_limit_mib",
)  # fmt: skip
_SECRETS = ("secret", "password")
_NOT_FACTS = ("id", "path")


@dataclass(frozen=True)
class Side:
    """One of the two: its files, what they mean, and what runs by them; without where they have errors.

    Made while the files are there as they are meant: a folder may change later.
    """

    content: Content
    assembly: Assembly | None
    units: Mapping[str, Unit]

    @classmethod
    def of(cls, content: Content, assembly: Assembly | None) -> Side:
        return cls(content, assembly, units_of(assembly, content) if assembly else {})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One attribute before and after, as people write it; empty where there is none."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not the same.

    Attributes:
        kind: `tag`, `alarm`, `driver`, `app`, `section`, `setting` or `file`.
        what: `added`, `removed` or `changed`.
        restarts: what stops for a moment and starts anew.
        needs: of those, what an apply leaves alone without `--restart`; `plant` is all.
        text: for files, the lines that differ.
    """

    kind: str
    name: str
    what: str
    fields: tuple[FieldChange, ...] = ()
    effect: str = LIVE
    restarts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Plan:
    """How one configuration becomes another.

    Attributes:
        ended, begun: units that run no more, and that run from now on; those that restart are in both.
        renewed: units that take the new tags or files while they run.
        needs: what restarts only where that is allowed; `plant` is all.
        online: what that means for those that tell.
    """

    changes: tuple[Change, ...] = ()
    ended: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    online: tuple[OnlineView, ...] = ()

    def told(self, view: OnlineView) -> Plan:
        """Return the plan with what a unit tells of its online change; one that cannot needs a restart."""
        online = (*self.online, view)
        if not view.reason:
            return replace(self, online=online)
        name = view.unit
        changes = (
            replace(each, effect=f"needs restart: {name}", restarts=(name,), needs=(name,))
            if each.effect == _online(name)
            else each
            for each in self.changes
        )
        return Plan(
            tuple(changes), (*self.ended, name), (*self.begun, name), (*self.needs, name),
            tuple(each for each in self.renewed if each != name), online,
        )  # fmt: skip

    @property
    def restarts(self) -> tuple[str, ...]:
        return tuple(name for name in self.ended if name in self.begun)


def compare(old: Side, new: Side) -> Plan:
    """Return the plan from one side to the other; without its means where a side cannot be understood."""
    if old.content.digest == new.content.digest:
        return Plan()
    if old.assembly is None or new.assembly is None:
        effect = "cannot be told: one of the two has errors"
        return Plan(tuple(replace(each, effect=effect) for each in _files(old, new, set())))
    concerned = _touched(old.units, new.units)
    touched = [each for each in concerned if not each.adapts]
    settings = [*_settings(old.assembly, new.assembly)]
    found = [
        *_by_name("tag", _tags(old.assembly), _tags(new.assembly)),
        *_by_name("alarm", _alarms(old.assembly), _alarms(new.assembly)),
        *_by_name("driver", _drivers(old.assembly), _drivers(new.assembly)),
        *_sections(old.assembly, new.assembly),
    ]
    told = {_name(each, which) for each in (old, new) for which in ("file", "tags", "alarms")}
    files = _files(old, new, told if found or settings else set())
    changes = [_with_effect(each, concerned) for each in (*found, *files)] + settings
    needs = tuple(each.name for each in touched if not each.gentle)
    if any(PLANT in each.needs for each in settings):
        needs = (PLANT,)
    return Plan(
        tuple(changes),
        tuple(each.name for each in touched if each.before),
        tuple(each.name for each in touched if each.after),
        needs,
        tuple(each.name for each in concerned if each.adapts),
    )


@dataclass(frozen=True)
class _Touched:
    """A unit that is not what it was; one of the two is missing where it comes or goes."""

    name: str
    before: Unit | None
    after: Unit | None
    marks: set[Mark]

    @property
    def adapts(self) -> bool:
        if self.before is None or self.after is None:
            return False
        return {kind for kind, _ in self.marks} <= set(self.after.adapts)

    @property
    def gentle(self) -> bool:
        return all(each.gentle for each in (self.before, self.after) if each)


def _touched(before: Mapping[str, Unit], after: Mapping[str, Unit]) -> list[_Touched]:
    found = []
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        marks = old.differs(new) if old and new else set((old or new or after[name]).built_from)
        if marks:
            found.append(_Touched(name, old, new, marks))
    return found


def _with_effect(change: Change, concerned: Sequence[_Touched]) -> Change:
    touched = [each for each in concerned if not each.adapts]
    match change.kind:
        case "tag" | "file":
            hit = [each for each in touched if (change.kind, change.name) in each.marks]
        case "section":
            hit = [each for each in touched if ("config", change.name) in each.marks]
        case "driver" | "app":
            hit = [each for each in touched if each.name == change.name]
        case _:
            hit = []
    hit = [each for each in hit if (each.before and each.after) or not each.gentle]
    needs = tuple(each.name for each in hit if not each.gentle)
    restarts = tuple(each.name for each in hit)
    if needs:
        effect = f"needs restart: {', '.join(needs)}"
    elif restarts:
        effect = f"restarts {', '.join(restarts)}"
    else:
        online = [each.name for each in concerned if each.adapts and (change.kind, change.name) in each.marks]
        takes_files = [name for name in online if change.kind == "file"]
        effect = _online(takes_files[0]) if takes_files else NOTHING if change.kind == "file" else LIVE
    return replace(change, effect=effect, restarts=restarts, needs=needs)


def _online(name: str) -> str:
    return f"online change of {name}"


def _by_name(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before is None:
            yield Change(kind, name, "added")
        elif after is None:
            yield Change(kind, name, "removed")
        elif before != after:
            yield Change(kind, name, "changed", tuple(_differing(before, after)))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old != new:
            if any(secret in name for secret in _SECRETS):
                old, new = old and "(kept secret)", new and "(kept secret, changed)"
            yield FieldChange(name, _written(old), _written(new))


def _written(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _tags(assembly: Assembly) -> dict[str, dict[str, Any]]:
    """Return the tags but those that the system makes for itself."""
    return {tag.path: _facts(tag) for tag in assembly.plant.tags if not tag.path.startswith("sys/")}


def _facts(tag: Tag) -> dict[str, Any]:
    facts = {each.name: getattr(tag, each.name) for each in fields(tag) if each.name not in _NOT_FACTS}
    names = {"data_type": tag.data_type.iec, "access": tag.access.value, "role": tag.role.name.lower()}
    return facts | names


def _alarms(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return {
        each.name: _flat(each.model_dump(mode="json", by_alias=True, exclude_none=True))
        for each in assembly.plant.alarms
    }


def _drivers(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return {str(each.get("name")): _flat(each) for each in assembly.plant.head.drivers}


def _sections(old: Assembly, new: Assembly) -> Iterator[Change]:
    before, after = dict(old.plant.head.model_extra or {}), dict(new.plant.head.model_extra or {})
    yield from _by_name("app", _apps(before.pop("apps", None)), _apps(after.pop("apps", None)))
    flat = [{key: _flat({key: value}) for key, value in side.items()} for side in (before, after)]
    yield from _by_name("section", *flat)


def _apps(entries: Any) -> dict[str, dict[str, Any]]:
    return {
        str(each.get("name") or each.get("app")).rpartition("/")[2]: _flat(each) for each in entries or ()
    }


def _settings(old: Assembly, new: Assembly) -> Iterator[Change]:
    """Yield what differs in the keys of the plant file that belong to the kernel."""
    before, after = (_head(each) for each in (old, new))
    for name in {**before, **after}:
        if before.get(name) == after.get(name):
            continue
        what = "added" if name not in before else "removed" if name not in after else "changed"
        live = any(name == each or name.startswith(f"{each}.") for each in _LIVE_SETTINGS)
        shown = tuple(
            replace(each, name="") for each in _differing({name: before.get(name)}, {name: after.get(name)})
        )
        if live:
            yield Change("setting", name, what, shown)
        else:
            yield Change("setting", name, what, shown, f"needs restart: {PLANT}", (PLANT,), (PLANT,))


def _head(assembly: Assembly) -> dict[str, Any]:
    plant = assembly.plant
    extra = {*(plant.head.model_extra or {}), *_OWN_KEYS}
    return _flat({key: value for key, value in plant.document.data.items() if key not in extra})


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as one level, joined by points."""
    out: dict[str, Any] = {}
    for key, each in value.items():
        name = f"{prefix}{key}"
        if isinstance(each, Mapping) and each:
            out |= _flat(each, f"{name}.")
        elif isinstance(each, Sequence) and not isinstance(each, str) and each:
            out |= _flat({_label(item, at): item for at, item in enumerate(each)}, f"{name}.")
        else:
            out[name] = each
    return out


def _label(item: Any, at: int) -> str:
    return str(item["name"]) if isinstance(item, Mapping) and "name" in item else str(at)


def _name(side: Side, what: str) -> str:
    assert side.assembly is not None
    plant = side.assembly.plant
    return plant.file.name if what == "file" else getattr(plant.head, what) or plant.file.name


def _files(old: Side, new: Side, told: set[str]) -> Iterator[Change]:
    """Yield the files that differ, but those whose differences are told already."""
    for path in sorted({*old.content.files, *new.content.files} - told):
        before, after = old.content.files.get(path), new.content.files.get(path)
        if before != after:
            what = "added" if before is None else "removed" if after is None else "changed"
            secret = any(is_secret(side.content, path) for side in (old, new))
            text = "(kept secret)" if secret else without_hashes(_lines(path, before or b"", after or b""))
            yield Change("file", path, what, text=text)


def _lines(path: str, before: bytes, after: bytes) -> str:
    """Return the unified difference of two texts."""
    try:
        old, new = (data.decode("utf-8-sig").splitlines() for data in (before, after))
    except UnicodeDecodeError:
        return f"not text: {digest_of(before)[:8]} -> {digest_of(after)[:8]}"
    lines = [*difflib.unified_diff(old, new, f"{path} (old)", f"{path} (new)", lineterm="")]
    more = [f"... {len(lines) - _TEXT_LINES} more lines"] if len(lines) > _TEXT_LINES else []
    return "\n".join(lines[:_TEXT_LINES] + more)
