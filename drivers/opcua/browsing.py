"""Browse and BrowseNext in pages."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from drivers.opcua.points import Points
from runtime.contract import Clock

MAX_BROWSE = 1_000
AT_ONCE = 16
MOST_REFERENCES = 1_000  # of one node in one answer
MOST_TOGETHER = 10_000  # of all nodes in one answer
_PLACE = struct.Struct("<II")  # references in a page, and how many came before
_CODES = ua.StatusCodes
# Source: OPC 10000-4, 5.9.2.2 resultMask
_FIELDS: dict[str, tuple[int, Callable[[], Any]]] = {
    "ReferenceTypeId": (ua.BrowseResultMask.ReferenceTypeId, ua.NodeId),
    "IsForward": (ua.BrowseResultMask.IsForward, bool),
    "NodeClass": (ua.BrowseResultMask.NodeClass, lambda: ua.NodeClass.Unspecified),
    "BrowseName": (ua.BrowseResultMask.BrowseName, ua.QualifiedName),
    "DisplayName": (ua.BrowseResultMask.DisplayName, ua.LocalizedText),
    "TypeDefinition": (ua.BrowseResultMask.TypeDefinition, ua.NodeId),
}
_TYPE_OF = ua.NodeId(ua.ObjectIds.HasTypeDefinition)
_INSTANCES = (ua.NodeClass.Object, ua.NodeClass.Variable)
_DIRECTIONS = (ua.BrowseDirection.Forward, ua.BrowseDirection.Inverse, ua.BrowseDirection.Both)


async def browse(view: Any, params: Any, clock: Clock, points: Points) -> list[Any]:
    """Return a BrowseResult for each node, in order. Source: OPC 10000-4, 5.9.2.

    Raises:
        ServiceError: a view is named.
    """
    view_id = params.View.ViewId
    if not view_id.is_null():  # there are none
        raise ServiceError(_CODES.BadViewIdUnknown)
    wanted = params.NodesToBrowse
    most = min(params.RequestedMaxReferencesPerNode or MOST_REFERENCES, _room(wanted))
    return [_page(view, each, most, 0, points) async for each in _in_turn(wanted, clock)]


async def browse_next(view: Any, params: Any, clock: Clock, points: Points) -> list[Any]:
    """Return the next page for each continuation point, in order. Source: OPC 10000-4, 5.9.3."""
    wanted = params.ContinuationPoints
    places = [points.take(each) for each in wanted]
    if params.ReleaseContinuationPoints:
        return [ua.BrowseResult() for _ in wanted]
    room = _room(wanted)
    return [_next(view, each, room, points) async for each in _in_turn(places, clock)]


async def _in_turn(wanted: Sequence[Any], clock: Clock) -> AsyncIterator[Any]:
    """Yield what is wanted; others have their turn in between, since nodes with many references take long."""
    for number, each in enumerate(wanted):
        if number % AT_ONCE == AT_ONCE - 1:
            await clock.sleep(0)
        yield each


def _room(wanted: list[Any]) -> int:
    return min(MOST_REFERENCES, max(1, MOST_TOGETHER // len(wanted)))


def _next(view: Any, place: bytes | None, room: int, points: Points) -> Any:
    if place is None:
        return ua.BrowseResult(StatusCode=ua.StatusCode(_CODES.BadContinuationPointInvalid))
    most, before = _PLACE.unpack_from(place)
    description = struct_from_binary(ua.BrowseDescription, Buffer(place[_PLACE.size :]))
    return _page(view, description, min(most, room), before, points)


def _page(view: Any, description: Any, most: int, before: int, points: Points) -> Any:
    code = _wrong_with(view._aspace, description)
    if code:
        return ua.BrowseResult(StatusCode=ua.StatusCode(code))
    result = view._browse(description)
    found = result.References
    page = [_typed(view._aspace, each) for each in found[before : before + most]]
    result.References = [_shown(each, description.ResultMask) for each in page]
    if before + most < len(found):
        place = _PLACE.pack(most, before + most) + struct_to_binary(description)
        result.ContinuationPoint = points.keep(place)
    return result


def _typed(space: Any, reference: Any) -> Any:
    """Return a reference with the type of the object or variable that it leads to; those back lack it."""
    typed = reference.NodeClass not in _INSTANCES or not reference.TypeDefinition.is_null()
    if typed or reference.NodeId not in space:
        return reference
    there = space[reference.NodeId].references
    types = (each.NodeId for each in there if each.IsForward and each.ReferenceTypeId == _TYPE_OF)
    return replace(reference, TypeDefinition=next(types, ua.NodeId()))


def _shown(reference: Any, mask: int) -> Any:
    """Return of a reference what is asked for, the rest null."""
    if mask & ua.BrowseResultMask.All == ua.BrowseResultMask.All:
        return reference
    hidden = {name: null() for name, (bit, null) in _FIELDS.items() if not mask & bit}
    return replace(reference, **hidden)


def _wrong_with(space: Any, wanted: Any) -> int:
    """Return why a node cannot be browsed, Good where it can. Source: OPC 10000-4, 5.9.2.4 StatusCodes."""
    if wanted.NodeId not in space:
        return int(_CODES.BadNodeIdUnknown)
    if wanted.BrowseDirection not in _DIRECTIONS:
        return int(_CODES.BadBrowseDirectionInvalid)
    type_ = wanted.ReferenceTypeId
    if type_.is_null():
        return int(_CODES.Good)
    class_ = space.read_attribute_value(type_, ua.AttributeIds.NodeClass).Value
    known = class_ is not None and class_.Value == ua.NodeClass.ReferenceType
    return int(_CODES.Good if known else _CODES.BadReferenceTypeIdInvalid)
