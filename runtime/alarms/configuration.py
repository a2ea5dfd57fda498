"""A plant's alarms (`alarms.yaml` or `alarms.csv`): read with places, and checked against its tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from runtime.alarms.table import read_table
from runtime.config import AlarmConfig, Document, Section, Span, TagList, load_yaml, validate, value_text
from runtime.config.taglist import NO_TAG
from runtime.config.valuetext import TIMES
from runtime.contract import DataType, Tag
from runtime.errors import ConfigError, Finding, Place
from runtime.gate.expression import check_expression, parse_expression

_LOOKED_FOR = 20  # unknown tags for which a close one is sought: that takes a while, and all may be unknown


class AlarmFile(Section):
    """A file of alarms: a list under the key `alarms`."""

    alarms: tuple[AlarmConfig, ...] = ()


def load_alarms(file: Path) -> list[tuple[AlarmConfig, Place]]:
    """Read the alarms of a plant folder, and where each stands.

    Raises:
        ConfigError: with everything wrong in the file.
    """
    return read_alarms(document_of(file))


def document_of(file: Path) -> Document:
    """Read a file of alarms, YAML or CSV by its name; what each says is not looked at yet.

    Raises:
        ConfigError: it is missing, or not of its format.
    """
    return read_table(file).document() if file.suffix == ".csv" else load_yaml(file)


def read_alarms(document: Document) -> list[tuple[AlarmConfig, Place]]:
    """Return the alarms of a document, and where each stands.

    Raises:
        ConfigError: with everything wrong in the file.
    """
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get("alarms"), list):
        text = "this is not a list of alarms"
        remedy = "write `alarms:`, and below it `- name: ...` for each"
        raise ConfigError([Finding(text, document.place("alarms"), remedy)])
    findings = [
        Finding(f"unknown key {key!r}", document.place(key), "the only key of this file is alarms:")
        for key in data
        if key != "alarms"
    ]
    alarms = []
    for index in range(len(data["alarms"])):
        try:
            config = validate(AlarmConfig, document, "alarms", index)
            alarms.append((config, document.place("alarms", index, "name")))
        except ConfigError as exc:
            findings += exc.findings
    if findings:
        raise ConfigError(findings)
    return alarms


def check_alarms(alarms: Iterable[tuple[AlarmConfig, Place]], tags: TagList) -> Iterator[Finding]:
    """Yield what is wrong with alarms, given all tags."""
    seen: dict[str, Place] = {}
    lost = 0
    for config, place in alarms:
        about = f"alarm {config.name!r}"
        if config.name in seen:
            first = seen[config.name]
            yield Finding(f"{about} is already defined at {first}", place, "give one of them another name")
        seen.setdefault(config.name, place)
        if config.tag not in tags:
            lost += 1
            remedy = tags.close_to(config.tag) if lost <= _LOOKED_FOR else NO_TAG
            yield Finding(f"{about}: there is no tag {config.tag!r}", place, remedy)
            continue
        for text, remedy in _check(config, tags[config.tag], tags):
            yield Finding(f"{about}: {text}", place, remedy)


def _check(config: AlarmConfig, tag: Tag, tags: TagList) -> Iterator[tuple[str, str]]:
    if config.kind in _LIMITS and (wrong := list(_check_scale(config, tag))):
        yield from wrong
        return
    match config.kind:
        case "high" | "low":
            yield from _check_limit(config, tag)
        case "deviation" | "rate_of_change":
            yield from _check_distance(config, tag, tags)
        case "discrete":
            yield from _check_state(config, tag)
        case "communication":
            yield from _check_link(tag, tags)
        case "expression":
            yield from _check_expression("expression", config.expression, tags)
    for key, kinds in _KEYS.items():
        if config.kind not in kinds and getattr(config, key) != AlarmConfig.model_fields[key].default:
            yield f"{key} says nothing for kind {config.kind}, only for {', '.join(kinds)}", f"remove {key}:"
    if config.suppressed_when is not None:
        yield from _check_expression("suppressed_when", config.suppressed_when, tags)


_LIMITS = ("high", "low", "deviation", "rate_of_change")
_KEYS = {
    "limit": _LIMITS,
    "deadband": _LIMITS,
    "setpoint": ("deviation",),
    "over": ("rate_of_change",),
    "state": ("discrete",),
    "expression": ("expression",),
}


def _check_scale(config: AlarmConfig, tag: Tag) -> Iterator[tuple[str, str]]:
    """Durations belong to times, and bare numbers to everything else; the time of a DT's limit is in ns."""
    instant = tag.data_type is DataType.DT and config.kind in ("high", "low")
    for key, amount in (("limit", config.limit), ("deadband", config.deadband)):
        is_span = tag.data_type in TIMES and not (instant and key == "limit")
        if not amount or is_span is isinstance(amount, Span):
            continue
        if not is_span:
            unit = f" ({tag.unit_text})" if tag.unit_text else ""
            text = f"{key} {amount} is a duration, but {tag.path} is {tag.data_type.iec}"
            yield text, f"write a number in the unit of the tag{unit}"
        else:
            text = f"{key} {amount:g} has no unit, but {tag.path} is {tag.data_type.iec}"
            yield text, f"write it like 3s or 250ms; {amount:g} ns are {Span(amount)}"


def _check_distance(config: AlarmConfig, tag: Tag, tags: TagList) -> Iterator[tuple[str, str]]:
    if tag.data_type in (DataType.BOOL, DataType.STRING):
        text = f"kind {config.kind} needs a number, but {tag.path} is {tag.data_type.iec}"
        yield text, "use kind: discrete with state:"
    if config.limit is None or config.limit <= 0:
        unit = "unit of the tag" + (" per second" if config.kind == "rate_of_change" else "")
        yield f"kind {config.kind} needs a limit above 0", f"add limit: in the {unit}"
    elif config.deadband >= config.limit:
        yield f"deadband {config.deadband:g} is not below the limit: it would never clear", "make it smaller"
    if config.kind == "deviation":
        if config.setpoint is None:
            yield "kind deviation needs a setpoint", "add setpoint: with the path of a tag"
        elif config.setpoint not in tags:
            yield f"setpoint: there is no tag {config.setpoint!r}", tags.close_to(config.setpoint)
        elif (other := tags[config.setpoint]).data_type in (DataType.BOOL, DataType.STRING):
            yield f"setpoint: {other.path} is {other.data_type.iec}", "name a tag that is a number"
        elif tag.data_type is not other.data_type and not {tag.data_type, other.data_type}.isdisjoint(TIMES):
            text = f"setpoint: {other.path} is {other.data_type.iec}, but {tag.path} is {tag.data_type.iec}"
            yield text, f"name a tag that is {tag.data_type.iec}, too"


def _check_link(tag: Tag, tags: TagList) -> Iterator[tuple[str, str]]:
    online = f"sys/drivers/{tag.device}/online" if tag.device else tag.path
    if online not in tags or tags[online].data_type is not DataType.BOOL:
        yield (
            f"kind communication: {tag.path} belongs to no driver that tells whether it is online",
            "name a tag of a device, or a BOOL such as sys/drivers/NAME/online",
        )


def _check_expression(key: str, text: str | None, tags: TagList) -> Iterator[tuple[str, str]]:
    if not text:
        yield f"{key} is missing", f"add {key}: with something like `pump/running AND tank/level_pct < 5`"
        return
    wrong = list(check_expression(text, tags))
    if not wrong and not parse_expression(text).paths:
        wrong = [(f"{text!r} reads no tag", "compare a tag with something")]
    for said, remedy in wrong:
        yield f"{key}: {said}", remedy


def _check_limit(config: AlarmConfig, tag: Tag) -> Iterator[tuple[str, str]]:
    type_, limit, high_alarm = tag.data_type, config.limit, config.kind == "high"
    if type_ in (DataType.BOOL, DataType.STRING):
        yield (
            f"kind {config.kind} needs a number, but {tag.path} is {type_.iec}",
            "use kind: discrete with state:",
        )
        return
    if limit is None:
        yield f"kind {config.kind} needs a limit", "add limit: in the unit of the tag"
        return
    least, greatest = type_.limits or (float("-inf"), float("inf"))
    low = least if tag.low is None else tag.low
    high = greatest if tag.high is None else tag.high
    if not low <= limit <= high:
        span = f"{value_text(type_, low)} to {value_text(type_, high)} {tag.unit_text}".rstrip()
        yield (
            f"limit {limit:g} is outside the range of {tag.path} ({span})",
            "correct the limit, or the range of the tag",
        )
    elif limit == (high if high_alarm else low):
        beyond = "above" if high_alarm else "below"
        yield (
            f"{tag.path} can never be {beyond} {limit:g}: that is the end of its range",
            "move the limit inside the range",
        )
    elif (limit - config.deadband < low) if high_alarm else (limit + config.deadband > high):
        yield (
            f"deadband {config.deadband:g} reaches beyond the range of {tag.path}: it would never clear",
            "make the deadband smaller",
        )


def _check_state(config: AlarmConfig, tag: Tag) -> Iterator[tuple[str, str]]:
    try:
        tag.data_type.encode(config.state)
    except (TypeError, ValueError) as exc:
        quotes = 'write a text in quotes: state: "5" in YAML, \'"""5"""\' in a CSV'
        remedy = quotes if tag.data_type is DataType.STRING else "correct state:"
        yield f"state {config.state!r} is no value of {tag.path}: {exc}", remedy
