"""Topics of the namespace spBv1.0. Source: Sparkplug 3.0.0, 4.1."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

NAMESPACE = "spBv1.0"
REBIRTH = "Node Control/Rebirth"
_NODE = ("NBIRTH", "NDEATH", "NDATA", "NCMD")
_DEVICE = ("DBIRTH", "DDEATH", "DDATA", "DCMD")


def check_id(text: str) -> str:
    """Return the id of a group, node, device or host.

    Raises:
        ValueError: it cannot be one.
    """
    wrong = next((each for each in text if each in "+/#" or ord(each) < 32 or ord(each) == 127), None)
    if wrong is not None or text != text.strip():
        found = "spaces at the ends" if wrong is None else repr(wrong)
        raise ValueError(
            f"{text!r} is no Sparkplug id: it has {found}; leave out + / # and control characters"
        )
    return text


Id = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(check_id)]


class Topic(NamedTuple):
    """Whose message, and of which kind; the device is empty for the edge node's own."""

    verb: str
    group: str
    node: str
    device: str = ""

    def __str__(self) -> str:
        own = f"{NAMESPACE}/{self.group}/{self.verb}/{self.node}"
        return f"{own}/{self.device}" if self.device else own


def parse(text: str) -> Topic | None:
    """Return what a topic says, None where it is no message of a node or device."""
    parts = text.split("/")
    if parts[0] != NAMESPACE or not all(parts):
        return None
    if len(parts) == 4 and parts[2] in _NODE:
        return Topic(parts[2], parts[1], parts[3])
    if len(parts) == 5 and parts[2] in _DEVICE:
        return Topic(parts[2], parts[1], parts[3], parts[4])
    return None


def state_topic(host: str) -> str:
    """Return where a host application tells whether it is online."""
    return f"{NAMESPACE}/STATE/{host}"
