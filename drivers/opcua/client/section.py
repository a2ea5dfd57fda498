"""`kind: opcua.client`: an OPC UA server whose variables this plant reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from drivers.frame.deadband import Deadband
from drivers.frame.login import LoginConfig
from drivers.frame.plan import by_group, group_of
from drivers.opcua.client.facts import declare
from drivers.opcua.client.points import check_indices, check_points, points_of
from drivers.opcua.expiry import declare_expiry
from runtime.clock import SECOND_NS
from runtime.config import Declared, DurationNs, FileName, Plant, Section, is_loopback
from runtime.contract import Access, Component, Stepper
from runtime.errors import Finding

DEFAULT_GROUP = "default"
DEFAULT_PORT = 4840


def check_url(text: str) -> str:
    """Return the URL of a server.

    Raises:
        ValueError: it is none.
    """
    example = "write it like opc.tcp://192.168.0.10:4840"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text!r} is no URL; {example}") from None
    if parts.scheme != "opc.tcp" or not parts.hostname:
        raise ValueError(f"{text!r} is not the URL of an OPC UA server; {example}")
    if "@" in parts.netloc:
        raise ValueError("a user does not belong in the URL; name user, and password_env or password_file")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"opc.tcp://{host}:{port or DEFAULT_PORT}{parts.path}"


Url = Annotated[str, AfterValidator(check_url)]
Period = Annotated[DurationNs, Field(ge=10_000_000, le=3600 * SECOND_NS)]
Policy = Literal["None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]


class GroupConfig(Section):
    """Tags with a pace of their own.

    Attributes:
        period: how often the server sends what changed, or is polled.
        sampling: how often the server looks; by default as often as it sends.
        deadband: least change that the server tells: `0.5` in units of the value, `2%` of its EURange.
        tags: globs over tag paths.
    """

    period: Period
    sampling: Period | None = None
    deadband: Deadband = (0.0, False)
    tags: list[str]


class ClientConfig(LoginConfig):
    """An OPC UA server that this plant reads and writes.

    Attributes:
        urls: the server; others that have the same variables are gone over to when it fails, or serves worse.
        back_after: how long a server that stands before the one in use must be well again to be gone back to;
            null stays where it is.
        security: policy; by default None on loopback and Basic256Sha256 elsewhere.
        sign_only: messages are signed, but can be read on the way.
        user: name to log in with, its password from password_env or password_file.
        user_certificate, user_key: what to log in with instead, DER or PEM; the password is the key's then.
        mode: `poll` reads instead of subscribing.
        period, sampling, deadband: where no group says otherwise.
        keep_alive: how often a server must say that it is there; after three times without a word everything
            is built anew.
        timeout: how long to wait for an answer.
        verify: what programs write is read back; where the server does not keep it, that is told.
        fill_gaps: ask the server's history for what was missed.
        events: what happens on the server is told as events of the plant, at most 50 a second.
        groups: name to pace and tags.
    """

    kind: Literal["opcua.client"]
    urls: list[Url] = Field(min_length=1, max_length=8)
    security: Policy | None = None
    sign_only: bool = False
    user_certificate: FileName | None = None
    user_key: FileName | None = None
    mode: Literal["subscribe", "poll"] = "subscribe"
    period: Period = 500_000_000
    sampling: Period | None = None
    deadband: Deadband = (0.0, False)
    keep_alive: Annotated[DurationNs, Field(ge=50_000_000, le=600 * SECOND_NS)] = SECOND_NS
    timeout: Annotated[DurationNs, Field(ge=50_000_000, le=60 * SECOND_NS)] = 2 * SECOND_NS
    back_after: DurationNs | None = Field(30 * SECOND_NS, ge=0, le=24 * 3600 * SECOND_NS)
    verify: bool = True
    fill_gaps: bool = False
    events: bool = False
    groups: dict[str, GroupConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_login(self) -> ClientConfig:
        if (self.user_certificate is None) != (self.user_key is None):
            raise ValueError("user_certificate and user_key belong together; name both")
        if self.user and self.user_key:
            raise ValueError("user and user_certificate exclude each other; keep one of the two")
        if self.user_key and self.policy == "None":
            raise ValueError("user_certificate needs a policy to sign with; set security to Basic256Sha256")
        return self

    @property
    def who(self) -> str:
        """Return whom the password is of: the user's, or his key's."""
        return self.user or self.user_key or ""

    @property
    def outside(self) -> bool:
        """Tell whether a server is on another machine."""
        return not all(is_loopback(urlsplit(url).hostname or "") for url in self.urls)

    @property
    def certificates(self) -> tuple[str, ...]:
        """Return the kinds of certificates that are used."""
        secured = () if self.policy == "None" else ("certificate", "peer_certificate")
        return (*secured, "user_certificate") if self.user_key else secured

    @property
    def policy(self) -> Policy:
        """Return the policy in force."""
        return self.security or ("Basic256Sha256" if self.outside else "None")


class ClientPlugin:
    """Brings `opcua.client` drivers to life."""

    Config = ClientConfig

    def declare(self, folder: object, root: str, config: ClientConfig) -> Declared:
        remedies = {
            "certificate": f"ironworks drivers renew {config.name}, and let the server trust the new one",
            "peer_certificate": f"Renew it on the server, then: ironworks drivers trust {config.name}",
            "user_certificate": "Get a new one from whoever runs the server; see user_certificate",
        }
        told, ends = declare(config.name), declare_expiry(config.name, config.certificates, remedies)
        return Declared((*told.tags, *ends.tags), (*told.alarms, *ends.alarms))

    def check(self, plant: Plant, config: ClientConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
        yield from check_points(plant, config.name)
        if len(config.urls) > 1:
            yield from check_indices(plant, config.name)
        if config.outside and config.policy == "None":
            place = plant.place(*key, "security")
            remedy = "name Basic256Sha256 or better, unless the network is trusted"
            if config.user:
                yield Finding("the password would cross the network readable", place, remedy)
            else:
                text = "whoever is on the network can read and change what is sent"
                yield Finding(text, place, remedy, "warning")
        for name, group in config.groups.items():
            place = plant.place(*key, "groups", name)
            if name == DEFAULT_GROUP:
                text = f"group {name!r} is taken"
                yield Finding(text, place, "use `period` of the driver, or another name")
            for pattern in group.tags:
                ids = plant.tags.select(pattern).tolist()
                if not any(plant.tags[id_].device == config.name for id_ in ids):
                    text = f"group {name!r}: no tag of {config.name} matches {pattern!r}"
                    yield Finding(text, place, "`*` matches within a level, `**` across levels", "warning")

    def build(self, plant: Plant, config: ClientConfig) -> list[Component]:
        from drivers.opcua.client.connect import open_session, probe, way_of
        from drivers.opcua.client.facts import Facts
        from drivers.opcua.client.login import login
        from drivers.opcua.client.plan import Plan
        from drivers.opcua.client.session import Session
        from drivers.opcua.client.subscribe import Group
        from drivers.opcua.client.supervisor import OpcuaClient

        points = points_of(plant, config.name)
        own = [point for point in points if point.tag.source == config.name]
        read = [point for point in own if point.address.method is None and not point.address.is_condition]
        chosen = group_of(plant.tags, {name: group.tags for name, group in config.groups.items()})
        row_of = {point.tag.id: row for row, point in enumerate(read)}
        groups = []
        for name, tags in by_group(chosen, [point.tag for point in read], DEFAULT_GROUP).items():
            pace = config.groups.get(name, config)
            rows = np.array([row_of[tag.id] for tag in tags], np.intp)
            groups.append(Group(name, pace.period, pace.sampling or pace.period, *pace.deadband, rows))
        way = way_of(plant, config)

        async def to_server(url: str, facts: Facts) -> Session:
            who = login(plant.folder, config)
            return await open_session(url, way, who, facts.link.traffic, facts.clock)

        async def look(url: str) -> None:
            await probe(url, way.timeout_s)

        plan = Plan(
            config.name,
            tuple(config.urls),
            tuple(read),
            tuple(groups),
            tuple(point for point in points if point.tag.source != config.name),
            tuple(point for point in own if point.tag.access is Access.READ_WRITE),
            tuple(point for point in own if point.address.is_result),
            config.keep_alive,
            config.back_after,
            config.certificates,
            config.mode == "poll",
            config.fill_gaps,
            tuple(point for point in own if point.address.is_condition),
            config.events,
            config.verify,
        )
        return [OpcuaClient(plan, to_server, look)]

    def steppers(self, plant: Plant, config: ClientConfig) -> list[Stepper]:
        return []


def folder_of(state: Path, name: str) -> Path:
    """Return where a client keeps its certificate and whom it trusts."""
    return state / "opcua" / name


plugin = ClientPlugin()
