"""Load twin.yaml and check everything that can be told without tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from runtime.config import Document, load_yaml, validate
from runtime.errors import ConfigError, Finding
from twin.model.equipment import KINDS, EquipmentModel, TwinModel


def load_twin(file: Path) -> tuple[TwinModel, Document]:
    """Load a plant model.

    Raises:
        ConfigError: with every finding, by line and column.
    """
    document = load_yaml(file)
    findings = list(_equipment_findings(document))
    if findings:
        raise ConfigError(findings)
    model = validate(TwinModel, document)
    findings = list(_reference_findings(model, document))
    if findings:
        raise ConfigError(findings)
    return model, document


def did_you_mean(name: str, known: Iterable[str], what: str) -> str:
    """Return a remedy for an unknown name."""
    names = list(known)
    close = get_close_matches(name, names, 1, 0.5)
    return f"did you mean {close[0]!r}?" if close else f"{what}: {', '.join(names) or 'none'}"


def _equipment_findings(document: Document) -> Iterator[Finding]:
    """Check each equipment against the model of its own kind, so that remedies name its own keys."""
    data = document.data
    if not isinstance(data, dict):
        yield Finding("a plant model is a mapping", document.place(), "begin with `equipment:`")
        return
    equipment = data.get("equipment")
    if not isinstance(equipment, dict):
        if "equipment" in data:
            place = document.place("equipment")
            yield Finding(
                "equipment is a mapping of names", place, "write `equipment:` and below it `filler:`"
            )
        return
    for name, entry in equipment.items():
        place = document.place("equipment", name)
        if not isinstance(entry, dict):
            yield Finding(f"{name!r} is not described", place, "give it at least `kind:`")
            continue
        kind = entry.get("kind")
        if kind is None:
            yield Finding(f"{name!r} has no kind", place, f"add `kind:`, one of {', '.join(KINDS)}")
        elif not isinstance(kind, str) or kind not in KINDS:
            place = document.place("equipment", name, "kind")
            yield Finding(f"unknown kind {kind!r}", place, did_you_mean(str(kind), KINDS, "kinds"))
        else:
            try:
                validate(KINDS[kind], document, "equipment", name)
            except ConfigError as exc:
                yield from exc.findings


def _reference_findings(model: TwinModel, document: Document) -> Iterator[Finding]:
    for name, entry in model.equipment.items():
        yield from _link_findings(model, document, name, entry)
        signals = entry.all_signals()
        for signal in entry.signals:
            if signal not in signals:
                place = document.place("equipment", name, "signals", signal)
                text = f"{name} ({entry.kind}) has no signal {signal!r}"
                yield Finding(text, place, did_you_mean(signal, signals, "its signals"))
        for fault, fault_model in entry.faults.items():
            if fault_model.stops and "fault" not in signals:
                place = document.place("equipment", name, "faults", fault, "stops")
                yield Finding(f"{name} ({entry.kind}) has no drive to stop", place, "use effects or stuck")
            for effect in fault_model.effects:
                if effect not in entry.all_effects():
                    place = document.place("equipment", name, "faults", fault, "effects", effect)
                    text = f"{name} ({entry.kind}) has nothing named {effect!r} that a fault could act on"
                    yield Finding(text, place, did_you_mean(effect, entry.all_effects(), "it has"))
            readings = [each for each, signal in signals.items() if not signal.command]
            for index, signal in enumerate(fault_model.stuck):
                if signal not in readings:
                    place = document.place("equipment", name, "faults", fault, "stuck", index)
                    text = f"{name} ({entry.kind}) has no reading {signal!r}"
                    yield Finding(text, place, did_you_mean(signal, readings, "its readings"))
    yield from _loop_findings(model, document)


def _link_findings(
    model: TwinModel, document: Document, name: str, entry: EquipmentModel
) -> Iterator[Finding]:
    links = [((key,), getattr(entry, key), kinds) for key, kinds in entry.references().items()]
    uses = getattr(entry, "uses", None)
    if uses is not None:
        links.append((("uses", "tank"), uses.tank, ("tank",)))  # type: ignore[arg-type]
    for key, target, kinds in links:
        if target is None:
            continue
        place = document.place("equipment", name, *key)
        fitting = [each for each, other in model.equipment.items() if other.kind in kinds and each != name]
        if target not in model.equipment:
            yield Finding(
                f"there is no equipment {target!r}", place, did_you_mean(target, fitting, "it could be")
            )
        elif target not in fitting:
            kind = model.equipment[target].kind
            text = f"{key[-1]} cannot be {target!r}, which is a {kind}"
            yield Finding(text, place, f"name a {' or '.join(kinds)}")


def _loop_findings(model: TwinModel, document: Document) -> Iterator[Finding]:
    for name in model.equipment:
        seen = [name]
        following = getattr(model.equipment[name], "next", None)
        while following in model.equipment and following not in seen:
            seen.append(following)
            following = getattr(model.equipment[following], "next", None)
        if following == name:
            place = document.place("equipment", name, "next")
            yield Finding(
                f"the flow runs in a circle: {' -> '.join([*seen, name])}", place, "lead it to a sink"
            )
            return
