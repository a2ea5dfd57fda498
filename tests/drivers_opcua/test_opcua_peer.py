"""A foreign client, node-opcua, against our server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "node-opcua-client"
INSTALL_WITHIN_S = 180
RUN_WITHIN_S = 60
SCRIPT = Path(__file__).with_name("peer_client.js")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Return a folder that has the client; installs it outside the repository the first time."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ironworks-tests" / PACKAGE
    done = cache / "installed"
    if not done.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            "--prefix",
            str(cache),
            PACKAGE,
        ]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not install {PACKAGE} within {INSTALL_WITHIN_S} s")
        if result.returncode:
            pytest.skip(f"npm could not install {PACKAGE}: {result.stderr.strip()[-200:]}")
        done.touch()
    return cache / "node_modules"


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["None", "SignAndEncrypt"])
def test_node_opcua_browses_reads_subscribes_writes_and_acknowledges(
    serve: Any, node_modules: Path, mode: str, tmp_path: Path
) -> None:
    async def main() -> dict[str, Any]:
        async with serve() as served:
            served.port.set("tank/level_pct", 41.5)
            served.port.set("line/speed", 12.0)
            process = await asyncio.create_subprocess_exec(
                "node",
                str(SCRIPT),
                served.url,
                mode,
                str(tmp_path),
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
            assert [(path, value) for path, value, *_ in served.port.writes] == [
                ("nb/bottling/line1/line/speed", 33.0),
                ("nb/bottling/line1/line/speed", 61.0),
                ("nb/bottling/line1/tank/level_pct", 1.0),
            ]
            assert {actor.name for _, _, actor, _ in served.port.writes} == {"olga"}
            assert served.port.value("line/speed") == 33.0
            assert served.port.acknowledged[0][0] == "tank.high"
            print(out.decode(), err.decode())
            (line,) = (each for each in out.decode().splitlines() if each.startswith("{"))
            found: dict[str, Any] = json.loads(line)
            return found

    found = asyncio.run(main())
    assert found["wrongPassword"] == "BadUserAccessDenied"
    assert found["objects"]
    assert found["line"] == ["all", "tank", "line"]
    assert sorted(found["properties"]) == ["EURange", "EngineeringUnits"]
    read = found["read"]
    assert (read["value"], read["type"], read["status"]) == (41.5, "Float", "Good")
    assert found["range"] == [0, 100]
    assert found["seen"] == [["Good", 12], ["Good", 33]]
    assert (found["write"], found["acknowledge"]) == ("Good", "Good")
    assert (found["outOfRange"], found["readOnly"]) == ("BadOutOfRange", "BadNotWritable")
