"""The queue on disk, report by exception, the primary host's word: without a broker."""

import asyncio
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sparkplug.catalogue import Catalogue
from drivers.sparkplug.host import nodes
from drivers.sparkplug.host.nodes import EdgeNode
from drivers.sparkplug.payload import INT, Carried, Metric, Payload, decode
from drivers.sparkplug.primary import PrimaryHost
from drivers.sparkplug.reporting import Reporter, deadbands, newest_of_each_ms
from drivers.sparkplug.session import Session
from drivers.sparkplug.spool import Piece, Spool
from drivers.sparkplug.topics import Topic, parse
from runtime.clock import WallClock
from runtime.contract import Batch, DataType, Quality
from runtime.errors import StoreError


def piece(id_, *values, text=None):
    n = len(values)
    return Piece(
        id_,
        np.arange(1, n + 1, dtype=np.int32),
        np.array(values, np.uint64),
        np.zeros(n, np.uint32),
        np.full(n, 1_000_000 * id_, np.int64),
        text or {},
    )


def raws(pieces):
    return [raw for each in pieces for raw in each.raw.tolist()]


def spooled(file, body, limit=1 << 20):
    async def main():
        spool = Spool(file, WallClock(), limit)
        await spool.open()
        try:
            return await body(spool)
        finally:
            await spool.close()

    return asyncio.run(main())


def test_pieces_come_back_in_order_after_a_restart(tmp_path):
    file = tmp_path / "deep" / "q.sqlite"

    async def fill(spool):
        for id_ in range(1, 6):
            spool.put(piece(id_, id_, 10 * id_, text={1: f"é{id_}\x00"}))
        assert raws(await spool.read(0, 2, 100)) == [1, 10, 2, 20]  # before they are on disk
        await spool.flush()
        spool.drop([2])
        spool.put(piece(6, 6))
        assert raws(await spool.read(1, 9, 100)) == [3, 30, 4, 40, 5, 50, 6]
        assert raws(await spool.read(0, 9, 3)) == [1, 10]
        assert await spool.aliases([("", "a", "INT"), ("d", "a", "INT")]) == {
            ("", "a", "INT"): 1,
            ("d", "a", "INT"): 2,
        }
        return [await spool.next_bdseq() for _ in range(3)]

    async def look(spool):
        assert (spool.rows, spool.last_id) == (9, 6)
        assert await spool.aliases([("d", "a", "INT"), ("d", "a", "REAL")]) == {
            ("d", "a", "INT"): 2,
            ("d", "a", "REAL"): 3,
        }
        assert [await spool.next_bdseq() for _ in range(3)] == [255, 0, 1]
        return await spool.read(0, 9, 100)

    assert spooled(file, fill) == [0, 1, 2]
    with sqlite3.connect(file) as db:
        db.execute("UPDATE counters SET value = 254 WHERE name = 'bdSeq'")
    found = spooled(file, look)
    assert [each.id for each in found] == [1, 3, 4, 5, 6]
    assert found[1].text == {1: "é3\x00"}
    assert found[1].source_ns.tolist() == [3_000_000] * 2


def test_the_oldest_go_when_there_is_no_room(tmp_path):
    async def body(spool):
        for id_ in range(1, 31):
            spool.put(piece(id_, *[id_] * 10))
            await spool.flush()
            assert spool.bytes <= 3040
        assert spool.rows + spool.evicted == 300
        assert spool.rows == 100
        return raws(await spool.read(0, 1000, 10_000))

    assert spooled(tmp_path / "q", body, 10 * 304) == [id_ for id_ in range(21, 31) for _ in range(10)]


@settings(max_examples=5, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from("pdf"), st.integers(0, 30)), max_size=30))
def test_rows_and_bytes_are_what_is_there(tmp_path_factory, steps):
    async def body(spool):
        there = {}
        for what, number in steps:
            if what == "p":
                new = piece(spool.last_id + 1, *range(number + 1))
                spool.put(new)
                there[new.id] = new
            elif what == "d":
                spool.drop([number])
            else:
                await spool.flush()
        await spool.flush()
        dropped = {number for what, number in steps if what == "d"}
        found = await spool.read(0, 1000, 100_000)
        assert spool.rows == sum(len(each.alias) for each in found)
        assert spool.bytes == sum(each.bytes for each in found)
        assert {each.id for each in found} >= there.keys() - dropped
        return True

    assert spooled(tmp_path_factory.mktemp("spool") / "q", body)


def test_a_disk_that_fails_is_told_and_values_stay_in_memory(tmp_path):
    file = tmp_path / "q"

    async def body(spool):
        other = sqlite3.connect(file, timeout=0, isolation_level=None)
        spool._connection.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        for id_ in range(1, 12):
            spool.put(piece(id_, *[id_] * 10))
        await spool.flush()
        assert "locked" in spool.failing
        assert (spool.rows, spool.evicted) == (100, 10)
        with pytest.raises(StoreError, match="locked"):
            await spool.next_bdseq()
        other.execute("ROLLBACK")
        other.close()
        await spool.flush()
        assert spool.failing == ""
        return raws(await spool.read(0, 100, 1000))

    assert spooled(file, body, 10 * 304) == [id_ for id_ in range(2, 12) for _ in range(10)]


def test_a_damaged_file_is_set_aside_and_a_newer_one_refused(tmp_path):
    file = tmp_path / "q"
    file.write_bytes(b"no database at all" * 100)

    async def problem(spool):
        return spool.problem

    assert "kept as q.corrupt-" in spooled(file, problem)
    assert spooled(file, problem) == ""
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="later Ironworks"):
        spooled(file, problem)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        spooled(tmp_path / "file" / "q", problem)


def test_news_are_what_differs_by_more_than_the_deadband(tag):
    tags = [
        tag("a", deadband=0.5),
        tag("b", DataType.SINT, low=-100.0, high=100.0),
        tag("c", DataType.STRING),
        tag("d", DataType.BOOL),
    ]
    reporter = Reporter(tags, deadbands(tags, None))

    def news(*rows, text=None):
        ids = np.array([row for row, *_ in rows], np.int32)
        raw = [tags[row].data_type.encode(value) for row, value, *_ in rows]
        quality = np.array([more[0] if more else 0 for _, _, *more in rows], np.uint32)
        return reporter.news(ids, Batch.of(ids, raw, 0, quality, text or {})).tolist()

    assert news((0, 1.0), (1, -5), (2, ""), (3, 0), text={2: "x"}) == [0, 1, 2, 3]
    assert news((0, 1.5), (1, -5), (2, ""), (3, 0), text={2: "x"}) == []
    assert news((0, 1.6), (0, 2.0), (0, 2.2), (3, 1), (3, 0)) == [0, 2, 3, 4]
    assert news((0, float("nan")), (2, ""), text={1: "y"}) == [0, 1]
    assert news((0, 2.2), (1, -5, Quality.BAD)) == [0, 1]
    per_cent = deadbands(tags, (1.0, True))
    assert per_cent.tolist() == [0.0, 2.0, 0.0, 0.0]
    assert deadbands(tags, (0.5, False)).tolist() == [0.5, 0.5, 0.5, 0.0]
    reporter = Reporter(tags, per_cent)
    assert news((1, -1), (1, 1), (1, 2)) == [0, 2]


def test_of_values_with_one_timestamp_the_last_stays():
    rows = np.array([0, 1, 0, 0], np.int32)
    source_ns = np.array([1_000_000, 1_000_000, 1_999_999, 2_000_000], np.int64)
    assert newest_of_each_ms(rows, source_ns).tolist() == [1, 2, 3]
    assert newest_of_each_ms(rows[:0], source_ns[:0]).tolist() == []


def test_messages_are_numbered_from_the_birth_on_and_anew_after_255():
    session = Session("group", "node", 7, Catalogue([], {}, ["tank"], 0), 1000)
    nothing = Batch.of([], [], 0)
    for _ in range(2):  # a rebirth begins anew
        sent = list(session.births(nothing, False, ["tank"], 1))
        sent += [session.device_death("tank", 1) for _ in range(300)]
        assert [decode(payload).seq for _, payload in sent] == [number % 256 for number in range(302)]
    _, death = session.death(1)
    assert decode(death).seq is None
    assert [(each.name, each.value.content) for each in decode(death).metrics] == [("bdSeq", 7)]


def test_a_device_that_is_born_again_has_the_aliases_and_metrics_of_that_birth_alone():
    node = EdgeNode()

    def say(seq, verb, device="", **aliases):
        metrics = [Metric(name, alias, 5000, 3, value=Carried(INT, 1)) for name, alias in aliases.items()]
        return list(node.take(Topic(verb, "g", "n", device), Payload(5000, metrics, seq)))

    say(0, "NBIRTH", own=1)
    say(1, "DBIRTH", "d", speed=2, gone=3)
    say(2, "DBIRTH", "d", speed=7)
    assert (node.alias("d", "speed"), node.datatype("d", "speed")) == (7, 3)
    assert (node.alias("d", "gone"), node.datatype("d", "gone")) == (None, None)
    assert (node.alias("", "own"), node.datatype("", "own")) == (1, 3)


def test_a_device_that_is_born_again_and_again_with_other_metrics_leaves_room_for_others(monkeypatch):
    monkeypatch.setattr(nodes, "MOST_METRICS", 4)
    node = EdgeNode()
    for seq in range(8):
        metric = Metric(f"batch{seq}", seq, 5000, 3, value=Carried(INT, seq))
        verb, device = ("DBIRTH", "d") if seq else ("NBIRTH", "")
        born = next(iter(node.take(Topic(verb, "g", "n", device), Payload(5000, [metric], seq))))
        assert born.names == {f"batch{seq}"}


def test_only_the_newest_word_of_the_primary_host_counts():
    host = PrimaryHost("scada")
    host.meet("a")
    said = [
        (b'{"online": true, "timestamp": 5}', True),
        (b'{"online": false, "timestamp": 4}', True),
        (b'{"online": false, "timestamp": 5}', False),
        (b'{"online": true, "timestamp": 4}', False),
        (b'{"online": true, "timestamp": 6}', True),
    ]
    for payload, online in said:
        assert host.take(payload) == ""
        assert host.online is online
    assert host.left.is_set()  # though it is back, what was sent to it may be lost
    for wrong in (
        b"ONLINE",
        b"[" * 10_000,
        b"3",
        b'{"online": 1, "timestamp": 9}',
        b'{"online": false}',
        b"\xff",
    ):
        assert host.take(wrong) != ""
        assert host.online is True
    host.meet("b")
    assert host.online is None
    host.take(b'{"online": true, "timestamp": 1}')
    assert host.online is True


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/g/NCMD",
        "spBv1.0//NCMD/n",
        "spAv1.0/g/NCMD/n",
        "spBv1.0/g/NCMD/n/d",
        "spBv1.0/g/DCMD/n",
        "x",
        "",
    ],
)
def test_other_topics_are_none_of_ours(topic):
    assert parse(topic) is None
