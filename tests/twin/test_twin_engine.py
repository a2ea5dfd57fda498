"""The engine: determinism, conservation, balances, timing, failures, faults, snapshots."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.demo.bottling import FOLDER
from twin.engine.engine import Engine
from twin.kpi import figures
from twin.model import TwinModel, load_twin

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def model(seed=1, **equipment) -> TwinModel:
    return TwinModel.model_validate({"seed": seed, "equipment": equipment})


def line(seed=1, **changes) -> TwinModel:
    equipment = {
        "infeed": {"kind": "source", "next": "belt", "every": {"dist": "exponential", "mean": "2s"}},
        "belt": {
            "kind": "conveyor", "next": "press", "length_mm": 1000, "speed_mm_s": 250, "pitch_mm": 100,
            "initial": 3, "eyes": {"full": 300, "end": 1000},
        },
        "press": {
            "kind": "station", "next": "table", "reject_rate": 0.05,
            "cycle": {"dist": "lognormal", "mean": "1.8s", "sd": "0.4s"},
            "failure": {
                "mttf": {"dist": "exponential", "mean": "2min"},
                "mttr": {"dist": "exponential", "mean": "20s"},
            },
        },
        "table": {"kind": "buffer", "next": "packer", "capacity": 5, "transit": "1s"},
        "packer": {"kind": "station", "next": "out", "cycle": {"dist": "exponential", "mean": "1.9s"}},
        "out": {"kind": "sink"},
    }  # fmt: skip
    return model(seed, **{**equipment, **changes})


def readings(engine: Engine) -> dict:
    engine.refresh()
    return {name: dict(machine.out) for name, machine in engine.equipment.items()}


def assert_conserved(engine: Engine) -> dict[str, int]:
    balance = engine.balance()
    assert (
        balance["initial"] + balance["delivered"] == balance["taken"] + balance["rejected"] + balance["held"]
    )
    return balance


def test_same_seed_same_trace_and_another_seed_another():
    traces = []
    for seed in (7, 7, 8):
        engine = Engine(line(seed))
        trace = []
        for minute in range(1, 31):
            engine.advance(minute * MINUTE)
            trace.append(readings(engine))
        traces.append(trace)
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]


def test_trace_does_not_depend_on_how_time_is_sliced():
    coarse, fine = Engine(line()), Engine(line())
    coarse.advance(10 * MINUTE)
    for step in range(1, 30_001):
        fine.advance(step * 20_000_000)
    assert coarse.balance() == fine.balance()
    assert figures(coarse)["press"] == figures(fine)["press"]


def test_new_equipment_changes_nothing_for_the_others():
    tank = {"kind": "tank", "volume_l": 10, "initial_l": 5, "level_noise_pct": 1}
    alone, together = Engine(line()), Engine(line(aux=tank))
    alone.advance(20 * MINUTE)
    together.advance(20 * MINUTE)
    assert readings(alone).items() <= readings(together).items()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), capacity=st.integers(1, 8), stops=st.lists(st.integers(1, 300), max_size=6)
)
def test_items_are_conserved_whatever_stops(seed, capacity, stops):
    table = {"kind": "buffer", "next": "packer", "capacity": capacity}
    engine = Engine(line(seed, table=table), {"packer": ("run",), "belt": ("run",)})
    running = True
    for second in range(1, 301):
        engine.advance(second * SECOND)
        if second == 1 or second in stops:
            engine.equipment["packer"].command("run", running)
            engine.equipment["belt"].command("run", running)
            running = not running
        assert_conserved(engine)


def test_items_flow_and_are_rejected():
    engine = Engine(line())
    engine.advance(4 * 60 * MINUTE)
    balance = assert_conserved(engine)
    assert balance["taken"] > 3000
    assert 0.03 < balance["rejected"] / (balance["taken"] + balance["rejected"]) < 0.07


def belt(**changes):
    entry = {"kind": "conveyor", "next": "out", "length_mm": 1000, "speed_mm_s": 250, "pitch_mm": 100}
    return {**entry, **changes}


def test_belt_carries_an_item_in_length_by_speed():
    engine = Engine(
        model(infeed={"kind": "source", "next": "belt", "every": "10s"}, belt=belt(), out={"kind": "sink"})
    )
    engine.advance(13_999_000_000)
    assert engine.equipment["out"].out["count"] == 0
    engine.advance(14_001_000_000)
    assert engine.equipment["out"].out["count"] == 1


@pytest.mark.parametrize("pitch_mm", [100, 500])
def test_an_item_leaves_a_belt_at_the_very_instant_that_another_one_comes(pitch_mm):
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "belt", "every": "2s"},
            belt={
                "kind": "conveyor",
                "next": "out",
                "length_mm": 500,
                "speed_mm_s": 250,
                "pitch_mm": pitch_mm,
            },
            out={"kind": "sink"},
        )
    )
    engine.advance(MINUTE)
    assert readings(engine)["out"]["count"] == 29
    assert engine.equipment["out"].lead_ns == pytest.approx(29 * 2 * SECOND, abs=100)


def test_belt_that_stands_for_a_second_is_a_second_late():
    engine = Engine(
        model(infeed={"kind": "source", "next": "belt", "every": "10s"}, belt=belt(), out={"kind": "sink"}),
        {"belt": ("run",)},
    )
    engine.equipment["belt"].command("run", True)
    engine.advance(12 * SECOND)
    engine.equipment["belt"].command("run", False)
    engine.advance(13 * SECOND)
    engine.equipment["belt"].command("run", True)
    engine.advance(14_999_000_000)
    assert engine.equipment["out"].out["count"] == 0
    engine.advance(15_001_000_000)
    assert engine.equipment["out"].out["count"] == 1


def test_items_close_up_behind_a_machine_that_stands_and_the_eye_stays_dark():
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "belt", "every": "1s"},
            belt=belt(next="press", eyes={"backed_up": 400}),
            press={"kind": "station", "next": "out", "cycle": "1s"},
            out={"kind": "sink"},
        ),
        {"press": ("run",)},
    )
    engine.advance(5 * SECOND)
    seen = set()
    for tick in range(50):
        engine.advance(9 * SECOND + tick * 20_000_000)
        seen.add(readings(engine)["belt"]["backed_up"])
    assert seen == {True}, "seven items of 100 mm stand from the end back to the eye"
    engine.advance(MINUTE)
    assert readings(engine)["belt"]["items"] == 11
    assert readings(engine)["infeed"]["blocked"] is True
    engine.equipment["press"].command("run", True)
    engine.advance(2 * MINUTE)
    assert readings(engine)["out"]["count"] >= 58
    assert_conserved(engine)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(50, 4000), st.booleans(), st.booleans(), st.floats(50, 600)), max_size=30)
)
def test_items_on_a_belt_keep_their_distance_and_never_go_back(steps):
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "belt", "every": "400ms"},
            belt=belt(next="press", initial=4),
            press={"kind": "station", "next": "out", "cycle": "500ms"},
            out={"kind": "sink"},
        ),
        {"belt": ("run", "speed_mm_s"), "press": ("run",)},
    )
    conveyor = engine.equipment["belt"]
    was = {}
    for milliseconds, belt_runs, press_runs, speed in steps:
        conveyor.command("run", belt_runs)
        conveyor.command("speed_mm_s", speed)
        engine.equipment["press"].command("run", press_runs)
        engine.advance(engine.now_ns + milliseconds * 1_000_000)
        engine.refresh()
        positions = list(conveyor.positions_mm)
        assert all(front - back >= 100 - 1e-6 for front, back in itertools.pairwise(positions))
        assert all(0 <= position <= 1000 for position in positions)
        now = {
            item.serial: position
            for item, position in zip(conveyor.items, positions, strict=True)
            if item.serial
        }
        assert all(now[serial] >= position for serial, position in was.items() if serial in now)
        was = now
        assert_conserved(engine)


def test_machine_in_front_of_a_standing_belt_is_blocked():
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "press", "every": "1s"},
            press={"kind": "station", "next": "belt", "cycle": "1s"},
            belt=belt(),
            out={"kind": "sink"},
        ),
        {"belt": ("run",)},
    )
    engine.advance(5 * SECOND)
    assert readings(engine)["press"]["blocked"] is True
    engine.equipment["belt"].command("run", True)
    engine.advance(6 * SECOND)
    assert readings(engine)["press"]["blocked"] is False
    assert readings(engine)["press"]["count"] >= 1


def test_failures_take_their_share_of_time():
    failure = {
        "mttf": {"dist": "exponential", "mean": "9min"},
        "mttr": {"dist": "exponential", "mean": "1min"},
    }
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "press", "every": "500ms"},
            press={"kind": "station", "next": "out", "cycle": "1s", "failure": failure},
            out={"kind": "sink"},
        )
    )
    engine.advance(60 * 60 * MINUTE)
    shares = figures(engine)["press"]
    assert shares["fault"] == pytest.approx(0.1, rel=0.15)
    assert shares["busy"] == pytest.approx(0.9, rel=0.02)
    assert sum(
        shares[each] for each in ("fault", "busy", "blocked", "starved") if each in shares
    ) == pytest.approx(1, abs=1e-3)


def test_a_failed_machine_goes_on_where_it_was():
    failure = {"mttf": "1500ms", "mttr": "10s"}
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "press", "every": "1s"},
            press={"kind": "station", "next": "out", "cycle": "1s", "failure": failure},
            out={"kind": "sink"},
        )
    )
    engine.advance(2_600_000_000)
    assert readings(engine)["press"]["fault"] is True
    engine.advance(12_900_000_000)
    assert readings(engine)["out"]["count"] == 1
    engine.advance(13_100_000_000)
    assert readings(engine)["out"]["count"] == 2


def test_speed_command_sets_the_pace():
    def count_after_10_min(bpm):
        engine = Engine(
            model(
                infeed={"kind": "source", "next": "press", "every": "100ms"},
                press={"kind": "station", "next": "out", "cycle": "2s"},
                out={"kind": "sink"},
            ),
            {"press": ("run", "speed_bpm")},
        )
        engine.equipment["press"].command("run", True)
        engine.equipment["press"].command("speed_bpm", bpm)
        engine.advance(10 * MINUTE)
        return engine.equipment["out"].out["count"]

    assert count_after_10_min(30.0) == pytest.approx(300, abs=1)
    assert count_after_10_min(45.0) == pytest.approx(450, abs=1)
    assert count_after_10_min(0.0) == 0


def test_a_speed_that_is_ramped_up_from_nothing_counts_at_once():
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "press", "every": "1s"},
            press={"kind": "station", "next": "out", "cycle": "1s"},
            out={"kind": "sink"},
        ),
        {"infeed": ("speed_bpm",), "press": ("speed_bpm",)},
    )
    for step in range(1, 101):  # to 60 items/min within 10 s, which is the work of 5 s
        for machine in ("infeed", "press"):
            engine.equipment[machine].command("speed_bpm", 0.6 * step)
        engine.advance(step * SECOND // 10)
    told = readings(engine)
    assert told["infeed"]["count"] == 5
    assert told["press"]["count"] == 4
    assert 1.0 < told["press"]["cycle_s"] < 1.1
    engine.advance(MINUTE)
    assert_conserved(engine)
    assert readings(engine)["press"]["count"] == 54


# -- tank ------------------------------------------------------------------------------------------


def tank_model(**changes):
    tank = {"kind": "tank", "volume_l": 1000, "initial_l": 400, "sample": "100ms", **changes}
    return model(
        tank=tank,
        valve={"kind": "valve", "into": "tank", "flow_lpm": 60},
        heater={"kind": "heater", "tank": "tank", "power_kw": 10},
    )


def tank_engine(open_=False, power=0.0, **changes):
    engine = Engine(tank_model(**changes), {"valve": ("open",), "heater": ("power_sp_pct",)})
    engine.equipment["valve"].command("open", open_)
    engine.equipment["heater"].command("power_sp_pct", power)
    return engine, engine.equipment["tank"]


def test_tank_fills_by_flow_and_time():
    engine, tank = tank_engine(open_=True, demand_lpm=30)
    engine.advance(10 * MINUTE)
    assert tank.volume_l == pytest.approx(400 + 30 * 10, rel=1e-9)
    assert tank.out["level_pct"] == pytest.approx(70, abs=1e-6)
    assert tank.out["inflow_lpm"] == pytest.approx(60)


def test_tank_heats_as_energy_over_mass():
    engine, tank = tank_engine(power=50.0, initial_c=20)
    engine.advance(10 * MINUTE)
    assert tank.temperature_c == pytest.approx(20 + 5000 * 600 / (400 * 4186), rel=1e-9)


def test_heater_gives_nothing_to_a_tank_that_ran_dry_between_two_samples():
    engine = Engine(
        model(
            t={"kind": "tank", "volume_l": 10, "initial_l": 1, "demand_lpm": 44},
            heater={"kind": "heater", "tank": "t", "power_kw": 2},
        )
    )
    engine.equipment["heater"].command("on", True)
    engine.advance(3 * SECOND)
    assert engine.equipment["t"].volume_l == 0
    assert engine.equipment["t"].temperature_c < 50


def test_tank_cools_to_the_closed_form():
    engine, tank = tank_engine(initial_c=60, ambient_c=20, loss_w_per_k=500)
    engine.advance(60 * MINUTE)
    assert tank.temperature_c == pytest.approx(20 + 40 * math.exp(-500 / (400 * 4186) * 3600), rel=1e-9)


def test_tank_mixes_while_it_fills():
    """dT/dt = q (Tin - T) / (V0 + q t) gives T = Tin + (T0 - Tin) V0 / V."""
    engine, tank = tank_engine(open_=True, initial_c=50, inlet_c=10)
    engine.advance(5 * MINUTE)
    assert tank.temperature_c == pytest.approx(10 + 40 * 400 / 700, rel=1e-9)


def test_tank_spills_when_full_and_keeps_what_lies_below_the_outlet():
    engine, tank = tank_engine(open_=True)
    engine.advance(20 * MINUTE)
    assert tank.volume_l == pytest.approx(1000)
    assert tank.spilled_l == pytest.approx(600)
    engine, tank = tank_engine(demand_lpm=100, dead_l=50)
    engine.advance(20 * MINUTE)
    assert tank.volume_l == pytest.approx(50)
    assert tank.drawn_l == pytest.approx(350)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 120), st.booleans(), st.floats(0, 100)), min_size=1, max_size=12))
def test_liquid_is_conserved(steps):
    engine, tank = tank_engine(demand_lpm=40, dead_l=20)
    for seconds, open_, power in steps:
        engine.equipment["valve"].command("open", open_)
        engine.equipment["heater"].command("power_sp_pct", power)
        engine.advance(engine.now_ns + seconds * SECOND)
        tank.advance()
        assert 400 + tank.fed_l == pytest.approx(tank.volume_l + tank.drawn_l + tank.spilled_l)
        assert 20 - 1e-6 <= tank.volume_l <= 1000 + 1e-6
        assert math.isfinite(tank.temperature_c)


def test_valve_needs_its_stroke():
    engine = Engine(
        model(
            tank={"kind": "tank", "volume_l": 1000, "initial_l": 0.001},
            valve={"kind": "valve", "into": "tank", "flow_lpm": 60, "stroke": "4s"},
        ),
        {"valve": ("open",)},
    )
    valve = engine.equipment["valve"]
    valve.command("open", True)
    engine.advance(1 * SECOND)
    assert readings(engine)["valve"]["position_pct"] == pytest.approx(25)
    valve.command("open", False)
    engine.advance(1_500_000_000)
    assert readings(engine)["valve"]["position_pct"] == pytest.approx(12.5)
    engine.advance(3 * SECOND)
    assert readings(engine)["valve"]["closed"] is True
    assert readings(engine)["tank"]["inflow_lpm"] == 0


def test_valve_gives_nothing_without_its_pump():
    engine = Engine(
        model(
            tank={"kind": "tank", "volume_l": 1000, "initial_l": 100},
            pump={"kind": "pump", "current_a": 5},
            valve={"kind": "valve", "into": "tank", "flow_lpm": 60, "pump": "pump"},
        ),
        {"valve": ("open",), "pump": ("run",)},
    )
    engine.equipment["valve"].command("open", True)
    engine.advance(MINUTE)
    assert engine.equipment["tank"].volume_l == 100
    engine.equipment["pump"].command("run", True)
    engine.advance(2 * MINUTE)
    assert engine.equipment["tank"].volume_l == pytest.approx(160)
    assert readings(engine)["pump"]["current_a"] == pytest.approx(5)


def test_station_waits_while_its_tank_is_empty():
    engine = Engine(
        model(
            infeed={"kind": "source", "next": "filler", "every": "1s"},
            filler={"kind": "station", "next": "out", "cycle": "1s", "uses": {"tank": "tank", "litres": 1}},
            out={"kind": "sink"},
            tank={"kind": "tank", "volume_l": 100, "initial_l": 10, "dead_l": 5},
            valve={"kind": "valve", "into": "tank", "flow_lpm": 60},
        ),
        {"valve": ("open",)},
    )
    engine.advance(MINUTE)
    assert readings(engine)["out"]["count"] == 5
    assert readings(engine)["filler"]["starved"] is True
    engine.equipment["valve"].command("open", True)
    engine.advance(2 * MINUTE)
    assert readings(engine)["out"]["count"] > 40


# -- faults ----------------------------------------------------------------------------------------


def capper_model():
    return model(
        infeed={"kind": "source", "next": "capper", "every": "1s"},
        capper={
            "kind": "station",
            "next": "out",
            "cycle": "2s",
            "values": {"torque_nm": {"mean": 2.0, "noise": 0.02, "each_cycle": True}},
            "rejects": {"torque_nm": {"below": 1.5}},
            "faults": {
                "wear": {"over": "10min", "effects": {"torque_nm": -1.0, "cycle": 0.2}},
                "jam": {"stops": True},
                "sensor": {"stuck": ["torque_nm"]},
            },
        },
        out={"kind": "sink"},
    )


def test_wear_lets_torque_fall_slowly_until_items_are_rejected():
    engine = Engine(capper_model())
    capper = engine.equipment["capper"]
    engine.advance(MINUTE)
    capper.set_fault("wear", 1.0)
    engine.advance(4 * MINUTE)
    assert capper.out["torque_nm"] == pytest.approx(1.7, abs=0.1)
    assert capper.out["cycle_s"] == pytest.approx(2.12, abs=0.02)
    assert capper.out["rejects"] == 0
    engine.advance(9 * MINUTE)
    assert capper.out["rejects"] > 40
    capper.set_fault("wear", 0.0)
    before = capper.out["rejects"]
    engine.advance(engine.now_ns + 3 * SECOND)
    before = capper.out["rejects"]
    engine.advance(20 * MINUTE)
    assert capper.out["rejects"] == before
    assert_conserved(engine)


def test_a_fault_that_grows_strikes_when_another_one_came_meanwhile():
    faults = {
        "worn": {"stops": True, "over": "10min"},
        "blind": {"stuck": ["v"], "over": "8min"},
        "slow": {"effects": {"cycle": 0.1}},
    }
    press = {"kind": "station", "next": "out", "cycle": "2s", "values": {"v": {"mean": 5, "noise": 1}}}
    engine = Engine(model(press={**press, "faults": faults}, out={"kind": "sink"}))
    machine = engine.equipment["press"]
    machine.set_fault("worn", 1.0)
    machine.set_fault("blind", 1.0)
    engine.advance(MINUTE)
    machine.set_fault("slow", 1.0)
    engine.advance(4 * MINUTE)
    assert list(machine.frozen) == ["v"]
    assert not machine.out["fault"]
    engine.advance(5 * MINUTE)
    assert machine.out["fault"]
    assert not machine.out["running"]


def test_jam_stops_the_machine_until_it_is_cleared():
    engine = Engine(capper_model())
    capper = engine.equipment["capper"]
    engine.advance(MINUTE)
    capper.set_fault("jam", 1.0)
    count = capper.out["count"]
    engine.advance(2 * MINUTE)
    assert (capper.out["fault"], capper.out["running"], capper.out["count"]) == (True, False, count)
    capper.set_fault("jam", 0.0)
    engine.advance(3 * MINUTE)
    assert capper.out["fault"] is False
    assert capper.out["count"] > count + 25


def test_stuck_sensor_keeps_its_last_value():
    engine = Engine(capper_model())
    capper = engine.equipment["capper"]
    engine.advance(MINUTE)
    capper.set_fault("sensor", 1.0)
    stuck = capper.read("torque_nm")
    engine.advance(2 * MINUTE)
    assert capper.read("torque_nm") == stuck
    capper.set_fault("sensor", 0.0)
    engine.advance(3 * MINUTE)
    assert capper.read("torque_nm") != stuck


@pytest.mark.parametrize("severity", [0.4, 1.0])
def test_a_belt_slows_down_as_its_fault_grows_and_is_as_slow_in_the_end(severity):
    drag = {"over": "10s", "effects": {"speed": -0.5}}
    belt = {
        "kind": "conveyor", "next": "out", "length_mm": 1000, "speed_mm_s": 100, "pitch_mm": 10,
        "faults": {"drag": drag},
    }  # fmt: skip
    engine = Engine(model(belt=belt, out={"kind": "sink"}))
    engine.equipment["belt"].set_fault("drag", severity)
    engine.advance(20 * SECOND)
    assert engine.equipment["belt"].speed_mm_s == pytest.approx(100 * (1 - 0.5 * severity))
    assert not engine.equipment["belt"].due, "nothing is left to do for an empty belt at its speed"


# -- terminals -------------------------------------------------------------------------------------


def everything() -> TwinModel:
    return load_twin(FOLDER / "twin.yaml")[0]


def test_every_reading_a_model_promises_is_given():
    engine = Engine(everything())
    engine.refresh()
    for name, entry in engine.model.equipment.items():
        promised = {signal for signal, terminal in entry.all_signals().items() if not terminal.command}
        assert promised <= set(engine.equipment[name].out), name


@pytest.mark.parametrize("speed", [math.nan, math.inf, -math.inf, -5.0, 1e12, 1e-310])
def test_nonsense_speed_over_the_wire_neither_hangs_nor_breaks_the_plant(speed):
    commands = {"infeed": ("speed_bpm",), "belt": ("speed_mm_s",), "press": ("run", "speed_bpm")}
    engine = Engine(line(), commands)
    for name, signals in commands.items():
        for signal in signals:
            engine.equipment[name].command(signal, True if signal == "run" else speed)
    engine.advance(10 * SECOND)
    assert_conserved(engine)


# -- state as data ---------------------------------------------------------------------------------


def test_restored_plant_goes_on_as_the_first_did():
    first = Engine(line())
    first.advance(7 * MINUTE + 123_456_789)
    state = first.snapshot()
    first.advance(30 * MINUTE)
    second = Engine(line(seed=99))
    second.restore(state)
    assert second.now_ns == 7 * MINUTE + 123_456_789
    second.advance(30 * MINUTE)
    assert readings(second) == readings(first)
    assert figures(second) == figures(first)


def test_whole_demo_plant_is_restored_exactly_faults_and_all():
    first = Engine(everything())
    first.advance(2 * MINUTE)
    first.equipment["capper"].set_fault("wear", 1.0)
    first.equipment["tank"].set_fault("leak", 0.5)
    first.advance(4 * MINUTE + 1)
    state = first.snapshot()
    first.advance(20 * MINUTE)
    second = Engine(everything())
    second.restore(state)
    second.advance(20 * MINUTE)
    assert readings(second) == readings(first)


def test_snapshot_is_not_touched_by_what_follows():
    engine = Engine(line())
    engine.advance(MINUTE)
    state = engine.snapshot()
    engine.advance(5 * MINUTE)
    late = readings(engine)
    for _ in range(2):
        engine.restore(state)
        engine.advance(5 * MINUTE)
        assert readings(engine) == late
