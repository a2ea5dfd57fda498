"""Methods: a write to a tag calls one; what it gives back is kept by tags of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncua import ua

from drivers.opcua.client.address import Address, Point
from drivers.opcua.client.session import Session, fitting, read_id, status_name
from drivers.opcua.client.values import UnfitError, said, to_variant
from drivers.opcua.client.wiretypes import WireTypes
from runtime.contract import Batch, DataType, Port, Quality, Value

MAX_TEXT = 65_536
_EXAMPLE = 'write a JSON list, such as [3, "Pump", true]'
_UNKNOWN = frozenset({ua.VariantType.ExtensionObject, ua.VariantType.ByteString, None})


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a method; `wire` is the built-in type."""

    name: str
    wire: Any
    is_array: bool


class Calls:
    """Calls over one connection; knows the arguments of the server's methods."""

    def __init__(self, session: Session, types: WireTypes) -> None:
        self._session = session
        self._types = types
        self._known: dict[tuple[Any, str], list[Argument]] = {}

    async def call(self, point: Point, value: Value) -> tuple[str, dict[str | int, Any]]:
        """Call a method; return why it was not done, or nothing, and what it gave back by number and name.

        A method without an argument takes TRUE, one with one its value, one with more a text: a JSON list.
        """
        address = point.address
        assert address.method is not None
        node, method = self._session.node_id(address.node), self._session.node_id(address.method)
        if node is None or method is None:
            return "the server has no such namespace", {}
        try:
            arguments = _arguments(point, value, await self._arguments(method, "InputArguments"))
        except UnfitError as exc:
            return str(exc), {}
        request = ua.CallRequest()
        request.Parameters.MethodsToCall = [ua.CallMethodRequest(node, method, arguments)]
        answer = await self._session.ask(request, ua.CallResponse)
        (result,) = fitting(answer.Results, [None])
        code = result.StatusCode.value
        if code >> 31:
            return f"the server refuses: {status_name(code)}", {}
        given = result.OutputArguments or []
        named = await self._arguments(method, "OutputArguments") if given else []
        outputs: dict[str | int, Any] = dict(enumerate(given))
        return "", outputs | {each.name: one for each, one in zip(named, given, strict=False)}

    async def _arguments(self, method: Any, which: str) -> list[Argument]:
        if (method, which) not in self._known:
            request = ua.TranslateBrowsePathsToNodeIdsRequest()
            element = ua.RelativePathElement(
                ua.NodeId(ua.ObjectIds.HasProperty), False, True, ua.QualifiedName(which, 0)
            )
            request.Parameters.BrowsePaths = [ua.BrowsePath(method, ua.RelativePath([element]))]
            answer = await self._session.ask(request, ua.TranslateBrowsePathsToNodeIdsResponse)
            (found,) = fitting(answer.Results, [None])
            listed: list[Any] = []
            if found.StatusCode.value >> 31 == 0 and found.Targets:
                (data,) = await self._session.read([read_id(found.Targets[0].TargetId)])
                listed = (data.Value.Value if data.Value is not None else None) or []
            self._known[method, which] = [
                Argument(each.Name or "", await self._types.builtin(each.DataType), each.ValueRank >= 0)
                for each in listed
            ]
        return self._known[method, which]


def _arguments(point: Point, value: Value, wanted: Sequence[Argument]) -> list[Any]:
    """Return what a method is called with.

    Raises:
        UnfitError: the value is not what it takes.
    """
    if not wanted:
        if value is not True:
            raise UnfitError("the method takes no argument: write TRUE to call it")
        return []
    if len(wanted) == 1 and not wanted[0].is_array:
        return [to_variant(point.tag.data_type, value, wanted[0].wire)]
    names = ", ".join(each.name or "unnamed" for each in wanted)
    if not isinstance(value, str):
        text = f"the method takes {len(wanted)} arguments ({names}): give the tag the type STRING"
        raise UnfitError(f"{text}, and {_EXAMPLE}")
    try:
        given = json.loads(value) if len(value) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or len(given) != len(wanted):
        raise UnfitError(f"the method takes {len(wanted)} arguments ({names}): {_EXAMPLE}")
    return [_argument(each, one) for each, one in zip(wanted, given, strict=True)]


def _argument(wanted: Argument, given: Any) -> Any:
    if wanted.wire in _UNKNOWN:
        raise UnfitError(f"argument {wanted.name} is of a type that cannot be written as JSON")
    if wanted.is_array != isinstance(given, list):
        raise UnfitError(f"argument {wanted.name} is {'a list' if wanted.is_array else 'a single value'}")
    if not wanted.is_array:
        return ua.Variant(_plain(wanted, given), wanted.wire)
    return ua.Variant([_plain(wanted, each) for each in given], wanted.wire, is_array=True)


def _plain(wanted: Argument, given: Any) -> Any:
    try:
        if wanted.wire is ua.VariantType.DateTime and isinstance(given, str):
            return datetime.fromisoformat(given)
        if isinstance(given, bool) != (wanted.wire is ua.VariantType.Boolean):
            raise UnfitError(f"{json.dumps(given)} does not fit {wanted.wire.name}")
        if isinstance(given, bool | int | float | str):
            kind = DataType.STRING if isinstance(given, str) else DataType.LREAL
            return to_variant(kind, given, wanted.wire).Value
        raise UnfitError(f"{json.dumps(given)[:40]} does not fit {wanted.wire.name}")
    except (ValueError, OverflowError, UnfitError) as exc:
        raise UnfitError(f"argument {wanted.name}: {exc}") from exc


class Results:
    """Tags that keep what methods gave back when they were last called."""

    def __init__(self, points: Sequence[Point], port: Port) -> None:
        self._points = points
        self._port = port

    def take(self, called: Address, outputs: dict[str | int, Any]) -> None:
        """Submit what a call gave back."""
        now_ns = self._port.clock.now_ns()
        for point in self._points:
            address = point.address
            if (address.node, address.method) != (called.node, called.method):
                continue
            (place,) = address.index or address.fields
            given = outputs.get(place)
            data = ua.DataValue(given if given is not None else ua.Variant())
            found = said(0, point.tag.data_type, given.Value if given is not None else None, data, now_ns)
            text = {} if found.text is None else {0: found.text}
            raw = 0 if found.raw is None else found.raw
            if point.tag.data_type is DataType.STRING and not text:
                text = {0: ""}
            quality = found.quality if given is not None else int(Quality.BAD_CONFIGURATION_ERROR)
            self._port.submit(Batch.of([point.tag.id], [raw], now_ns, quality, text))
