"""What a plant file says of the way to brokers, for both kinds: addresses, TLS, login."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drivers.frame.errors import DeniedError
from drivers.frame.login import LoginConfig, password_of
from runtime.clock import SECOND_NS
from runtime.config import DurationNs, FileName, Plant, is_loopback
from runtime.errors import Finding

if TYPE_CHECKING:
    from drivers.frame.connection import Traffic
    from drivers.sparkplug.transport import Broker, Connect, Connection, Login, Message
    from runtime.contract import Clock

_PORTS = {"mqtt": 1883, "mqtts": 8883}


def check_url(text: str) -> str:
    """Return the URL of a broker, with its port.

    Raises:
        ValueError: it is none.
    """
    example = "write it like mqtts://broker.plant.example:8883"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{text!r} is no URL; {example}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{text!r} is not the URL of an MQTT broker; {example}")
    if "@" in parts.netloc:
        raise ValueError("a user does not belong in the URL; name user, and password_env or password_file")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}"


Url = Annotated[str, AfterValidator(check_url)]
KeepAlive = Annotated[DurationNs, Field(ge=SECOND_NS, le=3600 * SECOND_NS)]


class AccessConfig(LoginConfig):
    """The way to one or more brokers.

    Attributes:
        urls: brokers, `mqtts://` with TLS; the next is gone over to when one fails.
        user: name to log in with, its password from password_env or password_file.
        ca: file of certificates that the broker's must come from; by default those that the machine trusts.
        certificate, key: files of our own certificate and its key.
        mqtt: version of the protocol.
        client_id: name of the connection at the broker, which has one of each name.
        keep_alive: how often the broker must hear from us, or take us for dead; some want whole messages.
        watch: how often it is asked whether it is there.
        timeout: how long to wait for an answer, beside the time that what was sent before takes on the line.
    """

    urls: list[Url] = Field(min_length=1, max_length=8)
    ca: FileName | None = None
    certificate: FileName | None = None
    key: FileName | None = None
    mqtt: Literal["3.1.1", "5"] = "3.1.1"
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=128)] | None = None
    keep_alive: KeepAlive = 30 * SECOND_NS
    watch: Annotated[DurationNs, Field(ge=SECOND_NS // 20, le=3600 * SECOND_NS)] = 2 * SECOND_NS
    timeout: Annotated[DurationNs, Field(ge=SECOND_NS // 10, le=60 * SECOND_NS)] = 5 * SECOND_NS

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; name both")
        if (self.ca or self.certificate) and not any(_is_tls(url) for url in self.urls):
            raise ValueError("certificates are for TLS; write the URL with mqtts://")
        return self


def _is_tls(url: str) -> bool:
    return url.startswith("mqtts:")


def check_access(plant: Plant, config: AccessConfig, key: tuple[str | int, ...]) -> Iterator[Finding]:
    """Yield what is wrong with the way to the brokers."""
    if find_spec("paho") is None:
        text = f"driver {config.name!r} needs the extra mqtt"
        yield Finding(text, plant.place(*key, "kind"), "pip install 'ironworks[mqtt]'")
    for number, url in enumerate(config.urls):
        place = plant.place(*key, "urls", number)
        if config.urls.index(url) != number:
            yield Finding(f"{url} is named twice", place, "name each broker once")
        if _is_tls(url) or is_loopback(urlsplit(url).hostname or ""):
            continue
        remedy = "write the URL with mqtts://, and set the broker up for TLS"
        if config.user:
            yield Finding("the password would cross the network readable", place, remedy)
        else:
            text = "whoever is on the network can read and change what is sent"
            yield Finding(text, place, remedy, "warning")
    for what in ("ca", "certificate", "key", "password_file"):
        name = getattr(config, what)
        if name and not plant.path(name).is_file():
            yield Finding(f"{what}: there is no file {name}", plant.place(*key, what), "put it there")


def client_id(*names: str) -> str:
    """Return a name for a connection, made of letters, digits and dashes."""
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in ".".join(names))
    return f"ironworks-{plain}"[:128]


def connector(folder: Path, config: AccessConfig, own_id: str) -> Connect:
    """Return what connects to a broker; login and certificates are read anew each time."""
    from drivers.sparkplug.transport import connect

    async def to_broker(
        url: str, will: Message, hear: Callable[[Message], None], traffic: Traffic, clock: Clock
    ) -> Connection:
        broker = await asyncio.to_thread(broker_of, folder, config, url)
        return await connect(broker, login_of(folder, config, own_id), will, hear, traffic, clock)

    return to_broker


def login_of(folder: Path, config: AccessConfig, own_id: str) -> Login:
    """Return how we present ourselves; the password is read anew each time.

    Raises:
        DeniedError: the password is not where the plant file says.
    """
    from drivers.sparkplug.transport import Login

    five = config.mqtt == "5"
    keep_alive_s = config.keep_alive // SECOND_NS
    timeout_s = config.timeout / SECOND_NS
    return Login(own_id, config.user, password_of(folder, config), five, keep_alive_s, timeout_s)


def broker_of(folder: Path, config: AccessConfig, url: str) -> Broker:
    """Return where a broker listens, with what TLS takes; files are read anew each time.

    Raises:
        DeniedError: a file cannot be used.
    """
    from drivers.sparkplug.transport import Broker

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if not _is_tls(url):
        return Broker(url, host, port)
    context = ssl.create_default_context()
    try:
        if config.ca:
            context = ssl.create_default_context(cafile=folder / config.ca)
        if config.certificate and config.key:
            context.load_cert_chain(folder / config.certificate, folder / config.key, password="")
    except (OSError, ValueError) as exc:
        files = ", ".join(filter(None, (config.ca, config.certificate, config.key)))
        raise DeniedError(
            f"the certificates {files} cannot be used: {exc}", "see ca, certificate, key"
        ) from exc
    return Broker(url, host, port, context)
