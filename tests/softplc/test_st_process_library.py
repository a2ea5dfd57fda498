"""The process library: each block against its closed form, at several scan times, and with bad values."""

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

import softplc

NAMES = (
    "ALARM_BLOCK",
    "DERIVATIVE",
    "FILTER",
    "FIRST_OUT",
    "HYSTERESIS",
    "INTEGRAL",
    "LEAD_LAG",
    "PID",
    "RAMP",
    "SCALE",
    "SPLIT_RANGE",
    "TOTALISER",
    "WEEKLY_TIMER",
)
S = 1_000_000_000
PERIODS_NS = {"5ms": [5_000_000], "70ms": [70_000_000], "varying": [3_000_000, 250_000_000, 40_000_000]}


@pytest.fixture(scope="module")
def application():
    declared = "".join(f"{name.lower()}1 : {name};" for name in NAMES)
    return softplc.compile(
        sources={
            "main.st": f"PROGRAM Main VAR {declared} END_VAR "
            + "".join(f"{name.lower()}1();" for name in NAMES)
            + "END_PROGRAM"
        }
    )


class Bench:
    """One block of the program: sets inputs, steps, reads outputs."""

    def __init__(self, application, name):
        self.plc = application.simulator()
        self.name = f"Main.{name.lower()}1"

    def set(self, **inputs):
        for name, value in inputs.items():
            self.plc.write(f"{self.name}.{name}", value)
        return self

    def step(self, dt_ns=10_000_000, n=1, **inputs):
        """Set inputs, run scans whose last one is the present, and let time pass after each."""
        self.set(**inputs)
        self.plc.scan(n, dt_ns)
        return self

    def __getattr__(self, name):
        return self.plc.read(f"{self.name}.{name}")


@pytest.fixture
def bench(application):
    return lambda name: Bench(application, name)


def periods(key, seconds):
    """Yield scan times until some seconds have passed."""
    passed = 0
    while passed < seconds * S:
        for each in PERIODS_NS[key]:
            passed += each
            yield each


def real(value):
    return float(np.float32(value))


@pytest.mark.parametrize("key", PERIODS_NS)
def test_filter_and_lead_lag_answer_a_step_as_their_closed_forms_say(bench, key):
    low, lead = bench("FILTER").set(T=2 * S), bench("LEAD_LAG").set(LEAD=5 * S, LAG=2 * S)
    dts = list(periods(key, 6))
    low.step(dts[0], IN=0.0)
    lead.step(dts[0], IN=0.0)
    t = 0
    for before, dt in pairwise(dts):
        lead.step(before, IN=10.0)
        assert lead.out == pytest.approx(10.0 * (1 + 1.5 * math.exp(-t / S / 2.0)), rel=1e-6)
        t += before
        low.step(dt, IN=10.0)
        assert low.out == pytest.approx(10.0 * (1 - math.exp(-t / S / 2.0)), rel=1e-6)


def test_filter_and_lead_lag_begin_at_their_input_and_reset_to_it(bench):
    for name in ("FILTER", "LEAD_LAG"):
        block = bench(name).set(**{"T": S} if name == "FILTER" else {"LAG": S, "LEAD": S // 2})
        assert block.step(IN=7.5).out == 7.5
        assert block.step(IN=-1.0, RESET=True).out == -1.0
        assert block.step(IN=5.0, RESET=False).out != 5.0
    assert bench("FILTER").step(IN=1.0).step(IN=2.0).out == 2.0
    assert bench("LEAD_LAG").step(IN=1.0).step(IN=2.0).out == 2.0


@pytest.mark.parametrize("key", PERIODS_NS)
def test_integral_and_derivative_of_a_straight_line_are_exact(bench, key):
    integral, derivative = bench("INTEGRAL").set(RUN=True), bench("DERIVATIVE").set(RUN=True, T=S)
    t = 0
    for dt in periods(key, 3):
        integral.step(dt, XIN=4.0 * t / S)
        derivative.step(dt, XIN=4.0 * t / S)
        assert integral.xout == pytest.approx(2.0 * (t / S) ** 2, rel=2e-6)
        assert derivative.xout == pytest.approx(4.0 * (1 - math.exp(-t / S)), rel=1e-3, abs=1e-4)
        t += dt


def test_integral_holds_without_run_and_starts_from_x0(bench):
    block = bench("INTEGRAL").step(RUN=True, R1=True, X0=3.0, XIN=1.0, dt_ns=S)
    assert (block.xout, block.q) == (3.0, False)
    assert block.step(R1=False, dt_ns=S).xout == 4.0
    assert block.step(RUN=False, n=5, dt_ns=S).xout == 4.0
    assert block.step(RUN=True, dt_ns=S).xout == 4.0, "the time without RUN counts nothing"
    assert block.step(dt_ns=S).xout == 5.0


def test_derivative_is_zero_without_run_and_has_no_kick_at_its_return(bench):
    block = bench("DERIVATIVE").step(RUN=True, XIN=0.0).step(XIN=1.0)
    assert block.xout == pytest.approx(100.0)
    assert block.step(RUN=False, XIN=50.0).xout == 0.0
    assert block.step(RUN=True, XIN=80.0).xout == 0.0
    assert block.step(XIN=80.5).xout == pytest.approx(50.0)


@pytest.mark.parametrize("key", PERIODS_NS)
def test_ramp_is_exact_and_never_passes_its_target(bench, key):
    block = bench("RAMP").set(UP=10.0, DOWN=25.0, IN=100.0, X0=20.0)
    t = 0
    for dt in periods(key, 9):
        block.step(dt)
        assert real(min(100.0, 20.0 + 10.0 * t / S)) == block.out
        assert block.busy is (t < 8 * S)
        t += dt
    t = 0
    for before, following in pairwise([dt, *periods(key, 5)]):
        block.step(following, IN=-10.0)
        t += before
        assert real(max(-10.0, 100.0 - 25.0 * t / S)) == block.out
    assert block.busy is False


def test_ramp_saves_up_no_speed_while_it_follows(bench):
    block = bench("RAMP").set(UP=10.0, DOWN=10.0)
    for up in range(20):
        assert block.step(S, IN=float(up)).out == up
    assert block.step(S, IN=1000.0).out == 29.0
    for down in range(20, -20, -1):
        block.step(S, IN=float(down))
    assert block.step(S, IN=-1000.0).out == -29.0


def test_ramp_holds_sets_and_stands_still_at_rate_zero(bench):
    block = bench("RAMP").set(UP=1.0, DOWN=0.0, IN=5.0).step(S).step(S)
    assert block.out == 1.0
    assert block.step(S, n=3, HOLD=True).out == 1.0
    assert block.step(S, HOLD=False).out == 2.0
    assert block.step(S, n=3, IN=-5.0).out == 2.0
    assert block.step(S, SET=True, X0=-7.0, HOLD=True).out == -7.0


def test_totaliser_adds_a_million_parts_as_if_rounded_once():
    alone = "PROGRAM Totals VAR water : TOTALISER; END_VAR water(); END_PROGRAM"
    plc = softplc.compile(sources={"main.st": alone}).simulator()
    plc.write("Totals.water.IN", 0.1)
    plc.scan(1_000_001, dt_ns=1_000_000)
    exact = real(0.1) * 1000 / 3600
    assert plc.read("Totals.water.total") == pytest.approx(exact, rel=3e-16, abs=0.0)


def test_totaliser_rolls_over_both_ways_resets_and_cuts_off(bench):
    block = bench("TOTALISER").set(BASE=S, IN=3.0, ROLLOVER=10.0, CUTOFF=0.5).step(S)
    assert (block.total, block.rolls) == (0.0, 0)
    seen = [(block.step(S).total, block.rolls) for _ in range(4)]
    assert seen == [(3.0, 0), (6.0, 0), (9.0, 0), (2.0, 1)]
    assert (block.step(S, IN=-3.0).total, block.rolls) == (9.0, 0)
    assert (block.step(S, IN=25.0).total, block.rolls) == (4.0, 3)
    assert block.step(S, IN=0.4).total == 4.0
    assert block.step(S, IN=5.0, RUN=False).total == 4.0
    assert (block.step(S, RESET=True).total, block.rolls) == (0.0, 0)
    block.step(3600 * S, RESET=False, RUN=True)
    assert block.step(S).total == 5.0, "an hour without a call is a stop, not flow"


def test_hysteresis_switches_beyond_its_band_only(bench):
    block = bench("HYSTERESIS").set(XIN2=10.0, EPS=1.0)
    seen = [block.step(XIN1=x).q for x in (10.5, 11.0, 11.1, 9.5, 9.0, 8.9, 10.9)]
    assert seen == [False, False, True, True, True, False, False]


def test_scale_clamps_and_tells_a_broken_wire(bench):
    block = bench("SCALE").set(OUT_HI=250.0)
    seen = {x: block.step(IN=x).out for x in (4.0, 12.0, 20.0, 3.8, 20.5)}
    assert seen == {4.0: 0.0, 12.0: 125.0, 20.0: 250.0, 3.8: 0.0, 20.5: 250.0}
    assert (block.limited, block.broken) == (True, False)
    for bad in (3.6, 0.0, 21.0, math.nan, math.inf):
        block.step(IN=12.0)
        assert (block.step(IN=bad).out, block.broken) == (125.0, True)
    assert block.step(USE_SUBSTITUTE=True, SUBSTITUTE=-1.0).out == -1.0
    assert block.step(IN=20.5, CLAMP=False).out == pytest.approx(250.0 * 16.5 / 16.0)
    assert block.step(IN=0.0, BROKEN_LO=1.0, BROKEN_HI=1.0).out == pytest.approx(-62.5)
    assert block.step(IN=8.0, CLAMP=True, IN_LO=20.0, IN_HI=4.0).out == pytest.approx(187.5)


def test_split_range_serves_two_actuators(bench):
    block = bench("SPLIT_RANGE").set(GAP=4.0, SPLIT=40.0)
    seen = [(block.step(IN=x).a, block.b) for x in (-5.0, 19.0, 38.0, 40.0, 42.0, 71.0, 130.0)]
    assert seen == [(100.0, 0.0), (50.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 50.0), (0.0, 100.0)]
    block.set(SEQUENCE=True)
    assert [(block.step(IN=x).a, block.b) for x in (19.0, 71.0)] == [(50.0, 0.0), (100.0, 50.0)]


@pytest.mark.parametrize("period_ns", [10_000_000, 500_000_000])
def test_alarms_come_after_their_delay_and_go_beyond_the_deadband(bench, period_ns):
    block = bench("ALARM_BLOCK").set(
        HH=95.0, H=90.0, L=10.0, LL=5.0, DEADBAND=1.0, ON_DELAY=S, OFF_DELAY=2 * S
    )
    scans = S // period_ns

    def alarms():
        return "".join(name for name in ("HH", "H", "L", "LL") if getattr(block, f"q_{name}"))

    block.step(period_ns, n=scans, IN=92.0)
    assert alarms() == ""
    block.step(period_ns)
    assert (alarms(), block.q) == ("H", True)
    block.step(period_ns, n=5 * scans, IN=89.0)
    assert alarms() == "H", "within the deadband"
    block.step(period_ns, n=2 * scans, IN=88.9)
    assert alarms() == "H"
    block.step(period_ns)
    assert (alarms(), block.q) == ("", False)
    block.step(period_ns, n=scans + 1, IN=5.0)
    assert alarms() == "LLL"
    block.step(period_ns, n=scans, IN=99.0).step(period_ns, n=1, IN=50.0).step(period_ns, n=scans, IN=99.0)
    assert "H" not in alarms(), "the delay begins anew"


def test_weekly_timer_agrees_with_the_calendar(bench):
    shift = bench("WEEKLY_TIMER")
    randomly = random.Random(4)
    for days, start_h, hours in ((0b1000000, 22, 8), (0b0111110, 6, 16), (0b0000001, 0, 24), (0b1, 23, 160)):
        shift.set(DAYS=days, START=start_h * 3600 * S, DURATION=hours * 3600 * S)
        starts = [
            midnight + timedelta(hours=start_h)
            for i in range(-10, 25)
            if days >> ((midnight := datetime(2026, 3, 22, tzinfo=UTC) + timedelta(days=i)).weekday() + 1) % 7
            & 1
        ]
        edges = [
            start + timedelta(hours=h, seconds=s) for start in starts for h in (0, hours) for s in (-1, 0)
        ]
        moments = [each for each in edges if datetime(2026, 3, 22, tzinfo=UTC) <= each]
        moments += [
            datetime(2026, 3, 22, tzinfo=UTC) + timedelta(seconds=randomly.randrange(14 * 86400))
            for _ in range(50)
        ]
        for now in moments:
            ends = [start + timedelta(hours=hours) for start in starts if start <= now]
            rest = max((end - now for end in ends), default=timedelta())
            shift.step(CDT=int(now.timestamp()) * S)
            if now < datetime(2026, 4, 12, tzinfo=UTC):
                assert (shift.q, shift.rest) == (rest > timedelta(), max(0, int(rest.total_seconds())) * S), (
                    now
                )
    assert shift.step(DAYS=0).q is False
    assert shift.step(DAYS=1, DURATION=9 * 24 * 3600 * S).q is True
    assert shift.step(DAYS=1, CDT=-3 * 86400 * S, START=0, DURATION=1).q is False
    assert shift.step(DAYS=1, CDT=-4 * 86400 * S).q is True, "1969-12-28 was a Sunday"
    assert shift.step(DAYS=1, CDT=-4 * 86400 * S, START=0, DURATION=0).q is False


def test_first_out_tells_the_first_and_the_lowest_of_one_scan(bench):
    block = bench("FIRST_OUT").step()
    assert (block.first, block.q, block.seen) == (0, False, 0)
    block.step(IN6=True, IN3=True).step(IN1=True, IN3=False)
    assert (block.first, block.q, block.seen) == (3, True, 0b100101)
    assert block.step(RESET=True).first == 3, "a cause lasts"
    block.step(IN1=False, IN6=False, RESET=True)
    assert (block.first, block.q, block.seen) == (0, False, 0)
    assert block.step(IN8=True).first == 8


BAD = {
    "FILTER": ({"IN": math.nan}, {"IN": math.inf}, {"T": -1}),
    "LEAD_LAG": ({"IN": math.nan}, {"LEAD": -1}, {"LAG": -1}, {"LAG": 0}),
    "HYSTERESIS": ({"XIN1": math.nan}, {"XIN2": math.inf}, {"EPS": -1.0}, {"EPS": math.nan}),
    "INTEGRAL": ({"XIN": math.nan}, {"XIN": math.inf}, {"R1": True, "X0": math.nan}),
    "DERIVATIVE": ({"XIN": math.nan}, {"T": -1}),
    "RAMP": ({"IN": math.nan}, {"UP": -1.0}, {"DOWN": math.nan}, {"X0": math.inf}),
    "TOTALISER": (
        {"IN": math.nan},
        {"BASE": 0},
        {"CUTOFF": -1.0},
        {"ROLLOVER": math.nan},
        {"ROLLOVER": -1.0},
    ),
    "SCALE": ({"IN_LO": math.nan}, {"IN_HI": 4.0}, {"OUT_HI": math.inf}),
    "SPLIT_RANGE": ({"IN": math.nan}, {"GAP": -1.0}, {"SPLIT": 0.0}, {"SPLIT": 100.0}, {"GAP": 100.0}),
    "ALARM_BLOCK": ({"IN": math.nan}, {"HH": 1.0}, {"LL": math.nan}, {"DEADBAND": -1.0}),
    "PID": (
        *({name: math.nan} for name in ("PV", "SP", "KP", "N", "OUT_MIN", "OUT_MAX")),
        *(
            {"KP": -1.0},
            {"N": 0.0},
            {"TI": -1},
            {"TD": -1},
            {"OUT_MIN": 100.0},
            {"CASCADE": True, "CAS_SP": math.inf},
        ),
    ),
}
GOOD = {
    "FILTER": {"IN": 4.0, "T": S},
    "LEAD_LAG": {"IN": 4.0, "LEAD": S, "LAG": S},
    "HYSTERESIS": {"XIN1": 4.0, "XIN2": 1.0, "EPS": 1.0},
    "INTEGRAL": {"XIN": 4.0, "RUN": True},
    "DERIVATIVE": {"XIN": 4.0, "RUN": True, "T": S},
    "RAMP": {"IN": 4.0, "UP": 1.0, "DOWN": 1.0, "X0": 0.0},
    "TOTALISER": {"IN": 4.0, "BASE": S, "CUTOFF": 0.0, "ROLLOVER": 0.0},
    "SCALE": {"IN": 8.0, "IN_LO": 4.0, "IN_HI": 20.0, "OUT_HI": 100.0},
    "SPLIT_RANGE": {"IN": 25.0, "SPLIT": 50.0, "GAP": 2.0},
    "ALARM_BLOCK": {"IN": 80.0, "HH": 95.0, "H": 70.0, "L": 0.0, "LL": -1.0, "DEADBAND": 1.0},
    "PID": {
        "PV": 1.0,
        "SP": 4.0,
        "AUTO": True,
        "KP": 2.0,
        "TI": S,
        "TD": S,
        "N": 5.0,
        "OUT_MIN": 0.0,
        "OUT_MAX": 100.0,
    }
    | {"MAN": 30.0, "CASCADE": False},
}
SHOWN = {
    "HYSTERESIS": "Q",
    "INTEGRAL": "XOUT",
    "DERIVATIVE": "XOUT",
    "TOTALISER": "TOTAL",
    "SPLIT_RANGE": "A",
    "ALARM_BLOCK": "Q_H",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_hold_the_output_and_tell(bench, name):
    for bad in BAD[name]:
        block, shown = bench(name), SHOWN.get(name, "OUT")
        block.step(n=3, **GOOD[name])
        held = getattr(block, shown)
        assert block.error is False
        block.step(n=3, **bad)
        assert (block.error, getattr(block, shown)) == (True, held), bad
        block.step(**{"R1": False} if name == "INTEGRAL" else {}, **GOOD[name])
        assert block.error is False
        assert math.isfinite(getattr(block, shown))


def test_a_totaliser_resets_even_with_bad_values(bench):
    assert bench("TOTALISER").step(BASE=S, IN=1.0).step().step(IN=math.nan, RESET=True).total == 0.0


# PID against an independent reference: floats, and its own way of writing the law ----------------------


class Reference:
    """The law of the block in incremental form: what each scan adds, and what the limits take away."""

    def __init__(self, out):
        self.out, self.integral, self.pv, self.rate = out, None, None, 0.0

    def automatic(self, sp, pv, dt, kp, ti, td, n=10.0, lo=0.0, hi=100.0):
        if self.pv is not None and dt:
            weight = math.exp(-dt * n / td) if td else 0.0
            self.rate = weight * self.rate + (1 - weight) * (pv - self.pv) / dt
        self.pv = pv
        fast = kp * (sp - pv) - kp * td * self.rate
        if self.integral is None:
            self.integral = self.out - fast
            return self.out
        wish = self.integral + (kp / ti * (sp - pv) * dt if ti else 0.0)
        if wish > self.integral:
            wish = max(self.integral, min(wish, hi - fast))
        else:
            wish = min(self.integral, max(wish, lo - fast))
        self.integral = wish
        self.out = max(lo, min(hi, fast + self.integral))
        return self.out


@pytest.mark.parametrize("key", PERIODS_NS)
@pytest.mark.parametrize("direct", [False, True], ids=["reverse", "direct"])
def test_pid_follows_the_reference_in_a_closed_loop(bench, key, direct):
    sign = -1.0 if direct else 1.0
    block = bench("PID").set(AUTO=True, MAN=10.0, KP=2.5, TI=4 * S, TD=S // 2, DIRECT=direct)
    reference, pv, dt, t = Reference(10.0), 20.0, 0, 0
    seconds = 10 if key == "5ms" else 40
    for following in periods(key, seconds):
        sp = 45.0 if t < seconds * S / 2 else 25.0
        pv = real(pv)
        block.step(following, PV=sign * pv, SP=sign * sp)
        out = reference.automatic(sp, pv, dt / S, 2.5, 4.0, 0.5)
        assert block.out == pytest.approx(out, rel=1e-5, abs=1e-4)
        pv += (20.0 + 0.6 * out - pv) * (1 - math.exp(-following / S / 5.0))
        dt, t = following, t + following
    assert key == "5ms" or pv == pytest.approx(25.0, abs=1.5)


def test_pid_is_bumpless_between_modes_and_at_new_parameters(bench):
    block = bench("PID").set(PV=50.0, SP=53.0, MAN=42.0, KP=3.0, TI=10 * S, TD=S, CAS_SP=70.0)
    dt = 1_000  # so short that only a bump moves the output
    assert block.step(dt, n=3).out == 42.0
    assert block.step(dt, AUTO=True).out == 42.0
    for change in (
        {"KP": 9.0},
        {"TI": S},
        {"TD": 4 * S},
        {"N": 3.0},
        {"TI": 0},
        {"TI": 2 * S},
        {"TD": 0},
        {"DIRECT": True},
    ):
        assert block.step(dt, **change).out == pytest.approx(42.0, abs=1e-3), change
    for change in ({"CASCADE": True}, {"CASCADE": False}):
        before = block.out
        assert block.step(dt, **change).out == before
    assert block.step(dt, AUTO=False, MAN=block.out).out == block.man
    assert (block.sp_act, block.dev) == (53.0, 3.0)


def test_pid_is_bumpless_while_its_measurement_moves(bench):
    block, pv = bench("PID").set(SP=50.0, MAN=42.0, KP=3.0, TI=100 * S, TD=2 * S), 50.0
    for change in ({}, {"AUTO": True}, {"TD": 8 * S}, {"KP": 6.0}, {"TD": 0}):
        before = block.step(PV=pv).out
        pv += 0.005  # 0.5 a second: TD is worth 3 of OUT, then 12, then 24
        block.step(PV=pv, **change)
        pv += 0.005
        block.step(PV=pv)
        assert not change or block.out == pytest.approx(before, abs=0.5), change
        for _ in range(200):
            pv += 0.005
            block.step(PV=pv)
        pv += 0.005


def test_pid_takes_a_moving_gain_without_losing_its_proportional_part(bench):
    block = bench("PID").set(AUTO=True, MAN=50.0, SP=10.0, PV=10.0, KP=1.0).step()
    block.step(PV=8.0, KP=1.001)
    assert block.out == pytest.approx(52.0, abs=0.01)


def test_pid_leaves_its_limit_at_once_when_the_error_turns(bench):
    block = bench("PID").set(AUTO=True, PV=0.0, SP=50.0, KP=1.0, TI=S).step(S, n=600)
    assert (block.out, block.high, block.low) == (100.0, True, False)
    block.step(S // 100, PV=51.0)
    assert block.out == pytest.approx(49.0, abs=1.1), "100 was 50 by the error and 50 by the integral"
    assert block.high is False
    block.step(S, n=600, PV=90.0)
    assert (block.out, block.low) == (0.0, True)
    assert block.step(S // 100, PV=45.0).out > 40.0


def test_pid_obeys_limits_in_manual_and_a_clock_set_back_counts_nothing(bench):
    block = bench("PID").set(OUT_MIN=10.0, OUT_MAX=60.0)
    assert [block.step(MAN=x).out for x in (99.0, 30.0, -4.0)] == [60.0, 30.0, 10.0]
    block.step(S, AUTO=True, SP=5.0, TI=S, n=2)
    held = block.out
    block.plc.now_ns = 0
    assert block.step().out == held


def test_a_program_keeps_its_own_meaning_of_every_name():
    plc = softplc.compile(
        sources={
            "own.st": """
FUNCTION LIMIT : LREAL VAR_INPUT a, b, c : LREAL; END_VAR LIMIT := -77.0; END_FUNCTION
FUNCTION_BLOCK FILTER VAR_INPUT a : INT; END_VAR VAR_OUTPUT z : INT; END_VAR z := a + 1; END_FUNCTION_BLOCK
TYPE RAMP : STRUCT up : INT; END_STRUCT; SCALE : (x, stamp, y); END_TYPE
VAR_GLOBAL p, elapsed : STRING; gain : BOOL; END_VAR
NAMESPACE N FUNCTION_BLOCK TOTALISER VAR_OUTPUT nine : INT := 9; END_VAR END_FUNCTION_BLOCK
FUNCTION_BLOCK U VAR t : TOTALISER; END_VAR VAR_OUTPUT o : INT; END_VAR t(); o := t.nine; END_FUNCTION_BLOCK
END_NAMESPACE
PROGRAM Main
VAR f : FILTER; r : RAMP; PID : PID; HYSTERESIS : REAL; u : N.U; t : TOTALISER; s : SCALE; w : LREAL; END_VAR
f(a := 3); r.up := 2; HYSTERESIS := HYSTERESIS + 1.0; u(); t(IN := 1.0, BASE := T#1s); s := stamp;
PID(SP := 10.0, AUTO := TRUE, KP := 2.0, TI := T#1s); w := LIMIT(1.0, 2.0, 3.0);
END_PROGRAM"""
        }
    ).simulator()
    plc.scan(11, dt_ns=100_000_000)
    names = ("f.z", "r.up", "HYSTERESIS", "u.o", "w", "PID.OUT")
    assert [plc.read(f"Main.{name}") for name in names] == [4, 2, 11.0, 9, -77.0, 20.0]
    assert plc.read("Main.t.TOTAL") == pytest.approx(1.0)
