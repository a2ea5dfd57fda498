"""The gate beyond role and range: rates, mode, values for a time, two persons, dry run."""

import asyncio

import pytest

from runtime.bus import Bus
from runtime.clock import SECOND_NS, ManualClock
from runtime.config import GateConfig, TagList, UserConfig
from runtime.contract import Access, Actor, Batch, DataType, Quality, Role, Tag
from runtime.errors import ForbiddenError, RateLimitedError, UnfitValueError, WriteRejectedError
from runtime.gate import Gate
from runtime.gate.identity import Identity
from runtime.gate.scope import TokenActor
from runtime.journal import Journal, audit_log, operator_values
from runtime.journal.gatelog import gate_rows, unanswered
from runtime.tagtable import TagTable, initial_values

LI = Actor("li", Role.OPERATOR, "console")
MEI = Actor("mei", Role.OPERATOR, "http")
WU = Actor("wu", Role.ENGINEER, "console")
APP = Actor("tuner", Role.ENGINEER, "app")
RW = {"access": Access.READ_WRITE}
TAGS = [
    Tag("p/tank/sp", DataType.REAL, low=10, high=90, initial=50.0, **RW),
    Tag("p/tank/lot", DataType.STRING, initial="A", **RW),
    Tag("p/tank/permit", DataType.BOOL, source="driver"),
    Tag("p/tank/valve", DataType.BOOL, interlock="tank/permit", **RW),
    Tag("p/safe/limit", DataType.INT, role=Role.ENGINEER, initial=7, **RW),
    Tag("p/safe/sp", DataType.INT, initial=1, **RW),
    Tag("p/plc/mode", DataType.INT, source="plc", **RW),
]


class Bench:
    def __init__(self, folder, **config):
        self.clock = ManualClock()
        self.folder = folder
        self.config = GateConfig(**{"two_person": ["safe/*"], **config})
        self.loop = asyncio.new_event_loop()
        self.owner = lambda command: command.done() or True
        self.start()

    def start(self, tags=TAGS):
        self.table = TagTable(TagList(tags, "p"))
        self.bus = Bus(self.table)
        self.journal = Journal(self.folder / "journal.sqlite", self.clock)
        self.do(self.journal.open())
        self.gate = Gate(
            self.table, self.clock, self.journal, self.bus.publish, lambda c: self.owner(c), self.config
        )
        self.bus.publish(initial_values(self.table, 1))
        self.bus.publish(self.do(self.journal.operator_values(self.table)))
        self.gate.restore(*self.journal.read_now(gate_rows), self.journal.read_now(unanswered))

    def restart(self, tags=TAGS):
        self.do(self.journal.close())
        self.start(tags)

    def do(self, work):
        return self.loop.run_until_complete(work)

    def later(self, seconds):
        self.clock.set_ns(self.clock.now_ns() + round(seconds * SECOND_NS))
        self.do(self.gate.revert())
        self.do(self.gate.requests.expire())

    def write(self, path, value, actor=LI, **more):
        return self.do(self.gate.write(self.table[path], value, actor, **more))

    def refusal(self, path, value, actor=LI, **more):
        with pytest.raises(WriteRejectedError) as caught:
            self.write(path, value, actor, **more)
        return caught.value

    def put(self, path, value, quality=Quality.GOOD):
        tag = self.table[path]
        self.bus.publish(Batch.of([tag.id], [tag.data_type.encode(value)], 2, quality))

    def value(self, path):
        return self.table.value(self.table[path])

    def audit(self, *fields):
        return [tuple(getattr(row, name) for name in fields) for row in self.journal.read_now(audit_log, 100)]


@pytest.fixture
def bench(tmp_path, request):
    made = Bench(tmp_path, **getattr(request, "param", {}))
    yield made
    made.do(made.journal.close())
    made.loop.close()


@pytest.mark.parametrize(
    ("first_s", "second_s", "last"), [(0, 0, 70), (10, 0, 70), (0, 10, 60), (20, 10, 50)]
)
def test_of_writes_at_once_each_begins_with_what_the_one_before_left(bench, first_s, second_s, last):
    async def both():
        tag = bench.table["tank/sp"]
        await asyncio.gather(
            bench.gate.write(tag, 60, LI, for_ns=first_s * SECOND_NS),
            bench.gate.write(tag, 70, MEI, for_ns=second_s * SECOND_NS),
        )

    bench.do(both())
    assert bench.audit("actor", "old", "new") == [("mei", 60, 70), ("li", 50, 60)]
    bench.restart()
    bench.later(15)
    assert bench.value("tank/sp") == last


@pytest.mark.parametrize(
    "bench",
    [{"rates": [{"tags": ["tank/*"], "writes": 3, "per": "10s"}, {"writes": 5, "per": "10s"}]}],
    indirect=True,
)
def test_each_actor_has_a_rate_for_each_class_of_tags(bench):
    for _ in range(3):
        bench.write("tank/sp", 40)
    refused = bench.refusal("tank/sp", 41)
    assert isinstance(refused, RateLimitedError)
    assert "li writes too often" in str(refused)
    assert refused.wait_s == 4  # three in ten seconds: one in 3.3
    assert refused.remedy.startswith("wait 4 s")
    bench.write("plc/mode", 1)
    bench.write("plc/mode", 1)
    assert isinstance(bench.refusal("plc/mode", 1), RateLimitedError)
    bench.write("tank/sp", 42, MEI)
    bench.later(refused.wait_s)
    bench.write("tank/sp", 43)
    assert isinstance(bench.refusal("tank/sp", 44), RateLimitedError)
    with pytest.raises(RateLimitedError):
        bench.gate.dry_run(bench.table["tank/sp"], 44, LI)
    assert bench.audit("outcome")[0] == ("refused",)


@pytest.mark.parametrize(
    "bench", [{"rates": [{"tags": ["tank/*"], "writes": 3, "per": "10s"}]}], indirect=True
)
def test_several_writes_are_judged_together_and_none_is_made(bench):
    def judge(*writes):
        bench.do(bench.gate.judge([(bench.table[path], value) for path, value in writes], LI, "why"))

    judge(("tank/sp", 60), ("tank/lot", "B"), ("tank/sp", 70))  # three: that is the rate
    judge(("tank/sp", 60), ("tank/lot", "B"), ("tank/sp", 70))  # and none was counted
    assert (bench.value("tank/sp"), bench.value("tank/lot"), bench.audit("action")) == (50, "A", [])
    for second, error, why in [
        (("tank/sp", 91), UnfitValueError, "out of range"),
        (("tank/sp", float("nan")), UnfitValueError, "not a number"),
        (("plc/mode", 1.5), UnfitValueError, "whole numbers"),
        (("tank/valve", True), WriteRejectedError, "interlock"),
        (("safe/sp", 5), WriteRejectedError, "takes two persons"),
        (("safe/limit", 5), ForbiddenError, "needs engineer"),
    ]:
        with pytest.raises(error, match=why):
            judge(("tank/sp", 60), second)
        target, reason, outcome = bench.audit("target", "reason", "outcome")[0]
        assert (target, reason, outcome) == (f"p/{second[0]}", "why", "refused")
    assert len(bench.audit("seq")) == 6
    bench.write("tank/sp", 60)
    with pytest.raises(RateLimitedError):
        judge(("tank/sp", 60), ("tank/lot", "B"), ("tank/sp", 70))
    judge(("tank/sp", 60), ("tank/lot", "B"))


def test_read_only_refuses_everyone_says_who_and_why_and_outlives_a_restart(bench):
    with pytest.raises(ForbiddenError, match="needs engineer"):
        bench.do(bench.gate.mode.set_read_only(True, LI, "odd values"))
    with pytest.raises(WriteRejectedError, match="needs a reason"):
        bench.do(bench.gate.mode.set_read_only(True, WU, " "))
    bench.do(bench.gate.mode.set_mode("maintenance", WU, "belt"))
    bench.do(bench.gate.mode.set_read_only(True, WU, "odd values"))
    bench.restart()
    for actor in (LI, WU):
        assert "read only, set by wu: odd values" in str(bench.refusal("tank/sp", 60, actor))
    assert bench.value("tank/sp") == 50
    bench.do(bench.gate.mode.set_read_only(False, WU, "it was a sensor"))
    assert bench.gate.mode.name == "maintenance"
    assert bench.audit("action", "outcome", "old", "new")[0] == (
        "read-only",
        "done",
        "read_only",
        "maintenance",
    )


def test_a_mode_that_is_set_behind_the_switch_leaves_who_threw_it(bench):
    bench.do(bench.gate.mode.set_read_only(True, WU, "odd values"))
    bench.do(bench.gate.mode.set_mode("maintenance", Actor("xu", Role.ENGINEER, "console"), "belt"))
    assert "read only, set by wu: odd values" in str(bench.refusal("tank/sp", 60))
    assert bench.audit("action", "actor", "old", "new")[1] == ("mode", "xu", "auto", "maintenance")
    bench.restart()
    assert "read only, set by wu: odd values" in str(bench.refusal("tank/sp", 60))
    bench.do(bench.gate.mode.set_read_only(False, WU, "it was a sensor"))
    assert bench.gate.mode.name == "maintenance"


def test_in_maintenance_engineers_write_and_apps_do_not(bench):
    bench.do(bench.gate.mode.set_mode("maintenance", WU, "belt"))
    assert isinstance(bench.refusal("tank/sp", 60), ForbiddenError)
    assert "maintenance" in str(bench.refusal("tank/sp", 60, APP))
    bench.write("tank/sp", 60, WU)


@pytest.mark.parametrize(("path", "before", "new"), [("tank/sp", 50.0, 60.0), ("tank/lot", "A", "批次")])
def test_a_value_for_a_time_goes_back_also_after_a_restart(bench, path, before, new):
    assert bench.write(path, new, for_ns=600 * SECOND_NS, reason="trial") == before
    bench.later(599)
    assert bench.value(path) == new
    bench.restart()
    assert bench.value(path) == new
    bench.later(1)
    assert bench.value(path) == before
    bench.restart()
    assert bench.value(path) == before
    assert bench.gate.holds == {}
    actions = bench.audit("action", "actor", "new", "outcome", "reason")
    assert actions[0] == ("revert", "gate", before, "done", "the time of li is over")
    assert actions[1] == ("write", "li", new, "done", "for 10min: trial")


def test_a_plain_write_ends_the_time_and_a_second_time_keeps_the_first_value(bench):
    bench.write("tank/sp", 60, for_ns=10 * SECOND_NS)
    bench.write("tank/sp", 70, for_ns=20 * SECOND_NS)
    bench.later(15)
    assert bench.value("tank/sp") == 70
    bench.later(5)
    assert bench.value("tank/sp") == 50
    bench.write("tank/sp", 60, for_ns=10 * SECOND_NS)
    bench.write("tank/sp", 65)
    bench.later(20)
    assert bench.value("tank/sp") == 65


def test_a_time_needs_a_good_value_to_go_back_to_and_a_bound(bench):
    assert "no good value" in str(bench.refusal("plc/mode", 3, for_ns=SECOND_NS))
    assert "up to 1d" in str(bench.refusal("tank/sp", 60, for_ns=25 * 3600 * SECOND_NS))


def test_a_value_of_the_plc_goes_back_through_the_plc_and_waits_for_it(bench):
    sent = []

    def owner(command):
        sent.append(command.raw)
        command.done()
        return True

    bench.put("plc/mode", 2)
    bench.owner = owner
    bench.write("plc/mode", 3, for_ns=10 * SECOND_NS)
    bench.restart()
    bench.owner = lambda command: False
    bench.later(10)
    bench.later(1)
    assert list(bench.gate.late) == ["p/plc/mode"]
    bench.owner = owner
    bench.later(5)
    assert sent == [3, 2]
    assert bench.gate.late == bench.gate.holds == {}
    assert bench.audit("action", "outcome")[:3] == [
        ("revert", "done"),
        ("revert", "refused"),
        ("write", "done"),
    ]


def test_the_same_value_for_a_time_anew_while_the_old_one_goes_back_has_its_own_end(bench):
    bench.put("plc/mode", 2)
    bench.write("plc/mode", 3, for_ns=10 * SECOND_NS)
    sent = asyncio.Queue()
    bench.owner = lambda command: sent.put_nowait(command) or True

    async def main():
        bench.clock.set_ns(bench.clock.now_ns() + 10 * SECOND_NS)
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.gate.revert())
            back = await sent.get()
            group.create_task(bench.gate.write(bench.table["plc/mode"], 3, LI, for_ns=20 * SECOND_NS))
            anew = await sent.get()
            back.done()
            anew.done()
        return back.raw, anew.raw

    assert bench.do(main()) == (2, 3)
    arrived = []
    bench.owner = lambda command: arrived.append(command.raw) or command.done() or True
    bench.restart()
    bench.later(20)
    assert arrived == [2]
    assert bench.gate.holds == {}


@pytest.mark.parametrize("answer", ["done", "refused"])
def test_a_write_that_is_on_its_way_when_a_time_ends_is_not_undone(bench, answer):
    bench.put("plc/mode", 2)
    bench.write("plc/mode", 3, for_ns=10 * SECOND_NS)
    sent = asyncio.Queue()
    bench.owner = lambda command: sent.put_nowait(command) or True

    async def main():
        write = asyncio.create_task(bench.gate.write(bench.table["plc/mode"], 5, LI))
        command = await sent.get()
        bench.clock.set_ns(bench.clock.now_ns() + 10 * SECOND_NS)
        async with asyncio.timeout(60):
            await bench.gate.revert()
        command.done() if answer == "done" else command.failed("stopped")
        await asyncio.wait({write})
        return write.exception() is None

    assert bench.do(main()) is (answer == "done")
    arrived = []
    bench.owner = lambda command: arrived.append(command.raw) or command.done() or True
    bench.later(1)
    assert arrived == ([] if answer == "done" else [2])
    assert bench.gate.holds == {}


def test_a_write_is_not_undone_by_a_time_that_ends_after_another(bench):
    bench.put("plc/mode", 2)
    bench.write("plc/mode", 3, for_ns=10 * SECOND_NS)
    bench.write("tank/sp", 60, for_ns=10 * SECOND_NS)
    sent = asyncio.Queue()
    bench.owner = lambda command: sent.put_nowait(command) or True

    async def main():
        bench.clock.set_ns(bench.clock.now_ns() + 10 * SECOND_NS)
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.gate.revert())
            command = await sent.get()
            await bench.gate.write(bench.table["tank/sp"], 65, LI)
            command.done()

    bench.do(main())
    assert bench.value("tank/sp") == 65
    assert bench.gate.holds == {}


def test_a_write_for_a_time_that_the_owner_refuses_leaves_nothing_to_revert(bench):
    bench.put("plc/mode", 2)
    bench.owner = lambda command: command.failed("stopped") or True
    assert "stopped" in str(bench.refusal("plc/mode", 3, for_ns=10 * SECOND_NS))
    assert bench.gate.holds == {}
    assert bench.journal.read_now(gate_rows)[1] == []


def test_a_tag_that_was_taken_out_since_it_was_looked_up_is_not_written_around_its_rules(bench):
    tag = bench.table["safe/sp"]  # takes two persons
    for tags in ([each for each in TAGS if each != tag and each.path != tag.path], TAGS):
        bench.table.succeed(bench.table.tags.succeeded_by(TagList(tags, "p")))
        bench.gate.configure(bench.config)
    for attempt in (bench.gate.write, bench.gate.request):
        with pytest.raises(WriteRejectedError, match="changed by a new configuration"):
            bench.do(attempt(tag, 5, LI))
    bench.restart()
    assert bench.value("safe/sp") == 1


def test_a_command_for_a_tag_that_is_taken_out_meanwhile_does_not_reach_its_owner(bench, monkeypatch):
    begin = bench.gate.attempts.begin

    async def begin_as_an_apply_comes(*attempt):
        number = await begin(*attempt)
        bench.table.succeed(bench.table.tags.succeeded_by(TagList(TAGS[:-1], "p")))
        return number

    sent = []
    bench.owner = sent.append
    bench.put("plc/mode", 2)
    monkeypatch.setattr(bench.gate.attempts, "begin", begin_as_an_apply_comes)
    assert "changed by a new configuration" in str(bench.refusal("plc/mode", 3, for_ns=SECOND_NS))
    assert sent == []
    assert bench.gate.holds == {}
    assert bench.audit("action", "outcome") == [("write", "refused")]


def test_a_revert_honours_the_interlock_and_waits_while_read_only(bench):
    bench.put("tank/permit", True)
    bench.write("tank/valve", True, for_ns=10 * SECOND_NS)
    bench.put("tank/permit", False)
    bench.later(10)
    assert bench.value("tank/valve") is True
    bench.put("tank/permit", True)
    bench.do(bench.gate.mode.set_read_only(True, WU, "odd"))
    bench.later(6)
    assert bench.value("tank/valve") is True
    bench.do(bench.gate.mode.set_read_only(False, WU, "fine"))
    bench.later(6)
    assert bench.value("tank/valve") is False


@pytest.mark.parametrize(("path", "new"), [("tank/sp", 60.0), ("tank/lot", "批次")])
def test_a_tag_that_comes_back_after_its_time_is_not_what_it_was_for_a_time(bench, path, new):
    before = bench.write(path, new, for_ns=10 * SECOND_NS)
    bench.restart([tag for tag in TAGS if tag.path != f"p/{path}"])
    bench.later(10)
    bench.restart()
    assert bench.value(path) == before
    assert bench.gate.holds == {}


def test_a_tag_that_comes_back_within_its_time_goes_back_then(bench):
    bench.write("tank/sp", 60, for_ns=10 * SECOND_NS)
    bench.restart([tag for tag in TAGS if tag.path != "p/tank/sp"])
    bench.later(5)
    bench.restart()
    assert bench.value("tank/sp") == 60
    bench.later(5)
    assert bench.value("tank/sp") == 50


class Kill(BaseException):
    """What nothing catches; a KeyboardInterrupt would end the loop of the test once more for each task."""


def test_a_change_that_a_kill_interrupts_has_its_audit_row(bench):
    async def killed():
        raise Kill

    with pytest.raises(Kill):
        bench.do(bench.gate.audited("apply", "config", WU, "new tank", killed))
    bench.restart()
    bench.do(bench.gate.attempts.settle())
    bench.restart()
    assert bench.audit("action", "actor", "reason", "outcome") == [("apply", "wu", "new tank", "failed")]
    assert "ironworks config log" in bench.audit("detail")[0][0]


def test_a_tag_that_is_gone_ends_its_time_with_a_word(bench):
    bench.write("tank/sp", 60, for_ns=10 * SECOND_NS)
    bench.gate.holds = {"p/gone": next(iter(bench.gate.holds.values()))}
    object.__setattr__(bench.gate.holds["p/gone"], "path", "p/gone")
    bench.later(10)
    assert bench.gate.holds == {}
    assert bench.audit("action", "target", "outcome")[0] == ("revert", "p/gone", "failed")


def test_two_persons(bench):
    assert "takes two persons" in str(bench.refusal("safe/sp", 5))
    tag = bench.table["safe/sp"]
    request = bench.do(bench.gate.request(tag, 5, LI, "new recipe"))
    assert bench.value("safe/sp") == 1
    again = Actor("oidc:Li", Role.ENGINEER, "oidc")  # the same person by the site's issuer
    viewer = Actor("jan", Role.VIEWER, "http")
    for actor, why in ((LI, "someone else"), (again, "someone else"), (viewer, "needs operator")):
        with pytest.raises(ForbiddenError, match=why):
            bench.do(bench.gate.requests.approve(request.id, actor, ""))
    assert bench.do(bench.gate.requests.approve(request.id, MEI, "agreed")) == 1
    assert bench.value("safe/sp") == 5
    rows = bench.audit("action", "actor", "outcome", "detail", "reason")
    assert rows[0] == ("approve", "mei", "done", "", "agreed")
    assert rows[1] == ("write", "li", "done", "approved by mei", "new recipe")
    with pytest.raises(WriteRejectedError, match="no request"):
        bench.do(bench.gate.requests.approve(request.id, WU, ""))


def test_a_request_is_judged_when_it_is_made_and_again_when_it_is_approved(bench):
    limit, sp = bench.table["safe/limit"], bench.table["safe/sp"]
    with pytest.raises(ForbiddenError):
        bench.do(bench.gate.request(limit, 5, LI))
    with pytest.raises(WriteRejectedError, match="no second person"):
        bench.do(bench.gate.request(bench.table["tank/sp"], 50, LI))
    request = bench.do(bench.gate.request(sp, 5, LI))
    bench.do(bench.gate.mode.set_read_only(True, WU, "odd"))
    with pytest.raises(WriteRejectedError, match="read only"):
        bench.do(bench.gate.requests.approve(request.id, MEI, ""))
    assert bench.audit("action", "actor", "outcome")[:2] == [
        ("approve", "mei", "refused"),
        ("write", "li", "refused"),
    ]
    bench.do(bench.gate.mode.set_read_only(False, WU, "fine"))
    bench.do(bench.gate.requests.approve(request.id, MEI, ""))
    assert bench.value("safe/sp") == 5


def test_a_request_ends_by_time_by_rejection_and_by_restart(bench):
    tag = bench.table["safe/sp"]
    first = bench.do(bench.gate.request(tag, 5, LI))
    with pytest.raises(ForbiddenError):
        bench.do(bench.gate.requests.reject(first.id, Actor("jan", Role.VIEWER, "http"), ""))
    bench.do(bench.gate.requests.reject(first.id, LI, "mistyped"))
    second = bench.do(bench.gate.request(tag, 6, LI))
    bench.later(600)
    assert bench.audit("action", "outcome", "detail")[0] == (
        "request",
        "failed",
        "nobody approved it in time",
    )
    with pytest.raises(WriteRejectedError, match="no request"):
        bench.do(bench.gate.requests.approve(second.id, MEI, ""))
    for value in range(10):
        bench.do(bench.gate.request(tag, value, LI))
    with pytest.raises(WriteRejectedError, match="too many"):
        bench.do(bench.gate.request(tag, 6, LI))
    bench.restart()
    assert bench.gate.requests.waiting == {}
    assert bench.value("safe/sp") == 1


@pytest.mark.parametrize("end", ["rejected", "withdrawn"])
def test_nobody_approves_a_request_while_its_end_is_kept(bench, end):
    tag = bench.table["safe/sp"]
    requests = bench.gate.requests
    ended, other = (bench.do(bench.gate.request(tag, value, LI)) for value in (5, 6))

    async def main():
        work = requests.reject(ended.id, WU, "no") if end == "rejected" else requests.withdraw(demoted)
        ending = asyncio.create_task(work)
        await asyncio.sleep(0)
        with pytest.raises(WriteRejectedError, match="no request"):
            await requests.approve(ended.id, MEI, "")
        await requests.approve(other.id, MEI, "")
        await ending

    def demoted(actor, path):
        return True

    bench.do(main())
    assert bench.value("safe/sp") == 6
    rows = bench.audit("action", "new", "outcome")
    assert [row for row in rows if row[2] == "failed"] == ([("request", 5, "failed")] * (end == "withdrawn"))
    assert requests.waiting == {}


def test_a_dry_run_tells_the_verdict_and_changes_nothing(bench):
    dry_run = bench.gate.dry_run
    assert dry_run(bench.table["tank/sp"], 60, LI) == 50
    for path, value, actor, why in (
        ("tank/sp", 95, LI, "out of range"),
        ("safe/limit", 1, LI, "needs engineer"),
        ("tank/valve", True, LI, "interlock"),
        ("tank/permit", True, LI, "read only"),
    ):
        with pytest.raises(WriteRejectedError, match=why):
            dry_run(bench.table[path], value, actor)
    assert bench.value("tank/sp") == 50
    assert bench.audit("action") == []
    assert bench.journal.read_now(operator_values) == []


def test_a_token_writes_within_its_scope_only(bench):
    robot = TokenActor("li", Role.OPERATOR, "token", "a1", ("**",), ("tank/sp", "plc/*"))
    bench.write("tank/sp", 60, robot)
    refused = bench.refusal("tank/lot", "B", robot)
    assert isinstance(refused, ForbiddenError)
    assert "outside the scope of token a1 of li" in str(refused)


def test_a_request_ends_with_the_right_of_who_made_it(bench):
    tag = bench.table["safe/sp"]
    users = [UserConfig(name="li", role=Role.OPERATOR), UserConfig(name="wu", role=Role.ENGINEER)]
    identity = Identity(users)
    request = bench.do(bench.gate.request(tag, 5, LI))
    bench.do(bench.gate.request(tag, 6, WU))
    bench.do(bench.gate.requests.withdraw(identity.demoted))
    assert len(bench.gate.requests.waiting) == 2
    identity.configure([UserConfig(name="li"), UserConfig(name="wu", role=Role.ENGINEER)])
    bench.do(bench.gate.requests.withdraw(identity.demoted))
    rows = bench.audit("action", "actor", "outcome", "detail")
    assert rows[0] == ("request", "li", "failed", "li may not write this any more")
    with pytest.raises(WriteRejectedError, match="no request"):
        bench.do(bench.gate.requests.approve(request.id, MEI, ""))
    identity.configure([UserConfig(name="li")])
    bench.do(bench.gate.requests.withdraw(identity.demoted))
    assert bench.gate.requests.waiting == {}
    assert bench.value("safe/sp") == 1
