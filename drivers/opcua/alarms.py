"""Alarms as OPC UA nodes: one object an alarm that was heard of, and the method `Acknowledge`."""

from __future__ import annotations

from typing import Any

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from drivers.opcua.model import EXTRAS, held, link, make_node, make_variable
from drivers.opcua.values import moment
from runtime.contract import Actor, Event, Port
from runtime.errors import ForbiddenError, PlantError

_IDS = ua.ObjectIds
_T = ua.VariantType
_CODES = ua.StatusCodes
_TEXTS = {"State": "state", "Priority": "priority", "Tag": "tag"}
_FLAGS = {"Active": "active", "Acknowledged": "acknowledged"}
FOLDER = ua.NodeId("Alarms", EXTRAS)
ACKNOWLEDGE = ua.NodeId("Acknowledge", EXTRAS)


class Alarms:
    """The folder `Alarms` of a plant, fed by `alarm.*` events; starts empty."""

    def __init__(self, space: AddressSpace, plant: NodeData) -> None:
        self._space = space
        self._folder = make_node(FOLDER, ua.NodeClass.Object, "Alarms", _IDS.FolderType)
        link(plant, self._folder, _IDS.Organizes, _IDS.FolderType)
        space[FOLDER] = self._folder
        self._known: set[str] = set()
        self._add_method()

    def _add_method(self) -> None:
        method = make_node(
            ACKNOWLEDGE, ua.NodeClass.Method, "Acknowledge", description="Acknowledge an alarm."
        )
        yes = held(True, _T.Boolean)
        method.attributes |= {ua.AttributeIds.Executable: yes, ua.AttributeIds.UserExecutable: yes}
        arguments = [
            ua.Argument("Alarm", ua.NodeId(_IDS.String), -1, [], ua.LocalizedText("Name of the alarm")),
            ua.Argument("Comment", ua.NodeId(_IDS.LocalizedText), -1, [], ua.LocalizedText("Why, or empty")),
        ]
        inputs = make_variable(
            ua.NodeId("Acknowledge/InputArguments", EXTRAS),
            "InputArguments",
            ua.NodeId(_IDS.Argument),
            held(arguments, _T.ExtensionObject),
            _IDS.PropertyType,
            rank=1,
        )
        inputs.attributes[ua.AttributeIds.BrowseName] = held(
            ua.QualifiedName("InputArguments", 0), _T.QualifiedName
        )
        link(method, inputs, _IDS.HasProperty, _IDS.PropertyType)
        link(self._folder, method, _IDS.HasComponent)
        self._space[ACKNOWLEDGE], self._space[inputs.nodeid] = method, inputs

    async def take(self, event: Event) -> None:
        """Show what an event says of its alarm."""
        alarm = event.data["alarm"]
        name = alarm["name"]
        if name not in self._known:
            self._add(name)
        text = alarm.get("text") or {}
        values = {each: ua.Variant(str(alarm[key]), _T.String) for each, key in _TEXTS.items()}
        values |= {each: ua.Variant(bool(alarm[key]), _T.Boolean) for each, key in _FLAGS.items()}
        values["Text"] = ua.Variant(ua.LocalizedText(text.get("en", ""), "en"), _T.LocalizedText)
        for each, variant in values.items():
            value = ua.DataValue(
                variant, SourceTimestamp=moment(event.at_ns), ServerTimestamp=moment(event.at_ns)
            )
            node = ua.NodeId(f"Alarms/{name}/{each}", EXTRAS)
            await self._space.write_attribute_value(node, ua.AttributeIds.Value, value)

    def _add(self, name: str) -> None:
        self._known.add(name)
        alarm = make_node(ua.NodeId(f"Alarms/{name}", EXTRAS), ua.NodeClass.Object, name, _IDS.BaseObjectType)
        types = dict.fromkeys(_TEXTS, _IDS.String) | dict.fromkeys(_FLAGS, _IDS.Boolean)
        for each, type_ in (types | {"Text": _IDS.LocalizedText}).items():
            waiting = ua.DataValue(StatusCode=ua.StatusCode(_CODES.BadWaitingForInitialData))
            node_id = ua.NodeId(f"Alarms/{name}/{each}", EXTRAS)
            variable = make_variable(node_id, each, ua.NodeId(type_), AttributeValue(waiting))
            link(alarm, variable, _IDS.HasComponent, _IDS.BaseDataVariableType)
            self._space[node_id] = variable
        link(self._folder, alarm, _IDS.HasComponent, _IDS.BaseObjectType)
        self._space[alarm.nodeid] = alarm

    async def acknowledge(self, request: Any, actor: Actor, port: Port) -> Any:
        """Carry out a call of `Acknowledge`. Source: OPC 10000-4, 5.12.2 Call."""
        result = ua.CallMethodResult()
        arguments = request.InputArguments or []
        if request.ObjectId != FOLDER:
            result.StatusCode = ua.StatusCode(_CODES.BadMethodInvalid)
        elif len(arguments) != 2:
            short = len(arguments) < 2
            result.StatusCode = ua.StatusCode(
                _CODES.BadArgumentsMissing if short else _CODES.BadTooManyArguments
            )
        else:
            name, comment = (_words(each) for each in arguments)
            checks = [_CODES.BadTypeMismatch if each is None else _CODES.Good for each in (name, comment)]
            if name is None or comment is None:
                result.StatusCode = ua.StatusCode(_CODES.BadInvalidArgument)
                result.InputArgumentResults = [ua.StatusCode(each) for each in checks]
            else:
                result.StatusCode = ua.StatusCode(await self._acknowledge(name, comment, actor, port))
        return result

    async def _acknowledge(self, name: str, comment: str, actor: Actor, port: Port) -> int:
        try:
            await port.acknowledge(name, actor, comment)
        except ForbiddenError:
            return int(_CODES.BadUserAccessDenied)
        except PlantError:
            return int(_CODES.BadInvalidState if name in self._known else _CODES.BadNotFound)
        return int(_CODES.Good)


def _words(variant: Any) -> str | None:
    """Return the text of a String or LocalizedText argument; None if it is neither."""
    if variant.is_array or variant.VariantType not in (_T.String, _T.LocalizedText):
        return None
    value = variant.Value
    return str((value.Text if variant.VariantType == _T.LocalizedText and value else value) or "")
