"""The guide's driver, out of the guide: found by entry point, checked, and at work against its peer."""

import asyncio
import importlib
import re
import sys
from pathlib import Path

import pytest

from runtime.assembly import assemble
from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Quality
from runtime.testing import FakePort

GUIDE = Path(__file__).parents[2] / "docs" / "write-a-driver.md"
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WEIGHT, TARE, ONLINE = "scale/weight", "scale/tare", "sys/drivers/scale/online"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The guide's files in a folder on the path, with the metadata that an installer leaves of a wheel."""
    site = tmp_path / "site"
    for name, text in BLOCK.findall(GUIDE.read_text("utf-8")):
        file = (tmp_path / "plant" if name.endswith((".yaml", ".csv")) else site) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    project = (site / "pyproject.toml").read_text("utf-8")
    entry = re.search(r'^"(acme\.scale)" = "(.+)"$', project, re.MULTILINE)
    facts = site / "acme_scales-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scales\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[ironworks.drivers]\n{entry[1]} = {entry[2]}\n")
    monkeypatch.syspath_prepend(str(site))
    yield tmp_path / "plant"
    for name in [
        name for name in sys.modules if name.startswith("acme_scales") or name in ("scale_peer", "test_scale")
    ]:
        del sys.modules[name]


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  sockets of another task decide, no event tells
            await asyncio.sleep(0.005)


def test_the_driver_of_the_guide_is_found_and_does_all_that_it_says(installed):
    peer = importlib.import_module("scale_peer").Peer()
    plant = assemble(installed)
    assert plant.check() == []

    async def main():
        number = await peer.start()
        (entry,) = [each for each in plant.sections if each.name == "scale"]
        config = entry.config.model_copy(update={"port": number, "timeout": 60 * SECOND_NS})
        (component,) = entry.plugin.build(plant.plant, config)
        port = FakePort(plant.plant.tags, "scale", plant.plant.root, WallClock())

        def seen(path):
            return port.value(path), port.quality(path)

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(component.run(port))
            port.set("scale/limit", 20.0)
            await until(lambda: seen(WEIGHT) == (12.5, Quality.GOOD) and peer.values["limit"] == "20.0")
            assert await port.command(TARE, True) is None
            assert (peer.values["tare"], port.value(TARE)) == ("1", True)

            peer.values["weight"] = "12.6"  # within the deadband
            peer.values["tare"] = "perhaps"
            await until(lambda: port.quality(TARE) == Quality.BAD_DEVICE_FAILURE)
            assert port.value(WEIGHT) == 12.5
            assert port.value("sys/drivers/scale/state") == "degraded"
            del peer.values["tare"]
            await until(lambda: port.quality(TARE) == Quality.BAD_CONFIGURATION_ERROR)
            assert "no such name" in await port.command(TARE, False)
            await until(lambda: "4: " in (port.value("sys/drivers/scale/exception_codes") or ""))

            peer.stop()
            await until(lambda: port.quality(WEIGHT) == Quality.BAD_NO_COMMUNICATION)
            assert port.value(ONLINE) is False
            assert "offline" in await port.command(TARE, False)
            marks = [
                row.quality for batch in port.submitted for row in batch if row.id == port.tags[WEIGHT].id
            ]
            assert marks[-2:] == [Quality.UNCERTAIN_LAST_USABLE_VALUE, Quality.BAD_NO_COMMUNICATION]

            peer.values |= {"weight": "3", "limit": "0", "tare": "0"}
            await peer.start(number)
            await until(lambda: seen(WEIGHT) == (3.0, Quality.GOOD) and peer.values["limit"] == "20.0")
            await until(lambda: port.value("sys/drivers/scale/reconnects") == 1)
            running.cancel()
        peer.stop()

    asyncio.run(main())


def test_the_guide_s_own_test_passes(installed, monkeypatch):
    guide = importlib.import_module("test_scale")
    monkeypatch.setattr(guide, "PLANT", installed)
    guide.test_a_scale_that_goes_and_comes_back()


def test_a_wrong_line_of_its_plant_is_told_with_place_and_remedy(installed):
    table = installed / "tags.csv"
    table.write_text(
        table.read_text().replace(",weight\n", ",WEIGHT 1\n").replace("scale/tare,BOOL", "scale/tare,STRING")
    )
    found = [(each.text, each.place.line, each.remedy) for each in assemble(installed).check()]
    assert (
        "tag 'site/area/line/scale/weight': address 'WEIGHT 1': no name of a scale",
        2,
        "letters, such as weight",
    ) in found
    assert ("site/area/line/scale/tare: a scale has no texts", 3, "use a number") in found
    assert len(found) == 2
