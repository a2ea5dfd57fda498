"""One `ironworks dap --port 0` for a file of tests; each test is a session of its own, with a real client."""

import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("dap_client", Path(__file__).parent / "client.py")
dap_client = importlib.util.module_from_spec(_spec)
sys.modules["dap_client"] = dap_client
_spec.loader.exec_module(dap_client)

COMMAND = [sys.executable, "-m", "runtime.cli", "dap"]


@pytest.fixture(scope="module")
def port():
    """Serve on a port that is free."""
    home = tempfile.mkdtemp(prefix="iw-dap-")
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, "--port", "0"], stderr=pipe, stdin=pipe, cwd=home) as process:
        try:
            line = process.stderr.readline().decode()
            assert line.startswith("listening on 127.0.0.1:"), line
            yield int(line.rpartition(":")[2])
        finally:
            process.kill()
            shutil.rmtree(home)


@pytest.fixture
def session(port, tmp_path):
    """Return a client of the port whose files lie in `folder`."""
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        connection.makefile("rb") as source,
        connection.makefile("wb") as sink,
    ):
        client = dap_client.Client(tmp_path, source, sink)
        yield client
        connection.shutdown(socket.SHUT_RDWR)
        client.join()


@pytest.fixture
def stdio(tmp_path):
    """Return a client of a process of its own."""
    client = dap_client.Client(tmp_path)
    yield client
    client.close()
