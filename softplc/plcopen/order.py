"""The order in which a body is evaluated: its networks, the elements of each, and where feedback is cut.

An element comes after what its inputs come from. Networks go from top to bottom, as do outputs of one
network; an execution order that somebody gave goes before that. In a loop the value of the scan before comes
in where the line leads back: against the execution order, or to the left.

Source: IEC 61131-3:2013, 8.1.3 (order of networks and elements, feedback paths), 8.1.5 (jumps).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from softplc.plcopen.graph import SINKS, VALUES, Graph, Link, Node

EVALUATED = (*VALUES, *SINKS, "inOutVariable")


@dataclass(slots=True)
class Segment:
    """What is evaluated from one label to the next; the first has none."""

    label: Node | None
    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Order:
    """Segments in order, and the links (consumer and link) that bring the value of the scan before."""

    segments: list[Segment]
    feedback: set[tuple[Node, Link]]
    consumers: dict[Node, list[Node]]


def order_of(graph: Graph, only: set[str] | None = None) -> Order:
    """Return the order of a body, or of the elements of some ids."""
    nodes = [each for key, each in graph.nodes.items() if only is None or key in only]
    sources = {node: list(_sources(graph, node)) for node in nodes}
    consumers: dict[Node, list[Node]] = {}
    for node, links in sources.items():
        for _, source in links:
            consumers.setdefault(source, []).append(node)
    flat = len({each.y for each in nodes}) <= 1
    networks = _networks(nodes, sources)
    feedback: set[tuple[Node, Link]] = set()
    segments = [Segment(None)]
    for network in sorted(networks, key=lambda each: _top(each, networks, flat)):
        if network[0].kind == "label":
            segments.append(Segment(network[0]))
            continue
        _cut(network, sources, feedback)
        segments[-1].nodes += _sequence(network, sources, consumers, feedback, flat)
    return Order(segments, feedback, consumers)


def _sources(graph: Graph, node: Node) -> Iterator[tuple[Link, Node]]:
    for pin in node.taking:
        for link in pin.links:
            source = graph.nodes.get(link.source)
            if source is not None:
                yield link, source


Sources = dict[Node, list[tuple[Link, Node]]]


def _networks(nodes: list[Node], sources: Sources) -> list[list[Node]]:
    """Return what is connected with each other, power rails apart."""
    leader = {node: node for node in nodes}

    def find(node: Node) -> Node:
        while leader[node] is not node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for node, links in sources.items():
        for _, source in links:
            if source.kind != "leftPowerRail" and source in leader:
                leader[find(node)] = find(source)
    groups: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.kind != "leftPowerRail":
            groups.setdefault(find(node), []).append(node)
    return list(groups.values())


def _top(network: list[Node], networks: list[list[Node]], flat: bool) -> tuple[float, float, int, int]:
    """Return where a network comes; a label stands before the network that it is drawn beside."""
    first = min(each.index for each in network)
    if flat:
        return 0.0, 0.0, 1, first
    top = min(each.y for each in network)
    left = min(each.x for each in network)
    if network[0].kind == "label":
        beside = [each for each in networks if each[0].kind != "label" and _reaches(each, top)]
        if beside:
            top, left = min((min(n.y for n in each), min(n.x for n in each)) for each in beside)
            return top, left, 0, first
    return top, left, 1, first


def _reaches(network: list[Node], y: float) -> bool:
    return min(each.y for each in network) <= y <= max(each.y + each.height for each in network)


def _cut(network: list[Node], sources: Sources, feedback: set[tuple[Node, Link]]) -> None:
    """Cut the links that lead against a given order, and those of loops that lead back."""
    for node in network:
        for link, source in sources[node]:
            if node.order and source.order and source.order > node.order:
                feedback.add((node, link))
    for loop in _loops(network, sources):
        for node in loop:
            for link, source in sources[node]:
                given = bool(node.order and source.order and node.order != source.order)
                if source in loop and (source is node or (source.x > node.x and not given)):
                    feedback.add((node, link))


def _loops(network: list[Node], sources: Sources) -> Iterator[set[Node]]:
    """Yield the strongly connected parts that are loops (Tarjan's algorithm, without recursion)."""
    number: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    held: set[Node] = set()
    for start in network:
        if start in number:
            continue
        work: list[tuple[Node, int]] = [(start, 0)]
        while work:
            node, position = work.pop()
            if position == 0:
                number[node] = low[node] = len(number)
                stack.append(node)
                held.add(node)
            links = sources.get(node, [])
            while position < len(links):
                source = links[position][1]
                position += 1
                if source not in number:
                    work.append((node, position))
                    work.append((source, 0))
                    break
                if source in held:
                    low[node] = min(low[node], number[source])
            else:
                if low[node] == number[node]:
                    part: set[Node] = set()
                    while node not in part:
                        part.add(stack.pop())
                    held -= part
                    if len(part) > 1 or any(source is node for _, source in links):
                        yield part
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])


def _sequence(
    network: list[Node],
    sources: Sources,
    consumers: dict[Node, list[Node]],
    feedback: set[tuple[Node, Link]],
    flat: bool,
) -> list[Node]:
    """Return the elements of a network in order; what still leads back is cut on the way."""

    def rank(node: Node) -> tuple[int, int, float, float, int]:
        given = node.order if node.order else None
        place = (0.0, 0.0) if flat else (node.y, node.x)
        return (0 if given is not None else 1, given or 0, *place, node.index)

    ends = [each for each in network if each.kind in SINKS or each not in consumers]
    roots = sorted(ends, key=rank) + sorted((each for each in network if each in consumers), key=rank)
    if any(each.order for each in network):
        roots = sorted(network, key=rank)
    done: set[Node] = set()
    open_: set[Node] = set()
    result: list[Node] = []
    for root in roots:
        work: list[tuple[Node, int]] = [(root, 0)]
        while work:
            node, position = work.pop()
            if node in done:
                continue
            open_.add(node)
            links = sources.get(node, [])
            while position < len(links):
                link, source = links[position]
                position += 1
                if (node, link) in feedback or source in done or source.kind == "leftPowerRail":
                    continue
                if source in open_:
                    feedback.add((node, link))
                    continue
                work.append((node, position))
                work.append((source, 0))
                break
            else:
                open_.discard(node)
                done.add(node)
                if node.kind in EVALUATED and not (node.kind == "inOutVariable" and not node.taking[0].links):
                    result.append(node)
    return result
