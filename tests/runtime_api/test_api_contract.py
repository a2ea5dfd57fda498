"""The API keeps what its OpenAPI document says: schemathesis asks a running plant as admin and viewer."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.wire import PREFIX

pytestmark = pytest.mark.skipif(find_spec("schemathesis") is None, reason="it comes with the extra dev")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,negative_data_rejection"
)
# They would restart the API, put another kernel in its place, or copy the whole plant each time.
APART = "/(restart|config/apply|config/rollback|backup)$"
# A fuzzing phase with a time would go on until that is spent.
BOUNDS = {"coverage": ["--max-time", "60"], "fuzzing": ["--max-examples", "5"]}
PLANT = """plant: brewery
root: site/area/line
alarms: alarms.yaml
api: {{port: 0}}
gate: {{two_person: [tank/limit]}}
users:
  - {{name: vera, role: viewer, secret: "{secret}"}}
  - {{name: ada, role: admin, secret: "{secret}"}}
"""


@pytest.fixture
def plant(folder: Path, secret: str, started: Any):
    (folder / "plant.yaml").write_text(PLANT.format(secret=secret))
    with started(folder) as url:
        yield url


@pytest.mark.parametrize(("user", "phase"), [("ada", "coverage"), ("vera", "fuzzing")])
def test_every_answer_is_as_documented(plant: str, user: str, phase: str, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{plant}{PREFIX}/openapi.json", timeout=60).content)
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", plant]
    command += ["--request-timeout", "60"]  # ten seconds otherwise
    command += ["--auth", f"{user}:hops & malt", "--checks", CHECKS, "--phases", phase]
    command += ["--exclude-path-regex", APART, "--seed", "7", "--no-color", "--no-shrink", *BOUNDS[phase]]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=550, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    with httpx.Client(base_url=f"{plant}{PREFIX}", timeout=60) as http:
        assert http.get("/info").status_code == 200
