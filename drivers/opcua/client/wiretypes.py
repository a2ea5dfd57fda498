"""Which built-in type a server's data type is on the wire; asked once, and kept for the connection."""

from __future__ import annotations

from typing import Any

from asyncua import ua

from drivers.opcua.client.session import Session

MAX_CLIMB = 20
BUILTIN = {each.value: each for each in ua.VariantType if 0 < each.value <= 25}
_NUMBER, _INTEGER, _UINTEGER, _ENUMERATION = 26, 27, 28, 29
ABSTRACT = frozenset({24, _NUMBER, _INTEGER, _UINTEGER})  # the value's own type decides


class WireTypes:
    """Data type to built-in type. Source: OPC 10000-6, 5.1.2; OPC 10000-3, 8."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[Any, Any] = {}

    async def builtin(self, data_type: Any) -> Any:
        """Return the VariantType that values of a data type have; None where each value may have another.

        Raises:
            ConnectError: the server does not answer.
        """
        way, at, found = [], data_type, None
        for _ in range(MAX_CLIMB):
            if at in self._known:
                found = self._known[at]
                break
            way.append(at)
            number = at.Identifier if at.NamespaceIndex == 0 else None
            if number == _ENUMERATION:
                found = ua.VariantType.Int32
                break
            if number in ABSTRACT:
                break
            if number in BUILTIN:
                found = BUILTIN[number]
                break
            parents = await self._parents(at)
            if not parents:
                break
            at = parents[0]
        self._known.update(dict.fromkeys(way, found))
        return found

    async def _parents(self, data_type: Any) -> list[Any]:
        request = ua.BrowseRequest()
        request.Parameters.RequestedMaxReferencesPerNode = 1
        request.Parameters.NodesToBrowse = [
            ua.BrowseDescription(
                NodeId=data_type,
                BrowseDirection=ua.BrowseDirection.Inverse,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasSubtype),
                IncludeSubtypes=True,
                NodeClassMask=0,
                ResultMask=ua.BrowseResultMask.All,
            )
        ]
        answer = await self._session.ask(request, ua.BrowseResponse)
        return [each.NodeId for result in answer.Results for each in result.References or ()]
