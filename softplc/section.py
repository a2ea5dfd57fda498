"""The section `plc` of a plant file: which program runs, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from runtime.config import Basis, Declared, DurationNs, Plant, Section
from runtime.contract import Component, Stepper, Value
from runtime.errors import ConfigError, Finding, Place

if TYPE_CHECKING:
    from softplc.build import Build
    from softplc.wiring import FaultPolicy


OnFault = Literal["safe", "hold", "restart", "stop"]


class RecordConfig(Section):
    """The record of scans, for `ironworks plc replay` and `why`.

    Attributes:
        disk_limit_mib: what it may take on disk; the oldest scans make room. 0 records nothing.
        every: time between two whole images of the program's variables.
    """

    disk_limit_mib: int = Field(256, ge=0, le=1 << 20)
    every: DurationNs = Field(10_000_000_000, ge=100_000_000, le=600_000_000_000)


class PlcConfig(Section):
    """The PLC of the plant.

    Attributes:
        sources: globs of the program's files, relative to the plant folder.
        profile: the dialect of the program: iec (IEC 61131-3), or codesys.
        publish: how often outputs are taken from the scan core and become tags.
        watchdog: longest time of a scan; 0s means ten intervals of its task, at least 100 ms.
        on_fault: what becomes of a task that a fault has stopped: safe (it stands still, its outputs have
            their safe values), hold (they keep their last ones), restart (it begins anew by itself), stop
            (all tasks stop with it); for all tasks, or by name of the task, safe where none is given.
        safe: safe values by tag path; 0 or false where not given.
        cpus: processors on which alone the PLC core may run; none named: on any.
        stale_after: how long after the kernel has died inputs count as stale; the core scans on.
        alone: how long the core scans on without a kernel before it ends.
        trial: how long a changed program is left again by itself where it faults or is too slow.
        record: the record of scans.
    """

    sources: list[str] = Field(["plc/*.st"], min_length=1)
    profile: Literal["iec", "codesys"] = "iec"
    publish: DurationNs = Field(20_000_000, ge=1_000_000)
    watchdog: DurationNs = 0
    on_fault: OnFault | dict[str, OnFault] = "safe"
    safe: dict[str, Value] = Field(default_factory=dict)
    cpus: list[Annotated[int, Field(ge=0, le=1023)]] = Field(default_factory=list)
    stale_after: DurationNs = Field(1_000_000_000, ge=500_000_000)
    alone: DurationNs = Field(600_000_000_000, ge=1_000_000_000)
    trial: DurationNs = Field(3_000_000_000, ge=100_000_000, le=60_000_000_000)
    record: RecordConfig = Field(default_factory=RecordConfig)


class PlcPlugin:
    """Brings the PLC into a plant: component `plc`, or its stepper in virtual time."""

    Config = PlcConfig

    @staticmethod
    def schemas() -> dict[str, Any]:
        """Return the JSON Schema of *_test.yaml, for editors."""
        from softplc.testing.cases import Cases

        return {"test": Cases.model_json_schema()}

    def declare(self, folder: Path, root: str, config: PlcConfig) -> Declared:
        """Return the tags under `sys/plc/`, those of its tasks too, and the alarms."""
        from softplc import facts
        from softplc.build import read_sources
        from softplc.taskfacts import task_names

        try:
            sources = read_sources(folder, config.sources)
        except ConfigError:
            return facts.declare()  # `check` tells it
        return facts.declare(task_names(sources.values()))

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
        for each in build.application.warnings:
            place = Place(plant.path(each.file), each.line, each.column)
            yield Finding(f"{each.code}: {each.message}", place, each.remedy, each.severity)
        yield from _check_tasks(plant, config, key, [task.name for task in build.application.tasks])
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
        """Return the bridge; it compiles when it starts, what the sources are now: edits take an apply."""
        from softplc.bridge import Bridge, BridgeOptions
        from softplc.build import read_sources
        from softplc.core.remote import Options
        from softplc.record.recorder import RecordOptions

        options = BridgeOptions(
            publish_ns=config.publish,
            watchdog_ns=config.watchdog,
            trial_ns=config.trial,
            policy=_policy(plant, config),
            core=Options(tuple(config.cpus), config.stale_after, config.alone),
            record=RecordOptions(config.record.disk_limit_mib << 20, config.record.every),
        )
        sources = read_sources(plant.folder, config.sources)
        return [Bridge(lambda: _build(plant, config, sources), options, plant.state / "plc")]

    def steppers(self, plant: Plant, config: PlcConfig) -> Iterable[Stepper]:
        """Return the PLC that virtual time drives."""
        from softplc.stepper import PlcStepper

        return [PlcStepper(_build(plant, config), plant.tags, _policy(plant, config))]


def _build(plant: Plant, config: PlcConfig, sources: Mapping[str, str] | None = None) -> Build:
    from softplc.build import build, read_sources

    sources = read_sources(plant.folder, config.sources) if sources is None else sources
    return build(sources, plant.state / "cache" / "plc", config.profile)


def _policy(plant: Plant, config: PlcConfig) -> FaultPolicy:
    from softplc.wiring import FaultPolicy, OnFault

    safe = {plant.tags[path].path: value for path, value in config.safe.items()}
    if isinstance(config.on_fault, str):
        return FaultPolicy(OnFault(config.on_fault), safe)
    return FaultPolicy(safe=safe, tasks={n.casefold(): OnFault(each) for n, each in config.on_fault.items()})


def _check_tasks(
    plant: Plant, config: PlcConfig, key: tuple[str | int, ...], tasks: list[str]
) -> Iterator[Finding]:
    if isinstance(config.on_fault, str):
        return
    known = {name.casefold(): name for name in tasks}
    for name in config.on_fault:
        if name.casefold() not in known:
            close = get_close_matches(name.casefold(), known, 1)
            remedy = f"did you mean {known[close[0]]}?" if close else f"its tasks: {', '.join(tasks)}"
            yield Finding(
                f"on_fault: the program has no task {name!r}", plant.place(*key, "on_fault", name), remedy
            )


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
