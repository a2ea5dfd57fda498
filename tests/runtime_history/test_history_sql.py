"""The desk of an SQL query: what is laid out on it before the query begins."""

import time
from dataclasses import replace

import pytest

from runtime.contract import DataType, Tag
from runtime.historian import SqlError, open_readonly, write_parquet
from runtime.historian.analyst import Library, answer


def test_ten_thousand_tags_are_laid_out_as_they_are(tmp_path):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    tags = [(number, f"工厂/a/{number}", "REAL", "Cel", "long") for number in range(10_000)]
    found = answer(Library([file], tags), "SELECT * FROM tags", len(tags), 20)
    assert found.rows == tuple(tag[1:] for tag in tags)


@pytest.mark.parametrize(
    "value", ["INTERVAL 100000000 YEAR", "[" * 500 + "1" + "]" * 500], ids=["great", "deep"]
)
def test_a_value_that_cannot_be_told_is_refused_in_words(tmp_path, value):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    with pytest.raises(SqlError, match="cannot be told"):
        answer(books, f"SELECT {value}", 10, 20)
    assert answer(books, f"SELECT length(({value})::VARCHAR) > 1", 10, 20).rows == ((True,),)


def test_an_answer_that_would_fill_the_memory_is_refused_in_words(tmp_path):
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [0] for name in names})
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    with pytest.raises(SqlError, match="the answer is larger than 32 MiB"):
        answer(books, "SELECT repeat('x', 20000) FROM range(2000)", 100_000, 20)
    found = answer(books, "SELECT range FROM range(2500)", 2400, 20)
    assert (found.rows, found.truncated) == (tuple((each,) for each in range(2400)), True)


def test_now_is_in_utc_as_samples_are(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    file, names = tmp_path / "samples.parquet", ("tag", "t", "value", "quality", "text")
    write_parquet(file, {name: [time.time_ns() if name == "t" else 0] for name in names})
    query = "SELECT count(*) FROM samples WHERE t > now()::TIMESTAMP - INTERVAL 1 HOUR"
    books = Library([file], [(0, "a/b", "REAL", "", "long")])
    assert answer(books, query, 10, 20).rows == ((1,),)
    with pytest.raises(SqlError) as told:
        answer(books, query.replace("::TIMESTAMP", ""), 10, 20)
    assert "t >= now()::TIMESTAMP" in told.value.remedy


def test_samples_of_a_tag_that_had_another_type_are_joined_once(tmp_path, kit):
    before = Tag("site/area/line/level", DataType.REAL, unit="m")
    shelf = kit.Shelf(tmp_path / "history.duckdb", [before])
    shelf.append(kit.batch(shelf.tags[0], [0, 1], [1.0, 2.0]))
    shelf.store.close()
    shelf = kit.Shelf(tmp_path / "history.duckdb", [replace(before, data_type=DataType.LREAL, unit="mm")])
    shelf.append(kit.batch(shelf.tags[0], [2], [3.0]))
    shelf.store.close()
    with open_readonly(tmp_path / "history.duckdb") as archive:
        query = "SELECT type, unit, count(*), sum(value) FROM samples JOIN tags USING (path) GROUP BY ALL"
        assert archive.sql(query, 10, 20).rows == (("LREAL", "mm", 3, 6.0),)
