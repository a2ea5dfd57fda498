"""The journal does not outgrow its limit: the oldest transitions go, the audit and what holds now stay."""

import asyncio

import pytest

from runtime.clock import ManualClock
from runtime.config.models import JournalConfig
from runtime.journal import AlarmLogEntry, AlarmRow, AuditEntry, Journal, alarm_rows, verify_audit
from runtime.journal.room import LOOK_S, Room, declare, used_bytes
from runtime.testing import FakePort

MIB = 1 << 20


def transitions(first, count):
    row = AlarmRow("tank.high", "unacknowledged", count=first)
    return [
        AlarmLogEntry(0, number, "tank.high", "raised", "unacknowledged", comment="x" * 200, after=row)
        for number in range(first, first + count)
    ]


@pytest.fixture
def looked(tmp_path):
    """Run a script on a journal of 1 MiB whose room is looked after."""

    def run(script):
        async def main():
            clock = ManualClock()
            journal = Journal(tmp_path / "journal.sqlite", clock)
            await journal.open()
            port = FakePort(declare().tags, name="journal", clock=clock)
            task = asyncio.create_task(
                Room(journal, JournalConfig.model_construct(disk_limit_mib=1)).run(port)
            )

            async def told(times):
                async with asyncio.timeout(60):
                    while len(port.submitted) < times:  # noqa: ASYNC110 - a thread and a disk are waited for
                        await asyncio.sleep(0.001)

            async def look():
                times = len(port.submitted) + 1
                await clock.advance(LOOK_S)
                await told(times)

            try:
                await told(1)
                await script(journal, port, look)
            finally:
                task.cancel()
                await asyncio.wait([task])
                await journal.close()

        asyncio.run(main())

    return run


def test_the_oldest_transitions_go_when_the_limit_is_near(looked):
    async def script(journal, port, look):
        for number in range(20):
            await journal.append_audit(AuditEntry(number, "ann", "operator", "cli", "write", "a", 1, 2))
        for first in range(0, 12_000, 1_000):
            await journal.append_all(transitions(first, 1_000))
        assert await journal.read(used_bytes) > MIB
        await look()
        assert await journal.read(used_bytes) <= 0.90 * MIB
        assert port.value("sys/journal/used_pct") <= 90
        kept = [each.at_ns for each in await journal.alarm_log(100_000)]
        assert kept[0] == 11_999
        assert kept == list(range(11_999, 11_999 - len(kept), -1))  # the newest, without a gap
        (event,) = [each for each in port.emitted if each.kind == "journal.deleted"]
        assert event.data["rows"] == 12_000 - len(kept)
        assert len(await journal.audit(100)) == 20
        assert [each.count for each in await journal.read(alarm_rows)] == [11_000]
        assert await journal.append(transitions(12_000, 1)[0]) == 12_001  # no number is given twice

        assert (await journal.read(verify_audit)).ok

    looked(script)


def test_nothing_goes_while_there_is_room_and_the_audit_never_does(looked):
    async def script(journal, port, look):
        await journal.append_all(transitions(0, 100))
        await look()
        assert len(await journal.alarm_log(1_000)) == 100
        assert 0 < port.value("sys/journal/used_pct") < 80
        reason = "r" * 400
        for first in range(0, 4_000, 1_000):
            await journal.append_all(
                [
                    AuditEntry(each, "ann", "operator", "cli", "write", "a", 1, 2, reason)
                    for each in range(first, first + 1_000)
                ]
            )
        await look()
        assert len(await journal.audit(10_000)) == 4_000
        assert await journal.alarm_log(1_000) == []
        assert port.value("sys/journal/used_pct") > 95  # what the alarm tells

    looked(script)
