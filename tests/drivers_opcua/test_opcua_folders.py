"""No folder shows more than 500: ranges of names stand in between, and every tag is found by walking down."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from hypothesis import given
from hypothesis import strategies as st

from drivers.frame.connection import Traffic
from drivers.opcua.client.address import parse_node
from drivers.opcua.client.browse import listing
from drivers.opcua.client.connect import Way, open_session
from drivers.opcua.client.login import NOBODY
from drivers.opcua.folders import MOST_CHILDREN, Folders
from runtime.clock import ManualClock, WallClock
from runtime.contract import DataType, Event, PlcOutline, PlcTask, Tag

LINE = "nb/bottling/line1"


def tags(*paths: str) -> list[Tag]:
    return [Tag(path, DataType.REAL) for path in paths]


def walked(folders: Folders, key: str = "/") -> list[str]:
    """Return the tags that are found by walking down, and see to it that the way back is the same."""
    found: list[str] = []
    todo = [key]
    while todo:
        key = todo.pop()
        folder = folders.find(key)
        assert folder is not None
        assert len(folder.folders) + len(folder.tags) <= MOST_CHILDREN
        for below in folder.folders:
            assert folders.find(below).above == key  # type: ignore[union-attr]
        assert all(folders.holder(tag) == key for tag in folder.tags)
        found += [tag.path for tag in folder.tags]
        todo += folder.folders
    return found


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        ([f"a/x{number}" for number in range(500)], []),
        ([f"a/x{number}" for number in range(501)], ["x0 … x499", "x500"]),
        ([f"a/x{number}" for number in range(2500, 0, -1)], ["x1 … x500", "x501 … x1000", "x1001 … x1500"]),
        (["a/B9", "a/b10", *[f"a/c{number}" for number in range(600)]], ["B9 … c497", "c498 … c599"]),
        ([f"a/tank{each}/level" for each in range(600)], ["tank0 … tank499", "tank500 … tank599"]),
        (["a/tank/level", *[f"a/x{number}" for number in range(501)]], ["tank", "x0 … x499", "x500"]),
    ],
)
def test_a_folder_with_more_than_500_below_it_shows_ranges_in_the_order_of_names(
    paths: list[str], shown: list[str]
) -> None:
    folders = Folders("demo", tags(*paths))
    folder = folders.find("a/")
    assert folder is not None
    assert [folders[key].name for key in folder.folders][: len(shown)] == shown
    assert sorted(walked(folders)) == sorted(paths)


def test_a_quarter_of_a_million_tags_beside_each_other_are_in_ranges_of_ranges() -> None:
    paths = [f"a/x{number}" for number in range(251 * MOST_CHILDREN)]
    folders = Folders("demo", tags(*paths))
    assert sorted(walked(folders)) == sorted(paths)
    assert folders.holder(Tag("a/x600", DataType.REAL)) == "a//x0 … x125499/x500 … x999/"


names = st.text("aB19é_", min_size=1, max_size=4)


@given(st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), unique=True, max_size=60))
def test_whatever_tags_are_called_each_is_found_once(paths: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.opcua.folders.MOST_CHILDREN", 4)
        folders = Folders("demo", tags(*paths))
        assert sorted(walked(folders)) == sorted(paths)


@pytest.mark.parametrize("key", ["a//", "a//x0 … x9/", "a//x0 … x499/x0 … x4/", "//", "b//x0 … x499/", "b/"])
def test_there_are_no_other_ranges(key: str) -> None:
    folders = Folders("demo", tags(*[f"a/x{number}" for number in range(501)]))
    assert folders.find(key) is None
    assert folders.find("a//x0 … x499/") is not None


async def children(client: Client, node: Any) -> list[Any]:
    return list(await client.get_node(node).get_references(refs=ua.ObjectIds.Organizes))


def test_clients_find_every_tag_of_a_large_folder_on_the_way_that_is_documented(serve: Any) -> None:
    async def main() -> None:
        many = tags(*[f"{LINE}/all/x{number}" for number in range(2500)], f"{LINE}/all/tank/level")
        async with serve(many) as served, Client(served.url, timeout=60, watchdog_intervall=60) as client:
            found, todo = set(), [client.nodes.objects.nodeid]
            while todo:
                below = await children(client, todo.pop())
                forward = [each for each in below if each.IsForward and each.NodeId.NamespaceIndex == 2]
                assert len(forward) <= 500
                folders = [each for each in forward if each.NodeClass == ua.NodeClass.Object]
                todo += [each.NodeId for each in folders]
                found |= {each.NodeId.Identifier for each in forward} - {
                    each.NodeId.Identifier for each in folders
                }
            assert {tag.path for tag in many} <= found
            steps = ["demo", "nb", "bottling", "line1", "all"]
            folder = await client.nodes.objects.get_child([f"2:{step}" for step in steps])
            names = [(await each.read_browse_name()).Name for each in await folder.get_children()]
            assert names == ["tank", *[f"x{at} … x{at + 499}" for at in range(0, 2500, 500)]]
            tag = await folder.get_child(["2:x500 … x999", "2:x777"])
            assert tag.nodeid == ua.NodeId(f"{LINE}/all/x777", 2)
            (above,) = [each for each in await children(client, tag.nodeid) if not each.IsForward]
            assert above.NodeId == ua.NodeId(f"{LINE}/all//x500 … x999/", 2)
            assert above.BrowseName == ua.QualifiedName("x500 … x999", 2)
            (above,) = [each for each in await children(client, above.NodeId) if not each.IsForward]
            assert above.NodeId == folder.nodeid

    asyncio.run(main())


def test_our_own_client_finds_every_tag_of_a_large_folder(serve: Any, tmp_path: Path) -> None:
    async def main() -> None:
        many = tags(*[f"{LINE}/all/x{number}" for number in range(1200)])
        async with serve(many) as served:
            way = Way("io", "urn:test", "None", False, tmp_path, 60.0)
            session = await open_session(served.url, way, NOBODY, Traffic(), WallClock())
            await session.learn()
            made = await listing(session, session.node_id(parse_node(f"ns=2;s={LINE}/")), "io")
            await session.close(politely=True)
            addresses = [tag.address for tag in made.tags if "x" in tag.address]
            assert len(addresses) == len({tag.path for tag in made.tags}) == 1200
            assert {each.rpartition("/")[2] for each in addresses} == {f"x{each}" for each in range(1200)}

    asyncio.run(main())


async def below(client: Client, node: Any) -> dict[str, Any]:
    """Return what a node leads to, by node id; nothing shows more than 500."""
    found = await client.get_node(node).get_references(
        ua.ObjectIds.HierarchicalReferences, ua.BrowseDirection.Forward
    )
    assert len(found) <= 500
    for each in (found[0], found[-1]):
        back = await client.get_node(each.NodeId).get_references(
            each.ReferenceTypeId, ua.BrowseDirection.Inverse
        )
        assert node in [above.NodeId for above in back]
    return {str(each.NodeId.Identifier): each for each in found if each.NodeId.NamespaceIndex != 0}


def test_a_group_of_the_plc_with_more_than_500_variables_shows_ranges(serve: Any) -> None:
    many = [
        Tag(f"{LINE}/tank{each}/level", DataType.REAL, source="plc", variable=f"levels[{each}]")
        for each in range(1001)
    ]
    few = [Tag(f"sys/plc/x{each}", DataType.REAL, source="plc") for each in range(500)]
    outline = PlcOutline((PlcTask("fast", "Cell", 10_000_000, 1, ()),), {"levels": ("", "VAR_GLOBAL")})

    async def main() -> None:
        clock = ManualClock()
        async with (
            serve([*many, *few], clock) as served,
            Client(served.url, timeout=60, watchdog_intervall=60) as client,
        ):
            served.port.outline = outline
            devices = client.get_node(ua.NodeId(5001, 4))
            async with asyncio.timeout(60):
                while not await devices.get_children():  # a second may be under way, in a thread
                    await clock.advance(1)
            assert set(await below(client, ua.NodeId("plc/Diagnostic", 7))) == {tag.path for tag in few}
            ranges = await below(client, ua.NodeId("plc/GlobalVars", 7))
            assert [each.BrowseName for each in ranges.values()] == [ua.QualifiedName("level", 7)] * 3
            found = [set(await below(client, each.NodeId)) for each in ranges.values()]
            assert [len(each) for each in found] == [500, 500, 1]
            assert set.union(*found) == {tag.path for tag in many}

    asyncio.run(main())


def test_more_than_500_alarms_are_shown_in_ranges_that_follow_what_there_is(serve: Any) -> None:
    folder = ua.NodeId("Alarms", 3)
    same = {"tag": f"{LINE}/x", "priority": "low", "state": "normal", "active": False, "acknowledged": True}
    standing = [{"name": f"a{each}", **same} for each in range(1000)]

    async def main() -> None:
        async with (
            serve(standing=standing) as served,
            Client(served.url, timeout=60, watchdog_intervall=60) as client,
        ):
            shown = await below(client, folder)
            assert list(shown) == ["Acknowledge", "Alarms//a0 … a499", "Alarms//a500 … a999"]
            second = await client.nodes.objects.get_child(["2:demo", "3:Alarms", "3:a500 … a999"])
            assert list(await below(client, second.nodeid)) == [
                f"Alarms/a{each}" for each in range(500, 1000)
            ]
            served.port.standing[:] = standing[:499]
            served.port.bus.emit(Event("config.applied", "config", 1, "", {"version": 2}))
            async with asyncio.timeout(60):
                while len(shown := await below(client, folder)) != 500:
                    continue
            assert list(shown) == ["Acknowledge", *[f"Alarms/a{each}" for each in range(499)]]

    asyncio.run(main())
