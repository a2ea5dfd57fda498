"""The line in virtual time: minutes of it take a moment. Run with `ironworks test`."""

import pytest


def test_line_makes_thirty_pieces_a_minute(plant):
    plant.run_for("5min")
    assert plant["line/running"] is True
    assert plant["line/rate_bpm"] == pytest.approx(30, abs=3)
    assert plant["line/made"] > 125
    assert plant.active_alarms() == set()


def test_line_goes_slower_when_told(plant):
    plant.write("line/speed_sp_bpm", 15.0)
    plant.run_for("5min")
    assert plant["line/rate_bpm"] == pytest.approx(15, abs=2)


def test_line_stops_when_told(plant):
    plant.run_for("1min")
    plant.write("line/run_cmd", False)
    plant.run_for("5s")
    assert plant["line/running"] is False
    made = plant["line/made"]
    plant.run_for("1min")
    assert plant["line/made"] == made


def test_a_jammed_capper_is_told_and_the_line_goes_on_after_it(plant):
    plant.run_for("1min")
    plant.fault("capper.jam")
    plant.run_for("10s")
    assert "capper.fault" in plant.active_alarms()
    assert plant["capper/state"] == 5
    plant.fault("capper.jam", 0.0)
    made = plant["line/made"]
    plant.run_for("1min")
    assert "capper.fault" not in plant.active_alarms()
    assert plant["line/made"] > made + 20
