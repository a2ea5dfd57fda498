"""What a server says of the others that stand in for it. Source: OPC 10000-5, 6.3.8 and 6.3.9."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncua import ua

from drivers.opcua.client.errors import RefusedError
from drivers.opcua.client.session import Session, read_id

_MODES = ("none", "cold", "warm", "hot", "transparent", "hot and mirrored")
_SHOWN, _LONGEST = 8, 200


@dataclass(frozen=True, slots=True)
class Partners:
    """A set of servers, itself included.

    Attributes:
        mode: as the standard calls it.
        uris: what names the applications; `urls` has where those that the server knows of are.
    """

    mode: str = _MODES[0]
    uris: tuple[str, ...] = ()
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def is_cold(self) -> bool:
        return self.mode == "cold"

    def list(self) -> str:
        """Return the set as people read it."""
        return ", ".join(
            f"{self.urls.get(uri, 'at an unknown place')[:_LONGEST]} ({uri[:_LONGEST]})"
            for uri in self.uris[:_SHOWN]
        )


async def partners(session: Session) -> Partners:
    """Ask a server for its set.

    Raises:
        ConnectError: it does not answer.
    """
    asked = (
        ua.ObjectIds.Server_ServerRedundancy_RedundancySupport,
        ua.ObjectIds.Server_ServerRedundancy_ServerUriArray,
    )
    number, uris = (
        each.Value.Value if each.Value is not None else None
        for each in await session.read([read_id(ua.NodeId(each)) for each in asked])
    )
    if not isinstance(number, int) or not 0 < number < len(_MODES):
        return Partners()
    named = tuple(each for each in uris if isinstance(each, str)) if isinstance(uris, list) else ()
    return Partners(_MODES[number], named, await _urls(session, named) if named else {})


async def _urls(session: Session, uris: tuple[str, ...]) -> dict[str, str]:
    """Return where applications are, as far as the server's own discovery knows."""
    request = ua.FindServersRequest()
    request.Parameters.EndpointUrl = session.url
    request.Parameters.ServerUris = list(uris)
    try:
        found = (await session.ask(request, ua.FindServersResponse)).Servers or ()
    except RefusedError:
        return {}
    return {each.ApplicationUri: each.DiscoveryUrls[0] for each in found if each.DiscoveryUrls}
