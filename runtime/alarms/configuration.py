"""`alarms.yaml`: read it with places, and check alarms against the plant's tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from runtime.config import AlarmConfig, Section, TagList, load_yaml, validate
from runtime.contract import DataType, Tag
from runtime.errors import ConfigError, Finding, Place


class AlarmFile(Section):
    """A file of alarms: a list under the key `alarms`."""

    alarms: tuple[AlarmConfig, ...] = ()


def load_alarms(file: Path) -> list[tuple[AlarmConfig, Place]]:
    """Read the alarms of a plant folder, and where each stands.

    Raises:
        ConfigError: with everything wrong in the file.
    """
    document = load_yaml(file)
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
    for config, place in alarms:
        about = f"alarm {config.name!r}"
        if config.name in seen:
            first = seen[config.name]
            yield Finding(f"{about} is already defined at {first}", place, "give one of them another name")
        seen.setdefault(config.name, place)
        if config.tag not in tags:
            yield Finding(f"{about}: there is no tag {config.tag!r}", place, tags.close_to(config.tag))
            continue
        tag = tags[config.tag]
        check = {"high": _check_limit, "low": _check_limit, "discrete": _check_state}.get(config.kind)
        for text, remedy in check(config, tag) if check else ():
            yield Finding(f"{about}: {text}", place, remedy)


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
        span = f"{low:g} to {high:g} {tag.unit_text}".rstrip()
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
        yield f"state {config.state!r} is no value of {tag.path}: {exc}", "correct state:"
