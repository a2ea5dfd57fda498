"""The gate's verdicts, its audit, and the way of a write."""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.bus import Bus
from runtime.clock import ManualClock
from runtime.config import TagList, UserConfig
from runtime.contract import Access, Actor, Batch, DataType, Quality, Role, Tag
from runtime.errors import StoreError, WriteRejectedError
from runtime.gate import Gate, Identity, parse_expression
from runtime.gate.expression import Undecided
from runtime.gate.identity import hash_secret
from runtime.journal import Journal, audit_log, operator_values, verify_audit
from runtime.journal.gatelog import gate_rows, unanswered
from runtime.tagtable import TagTable, initial_values

OPERATOR = Actor("li", Role.OPERATOR, "console")
INTERLOCK = "tank/level > 20 AND NOT pump/fault"
TAGS = [
    Tag("p/tank/level", DataType.REAL, source="driver"),
    Tag("p/tank/sp", DataType.REAL, low=10, high=90, unit_text="%", access=Access.READ_WRITE, initial=50.0),
    Tag("p/pump/run", DataType.BOOL, access=Access.READ_WRITE, interlock=INTERLOCK),
    Tag("p/pump/fault", DataType.BOOL, source="driver"),
    Tag("p/plc/mode", DataType.INT, access=Access.READ_WRITE, source="plc", role=Role.ENGINEER),
    Tag("p/lot", DataType.STRING, access=Access.READ_WRITE),
]


class Bench:
    """A gate with a real journal; commands go to `owner`."""

    def __init__(self, folder):
        self.clock = ManualClock()
        self.table = TagTable(TagList(TAGS, "p"))
        self.bus = Bus(self.table)
        self.journal = Journal(folder / "journal.sqlite", self.clock)
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.journal.open())
        self.bus.publish(initial_values(self.table, 1))
        self.owner = lambda command: False
        self.gate = Gate(self.table, self.clock, self.journal, self.bus.publish, lambda c: self.owner(c))

    def put(self, path, value, quality=Quality.GOOD):
        tag = self.table[path]
        self.bus.publish(Batch.of([tag.id], [tag.data_type.encode(value)], 2, quality))

    def write(self, path, value, actor=OPERATOR, reason=""):
        return self.loop.run_until_complete(self.gate.write(self.table[path], value, actor, reason))

    def refusal(self, path, value, actor=OPERATOR):
        with pytest.raises(WriteRejectedError) as caught:
            self.write(path, value, actor)
        return str(caught.value)

    def audit(self):
        return self.journal.read_now(audit_log, 100)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.loop.run_until_complete(made.journal.close())
    made.loop.close()


def test_a_write_in_range_arrives_and_is_audited(bench):
    assert bench.write("tank/sp", 60.0, reason="warm up") == 50.0
    assert bench.table.value(bench.table["tank/sp"]) == 60.0
    (row,) = bench.audit()
    assert (row.actor, row.target, row.old, row.new, row.reason, row.outcome) == (
        "li", "p/tank/sp", 50.0, 60.0, "warm up", "done",
    )  # fmt: skip


def test_an_operator_value_is_kept_for_the_next_start(bench):
    bench.write("tank/sp", 60.0)
    bench.write("lot", "A-17")
    kept = {each.path: each for each in bench.journal.read_now(operator_values)}
    assert DataType.REAL.decode(kept["p/tank/sp"].raw) == 60.0
    assert kept["p/lot"].text == "A-17"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("tank/sp", 95.0, "out of range (from 10 to 90 %)"),
        ("tank/sp", float("nan"), "not a number"),
        ("tank/sp", "hot", "cannot be 'hot' (write a number such as 2.5)"),
        ("tank/sp", True, "REAL cannot be true (write a number such as 2.5)"),
        ("tank/level", 50.0, "read only"),
        ("plc/mode", 1, "li is operator; p/plc/mode needs engineer"),
        ("lot", 5, "STRING takes text, not 5 (write text)"),
    ],
)
def test_a_refusal_says_why_and_is_audited(bench, path, value, says):
    assert says in bench.refusal(path, value)
    (row,) = bench.audit()
    assert row.outcome == "refused"
    assert says.split(" (")[0] in row.detail


def test_an_endless_text_is_not_written_and_its_refusals_stay_short_in_the_audit(bench):
    assert "32768 characters are too many (write up to 32767)" in bench.refusal("lot", "x" * 32_768)
    assert "needs engineer" in bench.refusal("plc/mode", "x" * 1_000_000)
    assert "cannot be" in bench.refusal("tank/sp", "x" * 30_000)
    with pytest.raises(WriteRejectedError, match="needs engineer"):
        bench.loop.run_until_complete(bench.gate.forcing.force("Main.lot", "x" * 1_000_000, OPERATOR))
    assert [len(str(row)) < 3000 for row in bench.audit()] == [True] * 4, "anybody may try, and it is kept"
    assert bench.audit()[2].new == "x" * 1000 + "... (1000000 characters)"
    bench.write("lot", "x" * 32_767)
    assert bench.audit()[0].new == "x" * 32_767, "what was done stands there whole"


def test_refusals_without_end_are_counted_in_a_few_rows(bench):
    for _ in range(300):
        bench.refusal("plc/mode", 1)
    assert len(bench.audit()) == 60, "a script that tries for ever would fill the disk"
    bench.write("tank/sp", 60.0)
    assert bench.audit()[0].outcome == "done", "what is done has its row"
    bench.loop.run_until_complete(bench.gate.attempts.settle())
    assert len(bench.audit()) == 61
    bench.loop.run_until_complete(bench.clock.advance(1))
    for _ in range(2):
        bench.loop.run_until_complete(bench.gate.attempts.settle())
    assert bench.audit()[0].detail.endswith("; 239 refused attempts before have no row of their own")
    bench.loop.run_until_complete(bench.clock.advance(60))
    bench.refusal("plc/mode", 2)
    assert len(bench.audit()) == 63
    assert "no row" not in bench.audit()[0].detail


def test_interlock_holds_back_until_its_tags_allow(bench):
    assert "cannot be judged" in bench.refusal("pump/run", True)
    bench.put("tank/level", 10.0)
    bench.put("pump/fault", False)
    assert "interlock does not hold" in bench.refusal("pump/run", True)
    bench.put("tank/level", 30.0)
    bench.write("pump/run", True)
    bench.put("pump/fault", True)
    assert "interlock does not hold" in bench.refusal("pump/run", False)


def test_the_owner_may_refuse_and_may_be_absent(bench):
    engineer = Actor("wu", Role.ENGINEER, "console")
    assert "does not take writes now" in bench.refusal("plc/mode", 1, engineer)
    bench.owner = lambda command: command.failed("the task is stopped") or True
    assert "the task is stopped" in bench.refusal("plc/mode", 1, engineer)
    bench.owner = lambda command: command.done() or True
    bench.write("plc/mode", 1, engineer)
    assert [row.outcome for row in bench.audit()] == ["done", "refused", "refused"]


def test_what_cannot_be_audited_is_not_done(bench):
    class Full:
        async def append_audit(self, entry):
            raise StoreError("the disk is full", "free space")

    gate = Gate(bench.table, bench.clock, Full(), bench.bus.publish, lambda command: False)
    with pytest.raises(WriteRejectedError, match="cannot be audited: the disk is full"):
        asyncio.run(gate.write(bench.table["tank/sp"], 60.0, OPERATOR))
    assert bench.table.value(bench.table["tank/sp"]) == 50.0


def test_what_cannot_be_audited_does_not_reach_the_owner(bench):
    class Full:
        async def append(self, record):
            raise StoreError("the disk is full", "free space")

    sent = []
    owner = lambda command: sent.append(command) or command.done() or True  # noqa: E731
    gate = Gate(bench.table, bench.clock, Full(), bench.bus.publish, owner)
    with pytest.raises(WriteRejectedError, match="cannot be audited: the disk is full"):
        asyncio.run(gate.write(bench.table["plc/mode"], 1, Actor("wu", Role.ENGINEER, "console")))
    assert sent == []


ENGINEER = Actor("wu", Role.ENGINEER, "console")


class Failing:
    """The journal, until `left` more records are kept."""

    def __init__(self, journal, left):
        self.journal = journal
        self.left = left

    async def append(self, record):
        if self.left == 0:
            raise StoreError("the disk is full", "free space")
        self.left -= 1
        return await self.journal.append(record)

    append_audit = append


def test_a_disk_that_fills_after_the_owner_took_a_value_is_told_and_the_row_follows(bench):
    bench.owner = lambda command: command.done() or True
    trail = Failing(bench.journal, 1)
    gate = Gate(bench.table, bench.clock, trail, bench.bus.publish, lambda c: bench.owner(c))

    async def main():
        with pytest.raises(WriteRejectedError, match=r"plc took the value, but the audit cannot be written"):
            await gate.write(bench.table["plc/mode"], 1, ENGINEER)
        with pytest.raises(WriteRejectedError, match="cannot be audited"):
            await gate.attempts.settle()
        assert bench.audit() == []
        trail.left = -1
        await gate.attempts.settle()
        await gate.attempts.settle()

    bench.loop.run_until_complete(main())
    (row,) = bench.audit()
    assert (row.outcome, row.target, row.new) == ("done", "p/plc/mode", 1)
    assert bench.journal.read_now(unanswered) == []


def test_a_kill_before_the_owners_answer_leaves_one_row_that_says_so(bench):
    bench.owner = lambda command: command.done() or True
    gate = Gate(
        bench.table, bench.clock, Failing(bench.journal, 1), bench.bus.publish, lambda c: bench.owner(c)
    )
    with pytest.raises(WriteRejectedError):
        bench.loop.run_until_complete(gate.write(bench.table["plc/mode"], 1, ENGINEER))
    bench.gate.restore(*bench.journal.read_now(gate_rows), bench.journal.read_now(unanswered))
    bench.loop.run_until_complete(bench.gate.attempts.settle())
    (row,) = bench.audit()
    assert (row.outcome, row.actor, row.new) == ("failed", "wu", 1)
    assert "may have arrived" in row.detail
    assert bench.journal.read_now(unanswered) == []
    assert bench.journal.read_now(verify_audit).ok


def test_whoever_stops_waiting_leaves_table_and_disk_the_same(bench):
    async def broken_off():
        write = asyncio.ensure_future(bench.gate.write(bench.table["tank/sp"], 60.0, OPERATOR))
        await bench.clock.settle(3)  # the commit is on its way, and whoever asked goes away
        write.cancel()
        await asyncio.wait([write])
        return write.cancelled()

    assert bench.loop.run_until_complete(broken_off())
    (kept,) = bench.journal.read_now(operator_values)
    assert DataType.REAL.decode(kept.raw) == bench.table.value(bench.table["tank/sp"]) == 60.0


@pytest.mark.parametrize("rounds", [3, 0])  # while it is noted; while the owner has it
def test_a_command_that_is_broken_off_has_its_row_at_once(bench, rounds):
    taken = asyncio.Event()
    bench.owner = lambda command: taken.set() or True

    async def broken_off():
        engineer = Actor("wu", Role.ENGINEER, "console")
        write = asyncio.ensure_future(bench.gate.write(bench.table["plc/mode"], 2, engineer))
        await (bench.clock.settle(rounds) if rounds else taken.wait())
        write.cancel()
        await asyncio.wait([write])
        return write.cancelled()

    assert bench.loop.run_until_complete(broken_off())
    (row,) = bench.audit()
    assert (row.outcome, "may have arrived" in row.detail) == ("failed", True)
    assert bench.journal.read_now(unanswered) == []


def test_a_note_of_an_older_release_becomes_its_row_too(bench):
    """An upgrade may come between a write and its row: notes had no type and unit then."""
    cells = [5, "wu", "engineer", "test", "write", "p/plc/mode", 0, 1, "", "done", "", []]
    with contextlib.closing(sqlite3.connect(bench.journal.path)) as connection, connection:
        connection.execute("INSERT INTO gate_sent (rows) VALUES (?)", (json.dumps([cells]),))
    (entry,) = bench.journal.read_now(unanswered)
    assert (entry.actor, entry.new, entry.outcome, entry.type) == ("wu", 1, "failed", "")


@pytest.mark.parametrize(
    "text", ["", "a >", "AND a", "(a > 1", "a > 1 b", "a ? 1", "NOT", "a > > 1", "a > T#3", "a > T#"]
)
def test_a_wrong_interlock_is_refused_with_its_column(text):
    with pytest.raises(ValueError, match="column"):
        parse_expression(text)


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_clear_error(text):
    with contextlib.suppress(ValueError):
        assert parse_expression(text).text == text


def test_expression_follows_precedence():
    tags = TagTable(TagList([Tag(f"p/{name}", DataType.BOOL) for name in "abc"], "p"))

    def put(**values):
        for name, value in values.items():
            tags.apply(Batch.of([tags[name].id], [value], 1))

    put(a=0, b=0, c=1)
    assert parse_expression("a AND b OR c").holds(tags)
    assert not parse_expression("a AND (b OR c)").holds(tags)
    assert parse_expression("NOT a AND c = TRUE").holds(tags)


@pytest.mark.parametrize("type_", [DataType.REAL, DataType.LREAL])
@pytest.mark.parametrize("number", ["80.3", "80.1", "0.1", "-0.7", "3"])
def test_a_value_that_reads_like_a_number_equals_it(type_, number):
    tags = TagTable(TagList([Tag("p/level", type_)], "p"))
    tags.apply(Batch.of([0], [type_.encode(float(number))], 1))
    assert parse_expression(f"level = {number} AND {number} >= level AND level < 1e300").holds(tags)
    assert not parse_expression(f"level > {number} OR {number} > level").holds(tags)


def test_a_time_is_compared_with_a_duration():
    tags = TagTable(TagList([Tag("p/ran", DataType.TIME)], "p"))
    tags.apply(Batch.of([0], [90 * 60 * 1_000_000_000], 1))
    assert parse_expression("ran >= T#1h30m AND ran < TIME#1.6h").holds(tags)
    assert not parse_expression("ran > t#1h30m OR T#-5s > ran").holds(tags)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("bad OR on", True),
        ("on OR bad", True),
        ("bad OR off", None),
        ("off AND bad", False),
        ("bad AND off", False),
        ("bad AND on", None),
        ("NOT bad", None),
        ("NOT (bad AND off)", True),
        ("(bad OR on) AND NOT (nan > 1 AND off)", True),
        ("nan > 1 OR on", True),
        ("nan > 1 OR off", None),
    ],
)
def test_what_is_not_known_matters_only_where_the_rest_leaves_it_open(text, verdict):
    tags = TagTable(TagList([Tag(f"p/{name}", DataType.REAL) for name in ("bad", "nan", "on", "off")], "p"))
    raws = [DataType.REAL.encode(value) for value in (1.0, float("nan"), 1.0, 0.0)]
    quality = np.array([Quality.BAD, Quality.GOOD, Quality.GOOD, Quality.GOOD], np.uint32)
    tags.apply(Batch.of([tags[name].id for name in ("bad", "nan", "on", "off")], raws, 1, quality))
    if verdict is None:
        with pytest.raises(Undecided):
            parse_expression(text).holds(tags)
    else:
        assert parse_expression(text).holds(tags) is verdict


def test_an_interlock_on_a_value_that_is_no_number_is_undecided(bench):
    bench.put("pump/fault", False)
    bench.put("tank/level", float("nan"))
    assert "cannot be judged" in bench.refusal("pump/run", True)


def test_a_secret_is_slow_to_guess():
    code = "from runtime.gate.identity import hash_secret; print(hash_secret('x'))"  # as it is shipped
    line = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    _, kind, _, costs, *_ = line.split("$")
    assert kind == "argon2id"
    cost = {name: int(value) for name, value in (each.split("=") for each in costs.split(","))}
    assert cost["m"] >= 65_536  # KiB; RFC 9106, 4, the second recommended option
    assert cost["t"] >= 3


def test_secrets_are_checked_and_nobody_has_a_default():
    users = [
        UserConfig(name="wang", role="engineer", secret=hash_secret("correct horse")),
        UserConfig(name="local", role="operator", os_user="somebody"),
    ]
    identity = Identity(users)
    wang = identity.authenticate("wang", "correct horse", "opcua")
    assert (wang.name, wang.role, wang.via) == ("wang", Role.ENGINEER, "opcua")
    assert identity.authenticate("wang", "wrong", "opcua") is None
    assert identity.authenticate("local", "", "opcua") is None
    assert identity.authenticate("admin", "admin", "opcua") is None
    assert identity.peer(4_000_000).role is Role.VIEWER
