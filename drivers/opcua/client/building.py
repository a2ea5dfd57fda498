"""Everything that is wanted, created on a server: subscriptions, and what must be polled instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drivers.opcua.client.errors import RefusedError
from drivers.opcua.client.facts import Facts
from drivers.opcua.client.reading import RETEST_S, Reading
from drivers.opcua.client.session import Session, ends_session
from drivers.opcua.client.subscribe import Group, Subscription, add_items, subscribe, unsubscribe
from runtime.contract import Clock


async def build(
    session: Session,
    groups: Sequence[Group],
    keep_alive_ns: int,
    reading: Reading,
    facts: Facts,
) -> tuple[list[Subscription], list[Group]]:
    """Create subscriptions with their items; return them, and the groups for which there is no room.

    Raises:
        ConnectError: the server does not answer.
    """
    built: list[Subscription] = []
    polled: list[Group] = []
    for group in groups:
        try:
            subscription = await subscribe(session, group, keep_alive_ns, facts.clock)
        except RefusedError as exc:
            text = f"polls: no subscription for group {group.name}: {exc.text}"
            facts.link.trouble("subscriptions", text)
            polled.append(group)
            continue
        try:
            left = await add_items(session, subscription, group.rows.tolist(), reading)
        except RefusedError as exc:
            if ends_session(exc):
                raise
            facts.link.trouble("subscriptions", f"polls: no items for group {group.name}: {exc.text}")
            polled.append(group)
            await unsubscribe(session, subscription)
            continue
        if left:
            text = f"polls {len(left)} tags: the server has no room for more items"
            facts.link.trouble("subscriptions", text)
            polled.append(replace(group, rows=np.array(left, np.intp)))
        built.append(subscription)
    for subscription in built:
        subscription.heard_ns = facts.clock.steady_ns()
    return built, polled


async def retest(session: Session, built: Sequence[Subscription], reading: Reading, clock: Clock) -> None:
    """Ask slowly again for what the server refused, for ever.

    Raises:
        ConnectError: the server does not answer.
    """
    while True:
        await clock.sleep(RETEST_S)
        refused = set(reading.items.refused)
        for subscription in built:
            rows = [row for row in subscription.group.rows.tolist() if row in refused]
            if rows:
                spoilt = set(await reading.unencoded(session, rows))
                rows = [row for row in rows if row not in spoilt]
                await add_items(session, subscription, rows, reading)
