"""The client on real servers: values in and out, refusals, methods, arrays, structures, many tags."""

import asyncio
import math
import struct
import uuid
from datetime import UTC, datetime, timedelta

from asyncua import ua, uamethod
from asyncua.common.structures104 import new_struct, new_struct_field
from asyncua.server.internal_session import InternalSession

from drivers.frame.connection import Traffic
from drivers.opcua import browsing
from drivers.opcua import session as server_session
from drivers.opcua.client.address import parse, parse_node
from drivers.opcua.client.browse import _path, listing
from drivers.opcua.client.connect import Way, open_session
from drivers.opcua.client.login import NOBODY
from drivers.opcua.client.structures import Field, Layout, Layouts, Shape, changed
from runtime.clock import WallClock
from runtime.config.taglist import read_tags, write_tags
from runtime.contract import Access, DataType, Quality, Tag

RW = Access.READ_WRITE
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
AT_NS = (AT - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"
VALUES = [
    ("bool", DataType.BOOL, ua.VariantType.Boolean, True, True),
    ("sint", DataType.SINT, ua.VariantType.SByte, -5, -5),
    ("wide", DataType.LINT, ua.VariantType.Int64, -(2**60), -(2**60)),
    ("ulint", DataType.ULINT, ua.VariantType.UInt64, 2**64 - 1, 2**64 - 1),
    ("real", DataType.REAL, ua.VariantType.Float, 1.5, 1.5),
    ("lreal", DataType.LREAL, ua.VariantType.Double, 0.1, 0.1),
    ("text", DataType.STRING, ua.VariantType.String, "橙汁", "橙汁"),
    ("name", DataType.STRING, ua.VariantType.LocalizedText, ua.LocalizedText("Pumpe", "de"), "Pumpe"),
    ("guid", DataType.STRING, ua.VariantType.Guid, uuid.UUID(GUID), GUID),
    ("time", DataType.TIME, ua.VariantType.Double, 1500.0, 1_500_000_000),
    ("date", DataType.DT, ua.VariantType.DateTime, AT, AT_NS),
    ("whole", DataType.INT, ua.VariantType.Double, 7.0, 7),
]


async def build(server):
    space = await server.register_namespace("urn:plc")
    objects = server.nodes.objects
    for name, _, wire, value, _ in VALUES:
        node = await objects.add_variable(ua.NodeId(name, space), name, value, wire)
        await node.set_writable()
        if name == "time":
            await node.write_attribute(
                ua.AttributeIds.DataType, ua.DataValue(ua.Variant(ua.NodeId(290), ua.VariantType.NodeId))
            )
    pump = await objects.add_object(ua.NodeId("Pump", space), "Pump")
    array = await pump.add_variable(ua.NodeId("Array", space), "Array", [1, 2, 3], ua.VariantType.Int32)
    await array.set_writable()
    small = await pump.add_variable(ua.NodeId("Small", space), "Small", 3, ua.VariantType.Byte)
    await small.set_writable()
    await pump.add_variable(ua.NodeId("Fixed", space), "Fixed", 3, ua.VariantType.Int16)
    called = await pump.add_variable(ua.NodeId("Called", space), "Called", 0, ua.VariantType.Int64)

    @uamethod
    async def start(_parent, number):
        if number < 0:
            return ua.StatusCode(ua.StatusCodes.BadOutOfRange)
        await called.write_value(ua.Variant(number, ua.VariantType.Int64))
        return ua.StatusCode(0)

    @uamethod
    async def stop(_parent):
        await called.write_value(ua.Variant(-1, ua.VariantType.Int64))

    await pump.add_method(ua.NodeId("Start", space), "Start", start, [ua.VariantType.Int64], [])
    await pump.add_method(ua.NodeId("Stop", space), "Stop", stop, [], [])


def test_every_kind_of_value_crosses_both_ways_and_refusals_stay_alone(side, tag, stock, run, wait):
    tags = [tag(name, kind, f"nsu=urn:plc;s={name}", access=RW) for name, kind, *_ in VALUES]
    tags += [
        tag("second", DataType.DINT, "ns=2;s=Array#[1]", access=RW),
        tag("small", DataType.DINT, "ns=2;s=Small", access=RW),
        tag("fixed", DataType.INT, "ns=2;s=Fixed", access=RW),
        tag("called", DataType.LINT, "ns=2;s=Called"),
        tag("nowhere", DataType.INT, "ns=2;s=Nowhere"),
        tag("stranger", DataType.INT, "nsu=urn:other;s=x"),
        tag("mistaken", DataType.INT, "ns=2;s=text"),
        tag("narrow", DataType.SINT, "ns=2;s=wide"),
        tag("start", DataType.LINT, "call:ns=2;s=Pump>ns=2;s=Start", access=RW),
        tag("stop", DataType.BOOL, "call:ns=2;s=Pump>ns=2;s=Stop", access=RW),
        tag("output", DataType.INT, "ns=2;s=sint", source="plc"),
        tag("forbidden", DataType.INT, "ns=2;s=Fixed", source="plc"),
    ]

    async def main():
        async with stock(build) as (server, url):
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                await wait(lambda: all(port.value(name) == value for name, *_, value in VALUES))
                assert port.value("second") == 2
                assert {port.quality(name) for name in ("nowhere", "stranger", "mistaken")} == {
                    int(Quality.BAD_CONFIGURATION_ERROR)
                }
                assert port.value("narrow") == -128
                assert port.quality("narrow") == Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
                texts = [each.text for each in port.emitted]
                assert "io refuses ns=2;s=Nowhere, nsu=urn:other;s=x: BadNodeIdUnknown" in texts or (
                    "io refuses ns=2;s=Nowhere: BadNodeIdUnknown" in texts
                    and "io refuses nsu=urn:other;s=x: BadNodeIdUnknown" in texts
                )
                assert "ns=2;s=text is str on io, which INT cannot be" in texts

                # source time and status are the server's
                node = server.get_node("ns=2;s=real")
                bad = ua.DataValue(ua.Variant(9.0, ua.VariantType.Float), ua.StatusCode(0x4090_0000), AT, AT)
                await server.write_attribute_value(node.nodeid, bad)
                await wait(lambda: port.value("real") == 9.0)
                assert (port.quality("real"), int(port.table.source_ns[port.tags["real"].id])) == (
                    0x4090_0000,
                    AT_NS,
                )

                # writes of people: typed, read back, with the server's word
                for name, *_, value in VALUES:
                    assert await port.command(name, value) is None, name
                assert await port.command("real", 2.3) is None
                assert await port.command("whole", 12) is None
                assert port.value("whole") == 12
                assert await server.get_node("ns=2;s=whole").read_value() == 12.0
                assert await port.command("fixed", 4) == "the server refuses: BadUserAccessDenied"
                assert await port.command("small", 300) == "300 does not fit Byte on the server"
                for text in ("no guid", GUID.upper()):
                    assert await port.command("guid", text) == f"{text!r} does not fit Guid on the server"
                assert "whole array" in (await port.command("second", 9) or "")  # stock ignores ranges

                # methods
                assert await port.command("start", 42) is None
                await wait(lambda: port.value("called") == 42)
                assert await port.command("start", -1) == "the server refuses: BadOutOfRange"
                assert await port.command("stop", True) is None
                await wait(lambda: port.value("called") == -1)
                assert "TRUE" in (await port.command("stop", False) or "")

                # outputs of the plant
                port.set("output", -7)
                await wait(lambda: port.value("sint") == -7)
                port.set("output", 1000)
                port.set("forbidden", 1)
                await wait(
                    lambda: {"driver.write_unfit", "driver.write_refused"} <= {e.kind for e in port.emitted}
                )
                assert port.value("sint") == -7
                assert port.value("sys/drivers/io/state") in ("online", "degraded")
                await wait(lambda: port.value("sys/drivers/io/state") == "degraded")  # some are refused
                await wait(lambda: port.value("sys/drivers/io/refused") == 2)
                await wait(lambda: "2 of" in port.health_text)

    asyncio.run(main())


def test_a_thousand_tags_are_subscribed_and_polled(side, tag, victim, run, wait):
    tags = [tag(f"c{number}", DataType.UDINT, f"nsu=urn:victim;s=Counter{number}") for number in range(1000)]

    async def main():
        server = victim(count=1000, period_s=1.0)
        await server.start()
        try:
            sides = [
                side(tags, f"opc.tcp://127.0.0.1:{server.port}", mode=mode, period="200ms")
                for mode in ("subscribe", "poll")
            ]
            async with run(*sides):
                for plant in sides:
                    await wait(lambda plant=plant: plant.good)
                    port, first = plant.port, plant.port.value("c999")

                    def have_moved(port=port, first=first):
                        now = port.value("c0"), port.value("c999")
                        return None not in now and min(now) > first  # None: late for a moment

                    await wait(have_moved)
                    assert port.value("sys/drivers/io/state") == "online"
                    assert port.value("sys/drivers/io/items") == 1000
                    await wait(lambda port=port: port.value("sys/drivers/io/round_trip_p99_ms") > 0)
                    assert port.value("sys/drivers/io/timeouts") == 0
        finally:
            await server.kill()

    asyncio.run(main())


async def build_structures(server):
    space = await server.register_namespace("urn:plc")
    inner, _ = await new_struct(
        server,
        space,
        "Inner",
        [new_struct_field("code", ua.VariantType.Int16), new_struct_field("text", ua.VariantType.String)],
    )
    outer, _ = await new_struct(
        server,
        space,
        "Outer",
        [
            new_struct_field("speed", ua.VariantType.Double),
            new_struct_field("stages", ua.VariantType.Int32, array=True),
            new_struct_field("maybe", ua.VariantType.Byte, optional=True),
            new_struct_field("status", inner),
            new_struct_field("all", inner, array=True),
        ],
    )
    await server.load_data_type_definitions()
    for type_id, kind in list(ua.extension_objects_by_typeid.items()):
        if kind.__name__ in ("Inner", "Outer"):  # in this process the client would find them too
            del ua.extension_objects_by_typeid[type_id]
    value = ua.Outer(
        speed=2.5,
        stages=[7, 8, 9],
        maybe=None,
        status=ua.Inner(code=-3, text="läuft"),
        all=[ua.Inner(1, "a"), ua.Inner(2, "b")],
    )
    await server.nodes.objects.add_variable(
        ua.NodeId("S", space), "S", value, ua.VariantType.ExtensionObject, outer.nodeid
    )
    await server.nodes.objects.add_variable(
        ua.NodeId("List", space), "List", [value, value], ua.VariantType.ExtensionObject, outer.nodeid
    )
    matrix = ua.Variant([[1, 2, 3], [4, 5, 6]], ua.VariantType.Int32)
    await server.nodes.objects.add_variable(ua.NodeId("M", space), "M", matrix)


def test_fields_of_structures_and_elements_of_arrays_are_read(side, tag, stock, run, wait):
    wanted = {
        "S#.speed": (DataType.LREAL, 2.5),
        "S#.stages[2]": (DataType.DINT, 9),
        "S#.status.code": (DataType.INT, -3),
        "S#.status.text": (DataType.STRING, "läuft"),
        "S#.all[1].text": (DataType.STRING, "b"),
        "List#[1].speed": (DataType.REAL, 2.5),
        "M#[1,2]": (DataType.DINT, 6),
    }
    tags = [tag(f"t{at}", kind, f"ns=2;s={place}") for at, (place, (kind, _)) in enumerate(wanted.items())]
    tags += [
        tag("none", DataType.BYTE, "ns=2;s=S#.maybe"),
        tag("wrong", DataType.BYTE, "ns=2;s=S#.nothing"),
        tag("far", DataType.DINT, "ns=2;s=S#.stages[3]"),
        tag("whole", DataType.DINT, "ns=2;s=S"),
    ]

    async def main():
        async with stock(build_structures) as (_, url):
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                values = [value for _, value in wanted.values()]
                await wait(lambda: [port.value(f"t{at}") for at in range(len(values))] == values)
                for name in ("none", "wrong", "far"):
                    assert port.quality(name) == 0x809B_0000  # BadNoData
                assert port.quality("whole") == Quality.BAD_CONFIGURATION_ERROR

    asyncio.run(main())


def test_a_matrix_in_a_structure_is_read_and_written_by_element_and_what_follows_it_too():
    wire = ua.VariantType
    fields = [("a", 0, wire.Int16), ("m", 2, wire.Double), ("z", 0, wire.Int32)]
    layout = Layout(Shape.PLAIN, tuple(Field(name, ranks, False, kind, None) for name, ranks, kind in fields))
    packed = struct.pack("<hiii6di", 5, 2, 2, 3, 1, 2, 3, 4, 5, 6, 77)  # OPC 10000-6, 5.2.5: sizes first
    value, layouts = ua.ExtensionObject(ua.NodeId(1, 1), packed), Layouts(None, None)
    for way, there in (
        (["m", 1, 2], 6),
        (["m", 0, 1], 2),
        (["z"], 77),
        (["m", 2, 0], None),
        (["m", 1], None),
    ):
        found = layouts.field(value, way, layout)
        assert (None if isinstance(found, list) else found) == there, way
    other = changed(layout, value, ["m", 1, 0], 40.5)
    assert other.Body == struct.pack("<hiii6di", 5, 2, 2, 3, 1, 2, 3, 40.5, 5, 6, 77)
    empty = ua.ExtensionObject(ua.NodeId(1, 1), struct.pack("<hiiii", 5, 2, 2, 0, 77))
    assert layouts.field(empty, ["z"], layout) == 77


def test_a_field_of_a_structure_is_written_and_the_rest_stays_as_it_is(side, tag, stock, run, wait):
    places = {
        "speed": (DataType.LREAL, "S#.speed"),
        "stage": (DataType.DINT, "S#.stages[2]"),
        "text": (DataType.STRING, "S#.status.text"),
        "listed": (DataType.INT, "List#[1].status.code"),
        "absent": (DataType.BYTE, "S#.maybe"),
        "whole": (DataType.DINT, "S#.stages"),
    }
    tags = [tag(name, kind, f"ns=2;s={at}", access=Access.READ_WRITE) for name, (kind, at) in places.items()]
    seen = {"stage0": "S#.stages[0]", "code": "S#.status.code", "first": "S#.all[0].code"}
    seen |= {"second": "S#.all[1].code", "beside": "List#[0].status.code"}
    tags += [tag(name, DataType.INT, f"ns=2;s={at}") for name, at in seen.items()]
    tags.append(tag("word", DataType.STRING, "ns=2;s=S#.all[0].text"))
    outs = {"out1": "S#.all[0].code", "out2": "S#.all[1].code"}
    tags += [tag(name, DataType.INT, f"ns=2;s={at}", source="plc") for name, at in outs.items()]

    async def build(server):
        await build_structures(server)
        for name in ("S", "List"):
            await server.get_node(f"ns=2;s={name}").set_writable()

    async def main():
        async with stock(build) as (_, url):
            plant = side(tags, url)
            port = plant.port
            port.set("out1", 11)
            port.set("out2", 12)
            async with run(plant):
                await wait(lambda: port.value("speed") == 2.5 and port.value("listed") == -3)
                assert await port.command("speed", 3.5) is None
                assert await port.command("text", "neu") is None
                assert await port.command("stage", -1) is None
                await wait(lambda: port.value("speed") == 3.5 and port.value("text") == "neu")
                assert "no single value at maybe now" in await port.command("absent", 1)
                assert "no single value at stages now" in await port.command("whole", 1)
                refusal = await port.command(
                    "listed", 5
                )  # stock asyncua has index ranges for some types only
                kept = {"speed": 3.5, "text": "neu", "stage": -1, "stage0": 7, "code": -3, "word": "a"}
                kept |= {"first": 11, "second": 12, "listed": 5 if refusal is None else -3, "beside": -3}
                await wait(lambda: {name: port.value(name) for name in kept} == kept)
                assert port.quality("absent") == 0x809B_0000  # BadNoData

    asyncio.run(main())


def test_a_method_takes_several_arguments_and_what_it_gives_back_goes_into_tags(side, tag, stock, run, wait):
    called = []

    async def build(server):
        space = await server.register_namespace("urn:plc")

        @uamethod
        async def mix(_parent, *given):
            called.append(given)
            if given[1] == "?":
                raise ValueError  # stock refuses that
            return given[0] * 2, f"batch {given[1]}"

        def argument(name, kind, rank=-1):
            return ua.Argument(Name=name, DataType=ua.NodeId(kind.value), ValueRank=rank)

        inputs = [
            argument("Amount", ua.VariantType.Double),
            argument("Name", ua.VariantType.String),
            argument("Fast", ua.VariantType.Boolean),
            argument("Parts", ua.VariantType.Int16, 1),
        ]
        outputs = [argument("Total", ua.VariantType.Double), argument("Batch", ua.VariantType.String)]
        await server.nodes.objects.add_method(ua.NodeId("Mix", space), "Mix", mix, inputs, outputs)

    call = "call:i=85>ns=2;s=Mix"
    tags = [
        tag("mix", DataType.STRING, call, access=Access.READ_WRITE),
        tag("number", DataType.REAL, call, access=Access.READ_WRITE),
        tag("total", DataType.LREAL, f"{call}#.Total"),
        tag("batch", DataType.STRING, f"{call}#[1]"),
        tag("third", DataType.STRING, f"{call}#[2]"),
    ]

    async def main():
        async with stock(build) as (_, url):
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("sys/drivers/io/online") is True)
                assert await port.command("mix", '[2.5, "Öl", true, [1, -2]]') is None
                assert called == [(2.5, "Öl", True, [1, -2])]
                assert (port.value("total"), port.value("batch")) == (5.0, "batch Öl")
                assert port.quality("third") == Quality.BAD_CONFIGURATION_ERROR
                assert "takes 4 arguments (Amount, Name, Fast, Parts)" in await port.command("mix", "[1]")
                assert "give the tag the type STRING" in await port.command("number", 1.0)
                for given, says in (
                    ('["a", "b", true, []]', "argument Amount"),
                    ('[1, "b", 1, []]', "argument Fast: 1 does not fit Boolean"),
                    ('[1, "b", true, [70000]]', "argument Parts"),
                    ('[1, "b", true, 1]', "argument Parts is a list"),
                    ("[" * 50000, "write a JSON list"),
                ):
                    assert says in await port.command("mix", given)
                assert len(called) == 1
                assert "the server refuses: Bad" in await port.command("mix", '[1, "?", true, []]')
                assert port.value("sys/drivers/io/reconnects") == 0

    asyncio.run(main())


def test_times_that_never_come_and_texts_that_are_none_harm_nothing(side, tag, stock, run, wait):
    """Servers say 9999 for "never" and 1601 for "no time"; 64 bits of ns hold neither."""
    never, none = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1601, 1, 1, tzinfo=UTC)

    async def build(server):
        space = await server.register_namespace("urn:plc")
        for name, value, wire in (
            ("a", 1, ua.VariantType.Int32),
            ("never", never, ua.VariantType.DateTime),
            ("none", none, ua.VariantType.DateTime),
            ("old", datetime(1960, 1, 1, tzinfo=UTC), ua.VariantType.DateTime),
            ("text", "x\udcff", ua.VariantType.String),
        ):
            await server.nodes.objects.add_variable(ua.NodeId(name, space), name, value, wire)

    async def main():
        async with stock(build) as (server, url):
            tags = [tag("a", DataType.DINT, "ns=2;s=a"), tag("text", DataType.STRING, "ns=2;s=text")]
            tags += [tag(name, DataType.DT, f"ns=2;s={name}") for name in ("never", "none", "old")]
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("a") == 1 and port.value("old") is not None)
                assert port.value("old") == -315_619_200 * 10**9
                assert (port.value("never"), port.value("none")) == (2**63 - 1, -(2**63))
                assert port.value("text") == "x\ufffd"
                assert {port.quality(name) for name in ("never", "none", "text")} == {
                    int(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
                }
                value = ua.DataValue(ua.Variant(2, ua.VariantType.Int32), ua.StatusCode(0), never, never)
                before_ns = port.clock.now_ns()
                await server.write_attribute_value(server.get_node("ns=2;s=a").nodeid, value)
                await wait(lambda: port.value("a") == 2)
                assert before_ns <= int(port.table.source_ns[port.tags["a"].id]) <= port.clock.now_ns()
                assert port.value("sys/drivers/io/reconnects") == 0

    asyncio.run(main())


def test_a_list_of_tags_that_a_browse_makes_can_be_used_whatever_the_server_has(stock, tmp_path):
    infinite, beyond = ua.Range(-math.inf, math.inf), ua.Range(-1.7e308, 1.7e308)
    names = {  # browse name and node id, type, value, range, limits of the tag
        "level": (ua.VariantType.Double, 1.0, ua.Range(0, 100), (0, 100)),
        "free": (ua.VariantType.Float, 1.0, infinite, (None, None)),
        "count": (ua.VariantType.Int16, 1, ua.Range(0, 100_000), (0, None)),
        "total": (ua.VariantType.UInt16, 1, beyond, (None, None)),
        "on": (ua.VariantType.Boolean, True, ua.Range(0, 1), (None, None)),
        "text": (ua.VariantType.String, "x", ua.Range(0, 1), (None, None)),
        "time": (ua.VariantType.Double, 1500.0, ua.Range(0, 5000), (0, 5 * 10**9)),
        "state": (ua.VariantType.UInt32, 1, None, (None, None)),  # of the abstract type UInteger
        "L\udce4rm": (ua.VariantType.Double, 1.0, None, (None, None)),
        "no\u200bspace": (ua.VariantType.Double, 1.0, None, (None, None)),
        "tank#[0]": (ua.VariantType.Double, 1.0, None, (None, None)),
    }

    async def build(server):
        space = await server.register_namespace("urn:plc")
        for name, (wire, value, span, _) in names.items():
            id_ = ua.NodeId("alarm" if name.startswith("L") else name, space)
            kinds = {"time": ua.ObjectIds.Duration, "state": ua.ObjectIds.UInteger}
            kind = ua.NodeId(kinds[name]) if name in kinds else None
            node = await server.nodes.objects.add_variable(
                id_, ua.QualifiedName(name, space), value, wire, kind
            )
            if name.startswith("L"):
                said = ua.Variant(ua.LocalizedText(name), ua.VariantType.LocalizedText)
                await node.write_attribute(ua.AttributeIds.Description, ua.DataValue(said))
            if span is not None:
                await node.add_property(ua.NodeId(f"{name}.r", space), ua.QualifiedName("EURange", 0), span)
        await server.nodes.objects.add_variable(ua.NodeId("\udce4", space), "nobody can write this", 1.0)

    async def main():
        async with stock(build) as (_, url):
            way = Way("io", "urn:test", "None", False, tmp_path, 60.0)
            session = await open_session(url, way, NOBODY, Traffic(), WallClock())
            await session.learn()
            made = await listing(session, session.node_id(parse_node("i=85")), "io")
            await session.close(politely=True)
        assert made.left_out["node ids that are no UTF-8"] == 1
        file = tmp_path / "tags.csv"
        file.write_text(write_tags(made.tags, ""))
        found = {each.address.removeprefix("nsu=urn:plc;s="): each for each, _ in read_tags(file, "")}
        for name, (_, _, _, limits) in names.items():
            tag = found.pop({"tank#[0]": "tank#[0]#"}.get(name, "alarm" if name.startswith("L") else name))
            assert (tag.low, tag.high) == limits, name
            assert not parse(tag.address).index
            assert tag.data_type is (DataType.UDINT if name == "state" else tag.data_type)
        assert not found

    asyncio.run(main())


def test_a_path_that_is_cut_to_its_longest_is_a_row_of_a_tag_list():
    for level in ("#" + "b" * 239, "b" * 239):
        assert _path("io", ("a" * 20, level), set()) == "b" * 239


def test_a_null_text_is_an_empty_one_and_no_other_null_is_a_value(side, tag, stock, run, wait):
    async def build(server):
        await build_structures(server)
        space = await server.get_namespace_index("urn:plc")
        inner = ua.Inner(code=5, text=None)
        for name, variant in (
            ("text", ua.Variant(None, ua.VariantType.String)),
            ("field", ua.Variant(inner, ua.VariantType.ExtensionObject)),
            ("nothing", ua.Variant(None, ua.VariantType.Null)),
            ("number", ua.Variant(None, ua.VariantType.Null)),
            ("several", ua.Variant(["a", "b"], ua.VariantType.String)),
        ):
            await server.nodes.objects.add_variable(ua.NodeId(name, space), name, variant)
        type_id = await server.get_node(ua.NodeId("S", space)).read_data_type()
        fields = (await server.get_node(type_id).read_data_type_definition()).Fields
        (inner_id,) = {each.DataType for each in fields if each.Name == "status"}
        await server.get_node(ua.NodeId("field", space)).write_attribute(
            ua.AttributeIds.DataType, ua.DataValue(ua.Variant(inner_id, ua.VariantType.NodeId))
        )

    async def main():
        async with stock(build) as (server, url):
            tags = [tag(each, DataType.STRING, f"ns=2;s={each}") for each in ("text", "nothing")]
            tags.append(tag("field", DataType.STRING, "ns=2;s=field#.text"))
            tags.append(tag("element", DataType.STRING, "ns=2;s=several#[3]"))
            tags.append(tag("number", DataType.DINT, "ns=2;s=number"))
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.quality("text") == port.quality("field") == Quality.GOOD)
                assert (port.value("text"), port.value("field")) == ("", "")
                for name in ("nothing", "number", "element"):
                    await wait(lambda name=name: port.quality(name) == 0x809B_0000)  # BadNoData
                bad = ua.DataValue(
                    ua.Variant(None, ua.VariantType.String), ua.StatusCode(ua.StatusCodes.BadSensorFailure)
                )
                await server.write_attribute_value(server.get_node("ns=2;s=text").nodeid, bad)
                await wait(lambda: port.quality("text") == ua.StatusCodes.BadSensorFailure)

    asyncio.run(main())


def test_a_variable_that_gets_another_type_is_written_as_that(side, tag, stock, run, wait):
    async def main():
        async with stock(build) as (server, url):
            tags = [tag("set", DataType.DINT, "ns=2;s=Small", access=RW)]
            tags.append(tag("out", DataType.DINT, "ns=2;s=sint", source="plc"))
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("set") == 3)
                assert await port.command("set", 4) is None
                port.set("out", 5)
                await wait_for(server, "sint", 5, wait)
                for name in ("Small", "sint"):
                    node = server.get_node(f"ns=2;s={name}")
                    double = ua.Variant(ua.NodeId(ua.ObjectIds.Double), ua.VariantType.NodeId)
                    await node.write_attribute(ua.AttributeIds.DataType, ua.DataValue(double))
                    server.iserver.aspace[node.nodeid].attributes[ua.AttributeIds.Value].value = ua.DataValue(
                        ua.Variant(0.5, ua.VariantType.Double)
                    )
                assert await port.command("set", 300) is None
                port.set("out", 1000)
                await wait_for(server, "sint", 1000.0, wait)
                assert await server.get_node("ns=2;s=Small").read_value() == 300.0

    asyncio.run(main())


async def wait_for(server, name, value, wait):
    node = server.iserver.aspace[server.get_node(f"ns=2;s={name}").nodeid]
    await wait(lambda: node.attributes[ua.AttributeIds.Value].value.Value.Value == value)


def test_what_a_program_produces_beyond_the_range_is_written_as_the_limit(side, tag, stock, run, wait):
    async def main():
        async with stock(build) as (server, url):
            plant = side([tag("out", DataType.INT, "ns=2;s=sint", source="plc", low=0.0, high=100.0)], url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("sys/drivers/io/online") is True)
                for value, written in ((50, 50), (120, 100), (-5, 0), (60, 60)):
                    port.set("out", value)
                    await wait_for(server, "sint", written, wait)
                assert [each.kind for each in port.emitted].count("driver.write_held") == 1

    asyncio.run(main())


def test_an_array_that_shrinks_does_not_lend_its_only_element_to_another_place(side, tag, stock, run, wait):
    """Stock sends the whole array where an element is asked for."""

    async def main():
        async with stock(build) as (server, url):
            tags = [tag(f"a{at}", DataType.DINT, f"ns=2;s=Array#[{at}]") for at in (0, 2)]
            plant = side(tags, url)
            port = plant.port
            async with run(plant):
                await wait(lambda: port.value("a2") == 3)
                node = server.get_node("ns=2;s=Array").nodeid
                for value in ([9], [7, 8, 6]):
                    variant = ua.Variant(value, ua.VariantType.Int32)
                    await server.write_attribute_value(node, ua.DataValue(variant))
                    await wait(lambda value=value: port.value("a0") == value[0])
                    await wait(lambda value=value: Quality.is_bad(port.quality("a2")) == (len(value) == 1))
                    assert port.value("a2") == (value[2] if len(value) > 2 else None)
                told = [row.raw for batch in port.submitted for row in batch if row.id == port.tags["a2"].id]
                assert 9 not in told

    asyncio.run(main())


OUTPUTS = [
    ("good", DataType.INT, ua.VariantType.Int32, 0, 7),
    ("rounded", DataType.LREAL, ua.VariantType.Float, 0.0, 0.1),
    ("text", DataType.STRING, ua.VariantType.String, "", "橙汁"),
    ("date", DataType.DT, ua.VariantType.DateTime, AT, AT_NS + 123_456_789),
    ("slow", DataType.INT, ua.VariantType.Int16, 0, 3),
    ("blind", DataType.INT, ua.VariantType.Int16, 0, 4),
    ("stuck", DataType.INT, ua.VariantType.Int16, 5, 6),
]


async def build_outputs(server):
    """`slow` takes a while to show what it took, `blind` cannot be read, `stuck` answers Good and stays 5."""
    space = await server.register_namespace("urn:plc")
    made = {}
    for name, _, wire, value, _ in OUTPUTS:
        made[name] = await server.nodes.objects.add_variable(ua.NodeId(name, space), name, value, wire)
        await made[name].set_writable()
    space, value = server.iserver.aspace, ua.AttributeIds.Value
    server.blind = []
    unreadable = ua.DataValue(None, ua.StatusCode(ua.StatusCodes.BadNotReadable))
    space.set_attribute_value_callback(made["blind"].nodeid, value, lambda *_: unreadable)
    space.set_attribute_value_setter(
        made["blind"].nodeid, value, lambda _node, _attribute, data: server.blind.append(data.Value.Value)
    )

    def later(node, attribute, value):
        asyncio.get_running_loop().call_later(0.3, setattr, node.attributes[attribute], "value", value)

    space.set_attribute_value_setter(made["slow"].nodeid, value, later)
    space.set_attribute_value_setter(made["stuck"].nodeid, value, lambda *_: None)


def reads_of(monkeypatch, name):
    """Return a list that grows by each read of a variable's value."""
    read, asked = InternalSession.read, []

    async def note(self, params):
        asked.extend(
            each
            for each in params.NodesToRead
            if each.NodeId.Identifier == name and each.AttributeId == ua.AttributeIds.Value
        )
        return await read(self, params)

    monkeypatch.setattr(InternalSession, "read", note)
    return asked


def test_what_programs_write_is_read_back_and_what_the_server_does_not_keep_is_told_once(
    side, tag, stock, run, wait, monkeypatch
):
    tags = [tag(name, kind, f"ns=2;s={name}", source="plc") for name, kind, *_ in OUTPUTS]
    reads = reads_of(monkeypatch, "blind")

    async def main():
        async with stock(build_outputs) as (server, url):
            plant = side(tags, url)
            port = plant.port

            def told():
                return [each for each in port.emitted if each.kind == "driver.write_differs"]

            async with run(plant):
                for name, *_, value in OUTPUTS:
                    port.set(name, value)
                await wait(lambda: "1 outputs are not as written" in port.health_text)
                assert port.value("sys/drivers/io/state") == "degraded"
                for value in (8, 9):
                    port.set("stuck", value)
                    port.set("blind", value)
                    await wait(lambda value=value: server.blind[-1] == value)
                port.set("stuck", 5)
                await wait(lambda: not port.health_text)
                (event,) = told()
                assert event.text == f"io does not keep what is written: {port.tags['stuck'].path}"
                assert len(reads) == 1

    asyncio.run(main())


def test_outputs_are_not_read_back_where_nobody_wants_it(side, tag, stock, run, wait, monkeypatch):
    reads = reads_of(monkeypatch, "good")

    async def main():
        async with stock(build_outputs) as (server, url):
            plant = side([tag("good", DataType.INT, "ns=2;s=good", source="plc")], url, verify=False)
            async with run(plant):
                for value in (1, 2):
                    plant.port.set("good", value)
                    await wait_for(server, "good", value, wait)

    asyncio.run(main())
    assert not reads


def test_a_browse_finds_what_a_server_tells_in_pages_and_where_it_has_few_places(
    serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(browsing, "MOST_REFERENCES", 7)
    browse = browsing.browse

    async def browse_few(view, params, clock, points):
        """Keep the place of one node in a request only."""
        results = await browse(view, params, clock, points)
        for at in [at for at, each in enumerate(results) if each.ContinuationPoint][1:]:
            results[at] = ua.BrowseResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints))
        return results

    monkeypatch.setattr(server_session, "browse", browse_few)

    async def main():
        paths = [f"{level}/x{number}" for level in ("tank", "pump", "press") for number in range(20)]
        async with serve([Tag(path, DataType.REAL) for path in paths]) as served:
            way = Way("io", "urn:test", "None", False, tmp_path, 60.0)
            session = await open_session(served.url, way, NOBODY, Traffic(), WallClock())
            await session.learn()
            made = await listing(session, session.node_id(parse_node("i=85")), "io")
            await session.close(politely=True)
        assert {each.path for each in made.tags} >= {f"io/demo/{path}" for path in paths}

    asyncio.run(main())
