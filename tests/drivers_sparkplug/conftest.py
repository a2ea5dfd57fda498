"""Mosquitto as the broker, protobuf's own runtime to read payloads, and edge nodes without a kernel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers.sparkplug.host.section import plugin as host_plugin
from drivers.sparkplug.section import plugin as edge_plugin
from runtime.clock import WallClock
from runtime.config import Document, Plant, PlantFile, TagList
from runtime.contract import Access, DataType, Role, Tag
from runtime.errors import Place
from runtime.testing import FakePort

ROOT = "site/area/line"
F = descriptor_pb2.FieldDescriptorProto


def _schema():
    """Return the message classes of a payload, made from what Sparkplug 3.0.0, 6.4.1 says of each field."""
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package="sp", syntax="proto2")

    def message(name, fields, oneof=()):
        out = file.message_type.add(name=name)
        if oneof:
            out.oneof_decl.add(name="value")
        for number, field, kind, label in (*fields, *((n, f, k, None) for n, f, k in oneof)):
            each = out.field.add(name=field, number=number, label=label or F.LABEL_OPTIONAL)
            if isinstance(kind, str):
                each.type, each.type_name = F.TYPE_MESSAGE, f".sp.{kind}"
            else:
                each.type = kind
            if label is None:
                each.oneof_index = 0

    one, many = F.LABEL_OPTIONAL, F.LABEL_REPEATED
    values = [("int_value", F.TYPE_UINT32), ("long_value", F.TYPE_UINT64), ("float_value", F.TYPE_FLOAT)]
    values += [
        ("double_value", F.TYPE_DOUBLE),
        ("boolean_value", F.TYPE_BOOL),
        ("string_value", F.TYPE_STRING),
    ]
    message(
        "PropertyValue",
        [(1, "type", F.TYPE_UINT32, one), (2, "is_null", F.TYPE_BOOL, one)],
        [(3 + n, name, kind) for n, (name, kind) in enumerate(values)],
    )
    message("PropertySet", [(1, "keys", F.TYPE_STRING, many), (2, "values", "PropertyValue", many)])
    message(
        "Metric",
        [
            (1, "name", F.TYPE_STRING, one),
            (2, "alias", F.TYPE_UINT64, one),
            (3, "timestamp", F.TYPE_UINT64, one),
            (4, "datatype", F.TYPE_UINT32, one),
            (5, "is_historical", F.TYPE_BOOL, one),
            (6, "is_transient", F.TYPE_BOOL, one),
            (7, "is_null", F.TYPE_BOOL, one),
            (9, "properties", "PropertySet", one),
        ],
        [(10 + n, name, kind) for n, (name, kind) in enumerate([*values, ("bytes_value", F.TYPE_BYTES)])],
    )
    message(
        "Payload",
        [
            (1, "timestamp", F.TYPE_UINT64, one),
            (2, "metrics", "Metric", many),
            (3, "seq", F.TYPE_UINT64, one),
            (4, "uuid", F.TYPE_STRING, one),
            (5, "body", F.TYPE_BYTES, one),
        ],
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sp.Payload"))


PAYLOAD = _schema()


class Broker:
    """A Mosquitto of our own on a loopback port."""

    def __init__(self, program, folder, port, lines=()):
        self.program, self.port = program, port
        self.file = folder / f"mosquitto-{port}.conf"
        listener = (
            [] if any(line.startswith("listener") for line in lines) else [f"listener {port} 127.0.0.1"]
        )
        login = [] if any(line.startswith("password_file") for line in lines) else ["allow_anonymous true"]
        quiet = ["persistence false", "log_dest none", "user root"]
        self.file.write_text("\n".join([*listener, *login, *lines, *quiet]) + "\n")
        self.process = None

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([self.program, "-c", str(self.file)])
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None


class Listener:
    """A host that reads everything with protobuf's runtime, over paho's own thread.

    As a primary host it says that it is online whenever it has subscribed.
    """

    def __init__(self, broker, primary=False):
        self.messages = []
        self._subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda *_: self.client.subscribe("spBv1.0/#", 1)
        self.client.on_subscribe = lambda *_: self._on_subscribed(primary)
        self.client.on_message = self._take
        self.client.reconnect_delay_set(0.05, 0.2)
        self.client.connect_async("127.0.0.1", broker.port, 60)
        self.client.loop_start()

    def _on_subscribed(self, primary):
        if primary:
            self.state(True, 100)
        self._subscribed.set()

    def _take(self, client, data, message):
        payload = PAYLOAD()
        if "/STATE/" not in message.topic and "CMD/" not in message.topic:
            with contextlib.suppress(DecodeError):  # tests send what is none
                payload.ParseFromString(message.payload)
        self.messages.append((message.topic, payload, message.qos, message.retain))

    async def ready(self):
        assert await asyncio.to_thread(self._subscribed.wait, 60)
        return self

    def of(self, verb, device=None):
        """Return the payloads of one kind, such as NDATA."""
        out = []
        for topic, payload, _, _ in self.messages:
            parts = topic.split("/")
            if parts[2] == verb and (device is None or parts[4:] == [device]):
                out.append(payload)
        return out

    def metrics(self, verb):
        return [metric for payload in self.of(verb) for metric in payload.metrics]

    def command(self, verb, name, node="test", device="", alias=None, retain=False, **value):
        payload = PAYLOAD(timestamp=1)
        metric = payload.metrics.add(timestamp=1, **value)
        if alias is None:
            metric.name = name
        else:
            metric.alias = alias
        topic = "/".join(filter(None, ("spBv1.0", "group", verb, node, device)))
        self.client.publish(topic, payload.SerializeToString(), 1, retain)

    def state(self, online, timestamp, host="scada"):
        text = json.dumps({"online": online, "timestamp": timestamp})
        self.client.publish(f"spBv1.0/STATE/{host}", text, 1, True)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Side:
    """One driver in a plant of its own."""

    def __init__(self, plugin, tags, state, config):
        patient = {"timeout": "30s", "keep_alive": "60s"}  # tests of silence say less
        self.config = plugin.Config.model_validate({"name": "spark"} | patient | config)
        self.tags = [*tags, *plugin.declare(Path(), ROOT, self.config).tags]
        self.plant = plant_of(self.tags, state)
        self.port = FakePort(self.tags, "spark", ROOT, WallClock())
        (self.component,) = plugin.build(self.plant, self.config)

    def start(self, group):
        return group.create_task(self.component.run(self.port))

    def fact(self, name):
        return self.port.value(f"sys/drivers/spark/{name}")

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            task = self.start(group)
            yield self
            task.cancel()


def make_edge(tags, state, urls, **config):
    """Return an edge node that is quick."""
    quick = {"kind": "sparkplug.edge", "group": "group", "interval": "20ms", "hold": 0, "urls": urls}
    return Side(edge_plugin, tags, state, quick | config)


def plant_of(tags, folder=Path()):
    head = PlantFile(plant="test", root=ROOT)
    places = {tag.path: Place("tags.csv", row + 2, 1) for row, tag in enumerate(tags)}
    file = folder / "plant.yaml"
    return Plant(file, head, Document(file, {}), TagList(tags, ROOT), places, ())


def make_tag(name, data_type=DataType.REAL, **more):
    return Tag(f"{ROOT}/{name}", data_type, **({"source": "plc"} | more))


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that a user would notice, up to a limit."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  sockets of another process decide, no event tells
            await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def mosquitto(debian_package):
    """Return the program mosquitto, installed from Debian if this machine lets us."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    if found := shutil.which("mosquitto", path=path):
        return found
    if trouble := debian_package("mosquitto"):
        pytest.skip(trouble)
    return shutil.which("mosquitto", path=path) or pytest.skip("mosquitto was installed but is not found")


@pytest.fixture
def make_broker(mosquitto, tmp_path, free_port):
    """A function that makes a broker, not started yet."""
    made = []

    def make(*lines, port=None):
        made.append(Broker(mosquitto, tmp_path, port or free_port(), lines))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def broker(make_broker):
    return make_broker().start()


@pytest.fixture
def listen():
    """A function that returns a host listening on a broker."""
    made = []

    def make(broker, primary=False):
        made.append(Listener(broker, primary))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def edge(tmp_path):
    """A function that makes an edge node; all made by one test share a state folder."""
    return lambda tags, urls, **config: make_edge(tags, tmp_path, urls, **config)


@pytest.fixture
def host(tmp_path):
    """A function that makes a host application."""

    def make(tags, urls, **config):
        return Side(host_plugin, tags, tmp_path, {"kind": "sparkplug.host", "urls": urls} | config)

    return make


@pytest.fixture(scope="session")
def payload_class():
    return PAYLOAD


@pytest.fixture
def tag():
    return make_tag


@pytest.fixture
def plant():
    return plant_of


@pytest.fixture
def wait():
    return until


@pytest.fixture
def root():
    return ROOT


RW = {"access": Access.READ_WRITE, "source": "operator", "role": Role.OPERATOR}
