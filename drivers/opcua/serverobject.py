"""The methods of the Server object that are about a session's own subscriptions.

Source: OPC 10000-5, 9.1 GetMonitoredItems and 9.2 ResendData.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncua import ua

if TYPE_CHECKING:
    from drivers.opcua.session import TagSession

_IDS = ua.ObjectIds
_CODES = ua.StatusCodes
_SERVER = ua.NodeId(_IDS.Server)
_GET = (ua.NodeId(_IDS.Server_GetMonitoredItems), ua.NodeId(_IDS.ServerType_GetMonitoredItems))
_RESEND = (ua.NodeId(_IDS.Server_ResendData), ua.NodeId(_IDS.ServerType_ResendData))


def handles(request: Any) -> bool:
    """Tell whether a call is of one of them; they change nothing in the plant."""
    return request.MethodId in (*_GET, *_RESEND)


async def call(request: Any, session: TagSession) -> Any:
    """Return the CallMethodResult."""
    result = ua.CallMethodResult()
    given = request.InputArguments or []
    if request.ObjectId != _SERVER:
        code: int = _CODES.BadMethodInvalid
    elif len(given) != 1:
        code = _CODES.BadTooManyArguments if given else _CODES.BadArgumentsMissing
    elif given[0].is_array or given[0].VariantType != ua.VariantType.UInt32:
        code = _CODES.BadInvalidArgument
        result.InputArgumentResults = [ua.StatusCode(_CODES.BadTypeMismatch)]
    else:
        code, result.OutputArguments = await _done(request.MethodId in _GET, given[0].Value, session)
        result.InputArgumentResults = [ua.StatusCode(_CODES.Good)]
    result.StatusCode = ua.StatusCode(code)
    return result


async def _done(asks: bool, number: int, session: TagSession) -> tuple[int, list[Any]]:
    made = session.subscription_service.subscriptions.get(number)
    if made is None:
        known = session.iserver.owner_of(number) is not None
        return int(_CODES.BadUserAccessDenied if known else _CODES.BadSubscriptionIdInvalid), []
    if not asks:
        await made.monitored_item_srv.resend()
        return int(_CODES.Good), []
    items = made.monitored_item_srv._monitored_items
    numbers, names = list(items), [each.client_handle for each in items.values()]
    return int(_CODES.Good), [
        ua.Variant(each, ua.VariantType.UInt32, is_array=True) for each in (numbers, names)
    ]
