"""Equal constants of the standard address space are held once; each node still says what it said."""

import asyncio
import gc
import importlib
import sys

from asyncua import Node, Server, ua
from asyncua.server.address_space import AddressSpace, NodeManagementService
from asyncua.server.standard_address_space.standard_address_space import fill_address_space

from drivers.opcua.standard import Sharing, forget_generators


def filled(kind):
    space = AddressSpace()
    fill_address_space(kind(space))
    return space


def said(space):
    return [
        (
            node.nodeid,
            [(which, repr(held.value)) for which, held in node.attributes.items()],
            repr(node.references),
        )
        for node in space._nodes.values()
    ]


def values(space):
    return {id(held.value) for node in space._nodes.values() for held in node.attributes.values()}


def test_nodes_say_what_they_said_with_a_third_of_the_values():
    stock, shared = filled(NodeManagementService), filled(Sharing)
    assert said(shared) == said(stock)
    assert len(values(shared)) < len(values(stock)) / 3


def test_a_write_to_one_node_leaves_those_that_said_the_same():
    async def write():
        server = Server()
        server.iserver.aspace._nodes = filled(Sharing)._nodes
        one, other = (Node(server.iserver.isession, ua.NodeId(number)) for number in (2994, 2993))
        text = ua.DataValue(ua.Variant(ua.LocalizedText("new"), ua.VariantType.LocalizedText))
        await one.write_attribute(ua.AttributeIds.Description, text)
        return (await one.read_description()).Text, (await other.read_description()).Text

    assert asyncio.run(write()) == ("new", None)


def test_the_code_that_made_the_nodes_is_let_go_and_nothing_looked_through_without_it(monkeypatch):
    package = importlib.import_module("asyncua.server.standard_address_space").__name__
    looks = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(package in sys.modules))
    forget_generators()
    forget_generators()
    assert looks == [False]
