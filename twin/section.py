"""The key `twin:` of a plant file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from runtime.config import Basis, Declared, Document, FileName, Plant, Section, load_yaml
from runtime.contract import Component, Stepper, Tag
from runtime.errors import ConfigError, Finding

if TYPE_CHECKING:
    from twin.binding import Side
    from twin.model import TwinModel
    from twin.stepper import TwinStepper


class TwinConfig(Section):
    """The twin of the plant.

    Attributes:
        model: the plant model.
        rack: plant file of the process that plays the model in place of the field; without it the
            model plays in this process.
        seed: goes before the model's own.
        speed: plant seconds per second of wall time; virtual time ignores it.
    """

    model: FileName = "twin.yaml"
    rack: FileName | None = None
    seed: int | None = None
    speed: float = Field(1.0, gt=0, le=100)


class TwinPlugin:
    """Brings the twin to life: in wall time, as a rack beside the plant, or in virtual time."""

    Config = TwinConfig

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[tuple[int, int], tuple[TwinModel, Document]]] = {}

    @staticmethod
    def schemas() -> dict[str, Any]:
        """Return the JSON Schema of twin.yaml, for editors."""
        from twin.model import TwinModel

        return {"twin": TwinModel.model_json_schema()}

    def declare(self, folder: Path, root: str, config: TwinConfig) -> Declared:
        """Add one tag a fault; in a plant with a rack it is forwarded there."""
        from twin.faults import fault_tags

        model, _ = self._model(folder / config.model)
        return Declared(tuple(fault_tags(model, "rack" if config.rack else "twin")))

    def check(self, plant: Plant, config: TwinConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        from twin.binding import check_bindings

        if config.rack:
            yield from self._check_rack(plant, config, key)
        try:
            side = self._side(plant, config)
        except ConfigError:
            return
        model, document = self._model(plant.path(config.model))
        yield from check_bindings(plant, model, document, side)

    def plants(self, config: TwinConfig) -> Iterator[str]:
        """Yield the rack's plant file, so that it is checked with the plant."""
        if config.rack:
            yield config.rack

    def basis(self, plant: Plant, config: TwinConfig) -> Mapping[str, Basis]:
        """The model with the tags that it is bound to; a rack plays all tags of its device."""
        from twin.binding import bind

        model, _ = self._model(plant.path(config.model))
        side = self._side(plant, config)
        faults = self._faults(plant)
        if config.rack:
            mirrored = [tag for tag in plant.tags if tag.device == side.device]
            files = [plant.path(config.model), plant.path(config.rack)]
            return {"rack": Basis([*faults, *mirrored], files=files)}
        bound = [binding.tag for binding in bind(model, plant.tags, side)]
        return {"twin": Basis([*faults, *bound], files=[plant.path(config.model)])}

    def build(self, plant: Plant, config: TwinConfig) -> Iterator[Component]:
        from twin.player import Player
        from twin.rack import Rack

        if config.rack:
            yield Rack(plant.path(config.rack), self._faults(plant), plant.applied)
        else:
            yield Player(self._stepper(plant, config, config.speed))

    def steppers(self, plant: Plant, config: TwinConfig) -> Iterator[Stepper]:
        yield self._stepper(plant, config, 1.0)

    def _stepper(self, plant: Plant, config: TwinConfig, speed: float) -> TwinStepper:
        from twin.binding import bind
        from twin.stepper import TwinStepper

        model, _ = self._model(plant.path(config.model))
        if config.seed is not None:
            model = model.model_copy(update={"seed": config.seed})
        bindings = bind(model, plant.tags, self._side(plant, config))
        return TwinStepper(model, bindings, self._faults(plant), speed)

    @staticmethod
    def _faults(plant: Plant) -> list[Tag]:
        from twin.faults import PREFIX

        return [tag for tag in plant.tags if tag.path.startswith(PREFIX)]

    def _model(self, file: Path) -> tuple[TwinModel, Document]:
        """Load the model, once as long as the file stays the same."""
        from twin.model import load_twin

        try:
            status = file.stat()
        except (OSError, ValueError):
            return load_twin(file)
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._loaded.get(file)
        if known is None or known[0] != stamp:
            known = (stamp, load_twin(file))
            self._loaded[file] = known
        return known[1]

    @staticmethod
    def _side(plant: Plant, config: TwinConfig) -> Side:
        from twin.binding import Side

        if plant.head.rack:
            return Side("twin", plant.head.rack)
        if config.rack:
            device = str(_rack_keys(load_yaml(plant.path(config.rack))).get("rack", ""))
            return Side(device, device)
        return Side("twin", None)

    @staticmethod
    def _check_rack(plant: Plant, config: TwinConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        try:
            document = load_yaml(plant.path(config.rack or ""))
        except ConfigError as exc:
            yield from exc.findings
            return
        data = _rack_keys(document)
        drivers = [each.get("name") for each in plant.head.drivers]
        if "rack" not in data:
            remedy = "add `rack:` with the name of the driver that it answers"
            yield Finding(
                "the rack's plant file does not say which device it plays", document.place(), remedy
            )
        elif data["rack"] not in drivers:
            text = f"no driver of {plant.file.name} is named {data['rack']!r}"
            yield Finding(text, document.place("rack"), f"there are: {', '.join(map(str, drivers))}")


def _rack_keys(document: Document) -> dict[str, Any]:
    return document.data if isinstance(document.data, dict) else {}


plugin = TwinPlugin()
