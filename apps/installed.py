"""Apps of a plant: from the list in the plant file to folder, manifest, parameters and tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, RootModel

from apps.manifest import MANIFEST_FILE, Manifest, ParameterError, load_manifest
from apps.sdk import Parameters
from runtime.config import Document, Name, Section
from runtime.contract import DataType, Tag
from runtime.errors import ConfigError, Finding

CATALOG = Path(__file__).parent / "catalog"
FIGURES = (
    ("steps", DataType.UDINT, "1", "Steps done", "已执行步数"),
    ("deadline_misses", DataType.UDINT, "1", "Steps later than their deadline", "超时步数"),
    ("cpu_pct", DataType.REAL, "%", "Share of one core", "单核占用率"),
    ("memory_mib", DataType.REAL, "MiBy", "Resident memory", "常驻内存"),
)


class AppEntry(Section):
    """An app that this plant uses.

    Attributes:
        app: name in the catalogue, or a folder with an app.yaml, relative to the plant folder.
        name: name in this plant; the app's own without it.
    """

    app: str
    name: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    enabled: bool = True


class AppList(RootModel[list[AppEntry]]):
    """The key `apps:` of a plant file."""


@dataclass(frozen=True)
class Installed:
    """An app in a plant.

    Attributes:
        folder: where its code and manifest are.
        model: folder of its model; it may not be there yet.
    """

    name: str
    folder: Path
    manifest: Manifest
    parameters: Parameters
    model: Path | None

    def tags(self, root: str) -> Iterator[Tag]:
        """Yield the tags that the app is the source of: its products and figures."""
        for product in self.manifest.produces:
            yield Tag(
                path=f"{root}/{product.path}",
                data_type=product.data_type,
                unit=product.unit,
                unit_text=product.unit_text or product.unit,
                low=product.low,
                high=product.high,
                description=product.description.en,
                description_zh=product.description.zh,
                source=self.name,
                deadband=product.deadband,
                retention=product.retention,
            )
        for name, data_type, unit, text, text_zh in FIGURES:
            yield Tag(
                path=f"sys/apps/{self.name}/{name}",
                data_type=data_type,
                unit=unit,
                unit_text={"1": "", "MiBy": "MiB"}.get(unit, unit),
                description=f"{self.name}: {text}",
                description_zh=f"{self.name}：{text_zh}",
                source=self.name,
                retention="short",
            )


def catalog() -> list[str]:
    """Return the names of the apps that ship with Ironworks."""
    return sorted(file.parent.name for file in CATALOG.glob(f"*/{MANIFEST_FILE}"))


def resolve(
    folder: Path,
    entries: Sequence[AppEntry],
    document: Document | None,
    key: tuple[str | int, ...] = ("apps",),
) -> list[Installed]:
    """Return the enabled apps of a plant folder.

    Args:
        folder: the plant folder.
        entries: the list in the plant file.
        document: the plant file, for places.
        key: where the list stands in it.

    Raises:
        ConfigError: with everything wrong in the list and the manifests it names.
    """
    document = document or Document(folder / "plant.yaml", {})
    findings: list[Finding] = []
    found: list[Installed] = []
    for index, entry in enumerate(entries):
        where = (*key, index)
        if not entry.enabled:
            continue
        try:
            app_folder = _folder(folder, entry.app)
            manifest, parameters = load_manifest(app_folder, entry.parameters)
        except LookupError as exc:
            findings.append(Finding(str(exc.args[0]), document.place(*where, "app"), exc.args[1]))
            continue
        except ParameterError as exc:
            place = document.place(*where, "parameters", exc.parameter)
            findings.append(Finding(f"{entry.app}: {exc.text}", place, exc.remedy))
            continue
        except ConfigError as exc:
            findings += exc.findings
            continue
        name = entry.name or manifest.name
        if name in {each.name for each in found}:
            text = f"the name {name!r} is already used by another app"
            findings.append(Finding(text, document.place(*where), "give it another with name:"))
        model = folder / "apps" / name / "model" if manifest.model else None
        found.append(Installed(name, app_folder, manifest, parameters, model))
    if findings:
        raise ConfigError(findings)
    return found


def _folder(plant_folder: Path, app: str) -> Path:
    """Return where an app is; LookupError with text and remedy where there is none."""
    if "/" in app or app.startswith("."):
        folder = (plant_folder / app).resolve()
        try:
            there = (folder / MANIFEST_FILE).is_file()
        except OSError as exc:
            remedy = "check the owner of the folder and its rights"
            raise LookupError(f"{folder} cannot be read: {exc.strerror}", remedy) from exc
        if not there:
            raise LookupError(f"no {MANIFEST_FILE} in {folder}", "name the folder that holds one")
        return folder
    known = catalog()
    if app not in known:
        close = get_close_matches(app, known, 1)
        remedy = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
        own = "a folder of your own is written ./apps/NAME"
        raise LookupError(f"no app is named {app!r}", f"{remedy}; {own}")
    return CATALOG / app
