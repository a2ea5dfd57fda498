"""One connection after the other: states, back-off, demotion, and what is told of them."""

import asyncio

import pytest

from drivers.frame.connection import CODES, NOWHERE, Backoff, Link, declare_link
from drivers.frame.errors import DeniedError
from drivers.frame.supervisor import DEMOTED_AFTER, Supervisor
from runtime.clock import SECOND_NS, ManualClock
from runtime.errors import ConnectError
from runtime.testing import FakePort

S = "sys/drivers/io"


class Line:
    """A link whose attempts a test decides, in time that only their waits move."""

    def __init__(self, outcomes, ways=1):
        self.clock = Jumping()
        self.port = FakePort(declare_link("io").tags, "io", clock=self.clock)
        self.link = Link("io", self.port)
        self.supervisor = Supervisor(self.link, self.clock, ways)
        self.outcomes = list(outcomes)
        self.seen = []

    async def attempt(self):
        self.seen.append((self.supervisor.misses, self.link.state))
        if not self.outcomes:
            raise asyncio.CancelledError
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        self.supervisor.hear()
        self.clock.pass_by(outcome)
        raise ConnectError("reset by peer")

    def run(self):
        self.lost = []
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(self.supervisor.keep(self.attempt, self.lost.append))
        return self

    def value(self, fact):
        return self.port.value(f"{S}/{fact}")


class Jumping(ManualClock):
    """A clock on which every sleep is over at once, and is noted."""

    def __init__(self):
        super().__init__()
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds):
        self.set_ns(self.now_ns() + round(seconds * SECOND_NS))


def gone(count):
    return [ConnectError("nothing listens there")] * count


def test_delays_grow_to_five_seconds_with_chance_and_are_short_again_after_a_steady_connection():
    line = Line([*gone(12), 60, *gone(1)]).run()
    for at, slept in enumerate(line.clock.slept[:12]):
        most = min(5.0, 0.1 * 2**at)
        assert most / 2 <= slept <= most
    assert len(set(line.clock.slept[6:12])) > 1
    assert line.clock.slept[12] <= 0.1


def test_a_connection_that_does_not_last_does_not_shorten_the_delay():
    line = Line([*gone(6), 1, 1]).run()
    assert min(line.clock.slept[6:]) >= 2.5


def test_a_device_that_never_answers_is_demoted_and_every_way_is_tried_in_turn():
    line = Line(gone(2 * DEMOTED_AFTER + 1), ways=2).run()
    assert [misses for misses, _ in line.seen[:4]] == [0, 1, 2, 3]
    assert [state for _, state in line.seen] == ["connecting"] * 10 + ["demoted"] * 2
    assert len(line.clock.slept) == DEMOTED_AFTER  # one wait after both ways
    assert line.value("state") == "demoted"


def test_one_that_denies_us_is_off_at_once_told_once_and_looked_at_every_two_seconds():
    line = Line([DeniedError("not trusted", "trust it")] * 3).run()
    assert line.value("state") == "off"
    assert line.value("online") is False
    assert line.clock.slept == [2.0] * 3
    assert [event.kind for event in line.port.emitted] == ["driver.offline", "driver.denied"]
    assert line.port.health_text == "io does not answer: not trusted; trust it"


def test_a_bug_ends_one_attempt_and_not_the_driver(caplog):
    line = Line([ZeroDivisionError("oops"), 5]).run()
    assert line.lost == ["internal error: ZeroDivisionError: oops", "reset by peer"]
    assert "a bug" in caplog.text
    assert [event.kind for event in line.port.emitted] == ["driver.online", "driver.offline"]


def test_reconnects_count_connections_that_answered():
    line = Line([3, *gone(2), 3, 3]).run()
    assert line.value("reconnects") == 2


def test_the_first_five_seconds_are_not_told_as_a_loss():
    line = Line(gone(3)).run()
    assert line.port.emitted == []
    assert line.value("state") == "connecting"
    assert line.value("online") is None


def test_trouble_is_degraded_with_its_reasons_until_the_last_is_over():
    line = Line([])
    line.link.trouble("refused", "2 of 9 tags are refused")
    assert line.port.healthy
    line.link.up()
    line.link.trouble("silent", "no answer from unit 3")
    assert (line.value("state"), line.port.healthy) == ("degraded", False)
    assert line.port.health_text == "2 of 9 tags are refused; no answer from unit 3"
    line.link.trouble("refused", "")
    line.link.trouble("silent", "")
    assert (line.value("state"), line.port.healthy) == ("online", True)


def test_what_went_over_the_link_is_told_once_and_only_what_changed():
    line = Line([])
    traffic = line.link.traffic
    line.link.publish()
    line.port.submitted.clear()
    traffic.requests = 300
    for number in range(1, 201):
        traffic.took(float(number))
    traffic.refused("2")
    for number in range(CODES + 5):
        traffic.refused(f"code{number}")
    traffic.sent(NOWHERE, b"12345")
    line.link.publish()
    assert (line.value("round_trip_p50_ms"), line.value("round_trip_p99_ms")) == (101.0, 199.0)
    assert line.value("exceptions") == CODES + 6
    assert line.value("exception_codes").startswith("other: 6, 2: 1")
    assert len(traffic.codes) == CODES + 1
    assert (line.value("bytes_sent"), line.value("bytes_received")) == (5, 0)
    (batch,) = line.port.submitted
    line.link.publish()
    assert line.port.submitted == [batch]
    told = {line.port.tags[int(id_)].path.rpartition("/")[2] for id_ in batch.ids}
    assert "reconnects" not in told


def test_a_backoff_without_jitter_doubles():
    backoff = Backoff(0.1, 1.0)
    assert [backoff.next_s() for _ in range(5)] == [0.1, 0.2, 0.4, 0.8, 1.0]


def test_a_cancellation_that_a_task_group_swallows_ends_it_all_the_same():
    line = Line([])

    async def attempt():
        async def fail():
            raise ConnectError("lost")

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await asyncio.sleep(0)
                try:
                    await asyncio.sleep(60)
                finally:
                    keeping.cancel()  # from outside, while the group ends
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def main():
        nonlocal keeping
        keeping = asyncio.create_task(line.supervisor.keep(attempt, lost.append))
        await asyncio.wait({keeping}, timeout=60)
        assert keeping.cancelled()

    keeping, lost = None, []
    asyncio.run(main())
    assert lost == []


def test_an_attempt_that_returns_goes_on_at_once_by_a_better_way():
    line = Line([])
    seen = []

    async def attempt():
        seen.append(line.link.state)
        if len(seen) == 3:
            raise asyncio.CancelledError
        line.supervisor.hear()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(line.supervisor.keep(attempt, lambda reason: None))
    assert line.clock.slept == []
    assert seen == ["connecting"] * 3
    assert [event.kind for event in line.port.emitted] == ["driver.online"]
    assert line.value("reconnects") == 1


def test_another_way_that_is_ready_is_not_waited_for():
    line = Line(gone(3))
    ready = iter([True, False, False])
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(line.supervisor.keep(line.attempt, lambda reason: next(ready)))
    assert len(line.clock.slept) == 2
