"""Hosts of plant.yaml: a name or an address, without a port."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def check_host(text: str) -> str:
    """Return a host name or address.

    Raises:
        ValueError: it is neither.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            message = f"{text!r} is no host; write a name or an address such as 192.168.0.10, without a port"
            raise ValueError(message) from None
    return text


Host = Annotated[str, AfterValidator(check_host)]
