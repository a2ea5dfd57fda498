"""The bench of history tells each figure, on a small scale."""

import json

import typer
from typer.testing import CliRunner

from runtime.bench import history


def test_the_bench_runs_and_tells_its_figures(monkeypatch):
    monkeypatch.setattr(history, "DAYS", 30)
    app = typer.Typer()
    app.command()(history.bench)
    result = CliRunner().invoke(app, ["--tags", "50", "--rounds", "40", "--year-period-s", "3600", "--json"])
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout.splitlines()[-1])
    figures = {each["name"]: each["value"] for each in told["figures"]}
    assert figures["samples lost"] == 0
    assert 1 < figures["size, noise of a 16-bit converter"] < 3
    assert figures["SQLite: size"] > figures["size, noise in each bit of a REAL"]
    assert figures["year by day of ten, mean"] > 0
