"""Equal constants of the standard address space are held once; each node still says what it said."""

import asyncio

from asyncua import Node, Server, ua

from drivers.opcua.standard import share_constants


def said(space):
    return [
        (
            node.nodeid,
            [(which, repr(held.value)) for which, held in node.attributes.items()],
            repr(node.references),
        )
        for node in space._nodes.values()
    ]


def test_nodes_say_what_they_said_with_a_third_of_the_values():
    server = Server()
    space = server.iserver.aspace
    asyncio.run(server.iserver.load_standard_address_space())
    before = said(space)
    count = len({id(held.value) for node in space._nodes.values() for held in node.attributes.values()})
    share_constants(space)
    assert said(space) == before
    assert (
        len({id(held.value) for node in space._nodes.values() for held in node.attributes.values()})
        < count / 3
    )


def test_a_write_to_one_node_leaves_those_that_said_the_same():
    async def write():
        server = Server()
        await server.iserver.load_standard_address_space()
        share_constants(server.iserver.aspace)
        one, other = (Node(server.iserver.isession, ua.NodeId(number)) for number in (2994, 2993))
        text = ua.DataValue(ua.Variant(ua.LocalizedText("new"), ua.VariantType.LocalizedText))
        await one.write_attribute(ua.AttributeIds.Description, text)
        return (await one.read_description()).Text, (await other.read_description()).Text

    assert asyncio.run(write()) == ("new", None)
