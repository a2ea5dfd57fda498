"""Which answers refuse what was asked, at least in part: the service is good, a result in it is not.

Source: OPC 10000-4, 7.39 StatusCode: service results and operation level results.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncua import ua

_CODES = ua.StatusCodes
WRONG_NODE = frozenset({_CODES.BadNodeIdUnknown, _CODES.BadNodeIdInvalid})
_WHATEVER = (ua.WriteResponse, ua.CallResponse)
_LOOKS = (
    ua.BrowseResponse,
    ua.TranslateBrowsePathsToNodeIdsResponse,
    ua.HistoryReadResponse,
    ua.CreateMonitoredItemsResponse,
)


def refusal_in(response: Any) -> int:
    """Return the first code in an answer by which something was refused, 0 where nothing was.

    A write or call that was not done is refused, whatever the code. Who looks is refused what is not there;
    that a node lacks an attribute or a reference is what clients ask to find out. Read is judged by
    `wrong_node`: the status of a tag's value is no answer to who asks for it.
    """
    if isinstance(response, _WHATEVER):
        codes = (getattr(each, "StatusCode", each) for each in response.Results)
        return next((int(each.value) for each in codes if each.is_bad()), 0)
    return wrong_node(response.Results) if isinstance(response, _LOOKS) else 0


def wrong_node(results: Iterable[Any]) -> int:
    """Return the first code of results that says that a node is not there, 0 where all are."""
    codes = (0 if each.StatusCode is None else int(each.StatusCode.value) for each in results)
    return next((each for each in codes if each in WRONG_NODE), 0)
