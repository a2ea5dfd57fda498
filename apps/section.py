"""The key `apps:` of a plant file: which apps run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.entries import entry_findings
from apps.errors import ModelError
from apps.installed import AppList, Installed, resolve
from apps.manifest import MANIFEST_FILE
from runtime.config import RESERVED, Basis, Declared, Plant, load_yaml
from runtime.contract import Component, Stepper
from runtime.errors import Finding, Place

PLANT_FILE = "plant.yaml"


class AppsPlugin:
    """Brings apps to life: a process each in wall time, steppers in virtual time."""

    Config = AppList

    def __init__(self) -> None:
        self._standing_by = False

    @contextmanager
    def standing_by(self) -> Iterator[None]:
        """Leave the apps out of virtual time: while a model is fitted, nothing runs on the old one."""
        self._standing_by = True
        try:
            yield
        finally:
            self._standing_by = False

    @staticmethod
    def schemas() -> dict[str, Any]:
        """Return the JSON Schema of app.yaml, for editors."""
        from apps.manifest import Manifest

        return {"app": Manifest.model_json_schema()}

    def declare(self, folder: Path, root: str, config: AppList) -> Declared:
        """Add what the apps produce, their figures under `sys/apps/`, and their alarms."""
        file = folder / PLANT_FILE
        document = load_yaml(file) if file.is_file() else None
        installed = resolve(folder, config.root, document)
        return Declared(
            [tag for each in installed for tag in each.tags(root)],
            [alarm for each in installed for alarm in each.manifest.alarms],
        )

    def check(self, plant: Plant, config: AppList, key: tuple[str | int, ...]) -> Iterator[Finding]:
        paths = Counter(tag.path for tag in plant.tags)
        taken = {
            *RESERVED,
            *(plant.head.model_extra or {}),
            *(str(each.get("name")) for each in plant.head.drivers),
        }
        cpu = 0.0
        for index, installed in self._installed(plant, config):
            place = plant.place(*key, index)
            manifest = installed.manifest
            if installed.name in taken:
                text = f"the name {installed.name!r} is already used"
                yield Finding(text, place, "give the app another with name:")
            for product in manifest.produces:
                path = f"{plant.root}/{product.path}"
                if paths[path] > 1:
                    text = f"{installed.name} produces {product.path}, which is defined already"
                    yield Finding(text, plant.place_of(plant.tags[path]), "one of the two must go")
            for pattern in manifest.permissions.reads:
                if not len(plant.tags.select(pattern)):
                    text = f"{installed.name} reads {pattern!r}, and no tag matches"
                    yield Finding(text, place, plant.tags.close_to(pattern))
            yield from _check_code(installed)
            if installed.model is not None and not self._standing_by:
                yield from _check_model(installed.model, installed.name, place)
            cpu += manifest.budget.cpu
        if cpu > 1:
            text = f"the apps ask for {cpu:.2f} cores together; there is one for them"
            yield Finding(text, plant.place(*key), "take one out, or lower budget.cpu in its app.yaml")

    def basis(self, plant: Plant, config: AppList) -> Mapping[str, Basis]:
        """Each app by itself: its entry, the files of its folder, and the tags that it reads and produces."""
        parts = {}
        for index, installed in self._installed(plant, config):
            wanted = plant.tags.select(*installed.manifest.permissions.reads).tolist()
            tags = [plant.tags[id_] for id_ in wanted]
            tags += [tag for tag in plant.tags if tag.source == installed.name]
            folders = {installed.folder, installed.model or installed.folder}
            files = [file for folder in folders for file in folder.rglob("*") if _counts(file)]
            entry = config.root[index].model_dump(mode="json")
            parts[installed.name] = Basis(tags, files=files, config=entry)
        return parts

    def build(self, plant: Plant, config: AppList) -> Iterable[Component]:
        from apps.runner.host import AppHost

        return [AppHost(installed, plant) for _, installed in self._installed(plant, config)]

    def steppers(self, plant: Plant, config: AppList) -> Iterable[Stepper]:
        """Return the apps that virtual time drives; one whose model is not made yet stays out."""
        from apps.models.registry import CARD_FILE
        from apps.runner.stepper import AppStepper

        if self._standing_by:
            return []
        return [
            AppStepper(installed, plant)
            for _, installed in self._installed(plant, config)
            if installed.model is None or (installed.model / CARD_FILE).is_file()
        ]

    @staticmethod
    def _installed(plant: Plant, config: AppList) -> Iterator[tuple[int, Installed]]:
        indices = [index for index, entry in enumerate(config.root) if entry.enabled]
        return zip(indices, resolve(plant.folder, config.root, plant.document), strict=True)


def _counts(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def _check_code(installed: Installed) -> Iterator[Finding]:
    document = load_yaml(installed.folder / MANIFEST_FILE)
    yield from entry_findings(installed.folder, installed.manifest.entry, document.place("entry"))
    if installed.manifest.fit:
        yield from entry_findings(installed.folder, installed.manifest.fit, document.place("fit"))


def _check_model(folder: Path, name: str, place: Place) -> Iterator[Finding]:
    from apps.models.registry import check_files

    try:
        if not check_files(folder):
            remedy = f"make one: ironworks app fit {name}"
            yield Finding(f"{name} has no model yet and does nothing", place, remedy, "warning")
    except ModelError as exc:
        yield Finding(exc.text, place, exc.remedy)


plugin = AppsPlugin()
