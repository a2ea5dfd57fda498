"""The plant in virtual time: minutes of it take a moment. Run with `ironworks test`."""

import pytest


def test_level_is_kept_around_the_setpoint(plant):
    plant.run_for("5min")
    levels = [level for at, level in plant.history("tank/level_pct") if at > 120]
    assert min(levels) > 56
    assert max(levels) < 64
    assert plant.active_alarms() == set()


def test_level_follows_a_new_setpoint(plant):
    plant.run_for("1min")
    plant.write("tank/level_sp", 75.0)
    plant.run_for("5min")
    assert plant["tank/level_pct"] == pytest.approx(75, abs=4)


def test_a_pump_that_does_not_start_is_told(plant):
    plant.fault("pump.trip")
    plant.run_for("10s")
    assert "pump.failed" in plant.active_alarms()
    assert plant["pump/run"] is False


def test_low_level_raises_its_alarm(plant):
    plant.write("tank/auto", False)
    plant.run_for("5min")
    assert "tank.level_low" in plant.active_alarms()
