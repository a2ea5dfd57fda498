"""A Python app in a process of its own: what it may do, and what its failures look like."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from runtime.contract import Actor, Quality, Role

OPERATOR = Actor("test", Role.OPERATOR, "test")
ENGINEER = Actor("erna", Role.ENGINEER, "test")


def lives(pid):
    """Tell whether a process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_app_reads_computes_and_produces(small, live):
    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 2.0 and plant["unit/word"] == "calm")
        tag = plant.kernel.table["unit/x"]
        await plant.kernel.gate.write(tag, 7.0, OPERATOR)
        await plant.until(lambda: plant["unit/double"] == 14.0)
        assert plant.quality("unit/double") == Quality.GOOD
        await plant.until(lambda: (plant["sys/apps/mine/memory_mib"] or 0) > 5)
        assert plant["sys/apps/mine/steps"] > 0
        assert plant.pid != os.getpid()

    live(scene)


def test_parameters_of_the_plant_reach_the_app(small, live):
    small.plant((small.folder / "plant.yaml").read_text() + "    parameters: {factor: 3}\n")

    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 3.0)

    live(scene)


def test_a_killed_worker_makes_its_outputs_bad_and_starts_again(small, live):
    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 2.0)
        first = plant.pid
        os.kill(first, signal.SIGKILL)
        await plant.until(lambda: Quality.is_bad(plant.quality("unit/double")))
        await plant.until(lambda: plant.component()["state"] == "faulted")
        assert "killed by signal 9" in plant.component()["text"]
        await plant.until(lambda: plant["unit/double"] == 2.0)
        assert plant.pid not in (first, None)
        assert plant.component()["restarts"] == 1

    live(scene)


def test_a_worker_that_starts_again_runs_as_it_was_applied_not_as_it_was_edited(small, live):
    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 2.0)
        small.code((small.app / "app.py").read_text().replace("x * self", "7 * x * self"))
        os.kill(plant.pid, signal.SIGKILL)
        await plant.until(lambda: plant.component()["restarts"] == 1 and plant["unit/double"] is not None)
        assert plant["unit/double"] == 2.0
        await plant.kernel.versions.apply(ENGINEER)
        await plant.until(lambda: plant["unit/double"] == 14.0)

    live(scene, by_version=True)


def test_an_exception_is_told_with_file_and_line(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                return {"unit/double": 1 / 0}
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        text = plant.component()["text"]
        assert "step failed at app.py:5: ZeroDivisionError" in text
        assert plant["unit/x"] == 1.0

    live(scene)


def test_a_slow_step_is_a_miss_and_its_outputs_are_bad_meanwhile(small, live):
    small.code("""\
        import time
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                if values.number("unit/x") == 9:
                    time.sleep(1)
                return {"unit/double": 2.0}
        """)

    async def scene(plant):
        await plant.until(lambda: plant.quality("unit/double") == Quality.GOOD)
        await plant.kernel.gate.write(plant.kernel.table["unit/x"], 9.0, OPERATOR)
        await plant.until(lambda: plant.quality("unit/double") == Quality.BAD_NO_COMMUNICATION)
        assert plant["sys/apps/mine/deadline_misses"] >= 1
        await plant.kernel.gate.write(plant.kernel.table["unit/x"], 1.0, OPERATOR)
        await plant.until(lambda: plant.quality("unit/double") == Quality.GOOD)
        assert plant.component()["restarts"] == 0

    live(scene)


def test_a_hung_worker_is_ended(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                while True:
                    pass
        """)

    async def scene(plant):
        await plant.until(lambda: plant.pid is not None)
        first = plant.pid
        await plant.until(lambda: plant.component()["state"] == "faulted")
        assert "a step took longer than" in plant.component()["text"]
        await plant.until(lambda: not psutil.pid_exists(first))

    live(scene)


@pytest.mark.parametrize(
    ("greed", "told"),
    [
        ("self.hoard = bytearray(130 << 20)", "its budget is 96 MiB"),
        ("self.hoard = bytearray(2000 << 20)", "it ran out of the memory it may have"),
    ],
)
def test_an_app_that_takes_too_much_memory_is_ended(small, live, greed, told):
    small.code(f"""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                {greed}
                return {{}}
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        assert told in plant.component()["text"]

    live(scene)


def test_outputs_outside_the_permission_are_refused_and_told_once(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                assert "other/y" not in values
                return {"unit/double": 2.0, "other/y": 0.0, "unit/word": 5}
        """)

    async def scene(plant):
        events = plant.kernel.bus.events("app.refused")
        await plant.until(lambda: (plant["sys/apps/mine/steps"] or 0) > 20)
        told = [event.text for event in events.drain()]
        assert len(told) == 2
        assert told[0].startswith("other/y: it is not among the tags that the app produces")
        assert told[1].startswith("unit/word: ")
        assert plant["other/y"] == 5.0
        assert plant.quality("unit/word") == Quality.BAD_CONFIGURATION_ERROR
        assert plant["unit/double"] == 2.0
        await plant.until(lambda: plant.component()["state"] == "degraded")

    live(scene)


def test_an_app_that_makes_up_paths_fills_neither_memory_nor_journal(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                made = {f"other/{now_ns}/{n}": 0.0 for n in range(50)}
                return {"unit/double": 2.0, "long" * 10_000: 0.0, "unit/word": 5} | made
        """)

    async def scene(plant):
        events = plant.kernel.bus.events("app.refused")
        await plant.until(lambda: (plant["sys/apps/mine/steps"] or 0) > 20)
        told = [event.text for event in events.drain()]
        assert told[0].startswith("longlong")
        assert told[1].startswith("unit/word: ")
        assert len(told) == 20
        assert max(map(len, told)) < 500
        assert plant["unit/double"] == 2.0
        await plant.until(lambda: plant.component()["state"] == "degraded")
        assert len(plant.component()["text"]) < 5000

    live(scene)


def test_a_step_that_returns_nothing_is_told_as_such(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                {"unit/double": 2.0}
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        assert "mine: step returned NoneType, no products by path" in plant.component()["text"]

    live(scene)


def test_what_numpy_computed_is_a_value_as_in_virtual_time(small, live):
    small.code("""\
        import numpy as np
        from apps.sdk import App, Output

        class Mine(App):
            def step(self, now_ns, values):
                high = np.float32(values.number("unit/x")) > 0.5
                return {"unit/double": np.float32(2.5), "unit/word": Output(str(high), np.uint32(0))}
        """)

    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 2.5 and plant["unit/word"] == "True")
        assert plant.quality("unit/word") == Quality.GOOD

    live(scene)


@pytest.mark.parametrize(
    ("made", "told"),
    [("Output(2.0, -1)", "-1 is no quality"), ("Output(2.0, 1 << 40)", "1099511627776 is no quality")],
)
def test_what_is_no_quality_is_refused_and_the_tag_is_bad(small, live, made, told):
    small.code(f"""\
        from apps.sdk import App, Output

        class Mine(App):
            def step(self, now_ns, values):
                return {{"unit/double": {made}, "unit/word": "calm"}}
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "degraded")
        assert plant.component()["text"] == f"unit/double: {told}"
        assert plant.quality("unit/double") == Quality.BAD_CONFIGURATION_ERROR
        assert plant["unit/word"] == "calm"

    live(scene)


def test_a_value_beyond_the_range_is_uncertain_and_no_number_is_bad(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                return {"unit/double": 500.0 if values.number("unit/x") == 1 else float("nan")}
        """)

    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 500.0)
        assert plant.quality("unit/double") == Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
        await plant.kernel.gate.write(plant.kernel.table["unit/x"], 2.0, OPERATOR)
        await plant.until(lambda: Quality.is_bad(plant.quality("unit/double")))

    live(scene)


def test_a_message_that_is_too_long_is_refused(small, live):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                return {"unit/word": "x" * (2 << 20)}
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        assert "the limit is" in plant.component()["text"]

    live(scene)


def test_more_inputs_than_a_message_holds_are_told_as_such(small, live):
    text = (small.folder / "tags.csv").read_text()
    long = f"{'unit/' * 40}" + "t{}"
    (small.folder / "tags.csv").write_text(
        text + "".join(f"{long.format(n)},BOOL,,,,r,\n" for n in range(6000))
    )
    small.manifest('"unit/*"', '"unit/**"')

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        text = plant.component()["text"]
        assert text.startswith("what the app is given cannot be sent: a message of ")
        assert "narrow permissions.reads" in text

    live(scene)


@pytest.mark.parametrize(
    "takes",
    [
        "pass",
        "os.closerange(3, 256); time.sleep(2)",
    ],  # as an interpreter with much in memory, or a busy machine
    ids=["at once", "long after its socket"],
)
def test_an_app_that_prints_and_dies_leaves_its_last_words(small, live, takes):
    small.code(f"""\
        import os, time
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                {takes}
                print("the disk is gone", flush=True)
                os._exit(3)
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        assert "ended with code 3: the disk is gone" in plant.component()["text"]

    live(scene)


def test_what_an_app_has_started_ends_with_it(small, live):
    told = small.folder / "child"
    small.code(f"""\
        import subprocess
        from pathlib import Path
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                child = subprocess.Popen(["sleep", "60"])
                if not Path({str(told)!r}).exists():
                    Path({str(told)!r}).write_text(str(child.pid))
                raise ValueError("no more")
        """)

    async def scene(plant):
        await plant.until(lambda: plant.component()["state"] == "faulted")
        await plant.until(lambda: not lives(int(told.read_text())))

    live(scene)


def test_bad_inputs_reach_the_app_as_none(small, live):
    small.code("""\
        from apps.sdk import App, Output

        class Mine(App):
            def step(self, now_ns, values):
                reading = values["unit/x"]
                return {"unit/double": Output(reading.value, reading.quality)}
        """)

    async def scene(plant):
        await plant.until(lambda: plant["unit/double"] == 1.0)
        table = plant.kernel.table
        batch = table.snapshot(table.select("unit/x"))
        bad = type(batch).of(batch.ids, batch.raw, plant.kernel.clock.now_ns(), Quality.BAD_DEVICE_FAILURE)
        plant.kernel.bus.publish(bad)
        await plant.until(lambda: plant.quality("unit/double") == Quality.BAD_DEVICE_FAILURE)

    live(scene)


def test_no_worker_outlives_a_killed_kernel(small, runtime_home):
    """Even one that is deep in its own work and does not look at its socket."""
    small.code("""\
        import os, pathlib, time
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                (pathlib.Path(__file__).parent / "pid").write_text(str(os.getpid()))
                time.sleep(120)
        """)
    kernel = subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", "run", str(small.folder)], stderr=subprocess.DEVNULL
    )
    file = small.app / "pid"
    try:
        deadline = time.monotonic() + 60
        while not (file.is_file() and (text := file.read_text()) and lives(pid := int(text))):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        kernel.kill()
        kernel.wait()
    deadline = time.monotonic() + 60
    while lives(pid):
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.02)
