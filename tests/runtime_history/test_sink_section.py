"""`history: {sink: ...}` in a plant file: checked, without secrets, and with its tags and alarms."""

import asyncio

import pytest

from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.config import SinkConfig
from runtime.errors import ConfigError
from runtime.historian import SINK_TAGS, Sink
from runtime.kernel import Kernel
from runtime.testing import FakePort

HEAD = "plant: works\nroot: site/area\napi: null\nhistory:\n  sink: "


@pytest.fixture
def written(tmp_path):
    def write(sink):
        (tmp_path / "tags.csv").write_text("path,type\nlevel,REAL\n")
        (tmp_path / "plant.yaml").write_text(HEAD + sink + "\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("sink", "why"),
    [
        ("{url: 'postgresql://me:secret@host/db'}", "a password does not belong"),
        ("{url: 'postgresql://me@host/db?password=x'}", "a password does not belong"),
        ("{url: 'mysql://me@host/db'}", "not the address of a database"),
        ("{password_env: X}", "'url' is missing"),
        ("{url: 'postgres://host/db', password_env: X, password_file: y}", "keep one of the two"),
        ("{url: 'postgres://host/db', password_env: '1 2'}", "not possible here"),
    ],
)
def test_what_is_wrong_has_its_place(written, sink, why):
    with pytest.raises(ConfigError) as caught:
        assemble(written(sink))
    (finding,) = caught.value.findings
    assert why in str(finding)
    assert "secret" not in finding.text


def test_a_plant_with_a_sink_has_its_component_tags_and_alarms(written):
    assembly = assemble(written("{url: 'postgresql://me@127.0.0.1:1/db'}"))
    assert assembly.check() == []
    kernel = Kernel(assembly)
    assert "history-sink" in [view["name"] for view in kernel.supervisor.views()]
    assert "sys/history/sink_lag_s" in assembly.plant.tags
    assert {"history.sink_behind", "history.sink_lost"} <= {alarm.name for alarm in assembly.plant.alarms}


def test_a_password_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("SINK_PASSWORD", raising=False)
    (tmp_path / "secret").write_text("trust\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xd2")

    async def main():
        for more, why in (
            ({"password_env": "SINK_PASSWORD"}, "SINK_PASSWORD is not set"),
            ({"password_file": "nothing"}, "nothing cannot be read"),
            ({"password_file": "bytes"}, "bytes cannot be read: it is not UTF-8"),
            ({"password_file": "secret"}, "refused"),
        ):
            config = SinkConfig(url="postgresql://me@127.0.0.1:1/db", **more)
            port = FakePort(SINK_TAGS, name="history-sink", clock=WallClock())
            task = asyncio.create_task(Sink(Closed(), config, "works", tmp_path, tmp_path).run(port))
            async with asyncio.timeout(60):
                while port.healthy:  # noqa: ASYNC110 - a socket is waited for
                    await asyncio.sleep(0.01)
            assert why in port.health_text
            assert "trust" not in port.health_text
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())


class Closed:
    """Stands where a historian would: these never get as far as it."""

    unsent_lost = 0

    async def beside_store(self, work, *given):
        return 0
