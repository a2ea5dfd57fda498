"""The client on a foreign server: snap7's own, which is another program than python-snap7's."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.contract import Access, DataType, Quality

PACKAGE = "python-snap7==1.4.1"  # the last whose wheel is snap7 in C++; later ones are Python
SCRIPT = Path(__file__).with_name("peer_cpu.py")
GOOD = int(Quality.GOOD)


async def start(folder, port):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        str(port),
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
    )
    assert await process.stdout.readline() == b"ready\n"
    return process


async def kill(process):
    if process.returncode is None:
        process.kill()
        await process.wait()


@pytest.mark.peer
def test_snap7_is_read_and_written_and_comes_back(side, tag, wait, port, python_package):
    snap7 = python_package(PACKAGE)
    own = {"access": Access.READ_WRITE}
    tags = [
        tag("bit", DataType.BOOL, "DB1.DBX0.3", **own),
        tag("beside", DataType.BOOL, "DB1.DBX0.4", **own),
        tag("int", DataType.INT, "DB1.DBW2", **own),
        tag("real", DataType.REAL, "DB1.DBD4", **own),
        tag("lreal", DataType.LREAL, "DB1.LREAL8"),
        tag("text", DataType.STRING, "DB1.STRING20[10]", **own),
        tag("flag", DataType.BOOL, "M3.2", **own),
        tag("byte", DataType.BYTE, "DB1.DBB0"),
        tag("far", DataType.INT, "DB1.DBW62"),
        tag("beyond", DataType.INT, "DB1.DBW64"),
        tag("nowhere", DataType.INT, "DB77.DBW0"),
        tag("lamp", DataType.BOOL, "A1.1", source="plc"),
        tag("lamps", DataType.BYTE, "AB1"),
        tag("speed", DataType.REAL, "DB2.DBD8", source="plc"),
        tag("speed_back", DataType.REAL, "DB2.DBD8"),
    ]

    async def main():
        process = await start(snap7, port)
        try:
            client = side(tags, port=port)
            plant = client.port
            plant.set("lamp", True)
            plant.set("speed", 2.5)
            async with asyncio.TaskGroup() as group, asyncio.timeout(60):
                polling = client.start(group)
                first = {"bit": True, "beside": False, "int": -7, "real": 1.5, "lreal": -2.25, "text": "abc"}
                await wait(lambda: {name: plant.value(name) for name in first} == first)
                await wait(lambda: (plant.value("lamps"), plant.value("speed_back")) == (0b10, 2.5))
                for name in ("beyond", "nowhere"):
                    await wait(lambda name=name: plant.quality(name) == Quality.BAD_CONFIGURATION_ERROR)
                assert plant.quality("far") == GOOD
                for name, value in (("bit", False), ("beside", True), ("int", 300), ("text", "cola")):
                    assert await plant.command(name, value) is None
                assert await plant.command("flag", True) is None
                await wait(lambda: plant.value("byte") == 0b1011_0000)  # no other bit was touched
                assert plant.value("sys/drivers/io/cpu") == "run"
                await kill(process)
                await wait(lambda: plant.quality("real") == Quality.BAD_NO_COMMUNICATION)
                process = await start(snap7, port)
                await wait(lambda: plant.value("int") == -7 and plant.quality("real") == GOOD)
                await wait(lambda: (plant.value("lamps"), plant.value("speed_back")) == (0b10, 2.5))
                polling.cancel()
        finally:
            await kill(process)

    asyncio.run(main())
