"""The bottling line and the templates: checked, and played whole in virtual time."""

import shutil
from pathlib import Path

import pytest

from runtime.assembly import assemble
from runtime.testing.virtual import VirtualPlant
from twin.demo.bottling import FOLDER
from twin.demo.templates import LINE, MINIMAL

WEAR_S = 120


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "bottling"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__", ".ironworks"))
    return folder


@pytest.fixture(scope="module")
def ten_minutes(demo) -> tuple[VirtualPlant, object]:
    plant = VirtualPlant(demo)
    (stepper,) = [each for each in plant.steppers if each.name == "twin"]
    plant.run_for("10min")
    return plant, stepper.engine


def first(plant, path, condition) -> float:
    return next(at for at, value in plant.history(path) if condition(value))


@pytest.mark.parametrize("file", ["plant.yaml", "rack.yaml"])
def test_demo_has_no_findings(demo, file):
    assert [str(each) for each in assemble(demo / file).check()] == []


def test_every_tag_is_told_in_both_languages(demo):
    own = [tag for tag in assemble(demo).plant.tags if tag.path.startswith("nb/") and tag.device != ""]
    assert len(own) > 60
    assert [tag.path for tag in own if not tag.description or not tag.description_zh] == []


def test_every_alarm_says_cause_consequence_and_action_in_both_languages(demo):
    alarms = [alarm for alarm in assemble(demo).plant.alarms if alarm.tag.split("/")[0] != "sys"]
    assert len(alarms) >= 20
    for alarm in alarms:
        if alarm.name == "capper.early_warning":
            continue
        for words in (alarm.text, alarm.cause, alarm.consequence, alarm.action):
            assert words is not None, alarm.name
            assert words.en, alarm.name
            assert words.zh, alarm.name


def test_line_runs_by_itself_and_its_first_bottle_is_out_within_five_seconds(ten_minutes):
    plant, _ = ten_minutes
    assert first(plant, "line/bottles_total", lambda total: total >= 1) < 5
    at_20_s = max(total for at, total in plant.history("line/bottles_total") if at <= 20)
    assert at_20_s >= 5


def test_line_makes_thirty_bottles_a_minute_without_an_alarm(ten_minutes):
    plant, _ = ten_minutes
    assert plant["line/bottles_total"] == pytest.approx(300, abs=10)
    assert plant["line/rate_bpm"] == pytest.approx(30, abs=2)
    assert plant["line/state"] == 2
    assert plant["line/oee_pct"] > 95
    assert plant.active_alarms() == set()
    assert [alarm["name"] for alarm in plant.alarms() if alarm["count"]] == []


def test_no_bottle_is_lost_and_the_plc_counts_as_the_line_does(ten_minutes):
    plant, engine = ten_minutes
    balance = engine.balance()
    assert (
        balance["initial"] + balance["delivered"] == balance["taken"] + balance["rejected"] + balance["held"]
    )
    assert plant["line/bottles_total"] == balance["taken"]
    assert plant["line/rejects_total"] == balance["rejected"]


def test_level_and_temperature_are_kept(ten_minutes):
    plant, _ = ten_minutes
    levels = [value for _, value in plant.history("tank/level_pct")]
    temperatures = [value for _, value in plant.history("tank/temperature_c")]
    assert 54 < min(levels) < max(levels) < 66
    assert 30 < min(temperatures) < max(temperatures) < 34


def test_line_starts_from_its_end(ten_minutes):
    plant, _ = ten_minutes
    order = ["conv3", "labeller", "conv2", "conv1", "infeed"]
    starts = [first(plant, f"{each}/running", bool) for each in order]
    assert starts == sorted(starts)
    assert len(set(starts)) == len(starts)
    assert starts[-1] < 3


def test_same_seed_same_plant(demo, ten_minutes):
    again = VirtualPlant(demo)
    again.run_for("2min")
    plant, _ = ten_minutes
    for path in ("capper/torque_nm", "tank/level_pct", "line/bottles_total", "heater/power_sp_pct"):
        assert again.history(path) == [each for each in plant.history(path) if each[0] <= 120]


def test_capper_values_move_with_speed(demo):
    def means(plant, start, end):
        names = ("torque_nm", "current_a", "vibration_mm_s", "cycle_s")
        series = {
            name: [v for at, v in plant.history(f"capper/{name}") if start < at < end] for name in names
        }
        return {name: sum(values) / len(values) for name, values in series.items()}

    plant = VirtualPlant(demo)
    plant.run_for("3min")
    plant.write("line/speed_sp_bpm", 22.0)
    plant.run_for("3min")
    fast, slow = means(plant, 30, 180), means(plant, 210, 360)
    assert slow["torque_nm"] > fast["torque_nm"]
    assert slow["current_a"] < fast["current_a"] - 0.1
    assert slow["vibration_mm_s"] < fast["vibration_mm_s"]
    assert slow["cycle_s"] > fast["cycle_s"] + 0.3


def test_wear_shows_in_every_value_before_the_torque_alarm_and_then_bottles_are_rejected(demo):
    plant = VirtualPlant(demo)
    plant.run_for(WEAR_S)
    plant.fault("capper.wear")
    seconds = 0
    while "capper.torque_low" not in plant.active_alarms():
        plant.run_for("5s")
        seconds += 5
        assert seconds < 720
    assert 240 < seconds < 600, "minutes pass between the first wear and the alarm"
    now = plant.seconds

    def mean(name, start, end):
        values = [value for at, value in plant.history(f"capper/{name}") if start < at < end]
        return sum(values) / len(values)

    assert mean("torque_nm", now - 60, now) < mean("torque_nm", 30, WEAR_S) - 0.18
    assert mean("current_a", now - 60, now) > mean("current_a", 30, WEAR_S) + 0.08
    assert mean("vibration_mm_s", now - 60, now) > mean("vibration_mm_s", 30, WEAR_S) + 0.18
    rejects = plant["capper/rejects"]
    plant.run_for("5min")
    assert plant["capper/rejects"] > rejects + 20


def test_emergency_stop_stops_all_and_needs_a_reset(demo):
    plant = VirtualPlant(demo)
    plant.run_for("30s")
    plant.write("line/estop", True)
    plant.run_for("500ms")
    for each in ("infeed", "conv1", "filler", "conv2", "capper", "labeller", "conv3"):
        assert plant[f"{each}/running"] is False, each
    assert "line.stopped_safe" in plant.active_alarms()
    plant.write("line/estop", False)
    plant.run_for("5s")
    assert plant["line/running"] is False
    plant.write("line/reset_cmd", True)
    plant.run_for("5s")
    plant.write("line/reset_cmd", False)
    assert plant["line/running"] is True
    assert "line.stopped_safe" not in plant.active_alarms()


def test_line_waits_for_a_silent_rack_and_goes_on_by_itself(demo):
    plant = VirtualPlant(demo)
    plant.fault("rack.frozen")
    plant.run_for("1min")
    assert plant["line/io_alive"] is False
    assert plant["line/state"] == 1
    assert plant["filler/run"] is False
    assert plant["inlet_valve/open"] is False
    plant.fault("rack.frozen", 0.0)
    plant.run_for("10s")
    assert plant["line/running"] is True
    plant.fault("rack.frozen")
    plant.run_for("5s")
    assert plant["line/running"] is False
    plant.fault("rack.frozen", 0.0)
    plant.run_for("10s")
    assert plant["line/running"] is True
    assert not any(plant[f"{each}/tripped"] for each in ("filler", "capper", "labeller"))


def test_stopped_belt_is_told_backs_up_the_filler_and_is_forgotten(demo):
    plant = VirtualPlant(demo)
    plant.run_for("30s")
    plant.fault("conv2.stop")
    plant.run_for("20s")
    assert {"conv2.fault"} <= plant.active_alarms()
    assert plant["conv2/state"] == 5
    assert plant["line/state"] == 5
    assert plant["filler/running"] is False
    plant.fault("conv2.stop", 0.0)
    plant.run_for("20s")
    assert plant["line/running"] is True
    assert plant["conv2/state"] == 2


def test_tripped_pump_is_told_at_once_and_the_level_falls_minutes_later(demo):
    plant = VirtualPlant(demo)
    plant.run_for("2min")
    plant.fault("feed_pump.trip")
    plant.run_for("1min")
    assert "feed_pump.fault" in plant.active_alarms()
    assert "tank.level_low" not in plant.active_alarms()
    plant.run_for("11min")
    assert "tank.level_low" in plant.active_alarms()


@pytest.mark.parametrize("template", [MINIMAL, LINE], ids=["minimal", "line"])
@pytest.mark.parametrize("file", ["plant.yaml", "rack.yaml"])
def test_template_has_no_findings(tmp_path, template, file):
    folder = tmp_path / "my-plant"
    shutil.copytree(template, folder)
    for each in folder.rglob("*"):
        if each.is_file():
            each.write_text(each.read_text().replace("{{name}}", "my-plant"))
    assert [str(finding) for finding in assemble(folder / file).check()] == []
    expected = {"plant.yaml", "rack.yaml", "tags.csv", "alarms.yaml", "twin.yaml", "README.md"}
    assert expected <= {each.name for each in folder.iterdir()}
