"""Walk a server's address space and make tags of its variables."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua

from drivers.opcua.client.address import Address
from drivers.opcua.client.session import Session, chunks, fitting, read_id, status_name
from drivers.opcua.client.values import is_readable, readable
from drivers.opcua.client.wiretypes import WireTypes
from runtime.contract import Access, DataType, Tag
from runtime.errors import ConnectError

MAX_NODES = 200_000
MAX_DEPTH = 50
AT_ONCE = 100
_DURATION = ua.NodeId(290)
_PROPERTY = ua.NodeId(ua.ObjectIds.PropertyType)
_SERVER = ua.NodeId(ua.ObjectIds.Server)
_OUTSIDE = re.compile(r"[/\s*?,]+")
_LONGEST_PATH = 250
_UNBOUNDED = frozenset({DataType.BOOL, DataType.STRING, DataType.DT})
TYPES = {
    ua.VariantType.Boolean: DataType.BOOL,
    ua.VariantType.SByte: DataType.SINT,
    ua.VariantType.Byte: DataType.USINT,
    ua.VariantType.Int16: DataType.INT,
    ua.VariantType.UInt16: DataType.UINT,
    ua.VariantType.Int32: DataType.DINT,
    ua.VariantType.UInt32: DataType.UDINT,
    ua.VariantType.Int64: DataType.LINT,
    ua.VariantType.UInt64: DataType.ULINT,
    ua.VariantType.Float: DataType.REAL,
    ua.VariantType.Double: DataType.LREAL,
    ua.VariantType.String: DataType.STRING,
    ua.VariantType.LocalizedText: DataType.STRING,
    ua.VariantType.Guid: DataType.STRING,
    ua.VariantType.DateTime: DataType.DT,
}


@dataclass(frozen=True, slots=True)
class Found:
    """A variable on the server; `path` is its way down from where the walk began."""

    node_id: Any
    path: tuple[str, ...]
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Listing:
    """What a walk brought.

    Attributes:
        left_out: reason to how many variables no tag was made of.
    """

    tags: list[Tag] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


async def listing(session: Session, start: Any, device: str) -> Listing:
    """Return a tag for each scalar variable below a node.

    Raises:
        ConnectError: the server does not answer.
    """
    made = Listing()
    taken: set[str] = set()
    types = WireTypes(session)
    pending: list[Found] = []
    async for each in _walk(session, start, made):
        pending.append(each)
        if len(pending) == AT_ONCE:
            await _describe(session, types, pending, device, made, taken)
            pending.clear()
    await _describe(session, types, pending, device, made, taken)
    return made


async def _walk(session: Session, start: Any, made: Listing) -> AsyncIterator[Found]:
    """Yield the variables below a node, breadth first, each node once; what they have is known by then."""
    seen = {start}
    level: list[tuple[Any, tuple[str, ...], bool]] = [(start, (), False)]
    for _ in range(MAX_DEPTH):
        below: list[tuple[Any, tuple[str, ...], bool]] = []
        for chunk in chunks(level, AT_ONCE):
            answers = await _children(session, [node_id for node_id, _, _ in chunk], made)
            for (node_id, path, is_variable), children in zip(chunk, answers, strict=True):
                properties = {}
                for each in children:
                    if each.TypeDefinition == _PROPERTY:
                        properties[each.BrowseName.Name] = each.NodeId
                    elif each.NodeId not in seen and each.NodeId != _SERVER:
                        if len(seen) >= MAX_NODES:
                            made.leave_out(f"beyond {MAX_NODES} nodes")
                            continue
                        seen.add(each.NodeId)
                        way = (*path, each.BrowseName.Name or "unnamed")
                        below.append((each.NodeId, way, each.NodeClass == ua.NodeClass.Variable))
                if is_variable:
                    yield Found(node_id, path, properties)
        level = below


async def _children(session: Session, node_ids: Sequence[Any], made: Listing) -> list[list[Any]]:
    """Return what each node refers to downwards: objects and variables."""

    async def some(chunk: Sequence[Any]) -> Any:
        request = ua.BrowseRequest()
        request.Parameters.RequestedMaxReferencesPerNode = 0
        request.Parameters.NodesToBrowse = [
            ua.BrowseDescription(
                NodeId=node_id,
                BrowseDirection=ua.BrowseDirection.Forward,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
                IncludeSubtypes=True,
                NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
                ResultMask=ua.BrowseResultMask.All,
            )
            for node_id in chunk
        ]
        return (await session.ask(request, ua.BrowseResponse)).Results

    results = await session.in_pieces("browse", node_ids, some)
    found = [list(each.References or ()) for each in results]
    for references, result in zip(found, results, strict=True):
        await _rest(session, references, result.ContinuationPoint)
    for at, result in enumerate(results):  # its place was taken by those that are done now
        if result.StatusCode.value == ua.StatusCodes.BadNoContinuationPoints:
            (result,) = fitting(await some(node_ids[at : at + 1]), [result])
            found[at] = list(result.References or ())
            await _rest(session, found[at], result.ContinuationPoint)
        code = result.StatusCode.value
        if code >> 31:
            made.leave_out(f"below nodes that the server does not let be browsed ({status_name(code)})")
    return found


async def _rest(session: Session, references: list[Any], point: Any) -> None:
    """Add what a node refers to behind the first answer.

    Raises:
        ConnectError: the server does not answer, or not with what was asked for.
    """
    while point and len(references) < MAX_NODES:
        more = ua.BrowseNextRequest()
        more.Parameters.ReleaseContinuationPoints = False  # asyncua's default reads nothing
        more.Parameters.ContinuationPoints = [point]
        answer = await session.ask(more, ua.BrowseNextResponse)
        (following,) = fitting(answer.Parameters.Results, [point])
        code = following.StatusCode.value
        if code >> 31:
            raise ConnectError(f"the server does not tell all that is below a node: {status_name(code)}")
        references += following.References or ()
        point = following.ContinuationPoint


async def _describe(
    session: Session, types: WireTypes, found: Sequence[Found], device: str, made: Listing, taken: set[str]
) -> None:
    """Make tags of variables: type, access, range and unit are asked for."""
    attributes = (
        ua.AttributeIds.DataType,
        ua.AttributeIds.ValueRank,
        ua.AttributeIds.UserAccessLevel,
        ua.AttributeIds.Description,
    )
    asked = [read_id(each.node_id, attribute) for each in found for attribute in attributes]
    answers = iter(await session.read(asked) if asked else ())
    extra = [
        (each.node_id, name, read_id(each.properties[name]))
        for each in found
        for name in ("EURange", "EngineeringUnits")
        if name in each.properties
    ]
    values = await session.read([wanted for _, _, wanted in extra]) if extra else []
    more = {(node_id, name): _value(data) for (node_id, name, _), data in zip(extra, values, strict=True)}
    told = [tuple(_value(next(answers)) for _ in attributes) for _ in found]
    kinds = [await _tag_type(types, data_type) for data_type, *_ in told]
    open_ = [at for at, (data_type, *_) in enumerate(told) if await _is_abstract(types, data_type)]
    values = await session.read([read_id(found[at].node_id) for at in open_]) if open_ else []
    for at, data in zip(open_, values, strict=True):  # Number and the like: as the present value is
        kinds[at] = TYPES.get(data.Value.VariantType) if data.Value and not data.Value.is_array else None
    for each, kind, (_, rank, access, text) in zip(found, kinds, told, strict=True):
        if rank is not None and rank >= 0:
            made.leave_out("arrays: name an element, such as #[3]")
        elif kind is None:
            made.leave_out("structures and other types: name a field, such as #.speed")
        elif not (access or 0) & ua.AccessLevel.CurrentRead.mask:
            made.leave_out("not readable")
        elif not is_readable(address := str(Address(session.node_ref(each.node_id)))):
            made.leave_out("node ids that are no UTF-8")
        else:
            span, unit = more.get((each.node_id, "EURange")), more.get((each.node_id, "EngineeringUnits"))
            low, high = _bounds(kind, span)
            made.tags.append(
                Tag(
                    _path(device, each.path, taken),
                    kind,
                    unit_text=_text(unit.DisplayName) if isinstance(unit, ua.EUInformation) else "",
                    low=low,
                    high=high,
                    description=_text(text),
                    access=Access.READ_WRITE if access & ua.AccessLevel.CurrentWrite.mask else Access.READ,
                    source=device,
                    device=device,
                    address=address,
                )
            )


async def _tag_type(types: WireTypes, data_type: Any) -> DataType | None:
    if data_type is None:
        return None
    if data_type == _DURATION:
        return DataType.TIME
    return TYPES.get(await types.builtin(data_type))


async def _is_abstract(types: WireTypes, data_type: Any) -> bool:
    return data_type is not None and await types.builtin(data_type) is None


def _value(data: Any) -> Any:
    return data.Value.Value if data.Value is not None else None


def _text(text: Any) -> str:
    said = getattr(text, "Text", None) or ""
    return " ".join(readable(said).split())


def _bounds(kind: DataType, span: Any) -> tuple[float | None, float | None]:
    """Return the limits that a server tells, as a tag has them: of a TIME in ns, none beyond all values."""
    if kind in _UNBOUNDED or not isinstance(span, ua.Range) or not span.Low < span.High:
        return None, None
    scale = 1_000_000 if kind is DataType.TIME else 1
    least, most = kind.limits or (-math.inf, math.inf)
    low, high = float(span.Low) * scale, float(span.High) * scale
    return low if -math.inf < low >= least else None, high if math.inf > high <= most else None


def _path(device: str, way: Sequence[str], taken: set[str]) -> str:
    """Return a tag path of a node's way, unlike all before."""
    seen = ("".join(one if one.isprintable() else "_" for one in readable(each)) for each in way)
    levels = [_OUTSIDE.sub("_", each) or "_" for each in seen]
    wanted = "/".join((device, *levels))[-_LONGEST_PATH + 10 :].lstrip("/#")  # rows in # are comments
    path, number = wanted, 2
    while path in taken:
        path, number = f"{wanted}_{number}", number + 1
    taken.add(path)
    return path
