"""Options and fixtures that every test may use."""

import os
import signal
import socket
import tempfile

import pytest

# No test uses the sessions of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="iw-state")
# Tests that run in the background ignore Ctrl-C; the plants that they start must not inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=4, help="rounds of each campaign (long form: 50)")


@pytest.fixture
def rounds(request):
    """How many rounds a campaign has."""
    return request.config.getoption("--rounds")


@pytest.fixture
def free_port():
    """A function that returns a TCP port of loopback that nobody listens on."""

    def find():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find
