"""Where a tag lies on a server: a node, and behind a `#` an element or a field of its value.

    ns=2;s=Pump.Speed              a variable, by the index of its namespace
    nsu=urn:vendor:plc;s=Speed     by the URI of its namespace, which stays when the server counts anew
    i=2258                         a node of namespace 0
    ns=2;s=Temperatures#[3]        an element of an array; [2,0] of a matrix
    ns=2;s=Pump#.status.code       a field of a structure; .stages[2].speed and .map[1][2] go on into elements
    call:ns=2;s=Pump>ns=2;s=Reset  a method of an object: a write through the gate calls it
    call:...>ns=2;s=Reset#[0]      what its last call gave back first; #.Total by the argument's name
    event:ns=2;s=Tank.High         a condition (alarm) of the server: TRUE while it is active

A `#` at the very end only ends an identifier that holds "#[" or "#." itself.
Source: OPC 10000-6, 5.1.12 (node ids as text); OPC 10000-4, 7.27 NumericRange.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass

from drivers.frame.address import AddressError
from runtime.contract import Tag

CALL = "call:"
CONDITION = "event:"
_NODE = re.compile(r"(?:(?:ns=(?P<ns>[^;]*)|nsu=(?P<nsu>.*?));)?(?P<kind>[isgb])=(?P<id>.*)", re.DOTALL)
_METHOD = re.compile(r">(?=(?:nsu?=|[isgb]=))")
_INSIDE = re.compile(r"(?P<index>\[\d+(?:,\d+)*\])?(?P<fields>(?:\.[^.\[\]]+|\[\d+\])*)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_LOOKS_INSIDE = re.compile(r"#([\[.]|$)")
_LONGEST = 4096  # characters of a string identifier. Source: OPC 10000-3, 8.2.4


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node as the plant file names it.

    Attributes:
        namespace: index, or URI.
        kind: `i`, `s`, `g` or `b`; `identifier` is its text.
    """

    namespace: int | str
    kind: str
    identifier: str

    def __str__(self) -> str:
        space = f"nsu={self.namespace};" if isinstance(self.namespace, str) else f"ns={self.namespace};"
        return f"{'' if self.namespace == 0 else space}{self.kind}={self.identifier}"


@dataclass(frozen=True, slots=True)
class Address:
    """A value on a server.

    Attributes:
        node: the variable; the object where `method` is set.
        index: the element of an array, one number a dimension; which output of a method.
        fields: the way into a structure: names, and numbers of elements; the name of a method's output.
        method: what a write calls.
        is_condition: the node is a condition, not a variable.
    """

    node: NodeRef
    index: tuple[int, ...] = ()
    fields: tuple[str | int, ...] = ()
    method: NodeRef | None = None
    is_condition: bool = False

    def __str__(self) -> str:
        index = f"[{','.join(map(str, self.index))}]" if self.index else ""
        steps = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in self.fields)
        if self.is_condition:
            return f"{CONDITION}{self.node}"
        head = str(self.node) if self.method is None else f"{CALL}{self.node}>{self.method}"
        return f"{head}#{index}{steps}" if index or steps or _LOOKS_INSIDE.search(head) else head

    @property
    def is_result(self) -> bool:
        """Tell whether it is what a method gives back."""
        return self.method is not None and bool(self.index or self.fields)

    @property
    def index_range(self) -> str | None:
        """Return the IndexRange of requests; None for the whole value."""
        return ",".join(map(str, self.index)) or None


@dataclass(frozen=True, slots=True)
class Point:
    """A tag and its place on the server."""

    tag: Tag
    address: Address


def parse(text: str) -> Address:
    """Return what an address means.

    Raises:
        AddressError: nothing.
    """
    if text.startswith(CONDITION):
        return Address(parse_node(text.removeprefix(CONDITION)), is_condition=True)
    if text.startswith(CALL):
        parts = _METHOD.split(text.removeprefix(CALL), 1)
        if len(parts) != 2:
            raise AddressError(
                "a call names an object and its method", "write call:ns=2;s=Pump>ns=2;s=Pump.Reset"
            )
        method = parse(parts[1])
        if len(method.index) + len(method.fields) > 1:
            raise AddressError("an output of a method is one value", "write #[0] or #.Name behind the method")
        return Address(parse_node(parts[0]), method.index, method.fields, method.node)
    head, mark, tail = text.rpartition("#")
    if not mark or ";s=" in tail or ";i=" in tail or ";g=" in tail or ";b=" in tail:
        return Address(parse_node(text))  # no `#`, or one in the URI of the namespace
    if not tail:
        return Address(parse_node(head))
    if tail[0] not in "[.":
        return Address(parse_node(text))
    inside = _INSIDE.fullmatch(tail)
    if inside is None:
        remedy = "write #[3], #[2,0], #.field or #.field[1].part; a # at the end belongs to nothing"
        raise AddressError(f"{tail!r} is neither an element nor a field", remedy)
    index = tuple(int(each) for each in (inside["index"] or "")[1:-1].split(",") if each)
    fields = tuple(name or int(number) for name, number in _STEP.findall(inside["fields"]))
    return Address(parse_node(head), index, fields)


def parse_node(text: str) -> NodeRef:
    """Return a node id.

    Raises:
        AddressError: it is none.
    """
    found = _NODE.fullmatch(text)
    if found is None:
        raise AddressError("not a node id", _remedy(text))
    namespace: int | str = 0
    if found["nsu"] is not None:
        namespace = found["nsu"]
        if not namespace:
            raise AddressError("the namespace's URI is empty", "write nsu=urn:vendor:plc;s=Pump.Speed")
    elif found["ns"] is not None:
        if not found["ns"].isascii() or not found["ns"].isdigit() or int(found["ns"]) > 0xFFFF:
            raise AddressError(
                f"ns={found['ns']} is no index of a namespace",
                "ns= takes a number up to 65535, nsu= the namespace's URI",
            )
        namespace = int(found["ns"])
    return NodeRef(namespace, found["kind"], _identifier(found["kind"], found["id"]))


def _identifier(kind: str, text: str) -> str:
    match kind:
        case "i":
            if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF_FFFF:
                raise AddressError(f"i={text} is no number up to 4294967295", "write names behind s=")
            return str(int(text))
        case "g":
            try:
                return str(uuid.UUID(text))
            except ValueError:
                remedy = "write g=09087e75-8e5e-499b-954f-f2a9603db28a"
                raise AddressError(f"g={text} is no GUID", remedy) from None
        case "b":
            try:
                base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise AddressError(f"b={text} is not base64", "opaque identifiers are in base64") from None
    if not text or len(text) > _LONGEST:
        raise AddressError("the identifier is empty or too long", "write the node's name behind s=")
    return text


def _remedy(text: str) -> str:
    example = "write it like ns=2;s=Pump.Speed or nsu=urn:vendor:plc;i=12"
    if re.match(r"nsu?=[^;]*,[isgb]=", text):
        return f"did you mean {text.replace(',', ';', 1)!r}?"
    rest = re.fullmatch(r"(nsu?=[^;]+);([^=;]+)", text)
    if rest:
        return f"did you mean {rest[1] + ';s=' + rest[2]!r}?"
    return f"did you mean 'ns=2;s={text}'?" if re.fullmatch(r"[\w.]+", text) else example
