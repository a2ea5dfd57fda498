"""Spoilt requests: decoding them costs no more than it may, and a server answers them and goes on."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from asyncua import Client, ua
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.abuse.corpus import harmless, parted, requests
from drivers.abuse.fuzz import opcua_request
from drivers.abuse.mutate import mutated
from drivers.abuse.raw import Raw

PATH = "nb/bottling/line1/line/speed"
VALID = list(requests(ua.NodeId(), PATH).values())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VALID), st.randoms(use_true_random=False))
def test_spoilt_requests_cost_no_more_than_they_may(message: bytes, random: Random) -> None:
    opcua_request(mutated(random, message, VALID))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise_costs_no_more_than_it_may(data: bytes) -> None:
    opcua_request(data)


def test_a_server_answers_every_service_and_goes_on_after_spoilt_requests(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            served.port.set("line/speed", 1.0)
            port = int(served.url.rstrip("/").rpartition(":")[2])
            random, answered = Random(6), 0
            async with Client(served.url, timeout=60, watchdog_intervall=60) as client:
                for _ in range(3):
                    raw = await Raw.connect(port, "127.0.0.66")
                    assert await raw.enter()
                    valid = harmless(raw.authentication, PATH)
                    del valid["Publish"]  # waits for something to say
                    for name, body in valid.items():
                        assert await raw.ask(body) is not None, name
                    bodies = list(valid.values())
                    for _ in range(40):
                        head, rest = parted(random.choice(bodies))
                        raw.send(raw.messages(head + mutated(random, rest, bodies)))
                    raw.send(raw.messages(raw.asked(ua.GetEndpointsRequest())))
                    while (said := await raw.receive()) is not None:
                        answered += 1
                        if b"opc.tcp://" in said[1]:
                            break
                    raw.close()
                assert answered > 60
                speed = client.get_node(f"ns=2;s={PATH}")
                assert await speed.read_value() == served.port.value("line/speed")

    asyncio.run(main())
