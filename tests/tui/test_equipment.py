"""The overview is read from the tags alone."""

import msgspec

from tui.equipment import read_picture
from tui.trend import default_pens


def test_stations_stand_in_the_order_of_the_tag_list(plant):
    picture = read_picture(plant.tag_list)
    assert [each.name for each in picture.stations] == [
        "tank", "filler", "conv1", "buffer1", "capper", "conv2", "labeller", "conv3",
    ]  # fmt: skip


def test_tank_and_buffer_have_a_level_and_no_state(plant):
    stations = {each.name: each for each in read_picture(plant.tag_list).stations}
    assert stations["tank"].state is None
    assert stations["tank"].level.path.endswith("tank/level_pct")
    assert stations["buffer1"].level.path.endswith("buffer1/bottle_count")


def test_a_station_shows_at_most_four_measured_values(plant):
    capper = next(each for each in read_picture(plant.tag_list).stations if each.name == "capper")
    assert [tag.path.rsplit("/", 1)[1] for tag in capper.values] == [
        "torque_nm", "current_a", "cycle_s", "vibration_mm_s",
    ]  # fmt: skip


def test_line_figures_come_before_what_can_be_set_and_kernel_facts_are_no_equipment(plant):
    picture = read_picture(plant.tag_list)
    assert [tag.path.rsplit("/", 1)[1] for tag in picture.figures] == [
        "bottles_total", "rate_bpm", "oee_pct", "speed_sp_bpm", "run_cmd",
    ]  # fmt: skip
    assert not any("sys" in tag.path.split("/") for tag in picture.tags)


def test_measured_values_come_before_what_the_plc_computes_or_people_set(make_tag):
    rows = [
        ("m/speed_bpm", "REAL", "bpm", 0, 60, "Speed", "", "r", 1.0),
        ("m/level_sp_mm", "REAL", "mm", 0, 60, "Setpoint", "", "rw", 1.0),
        ("m/current_a", "REAL", "A", 0, 60, "Current", "", "r", 1.0),
        ("m/state", "INT", "", 0, 5, "State", "", "r", 2),
    ]
    tags = [make_tag(i, row, 0) for i, row in enumerate(rows)]
    tags[0] = msgspec.structs.replace(tags[0], source="plc")
    (station,) = read_picture(tags).stations
    assert [tag.unit_text for tag in station.values] == ["A", "bpm", "mm"]


def test_default_pens_are_of_different_equipment(plant):
    pens = default_pens(plant.tag_list)
    assert len(pens) == 4
    assert len({path.rsplit("/", 1)[0] for path in pens}) == 4
