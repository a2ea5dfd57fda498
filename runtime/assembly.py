"""From a plant folder to a checked plant: files, sections, tags with ids, findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime import contract, figures, registry, timekeeper
from runtime.alarms.configuration import check_alarms, load_alarms
from runtime.alarms.tags import TAGS as ALARM_TAGS
from runtime.backup import service
from runtime.clock import WallClock
from runtime.config.models import AlarmConfig, PlantFile
from runtime.config.plant import PLANT_FILE, RESERVED, Declared, Plant, Plugin
from runtime.config.positions import Document, load_yaml
from runtime.config.taglist import TagList, read_tags
from runtime.config.validation import validate
from runtime.contract import Access, DataType, Tag
from runtime.errors import ConfigError, Finding, Place, PlantError
from runtime.gate import keeper
from runtime.gate.expression import check_expression
from runtime.historian import house
from runtime.journal import room
from runtime.tls import facts
from runtime.versions import tags as versions_tags


@dataclass(frozen=True)
class SectionEntry:
    """One section of the plant file with the plugin that understands it."""

    key: tuple[str | int, ...]
    name: str
    plugin: Plugin
    config: Any


@dataclass(frozen=True)
class Assembly:
    """A plant with its sections, ready to be checked, run or stepped."""

    plant: Plant
    sections: tuple[SectionEntry, ...]

    def check(self, *, whole: bool = True) -> list[Finding]:
        """Return everything that is wrong, in the order of the files; `whole`: with plants that it runs."""
        findings = [
            *_check_users(self.plant),
            *_check_areas(self.plant),
            *_check_login(self.plant),
            *_check_traces(self.plant),
            *_check_gate(self.plant),
            *_check_api(self.plant),
            *_check_history(self.plant),
            *_check_state(self.plant),
            *_check_tags(self.plant, {each.name for each in self.sections}),
        ]
        for entry in self.sections:
            try:
                findings += entry.plugin.check(self.plant, entry.config, entry.key)
            except ConfigError as exc:
                findings += exc.findings
            except PlantError as exc:
                findings.append(Finding(exc.text, self.plant.place(*entry.key), exc.remedy))
        for file in self._others() if whole else ():
            try:
                findings += assemble(file).check(whole=False)
            except ConfigError as exc:
                findings += exc.findings
        return list(dict.fromkeys(findings))

    def _others(self) -> Iterator[Path]:
        """Yield the plant files that sections run beside this one, such as a rack's."""
        for entry in self.sections:
            others = getattr(entry.plugin, "plants", None)
            for name in others(entry.config) if others else ():
                file = self.plant.path(name)
                if file.is_file() and file.resolve() != self.plant.document.file:
                    yield file


def plant_file(target: Path) -> Path:
    """Return the plant file of a folder, or the file itself.

    Raises:
        ConfigError: there is none.
    """
    file = target / PLANT_FILE if target.is_dir() else target
    if not file.is_file():
        remedy = "name a plant folder, or make one with `ironworks new my-plant`"
        raise ConfigError([Finding("no plant here", Place(file), remedy)])
    return file.resolve()


def assemble(target: Path, tags: Sequence[tuple[Tag, Place]] | None = None) -> Assembly:
    """Load a plant folder; nothing is started. `tags` stand for those of its tag table.

    Raises:
        ConfigError: with every finding that stops the folder from being understood.
    """
    file = plant_file(target)
    document = load_yaml(file)
    if not isinstance(document.data, dict):
        finding = Finding("a plant file holds keys and values", Place(file, 1, 1), "begin with plant: NAME")
        raise ConfigError([finding])
    head = validate(PlantFile, document)
    findings: list[Finding] = []
    sections = list(_sections(head, document, findings))
    read: list[tuple[Tag, Place]] = []
    alarms: list[tuple[AlarmConfig, Place]] = []
    try:
        read = read_tags(file.parent / head.tags, head.root) if tags is None else list(tags)
    except ConfigError as exc:
        findings += exc.findings
    if head.alarms:
        try:
            alarms += load_alarms(file.parent / head.alarms)
        except ConfigError as exc:
            findings += exc.findings
    drivers = {entry.name for entry in sections if entry.key[0] == "drivers"}
    placed = [(_with_device(tag, drivers), place) for tag, place in read]
    if head.rack:
        placed = [(_mirrored(tag, head.rack), place) for tag, place in placed if tag.device == head.rack]
    for entry in sections:
        try:
            declared: Declared = entry.plugin.declare(file.parent, head.root, entry.config)
        except ConfigError as exc:
            findings += exc.findings
            continue
        place = document.place(*entry.key)
        placed += [(tag, place) for tag in declared.tags]
        alarms += [(alarm, place) for alarm in declared.alarms]
    services = declare_services(head)
    placed += [(tag, document.place()) for tag in services.tags]
    alarms += [(alarm, document.place()) for alarm in services.alarms]
    if findings:
        raise ConfigError(findings)
    tag_list = TagList([tag for tag, _ in placed], head.root)
    findings += check_alarms(alarms, tag_list)
    if findings:
        raise ConfigError(findings)
    places = {tag.path: place for tag, place in placed}
    plant = Plant(file, head, document, tag_list, places, tuple(alarm for alarm, _ in alarms))
    return Assembly(plant, tuple(sections))


def declare_services(head: PlantFile) -> Declared:
    """Return the tags and alarms of the kernel and its services."""
    parts = [figures.declare(), Declared(ALARM_TAGS), keeper.declare(), timekeeper.declare()]
    parts.append(room.declare())
    parts.append(versions_tags.declare())
    if head.history:
        parts.append(Declared(house.TAGS, house.ALARMS))
        if head.history.sink:
            parts.append(Declared(house.SINK_TAGS, house.SINK_ALARMS))
    if head.backup:
        parts.append(service.declare())
    if head.api and head.api.outside:
        parts.append(facts.declare())
    return Declared(
        [tag for part in parts for tag in part.tags], [alarm for part in parts for alarm in part.alarms]
    )


def _sections(head: PlantFile, document: Document, findings: list[Finding]) -> Iterator[SectionEntry]:
    taken = {*RESERVED, *(head.model_extra or {})}
    for key in head.model_extra or {}:
        try:
            plugin = registry.load("sections", key)
            yield SectionEntry((key,), key, plugin, validate(plugin.Config, document, key))
        except ConfigError as exc:
            findings += exc.findings
        except PlantError as exc:
            keys = [*PlantFile.model_fields, *registry.names("sections")]
            close = get_close_matches(key, keys, 1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(keys)}"
            text = exc.text if key in keys else f"unknown key {key!r}"
            findings.append(Finding(text, document.place(key), exc.remedy if key in keys else remedy))
    for index, each in enumerate(head.drivers):
        where = ("drivers", index)
        place = document.place(*where)
        kind = each.get("kind")
        if not isinstance(kind, str):
            known = ", ".join(registry.names("drivers"))
            findings.append(Finding("a driver needs a kind", place, f"add kind: with one of {known}"))
            continue
        try:
            plugin = registry.load("drivers", kind)
            config = validate(plugin.Config, document, *where)
        except ConfigError as exc:
            findings += exc.findings
            continue
        except PlantError as exc:
            findings.append(Finding(exc.text, document.place(*where, "kind"), exc.remedy))
            continue
        if config.name in taken:
            findings.append(
                Finding(f"the name {config.name!r} is already used", place, "give it another name")
            )
        taken.add(config.name)
        yield SectionEntry(where, config.name, plugin, config)


def _check_users(plant: Plant) -> Iterator[Finding]:
    for what in ("name", "os_user"):
        seen: set[str] = set()
        for index, user in enumerate(plant.head.users):
            value = getattr(user, what)
            if value in seen:
                place = plant.place("users", index, what)
                yield Finding(f"two users have the {what} {value!r}", place, "keep one of the two")
            seen |= {value} - {None}


def _check_login(plant: Plant) -> Iterator[Finding]:
    if plant.head.login.oidc and find_spec("jwt") is None:
        text = "logins by OpenID Connect need the extra oidc"
        yield Finding(text, plant.place("login", "oidc"), "pip install 'ironworks[oidc]'")


def _check_traces(plant: Plant) -> Iterator[Finding]:
    if plant.head.traces and find_spec("opentelemetry.sdk") is None:
        yield Finding("traces need the extra otel", plant.place("traces"), "pip install 'ironworks[otel]'")


def _check_areas(plant: Plant) -> Iterator[Finding]:
    """Yield globs of users that match nothing: a role that is mistyped is none."""
    areas = {alarm.area for alarm in plant.alarms}
    for index, user in enumerate(plant.head.users):
        for pattern in user.areas:
            if not len(plant.tags.select(pattern)) and not any(map(contract.glob(pattern).fullmatch, areas)):
                text = f"user {user.name!r}: {pattern!r} matches no tag and no alarm's area"
                yield Finding(text, plant.place("users", index, "areas", pattern), "correct it")


def _check_gate(plant: Plant) -> Iterator[Finding]:
    """Yield globs that select nothing: a protection that is mistyped protects nothing."""
    config = plant.head.gate
    places: list[tuple[tuple[str | int, ...], str]] = [
        (("gate", "two_person", index), glob) for index, glob in enumerate(config.two_person)
    ]
    places += [
        (("gate", "rates", number, "tags", index), glob)
        for number, limit in enumerate(config.rates)
        for index, glob in enumerate(limit.tags)
    ]
    places += [
        (("gate", "signatures", number, "tags", index), glob)
        for number, rule in enumerate(config.signatures)
        for index, glob in enumerate(rule.tags)
    ]
    for place, glob in places:
        writable = (plant.tags[id_].access is Access.READ_WRITE for id_ in plant.tags.select(glob).tolist())
        if not any(writable):
            remedy = "correct it, or set access to rw in the tag table"
            yield Finding(f"{glob!r} matches no tag that can be written", plant.place(*place), remedy)


def _check_api(plant: Plant) -> Iterator[Finding]:
    """Yield what is wrong with a certificate that the plant gives."""
    api = plant.head.api
    if api is None or not (api.tls.certificate and api.tls.key):
        return
    place = plant.place("api", "tls", "certificate")
    if not api.outside:
        remedy = "set api: host: to an address of the network, or remove tls:"
        yield Finding("the API listens on loopback only, without TLS", place, remedy, "warning")
        return
    from runtime.tls.certificate import EXPIRES_SOON_DAYS, check_pair, day

    now_ns = WallClock().now_ns()
    try:
        found = check_pair(plant.path(api.tls.certificate), plant.path(api.tls.key), now_ns)
    except PlantError as exc:
        yield Finding(exc.text, place, exc.remedy)
        return
    if found.days_left(now_ns) < EXPIRES_SOON_DAYS:
        yield Finding(f"the certificate expires on {day(found.until_ns)}", place, "get a new one", "warning")


def _check_history(plant: Plant) -> Iterator[Finding]:
    sink = plant.head.history and plant.head.history.sink
    if sink and find_spec("psycopg") is None:
        remedy = "install it: pip install 'ironworks[postgres]'"
        yield Finding("the sink needs psycopg", plant.place("history", "sink"), remedy)


def _check_state(plant: Plant) -> Iterator[Finding]:
    """Yield that the stores lie among the files of the plant: they would be part of each version of these."""
    if plant.state.resolve() == plant.file.parent.resolve():
        remedy = "name a folder in it, such as .ironworks, or one elsewhere"
        yield Finding("state: this is the plant folder itself", plant.place("state"), remedy)


def _with_device(tag: Tag, drivers: set[str]) -> Tag:
    if not tag.device and tag.source in drivers:
        return replace(tag, device=tag.source)
    return tag


def _mirrored(tag: Tag, rack: str) -> Tag:
    source = "twin" if tag.source == rack else rack
    return replace(tag, source=source, variable="", interlock=None, initial=None)


def _check_tags(plant: Plant, sections: set[str]) -> Iterator[Finding]:
    declared = {tag.source for tag in plant.tags if plant.place_of(tag).file == plant.document.file}
    sources = {"operator", *sections, *(declared - set(RESERVED))}
    for tag in plant.tags:
        place = plant.place_of(tag)
        if place.file == plant.document.file:
            continue
        if tag.source not in sources:
            remedy = f"there are: {', '.join(sorted(sections | {'operator'}))}"
            yield Finding(f"{tag.path}: no component is named {tag.source!r}", place, remedy)
        if tag.device and tag.device not in sections and not plant.head.rack:
            yield Finding(f"{tag.path}: no driver is named {tag.device!r}", place, "add it under drivers:")
        if tag.initial is not None and tag.source != "operator":
            yield Finding(f"{tag.path}: initial is for tags of source operator", place, "remove it")
        ranged = tag.low is not None or tag.high is not None
        if ranged and tag.data_type in (DataType.BOOL, DataType.STRING):
            yield Finding(f"{tag.path}: {tag.data_type.iec} has no range", place, "remove low and high")
        if tag.interlock:
            for text, remedy in check_expression(tag.interlock, plant.tags):
                yield Finding(f"{tag.path}: interlock: {text}", place, remedy)
