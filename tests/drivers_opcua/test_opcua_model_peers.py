"""Foreign clients against the models of controller and machines: node-opcua, and open62541 by way of o6."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.opcua.certificate import own_certificate
from runtime.contract import Access, DataType, PlcOutline, PlcTask, Tag

HERE = Path(__file__).parent
RUN_WITHIN_S = 180
ROOT = "nb/bottling/line1"
LEVEL = Tag(
    f"{ROOT}/tank/level_pct", DataType.REAL, unit="%", low=0.0, high=100.0, source="io", variable="Main.level"
)
OUTLINE = PlcOutline(
    (PlcTask("fast", "Cell", 10_000_000, 1, (("Main", "Control"),)),), {"main.level": ("Main", "VAR_INPUT")}
)
MACHINE = {
    "folder": f"{ROOT}/tank",
    "name": "Syrup tank",
    "manufacturer": "ACME",
    "serial_number": "4711",
    "product_instance_uri": "urn:acme:tank:4711",
}
O6 = "o6==2.2.0"


async def told(folder: Path, *command: str, **env: str) -> dict[str, Any]:
    """Run a foreign client; return what it says."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | env,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(RUN_WITHIN_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    (line,) = (each for each in out.decode().splitlines() if each.startswith("{"))
    found: dict[str, Any] = json.loads(line)
    return found


def show(served: Any) -> None:
    served.port.outline = OUTLINE
    served.component._service._server.context.model.refresh()


@pytest.mark.peer
def test_node_opcua_walks_controller_and_machines_and_restarts_a_task(
    serve: Any, node_package: Callable[[str], Path], tmp_path: Path
) -> None:
    modules = str(node_package("node-opcua-client"))

    async def main() -> dict[str, Any]:
        async with serve([LEVEL], anonymous="engineer", machines=[MACHINE]) as served:
            show(served)
            script = str(HERE / "peer_model.js")
            found = await told(tmp_path, "node", script, served.url, str(tmp_path), NODE_PATH=modules)
            assert [(name, how) for name, how, *_ in served.port.restarts] == [("plc task fast", "cold")]
            return found

    assert asyncio.run(main()) == {
        "variables": [["level_pct", "input"]],
        "task": True,
        "interval": "T#10ms",
        "maker": "ACME",
        "arguments": ["Cold", "Reason"],
        "calls": ["Good", "BadArgumentsMissing", "BadInvalidArgument"],
    }


@pytest.mark.peer
def test_open62541_browses_reads_writes_subscribes_and_calls(
    serve: Any, python_package: Callable[[str], Path], tmp_path: Path
) -> None:
    values = {
        "bool": True,
        "sint": -7,
        "ulint": 2**63 + 5,
        "lreal": 0.1,
        "string": "Ümläut 灌装",
        "word": 65535,
    }
    kinds = [Tag(f"{ROOT}/all/{each}", DataType[each.upper()]) for each in values]
    speed = Tag(f"{ROOT}/line/speed", DataType.REAL, low=0.0, high=60.0, access=Access.READ_WRITE)

    foreign = python_package(O6)

    async def main() -> dict[str, Any]:
        async with serve([*kinds, LEVEL, speed]) as served:
            show(served)
            served.port.set("tank/level_pct", 41.5)
            served.port.set("line/speed", 12.0)
            for name, value in values.items():
                served.port.set(f"all/{name}", value)
            own_certificate(tmp_path, "urn:ironworks:peer", "peer")
            files = (
                tmp_path / "certificate.der",
                tmp_path / "key.pem",
                serve.state / "opcua" / "opcua" / "certificate.der",
            )
            command = [sys.executable, str(HERE / "peer_o6.py"), served.url, *map(str, files)]
            found = await told(tmp_path, *command, PYTHONPATH=str(foreign))
            assert {actor.name for _, _, actor, _ in served.port.writes} == {"erik"}
            restarts = [(name, how, actor.name, why) for name, how, actor, why in served.port.restarts]
            assert restarts == [("plc", "cold", "erik", "peer")]
            return found

    found = asyncio.run(main())
    assert found["line"] == ["all", "tank", "line"]
    assert found["properties"] == ["EURange", "EngineeringUnits"]
    assert (found["devices"], found["program"]) == (["demo"], ["level_pct"])
    assert (found["values"], found["level"]) == (values, 41.5)
    assert found["seen"] == [12, 33]
    assert (found["write"], found["outOfRange"], found["readOnly"]) == (
        "GOOD",
        "BAD_OUT_OF_RANGE",
        "BAD_NOT_WRITABLE",
    )
