"""Subscriptions that go from one session to another, or live on without one while their lifetime lasts.

Source: OPC 10000-4, 5.14.7 TransferSubscriptions and 5.14.1.1 (what outlives a session).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.common.utils import ServiceError

if TYPE_CHECKING:
    from drivers.opcua.session import TagSession

MOST_DEPARTED = 500  # subscriptions without a session
MAX_TRANSFER = 100
_CODES = ua.StatusCodes


class Departed:
    """Sessions that are over and whose subscriptions are not.

    Where they have too many, the oldest of the address that has most of them goes.
    """

    def __init__(self) -> None:
        self._sessions: list[TagSession] = []

    def sessions(self) -> list[TagSession]:
        """Return those that still have a subscription, the oldest first."""
        self._sessions = [each for each in self._sessions if each.subscription_service.subscriptions]
        return list(self._sessions)

    async def add(self, session: TagSession) -> None:
        """Keep the subscriptions of a session that is over."""
        self._sessions.append(session)
        while sum(_size(each) for each in self.sessions()) > MOST_DEPARTED:
            by_address: Counter[str] = Counter()
            for each in self._sessions:
                by_address[each.address] += _size(each)
            ((address, _),) = by_address.most_common(1)
            await self.give_way(address)

    async def give_way(self, address: str | None) -> bool:
        """End what the oldest session of an address, or of any, has left; False where there is none."""
        for each in self.sessions():
            if address in (None, each.address):
                await each.close_session(True)
                return True
        return False


def _size(session: TagSession) -> int:
    return len(session.subscription_service.subscriptions)


def same_user(one: TagSession, other: TagSession) -> bool:
    """Tell whether two sessions are of one user; of nobody, whether they are of one application.

    An application is known by its URI, and by its certificate where the URI is not checked.
    """
    if one.actor is None or other.actor is None:
        return False
    if not (one.nameless or other.nameless):
        return one.actor.name == other.actor.name
    alike = one.nameless and other.nameless and one.secured and other.secured
    certain = one.iserver.strict or one.certificate == other.certificate
    return bool(alike and certain and one.application and one.application == other.application)


async def transfer(to: TagSession, params: Any) -> list[Any]:
    """Bring subscriptions to a session; items, queues and what was not acknowledged stay theirs.

    Raises:
        ServiceError: there is nothing to do, or too much.
    """
    if to.processor is None:
        raise ServiceError(_CODES.BadSessionClosed)
    if not params.SubscriptionIds:
        raise ServiceError(_CODES.BadNothingToDo)
    if len(params.SubscriptionIds) > MAX_TRANSFER:
        raise ServiceError(_CODES.BadTooManyOperations)
    results = []
    for number in params.SubscriptionIds:
        result = ua.TransferResult()
        code = await _take_over(to, number)
        result.StatusCode = ua.StatusCode(code)
        if not code:
            made = to.subscription_service.subscriptions[number]
            result.AvailableSequenceNumbers = made.available()
            if params.SendInitialValues:
                await made.monitored_item_srv.resend()
        results.append(result)
    return results


async def _take_over(to: TagSession, number: int) -> int:
    """Bring one subscription to a session; return Good, or why not."""
    owner = to.iserver.owner_of(number)
    if owner is None:
        return int(_CODES.BadSubscriptionIdInvalid)
    made = owner.subscription_service.subscriptions[number]
    if owner is not to:
        if not same_user(owner, to):
            to.iserver.refusals.add(to.address, "it wants a subscription of another user")
            if to.processor is not None:
                to.processor.count_refusal("TransferSubscriptions", _CODES.BadUserAccessDenied)
            return int(_CODES.BadUserAccessDenied)
        code: int = to.subscription_service.no_room_for(made, of_another=owner.address != to.address)
        if code:
            return code
        farewell = made.farewell(_CODES.GoodSubscriptionTransferred)
        del owner.subscription_service.subscriptions[number]
        to.adopt(made)
        await owner.tell(farewell)
    made.revive()
    return int(_CODES.Good)
