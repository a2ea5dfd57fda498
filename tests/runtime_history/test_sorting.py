"""More samples than memory holds become one sorted file."""

import duckdb
import numpy as np
import pytest

from runtime.clock import WallClock
from runtime.config import TagList
from runtime.contract import DataType, Tag
from runtime.historian import compaction
from runtime.historian.cold import listed
from runtime.historian.columns import Columns
from runtime.historian.sorting import AT_ONCE, slices
from runtime.historian.store import Store

DAY_NS = 1_795_824_000_000_000_000
CASES = {
    "nothing": [],
    "few": [(3, range(10)), (1, range(5))],
    "many tags": [(tag, range(7)) for tag in range(500)],
    "one fast tag among slow ones": [(1, range(40)), (2, range(5000)), (3, range(40))],
    "a burst": [(1, [*range(10), *range(10**12, 10**12 + 3000), 2**60])],
    "all at one time": [(1, [7] * 1000), (2, [7] * 3)],
    "before 1970": [(1, range(-3000, 0))],
}


@pytest.mark.parametrize("case", CASES)
def test_slices_hold_each_sample_once_in_order_and_few_at_a_time(case):
    rows = [(tag, t) for tag, times in CASES[case] for t in times]
    with duckdb.connect() as database:
        database.execute("CREATE TABLE given (tag UINTEGER, t BIGINT)")
        shuffled = np.random.default_rng(1).permutation(np.array(rows, np.int64).reshape(-1, 2))
        database.register("rows", {"tag": shuffled[:, 0].copy(), "t": shuffled[:, 1].copy()})
        database.execute("INSERT INTO given SELECT tag, t FROM rows")
        found = [
            database.execute(f"SELECT tag, t FROM given WHERE {each} ORDER BY tag, t").fetchall()
            for each in slices(database, "given", 200)
        ]
    assert [row for piece in found for row in piece] == sorted(rows)
    assert all(len(piece) <= 200 or len(set(piece)) == 1 for piece in found)
    assert all(found)


def test_sixteen_files_of_a_million_samples_become_one_in_little_memory(tmp_path):
    store = Store(tmp_path / "history.duckdb", WallClock(), 32)
    store.open()
    tags = TagList([Tag(f"a/b/c/t{number}", DataType.LREAL, source="x") for number in range(1000)])
    stored = store.register(tags)
    noise = np.random.default_rng(1)
    for file in range(16):
        times = DAY_NS + (file * 64 + np.arange(64, dtype=np.int64)) * 10**9
        count = 64 * 1000
        store.append(
            Columns(
                np.tile(stored, 64).astype(np.uint32),
                np.repeat(times, 1000),
                noise.normal(50, 5, count),
                np.zeros(count, np.uint32),
                np.zeros(0, np.int64),
                np.zeros(0, np.uint64),
                np.zeros(0, np.object_),
            ),
            int(times[-1]),
        )
        store.seal()
        for table in store.sealed():
            store.commit_parts(compaction.write_table(store, table), table)
    group = compaction.mergeable(store.parts(), DAY_NS + 2 * 86400 * 10**9, 10**7)
    assert len(group) == 16
    store.commit_parts([compaction.merge(store, group)], None, group)
    store.sweep()
    (part,) = store.parts()
    assert part.rows == 16 * 64_000 > 10 * AT_ONCE
    with store.cursor() as cursor:
        places = cursor.execute(
            f"SELECT tag, t FROM read_parquet({listed([store.folder / part.name])})"
        ).fetchnumpy()
    place = places["tag"].astype(np.int64) * 10**14 + (places["t"] - DAY_NS)
    assert (np.diff(place) > 0).all()
    assert [file.name for file in store.folder.rglob("*unfinished")] == []
    store.close()
