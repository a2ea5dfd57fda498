"""The section `plc` of a plant file: which program runs, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from runtime.config import Basis, Declared, DurationNs, Plant, Section
from runtime.contract import Component, Stepper, Value
from runtime.errors import Finding, Place

if TYPE_CHECKING:
    from softplc.build import Build
    from softplc.diagnostics import Diagnostic
    from softplc.wiring import FaultPolicy


class PlcConfig(Section):
    """The PLC of the plant.

    Attributes:
        sources: globs of the program's files, relative to the plant folder.
        profile: the dialect of the program: iec (IEC 61131-3), or codesys.
        publish: how often outputs are taken from the scan core and become tags.
        watchdog: longest time of a scan; 0s means ten intervals of its task, at least 100 ms.
        on_fault: what the outputs of a task that a fault has stopped become: safe values or what they were.
        safe: safe values by tag path; 0 or false where not given.
        cpus: processors on which alone the PLC core may run; none named: on any.
        stale_after: how long after the kernel has died inputs count as stale; the core scans on.
        alone: how long the core scans on without a kernel before it ends.
        trial: how long a changed program is left again by itself where it faults or is too slow.
    """

    sources: list[str] = Field(["plc/*.st"], min_length=1)
    profile: Literal["iec", "codesys"] = "iec"
    publish: DurationNs = Field(20_000_000, ge=1_000_000)
    watchdog: DurationNs = 0
    on_fault: Literal["safe", "hold"] = "safe"
    safe: dict[str, Value] = Field(default_factory=dict)
    cpus: list[Annotated[int, Field(ge=0, le=1023)]] = Field(default_factory=list)
    stale_after: DurationNs = Field(1_000_000_000, ge=500_000_000)
    alone: DurationNs = Field(600_000_000_000, ge=1_000_000_000)
    trial: DurationNs = Field(3_000_000_000, ge=100_000_000, le=60_000_000_000)


class PlcPlugin:
    """Brings the PLC into a plant: component `plc`, or its stepper in virtual time."""

    Config = PlcConfig

    @staticmethod
    def schemas() -> dict[str, Any]:
        """Return the JSON Schema of *_test.yaml, for editors."""
        from softplc.testing.cases import Cases

        return {"test": Cases.model_json_schema()}

    def declare(self, folder: Path, root: str, config: PlcConfig) -> Declared:
        """Return the tags under `sys/plc/` and the alarm on a fault."""
        from softplc import facts

        return facts.declare()

    def check(self, plant: Plant, config: PlcConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        """Compile the program and bind every tag to it."""
        from softplc.diagnostics import CompileError
        from softplc.wiring import wire

        yield from _check_safe(plant, config, key)
        try:
            build = _build(plant, config)
        except CompileError as exc:
            for each in exc.diagnostics:
                place = Place(plant.path(each.file), each.line, each.column)
                yield Finding(f"{each.code}: {each.message}", place, each.remedy, each.severity)
            return
        for each in _warnings(plant, config):
            place = Place(plant.path(each.file), each.line, each.column)
            yield Finding(f"{each.code}: {each.message}", place, each.remedy, each.severity)
        for problem in wire(plant.tags, build.application).problems:
            text = f"{problem.tag.path}: {problem.text}"
            yield Finding(text, plant.place_of(problem.tag), problem.remedy, problem.severity)

    def basis(self, plant: Plant, config: PlcConfig) -> Mapping[str, Basis]:
        """The program, and the tags that it is bound to."""
        from softplc.build import read_sources
        from softplc.facts import OWNER

        bound = [tag for tag in plant.tags if tag.variable or tag.source == OWNER]
        files = [plant.path(name) for name in read_sources(plant.folder, config.sources)]
        return {OWNER: Basis(bound, files=files, adapts=("tag", "file"))}

    def build(self, plant: Plant, config: PlcConfig) -> Iterable[Component]:
        """Return the bridge; it compiles when it starts."""
        from softplc.bridge import Bridge, BridgeOptions
        from softplc.core.remote import Options

        options = BridgeOptions(
            publish_ns=config.publish,
            watchdog_ns=config.watchdog,
            trial_ns=config.trial,
            policy=_policy(plant, config),
            core=Options(tuple(config.cpus), config.stale_after, config.alone),
        )
        return [Bridge(lambda: _build(plant, config), options, plant.state / "plc")]

    def steppers(self, plant: Plant, config: PlcConfig) -> Iterable[Stepper]:
        """Return the PLC that virtual time drives."""
        from softplc.stepper import PlcStepper

        return [PlcStepper(_build(plant, config), plant.tags, _policy(plant, config))]


def _build(plant: Plant, config: PlcConfig) -> Build:
    from softplc.build import build, read_sources

    return build(read_sources(plant.folder, config.sources), plant.state / "cache" / "plc", config.profile)


def _warnings(plant: Plant, config: PlcConfig) -> list[Diagnostic]:
    """Return what a program that compiles is warned of: a build out of the cache has forgotten it."""
    import softplc
    from softplc.build import read_sources

    return softplc.check(sources=read_sources(plant.folder, config.sources), profile=config.profile)


def _policy(plant: Plant, config: PlcConfig) -> FaultPolicy:
    from softplc.wiring import FaultPolicy

    safe = {plant.tags[path].path: value for path, value in config.safe.items()}
    return FaultPolicy(config.on_fault == "hold", safe)


def _check_safe(plant: Plant, config: PlcConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
    from softplc.facts import OWNER

    for path, value in config.safe.items():
        place = plant.place(*key, "safe", path)
        if path not in plant.tags:
            yield Finding(f"safe: unknown tag {path!r}", place, plant.tags.close_to(path))
            continue
        tag = plant.tags[path]
        if tag.source != OWNER:
            remedy = "safe values are for tags whose source is plc"
            yield Finding(f"safe: {path} comes from {tag.source}, not from the PLC", place, remedy)
            continue
        try:
            tag.data_type.encode(value)
        except (TypeError, ValueError) as exc:
            yield Finding(f"safe: {path}: {exc}", place, f"give a value of {tag.data_type.iec}")


plugin = PlcPlugin()
