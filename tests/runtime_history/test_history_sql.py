"""The desk of an SQL query: what is laid out on it before the query begins."""

import time

from runtime.historian import write_parquet
from runtime.historian.analyst import Library, answer


def test_ten_thousand_tags_are_laid_out_at_once(tmp_path):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    spent = {}
    for count in (100, 100, 10_000):  # twice the few: what is loaded first is not counted
        tags = [(number, f"工厂/a/{number}", "REAL", "Cel", "long") for number in range(count)]
        begun = time.process_time()
        found = answer(Library([file], tags), "SELECT * FROM tags", count, 20)
        spent[count] = time.process_time() - begun
        assert found.rows == tuple(tag[1:] for tag in tags)
    assert spent[10_000] < 20 * spent[100]  # row by row it took sixty times as long
