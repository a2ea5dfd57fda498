"""The machines of a plant after the Machinery specification: where they are found, and what they are.

Source: OPC 40001-1, 7 and 8; its types in `nodesets.standard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from drivers.opcua.machines import MachineConfig, level_of
from drivers.opcua.model import DEVICES, MACHINERY, MODEL, TAGS
from drivers.opcua.parts import ORGANIZES, Built
from runtime.contract import Tag

_T = ua.VariantType
MACHINES = ua.NodeId(1001, MACHINERY)
_IDENTIFICATION = ua.NodeId(1012, MACHINERY)
_OBJECT, _ADD_IN = ua.NodeId(ua.ObjectIds.BaseObjectType), ua.NodeId(ua.ObjectIds.HasAddIn)
# Property by key of the plant file: its type, and the namespace of its name.
_PROPERTIES: dict[str, tuple[str, Any, int]] = {
    "manufacturer": ("Manufacturer", _T.LocalizedText, DEVICES),
    "serial_number": ("SerialNumber", _T.String, DEVICES),
    "product_instance_uri": ("ProductInstanceUri", _T.String, DEVICES),
    "manufacturer_uri": ("ManufacturerUri", _T.String, DEVICES),
    "model": ("Model", _T.LocalizedText, DEVICES),
    "product_code": ("ProductCode", _T.String, DEVICES),
    "hardware_revision": ("HardwareRevision", _T.String, DEVICES),
    "software_revision": ("SoftwareRevision", _T.String, DEVICES),
    "device_class": ("DeviceClass", _T.String, DEVICES),
    "asset_id": ("AssetId", _T.String, DEVICES),
    "component_name": ("ComponentName", _T.LocalizedText, DEVICES),
    "location": ("Location", _T.String, MACHINERY),
    "year_of_construction": ("YearOfConstruction", _T.UInt16, MACHINERY),
    "month_of_construction": ("MonthOfConstruction", _T.Byte, MACHINERY),
    "initial_operation": ("InitialOperationDate", _T.DateTime, MACHINERY),
}


def add_machines(built: Built, machines: Sequence[MachineConfig], root: str, tags: Sequence[Tag]) -> None:
    """Add each machine with its identification; its tags are where they are, one reference away."""
    paths = [tag.path for tag in tags]
    for machine in machines:
        key = f"machines/{machine.shown}"
        owner = built.object(key, machine.shown, _OBJECT, MACHINES, MODEL, ORGANIZES)
        made = built.object(
            f"{key}/Identification", "Identification", _IDENTIFICATION, owner, DEVICES, _ADD_IN
        )
        for name, (shown, kind, space) in _PROPERTIES.items():
            value = getattr(machine, name)
            if value is not None:
                held = ua.LocalizedText(value) if kind is _T.LocalizedText else value
                built.property(made, shown, held, kind, space)
        built.join(owner, ORGANIZES, ua.NodeId(f"{level_of(root, machine.folder, paths)}/", TAGS))
