"""What people and programs ask of history, by command line and API, of a plant that runs or not."""

import asyncio
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from pyarrow import feather
from typer.testing import CliRunner

from runtime.cli import build, history
from runtime.client import PlantClient
from runtime.endpoint import Endpoint, find
from runtime.errors import ConnectError, PlantError
from runtime.historian import Archive, compaction

PLANT = """plant: brewery
root: site/area/line
api: {port: 0}
history: {flush: 100ms}
"""
TAGS = """path,type,access,source,retention
level,REAL,rw,operator,standard
count,ULINT,rw,operator,long
recipe,STRING,rw,operator,standard
run,BOOL,rw,operator,standard
"""


@pytest.fixture
def folder(tmp_path, kit):
    """A plant that stands still, with six hours of history, half of it in cold files."""
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text(TAGS)
    shelf = kit.Shelf(tmp_path / ".ironworks" / "history.duckdb")
    minutes = np.arange(360)
    batch = kit.batch(shelf.tags["site/area/line/level"], 60 * minutes, np.sin(minutes))
    last_ns = kit.T0 + 6 * kit.HOUR
    shelf.append(batch.take(minutes[:180]), now_ns=last_ns)
    shelf.store.seal()
    for table in shelf.store.sealed():
        shelf.store.commit_parts(compaction.write_table(shelf.store, table), table)
    shelf.append(batch.take(minutes[180:]), now_ns=last_ns)
    shelf.store.close()
    return tmp_path


@pytest.fixture
def home(monkeypatch):
    made = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", made)
    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def running_plant(folder, home):
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", "run", str(folder), "--attached"],
        stdin=subprocess.PIPE,
        env={**os.environ, "XDG_RUNTIME_DIR": home},
    )
    try:
        deadline = time.monotonic() + 60
        while not _found(folder):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield folder
    finally:
        process.stdin.close()
        process.wait(60)


def _found(folder):
    try:
        return find(folder)
    except ConnectError:
        return None


@pytest.fixture
def ironworks(home):
    return lambda *arguments: CliRunner().invoke(build(arguments[0]), [str(each) for each in arguments])


SPAN = ("--from", "2023-11-15T00:00:00+00:00", "--to", "2023-11-15T06:00:00+00:00")
HOURS = [np.sin(np.arange(60) + 60 * hour).mean() for hour in range(6)]


def ask(ironworks, folder):
    """Ask the same of a plant, whether it runs or not."""
    plant = ("--plant", folder)
    result = ironworks(
        "history", "query", "level", *SPAN, "--mode", "mean", "--interval", "1h", "--json", *plant
    )
    assert result.exit_code == 0, result.exception
    (series,) = json.loads(result.stdout)
    assert [value for _, value, _ in series["points"]] == pytest.approx(HOURS)
    assert [quality for *_, quality in series["points"]] == [0] * 6
    (raw,) = json.loads(ironworks("history", "query", "level", *SPAN, "--json", *plant).stdout)
    assert len(raw["points"]) == 360
    all_of_it = ("--from", "1970-01-01T00:00:00+08:00", SPAN[2], SPAN[3])
    result = ironworks("history", "query", "level", *all_of_it, "--json", *plant)
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout) == [raw]
    file = folder / "out.parquet"
    result = ironworks("history", "query", "level", *SPAN, "--parquet", file, *plant)
    assert result.exit_code == 0, result.exception
    found = duckdb.connect().execute(
        f"SELECT count(*), avg(value), min(time)::VARCHAR, any_value(path) FROM '{file}'"
    )
    assert found.fetchone() == (
        360, pytest.approx(np.mean(HOURS)), "2023-11-15 00:00:00", "site/area/line/level"
    )  # fmt: skip
    file = folder / "out.arrow"
    result = ironworks("history", "query", "level", *SPAN, "--arrow", file, *plant)
    assert result.exit_code == 0, result.exception
    table = feather.read_table(file)
    assert table.column_names == ["time", "time_ns", "path", "value", "unit", "quality"]
    assert (table["value"][359].as_py(), table.num_rows) == (raw["points"][359][1], 360)
    assert table["time"][0].as_py().isoformat() == "2023-11-15T00:00:00"
    result = ironworks("history", "sql", "SELECT path, 1.5 AS x FROM tags", "--arrow", file, *plant)
    assert result.exit_code == 0, result.exception
    assert set(feather.read_table(file)["x"].to_pylist()) == {1.5}
    result = ironworks("history", "query", "level", "--arrow", file, "--csv", "-", *plant)
    assert "one form of output" in str(result.exception)
    for form in ("--parquet", "--arrow"):
        result = ironworks("history", "query", "level", form, "-", *plant)
        assert "only CSV goes to a pipe" in str(result.exception)
    for form in ("--csv", "--parquet", "--arrow"):
        result = ironworks("history", "query", "level", *SPAN, form, folder / "no" / "x", *plant)
        assert "cannot be written" in str(result.exception)
        assert result.exception.remedy == "check the folder and its disk"
    result = ironworks(
        "history", "query", "level", *SPAN, "--mode", "max", "--interval", "3h", "--csv", "-", *plant
    )
    assert len(list(csv.DictReader(result.stdout.splitlines()))) == 2
    query = (
        "SELECT path, count(*) AS n, max(t) AS last FROM samples JOIN tags USING (path)"
        " WHERE type = 'REAL' AND quality = 0 AND t < '2023-11-16' GROUP BY path"
    )
    result = ironworks("history", "sql", query, "--json", *plant)
    assert result.exit_code == 0, result.exception
    answer = json.loads(result.stdout)
    assert answer["columns"] == ["path", "n", "last"]
    assert answer["rows"] == [["site/area/line/level", 360, "2023-11-15T05:59:00"]]
    for wrong, why in (
        (("query", "level", "--mode", "mean"), "needs an --interval"),
        (("query", "level", "--interval", "1h"), "other than raw"),
        (("query", "level", "--mode", "mean", "--interval", "1ns"), "too short"),
        (("query", "recipe", "--mode", "mean", "--interval", "1h"), "text|no history"),
        (("sql", "SELECT * FROM nothing"), "nothing"),
        (("sql", "DROP TABLE samples"), "only one SELECT"),
    ):
        error = ironworks("history", *wrong, *plant).exception
        assert isinstance(error, PlantError), wrong
        assert any(each in error.text for each in why.split("|")), error.text
    result = ironworks("history", "sql", "SELECT * FROM samples", "--limit", "2", *plant)
    assert "only the first 2 rows" in result.output
    for limit, told in (
        (359, "no more than the newest 359 samples of site/area/line/level: see --limit\n"),
        (361, ""),
    ):
        result = ironworks("history", "query", "level", *SPAN, "--limit", limit, "--csv", file, *plant)
        assert result.output == told


def test_a_plant_that_stands_still(ironworks, folder):
    ask(ironworks, folder)


def test_sql_of_a_plant_whose_folder_is_named_like_a_pattern(ironworks, folder):
    named = shutil.copytree(folder, folder.with_name(f"{folder.name} [1]*?"))
    result = ironworks("history", "sql", "SELECT count(*) AS n FROM samples", "--csv", "-", "--plant", named)
    assert result.exit_code == 0, result.exception
    assert result.stdout == "n\n360\n"


def test_a_text_with_a_carriage_return_is_one_cell_of_csv(ironworks, folder):
    query = "SELECT 1 AS n, 'a' || chr(13) || 'b' || chr(13) AS text, NULL AS nothing"
    file = folder / "out.csv"
    result = ironworks("history", "sql", query, "--csv", file, "--plant", folder)
    assert result.exit_code == 0, result.exception
    with file.open(newline="") as written:
        assert list(csv.reader(written)) == [["n", "text", "nothing"], ["1", "a\rb\r", ""]]


def test_csv_of_many_tags_is_written_piece_by_piece(ironworks, folder, monkeypatch):
    asked, query = [], Archive.query

    def counted(self, ids, *given):
        asked.append(len(ids))
        return query(self, ids, *given)

    monkeypatch.setattr(Archive, "query", counted)
    monkeypatch.setattr(history, "_AT_ONCE", 800)
    result = ironworks("history", "query", "*", *SPAN, "--limit", 400, "--csv", "-", "--plant", folder)
    assert result.exit_code == 0, result.exception
    assert asked == [2, 2]
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert {row["path"] for row in rows} == {"site/area/line/level"}
    assert [int(row["time_ns"]) for row in rows] == [
        1_700_006_400_000_000_000 + 60 * 10**9 * n for n in range(360)
    ]


def test_what_is_not_finite_is_no_value_as_of_a_plant_that_runs(ironworks, folder, kit):
    shelf = kit.Shelf(folder / ".ironworks" / "history.duckdb")
    shelf.append(
        kit.batch(
            shelf.tags["site/area/line/level"], [60, 61], [np.inf, np.nan], start_ns=kit.T0 + 6 * kit.HOUR
        )
    )
    shelf.store.close()
    span = ("--from", "2023-11-15T06:00:00+00:00", "--to", "2023-11-15T07:00:00+00:00")
    query = "SELECT value FROM samples WHERE t >= '2023-11-15 06:00'"
    for asked in (("query", "level", *span), ("sql", query)):
        result = ironworks("history", *asked, "--csv", "-", "--plant", folder)
        assert [row["value"] for row in csv.DictReader(result.stdout.splitlines())] == ["", ""]
        file = folder / "out.parquet"
        ironworks("history", *asked, "--parquet", file, "--plant", folder)
        assert duckdb.connect().execute(f"SELECT value FROM '{file}'").fetchall() == [(None,), (None,)]


def test_a_plant_that_runs(ironworks, running_plant):
    ask(ironworks, running_plant)


def test_the_api_refuses_what_it_must(running_plant):
    endpoint = find(running_plant)

    async def main():
        async with PlantClient(endpoint) as client:
            answer = await client.sql("SELECT path FROM tags ORDER BY path")
            assert "site/area/line/level" in {row[0] for row in answer.rows}
            for query in (
                f"SELECT * FROM read_csv('{running_plant}/plant.yaml')",
                "SELECT * FROM read_text('/etc/hostname')",
                f"COPY (SELECT 1) TO '{running_plant}/x.csv'",
                "SET enable_external_access = true",
                "INSTALL httpfs",
                "SELECT 1; SELECT 2",
                "ATTACH 'x.duckdb'",
                f"SELECT * FROM '{running_plant}/.ironworks/history.duckdb'",
                "",
            ):
                with pytest.raises(PlantError):
                    await client.sql(query)
            with pytest.raises(PlantError, match=r"longer than 0\.3 s"):
                await client.sql(
                    "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b", 1, 0.3
                )
            with pytest.raises(PlantError, match="emory"):
                await client.sql("SELECT list(range ORDER BY random()) FROM range(100000000)")
            with pytest.raises(PlantError, match="limit"):
                await client.sql("SELECT 1", 10**9)
            for query, why in (
                ({"mode": "mean"}, "needs an interval"),
                ({"mode": "mean", "interval_ns": 1}, "too much"),
                ({"mode": "median", "interval_ns": 10**9}, "mode"),
            ):
                with pytest.raises(PlantError, match=why):
                    await client.history(["level"], 0, 10**15, **query)
        async with PlantClient(Endpoint(http=endpoint.http)) as stranger:
            with pytest.raises(PlantError, match="needs engineer"):
                await stranger.sql("SELECT 1")

    asyncio.run(main())
    assert not Path("x.duckdb").exists()
    assert not (running_plant / "x.csv").exists()
