"""What a plant file says of its machines, for the folder `Machines` of the Machinery specification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AwareDatetime, Field

from runtime.config import Plant, Section
from runtime.errors import Finding

Text = Annotated[str, Field(min_length=1, max_length=256)]


class MachineConfig(Section):
    """A machine and its nameplate.

    Attributes:
        folder: level of the tag paths that is the machine, such as `filler`.
        name: what clients see; the last part of the level by default.
        manufacturer, serial_number, product_instance_uri: what each machine has; no other in the world has
            that URI.
        manufacturer_uri, model, product_code, hardware_revision, software_revision, device_class, asset_id,
            component_name, location: as on the nameplate.
        year_of_construction, month_of_construction, initial_operation: when it was built and put to work.

    Source: OPC 40001-1, 8.
    """

    folder: Text
    name: Text | None = None
    manufacturer: Text
    serial_number: Text
    product_instance_uri: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$")]
    manufacturer_uri: Text | None = None
    model: Text | None = None
    product_code: Text | None = None
    hardware_revision: Text | None = None
    software_revision: Text | None = None
    device_class: Text | None = None
    asset_id: Text | None = None
    component_name: Text | None = None
    location: Text | None = None
    year_of_construction: Annotated[int, Field(ge=1800, le=9999)] | None = None
    month_of_construction: Annotated[int, Field(ge=1, le=12)] | None = None
    initial_operation: AwareDatetime | None = None

    @property
    def shown(self) -> str:
        """Return the name that clients see."""
        return self.name or self.folder.rstrip("/").rpartition("/")[2]


def check_machines(
    plant: Plant, machines: list[MachineConfig], expose: list[str], key: tuple[str | int, ...]
) -> Iterator[Finding]:
    """Yield machines that are nowhere, or twice there."""
    exposed = [plant.tags[id_].path for id_ in plant.tags.select(*expose).tolist()]
    seen: dict[tuple[str, str], int] = {}
    for number, each in enumerate(machines):
        place = (*key, "machines", number)
        if not any(path.startswith(f"{level_of(plant.root, each.folder, exposed)}/") for path in exposed):
            text = f"machine {each.shown}: no tag that clients see is below {each.folder!r}"
            yield Finding(text, plant.place(*place, "folder"), plant.tags.close_to(each.folder))
        for what, value in (("name", each.shown), ("product_instance_uri", each.product_instance_uri)):
            if (what, value) in seen:
                remedy = "each machine has one of its own"
                yield Finding(f"two machines have the {what} {value!r}", plant.place(*place, what), remedy)
            seen[what, value] = number


def level_of(root: str, folder: str, paths: Iterable[str]) -> str:
    """Return the whole path, without a slash at its end, of a level that may begin at the root."""
    level = folder.strip("/")
    whole = f"{root}/{level}"
    return whole if any(path.startswith(f"{whole}/") for path in paths) else level
