"""What an edge node keeps while broker, host or kernel are away: nothing is lost, what is late says so."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from drivers.chaos.relay import Relay
from drivers.sparkplug.spool import Spool
from runtime.clock import WallClock
from runtime.contract import DataType

pytestmark = pytest.mark.peer


def numbers(host):
    return [metric.int_value for metric in host.metrics("NDATA")]


def test_what_changed_without_a_broker_is_sent_later_with_its_time(make_broker, listen, edge, tag, wait):
    broker = make_broker()
    node = edge([tag("n", DataType.DINT)], [broker.url], every=True, primary_host="scada")
    times = []

    async def main():
        host = listen(broker, primary=True)
        async with node.running():
            await wait(lambda: node.fact("state"))
            for value in range(1, 51):
                node.port.set("n", value)
                times.append(int(node.port.table.source_ns[node.port.tags["n"].id]) // 1_000_000)
                await wait(lambda: node.port.clock.now_ns() // 1_000_000 > times[-1])
            broker.start()
            await wait(lambda: len(numbers(host)) >= 49)
            node.port.set("n", 51)
            await wait(lambda: 51 in numbers(host) and node.fact("queued") == 0)
            broker.kill()
            await wait(lambda: node.fact("online") is False)
            node.port.set("n", 52)
            await wait(lambda: node.fact("queued") == 1)
            node.port.set("n", 53)
            broker.start()
            await wait(lambda: 52 in numbers(host))
            assert node.fact("reconnects") > 0
        return host

    host = asyncio.run(main())
    told = [(metric.int_value, metric.is_historical) for metric in host.metrics("NDATA")]
    assert told == [*((value, True) for value in range(1, 50)), (51, False), (52, True)]
    assert [metric.timestamp for metric in host.metrics("NDATA")][:49] == times[:49]
    assert [m.int_value for m in host.metrics("NBIRTH") if m.name == "n"] == [50, 53]


def test_a_killed_process_loses_nothing_of_what_was_on_disk(make_broker, listen, edge, tag, wait, tmp_path):
    broker = make_broker()
    node = edge([tag("n", DataType.DINT)], [broker.url], every=True)
    program = textwrap.dedent(
        """
        import asyncio, importlib.util, sys
        from pathlib import Path
        from runtime.contract import DataType

        spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
        kit = sys.modules["kit"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(kit)

        async def main():
            n = kit.make_tag("n", DataType.DINT)
            node = kit.make_edge([n], Path(sys.argv[2]), [sys.argv[3]], every=True)
            async with node.running():
                for value in range(1, 1_000_000):
                    node.port.set("n", value)
                    print(value, node.fact("queued") or 0, flush=True)
                    await asyncio.sleep(0.002)

        asyncio.run(main())
        """
    )
    kit = __file__.replace("test_edge_outage", "conftest")
    child = subprocess.Popen(
        [sys.executable, "-c", program, kit, str(tmp_path), broker.url], stdout=subprocess.PIPE, text=True
    )
    kept = 0
    for line in child.stdout:
        kept = int(line.split()[1])
        if kept >= 100:
            break
    child.kill()
    child.wait()

    async def main():
        broker.start()
        host = await listen(broker).ready()
        async with node.running():
            await wait(lambda: len(numbers(host)) >= kept)
            await wait(lambda: node.fact("online") and node.fact("queued") == 0)
        await wait(lambda: host.of("NDEATH"))
        return host

    host = asyncio.run(main())
    arrived = numbers(host)
    assert arrived == sorted(set(arrived))
    assert arrived[:kept] == list(range(1, kept + 1))
    assert all(metric.is_historical for metric in host.metrics("NDATA"))
    assert next(m.long_value for m in host.metrics("NBIRTH") if m.name == "bdSeq") > 0


def test_a_full_queue_gives_up_the_oldest_and_says_so(make_broker, listen, edge, tag, wait, monkeypatch):
    flush, flushed = Spool.flush, []

    async def counted(spool):
        await flush(spool)
        flushed.append(spool.rows)

    monkeypatch.setattr(Spool, "flush", counted)
    broker = make_broker()
    tags = [tag("n", DataType.DINT), tag("text", DataType.STRING)]
    node = edge(tags, [broker.url], queue_mib=1, message_kib=16, every=True, primary_host="scada")

    async def main():
        async with node.running():
            await wait(lambda: node.fact("state"))
            for value in range(1, 81):
                node.port.set("n", value)
                node.port.set("text", f"{value} " + "x" * 4000)
                last = node.port.clock.now_ns() // 1_000_000
                await wait(lambda last=last: node.port.clock.now_ns() // 1_000_000 > last)
                if value % 4 == 0:  # what a slow disk takes at once is given up at once
                    seen = len(flushed)
                    await wait(lambda seen=seen: len(flushed) > seen + 1)
            await wait(lambda: (node.fact("evicted") or 0) > 0 and node.fact("queue_pct") <= 100)
            assert node.fact("evicting") is True
            broker.start()
            host = await listen(broker, primary=True).ready()
            await wait(lambda: node.fact("queued") == 0 and node.fact("evicting") is False)
        await wait(lambda: host.of("NDEATH"))
        return host

    host = asyncio.run(main())
    kinds = [event.kind for event in node.port.emitted]
    assert kinds.count("driver.queue_evicting") == kinds.count("driver.queue_has_room") == 1
    arrived = [metric.int_value for metric in host.metrics("NDATA") if metric.HasField("int_value")]
    assert arrived == list(range(arrived[0], arrived[-1] + 1))
    assert arrived[0] > 1
    assert arrived[-1] >= 79
    assert len(host.of("NDATA")) > 10  # messages of at most 16 KiB


def test_a_frozen_broker_is_noticed_and_what_it_swallowed_is_sent_again(broker, listen, edge, tag, wait):
    node = edge([tag("n", DataType.DINT)], [broker.url], timeout="200ms")

    async def main():
        host = await listen(broker).ready()
        async with node.running():
            await wait(lambda: node.fact("online"))
            broker.signal(signal.SIGSTOP)
            node.port.set("n", 7)
            await wait(lambda: node.fact("online") is False)
            node.port.set("n", 8)
            await wait(lambda: node.fact("queued") == 2)
            broker.signal(signal.SIGCONT)
            await wait(lambda: node.fact("online") and node.fact("queued") == 0)
            await wait(lambda: (7, True) in [(m.int_value, m.is_historical) for m in host.metrics("NDATA")])
            await wait(lambda: 8 in [m.int_value for m in host.metrics("NDATA") + host.metrics("NBIRTH")])

    asyncio.run(main())


def test_what_the_broker_took_shortly_before_it_died_is_sent_again(broker, listen, edge, tag, wait):
    node = edge([tag("n", DataType.DINT)], [broker.url], hold="1min", primary_host="scada", every=True)

    async def main():
        host = await listen(broker, primary=True).ready()
        async with node.running():
            await wait(lambda: node.fact("state") == "online")
            for value in (1, 2):
                node.port.set("n", value)
                await wait(lambda value=value: numbers(host)[-1:] == [value])
            broker.kill()
            broker.start()
            await wait(lambda: len(numbers(host)) >= 3)
            host.state(False, 100)  # the host is gone, and nobody knows what it had by then
            await wait(lambda: node.fact("state") == "degraded")
            host.state(True, 101)
            await wait(lambda: len(numbers(host)) >= 4)
        return host

    host = asyncio.run(main())
    data = host.metrics("NDATA")
    assert [metric.int_value for metric in data] == [1, 2, 1, 1]
    assert [metric.is_historical for metric in data] == [False, False, True, True]
    assert len({data[at].timestamp for at in (0, 2, 3)}) == 1
    assert {m.name: m.int_value for m in host.of("NBIRTH")[1].metrics}["n"] == 2


def test_what_waited_is_sent_though_new_values_fill_a_slow_line(broker, listen, edge, tag, wait):
    async def main():
        relay = Relay(broker.port, WallClock())
        await relay.start()
        try:
            node = edge(
                [tag("n", DataType.DINT)],
                [f"mqtt://127.0.0.1:{relay.port}"],
                primary_host="scada",
                every=True,
                timeout="10s",
            )
            host = await listen(broker).ready()
            async with node.running():
                await wait(lambda: node.fact("state") == "degraded")
                for value in (1, 2, 3):
                    node.port.set("n", value)
                    await wait(lambda value=value: node.fact("queued") == value)
                relay.delay_s = 0.1
                host.state(True, 100)

                def more():
                    node.port.set("n", node.port.value("n") + 1)
                    return 2 in numbers(host)

                await wait(more)  # as long as it takes there are new ones
            return host
        finally:
            await relay.stop()

    host = asyncio.run(main())
    told = [(m.int_value, m.is_historical) for m in host.metrics("NDATA")]
    assert {(1, True), (2, True)} <= set(told)
    assert [value for value, old in told if not old] == sorted(value for value, old in told if not old)


def test_the_primary_host_is_waited_for(broker, listen, edge, tag, wait):
    node = edge([tag("n", DataType.DINT)], [broker.url], primary_host="scada", every=True)

    async def main():
        host = await listen(broker).ready()
        host.state(True, 100, "other")
        async with node.running():
            await wait(lambda: node.fact("state") == "degraded")
            assert "the primary host application scada is not online" in node.port.health_text
            node.port.set("n", 1)
            host.client.publish("spBv1.0/STATE/scada", b"ONLINE", 1)
            host.state(False, 90)
            host.state(True, 100)
            await wait(lambda: host.of("NBIRTH"))
            host.state(False, 99)  # of a session of the host that is over
            node.port.set("n", 2)
            await wait(lambda: 2 in numbers(host) and node.fact("queued") == 0)
            assert host.of("NDEATH") == []
            host.state(False, 100)
            await wait(lambda: host.of("NDEATH"))
            await wait(lambda: node.fact("state") == "degraded")
            node.port.set("n", 3)
            await wait(lambda: node.fact("queued") == 1)
            node.port.set("n", 4)
            await wait(lambda: node.fact("queued") == 2)
            host.state(True, 200)
            await wait(lambda: 3 in numbers(host))
        return host

    host = asyncio.run(main())
    kinds = [event.kind for event in node.port.emitted]  # the broker was there all the time
    assert (kinds.count("driver.host_offline"), kinds.count("driver.offline")) == (1, 0)
    assert [m.long_value for m in host.metrics("NBIRTH") if m.name == "bdSeq"] == [0, 1]
    assert [(m.int_value, m.is_historical) for m in host.metrics("NDATA")] == [(2, False), (3, True)]


def test_the_next_broker_is_gone_over_to(make_broker, listen, edge, tag, wait):
    first, second = make_broker().start(), make_broker().start()
    node = edge([tag("n", DataType.DINT)], [first.url, second.url])

    async def main():
        here, there = await listen(first).ready(), await listen(second).ready()
        async with node.running():
            await wait(lambda: here.of("NBIRTH"))
            await wait(lambda: node.fact("broker") == first.url)
            first.kill()
            node.port.set("n", 5)
            await wait(lambda: there.of("NBIRTH"))
            await wait(lambda: node.fact("broker") == second.url)
        assert {m.name: m.int_value for m in there.metrics("NBIRTH")}["n"] == 5

    asyncio.run(main())


MANY = 12_000


def test_a_birth_that_takes_longer_than_the_timeout_arrives_over_a_slow_line(broker, listen, edge, tag, wait):
    async def main():
        relay = Relay(broker.port, WallClock(), narrow=True)
        await relay.start()
        try:
            tags = [tag(f"{'a' * 200}/{number}", DataType.DINT) for number in range(MANY)]
            config = {"timeout": "6s", "watch": "200ms", "keep_alive": "6s"}
            node = edge(tags, [f"mqtt://127.0.0.1:{relay.port}"], **config)
            host = await listen(broker).ready()
            relay.delay_s = 0.3  # 64 KiB each, so that the birth takes some ten seconds
            async with node.running():
                begun = time.monotonic()
                await wait(lambda: node.fact("births") == 1 and node.fact("online"), 120)
                took_s = time.monotonic() - begun
                await wait(lambda: host.of("NBIRTH"))
                return took_s, host, [node.fact(each) for each in ("reconnects", "timeouts", "births")]
        finally:
            await relay.stop()

    took_s, host, told = asyncio.run(main())
    assert took_s > 7, "the line was not slow"
    assert told == [0, 0, 1]
    assert len(host.of("NBIRTH")[0].metrics) > MANY


def test_a_line_that_stands_still_within_a_birth_is_noticed(broker, edge, tag, wait):
    async def main():
        relay = Relay(broker.port, WallClock(), narrow=True)
        await relay.start()
        try:
            tags = [tag(f"{'a' * 200}/{number}", DataType.DINT) for number in range(MANY)]
            node = edge(tags, [f"mqtt://127.0.0.1:{relay.port}"], timeout="400ms")
            async with node.running():
                relay.delay_s = 0.1
                await wait(lambda: (node.fact("bytes_sent") or 0) > 100_000)
                assert not node.fact("online")
                relay.delay_s = 4.0  # ten times the timeout
                await wait(lambda: node.fact("timeouts"))
                assert not node.fact("online")
        finally:
            await relay.stop()

    asyncio.run(main())
