"""A foreign client, node-opcua, against our server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.contract import DataType, Tag

PACKAGE = "node-opcua-client"
RUN_WITHIN_S = 180
WIDE = [Tag(f"nb/bottling/line1/wide/x{number}", DataType.REAL) for number in range(1200)]
SCRIPT = Path(__file__).with_name("peer_client.js")


@pytest.fixture(scope="session")
def node_modules(node_package: Callable[[str], Path]) -> Path:
    return node_package(PACKAGE)


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["None", "SignAndEncrypt"])
def test_node_opcua_browses_reads_subscribes_writes_and_acknowledges(
    serve: Any, node_modules: Path, person: Any, mode: str, tmp_path: Path
) -> None:
    erik = person("erik")

    async def main() -> dict[str, Any]:
        async with serve(more=WIDE) as served:
            served.port.certificates[erik.print] = "erik"
            served.port.set("tank/level_pct", 41.5)
            served.port.set("line/speed", 12.0)
            process = await asyncio.create_subprocess_exec(
                "node",
                str(SCRIPT),
                served.url.removesuffix(
                    "/"
                ),  # as people write it; this client wants an endpoint of just that
                mode,
                str(tmp_path),
                str(erik.certificate),
                str(erik.key),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"NODE_PATH": str(node_modules)},
                cwd=tmp_path,
            )
            try:
                async with asyncio.timeout(RUN_WITHIN_S):
                    out, err = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            assert process.returncode == 0, err.decode()
            if mode == "None":
                assert (served.port.writes, served.port.acknowledged) == ([], [])
                (line,) = (each for each in out.decode().splitlines() if each.startswith("{"))
                return dict(json.loads(line))
            assert [(path, value, actor.name) for path, value, actor, _ in served.port.writes] == [
                ("nb/bottling/line1/line/speed", 33.0, "olga"),
                ("nb/bottling/line1/line/speed", 61.0, "olga"),
                ("nb/bottling/line1/tank/level_pct", 1.0, "olga"),
                ("nb/bottling/line1/line/speed", 34.0, "erik"),
            ]
            assert served.port.acknowledged[0][0] == "tank.high"
            print(out.decode(), err.decode())
            (line,) = (each for each in out.decode().splitlines() if each.startswith("{"))
            found: dict[str, Any] = json.loads(line)
            return found

    found = asyncio.run(main())
    assert found["wrongPassword"] == "BadUserAccessDenied"
    assert found["objects"]
    assert found["line"] == ["all", "tank", "line", "wide"]
    assert (found["wide"], found["widest"]) == (len(WIDE), 500)
    assert sorted(found["properties"]) == ["EURange", "EngineeringUnits"]
    read = found["read"]
    assert (read["value"], read["type"], read["status"]) == (41.5, "Float", "Good")
    assert found["range"] == [0, 100]
    if mode == "None":
        assert found["write"] == found["acknowledge"] == "BadSecurityModeInsufficient"
        return
    assert found["seen"] == [["Good", 12], ["Good", 33]]
    assert (found["write"], found["acknowledge"], found["byCertificate"]) == ("Good", "Good", "Good")
    assert (found["outOfRange"], found["readOnly"]) == ("BadOutOfRange", "BadNotWritable")
