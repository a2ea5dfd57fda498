"""Options and fixtures that every test may use."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import hypothesis
import pytest
from argon2 import PasswordHasher

from runtime.gate import identity

# A slow machine is no fault of what is tested.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")
# A secret takes a tenth of a second to check, on purpose, and tests log in by the thousand.
identity.PasswordHasher = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
# No test uses the sessions of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="iw-state")
# Tests that run in the background ignore Ctrl-C; the plants that they start must not inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
_LOST = pytest.StashKey[bool]()


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=4, help="rounds of each campaign (long form: 50)")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node, error):
    """Tell a worker that was lost, with tests that nobody ran, from tests that failed."""
    if error:
        node.config.stash[_LOST] = True


def pytest_sessionfinish(session):
    if session.config.stash.get(_LOST, False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


@pytest.fixture
def rounds(request):
    """How many rounds a campaign has."""
    return request.config.getoption("--rounds")


@pytest.fixture
def runtime_folder(monkeypatch):
    """Give the plants of a test a folder for their sockets: a short one, since a socket's path is limited."""
    home = tempfile.mkdtemp(prefix="iw")
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)
    yield Path(home)
    shutil.rmtree(home)


@pytest.fixture
def free_port():
    """A function that returns a TCP port of loopback that nobody has."""
    from drivers.chaos.process import free_port

    return free_port


INSTALL_WITHIN_S = 180  # with the wait for others who install: before pytest ends the test


@pytest.fixture(scope="session")
def debian_package():
    """A function that installs a package of Debian, as far as this machine lets us; returns why not."""

    def install(package):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            return f"{package} is not installed, and only root on Debian could install it"
        # Some packages would start a service of the machine's own.
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        with _turn(Path(tempfile.gettempdir(), "ironworks-tests-apt.lock")) as run:  # apt refuses a second
            for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", package]):
                if trouble := run(command, env=env):
                    return f"{package} cannot be had: {trouble}"
        return None

    return install


@pytest.fixture(scope="session")
def node_package():
    """A function that returns the folder with a package of npm, which it installs outside the repository."""

    def folder(package):
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            pytest.skip("node and npm are not installed")
        cache = _folder_of(package)
        options = ["--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(cache)]
        _install_once(cache, [npm, "install", *options, package])
        return cache / "node_modules"

    return folder


@pytest.fixture(scope="session")
def python_package():
    """A function that returns the folder with a wheel without what it needs, for a process of its own."""

    def folder(package):
        cache = _folder_of(package)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:"]
        _install_once(cache, [*pip, "--target", str(cache), package])
        return cache

    return folder


def _folder_of(package):
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "ironworks-tests" / package


def _install_once(cache, command):
    """Run what installs into a folder, where it has not; skip the test with a word where it cannot."""
    done = cache / "installed"
    cache.parent.mkdir(parents=True, exist_ok=True)
    with _turn(cache.with_name(f"{cache.name}.lock")) as run:
        if done.exists():
            return
        shutil.rmtree(cache, ignore_errors=True)  # half of it, of one that was ended
        cache.mkdir()
        if trouble := run(command):
            pytest.skip(f"{cache.name} cannot be had: {trouble}")
        done.touch()


@contextmanager
def _turn(lock):
    """Wait until no other worker has the lock; yields what runs a command, in the time that is left."""
    end = time.monotonic() + INSTALL_WITHIN_S

    def run(command, **options):
        """Return what went wrong, or None."""
        left = max(0, end - time.monotonic())
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=left, check=False, **options
            )
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} took over {INSTALL_WITHIN_S} s"
        return done.stderr.strip()[-200:] or f"exit code {done.returncode}" if done.returncode else None

    with lock.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    pytest.skip(f"others hold {lock} for over {INSTALL_WITHIN_S} s")
                time.sleep(0.2)
            else:
                break
        yield run
