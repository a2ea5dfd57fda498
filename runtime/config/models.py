"""What a plant folder says: pydantic models that every package builds its own sections on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from runtime.config.valuetext import parse_value, value_text
from runtime.contract import DataType, Role, Value

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "m": 60_000_000_000,  # as in a TIME literal
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_HOUR_NS = _UNITS_NS["h"]
_LONGEST_NS = 36_525 * _UNITS_NS["d"]
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|m|h|d)")


def parse_duration_ns(text: object) -> int:
    """Return the ns of a duration such as `250ms`, `1.5s`, `1h 30min` or `1m30s`.

    Raises:
        ValueError: it is not a duration.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text == 0:
        return 0
    if isinstance(text, str):
        parts = _DURATION.findall(text)
        if parts and not _DURATION.sub("", text).strip():
            ns = round(sum(Decimal(number) * _UNITS_NS[unit] for number, unit in parts))
            if ns > _LONGEST_NS:
                raise ValueError("longer than 100 years")
            return ns
    raise ValueError(f"{text!r} is not a duration; write it like 250ms, 1.5s, 10min or 8h")


def is_duration(value: object) -> bool:
    """Tell whether a value is written as a duration."""
    return isinstance(value, str) and _DURATION.search(value) is not None


def format_duration(ns: int) -> str:
    """Write a duration the way the plant folder reads it."""
    for unit in ("d", "h", "min", "s", "ms", "us"):
        if ns and ns % _UNITS_NS[unit] == 0:
            return f"{ns // _UNITS_NS[unit]}{unit}"
    return f"{ns}ns"


DurationNs = Annotated[
    int,
    BeforeValidator(parse_duration_ns),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["100ms", "2s", "10min"],
            "pattern": r"^(\d+(\.\d+)?\s*(ns|us|ms|s|min|m|h|d)\s*)+$",
        }
    ),
]


class Span(float):
    """A number of ns that was written as a duration, and reads as one: an amount of a tag that is a time."""

    def __str__(self) -> str:
        return value_text(DataType.TIME, self).removeprefix("T#")

    def __format__(self, spec: str) -> str:
        return str(self)


def _amount(written: object, number: Callable[[object], float]) -> float:
    if not isinstance(written, str):
        return number(written)
    try:
        amount = float(written)
    except ValueError:
        try:
            amount = Span(parse_value(DataType.TIME, written))
        except ValueError:
            raise ValueError(f"{written!r} is no number; write digits, or 3s or 250ms for a TIME") from None
    checked = number(amount)
    return Span(checked) if isinstance(amount, Span) else checked


def _written(amount: float) -> float | str:
    return str(amount) if isinstance(amount, Span) else float(amount)


_AMOUNT = (
    WrapValidator(_amount),
    PlainSerializer(_written),
    WithJsonSchema({"type": ["number", "string"], "examples": [95, "3s", "T#1m30s"]}),
)
Amount = Annotated[float, Field(allow_inf_nan=False), *_AMOUNT]
Size = Annotated[float, Field(ge=0, allow_inf_nan=False), *_AMOUNT]


def _role(text: object) -> object:
    if isinstance(text, str):
        try:
            return Role[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is not a role; use viewer, operator, engineer or admin") from None
    if isinstance(text, Role):
        return text
    raise ValueError(f"{text!r} is not a role; use viewer, operator, engineer or admin")


RoleName = Annotated[
    Role,
    BeforeValidator(_role),
    PlainSerializer(lambda role: role.name.lower(), return_type=str),
    WithJsonSchema({"enum": ["viewer", "operator", "engineer", "admin"]}),
]


class Section(BaseModel):
    """Base of every section of a plant folder: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Trimmed = Annotated[str, StringConstraints(strip_whitespace=True)]


class Text(Section):
    """A text for people, in English and Chinese; blanks and line ends around it are dropped."""

    en: Trimmed
    zh: Trimmed = ""

    def __str__(self) -> str:
        return self.en

    def in_language(self, language: str) -> str:
        return self.zh if language == "zh" and self.zh else self.en


def _text(value: object) -> object:
    return {"en": value} if isinstance(value, str) else value


Words = Annotated[Text, BeforeValidator(_text, json_schema_input_type=str | Text)]
FILE = r"^[^\x00-\x1f]+$"
NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
HOST = r"^[A-Za-z0-9:]([A-Za-z0-9.:-]*[A-Za-z0-9])?$"
ALARM = r"^[A-Za-z][A-Za-z0-9_.-]*$"
ROOT = r"^[^/\s*?,\x00-\x1f]+(/[^/\s*?,\x00-\x1f]+)*$"
FileName = Annotated[str, Field(pattern=FILE, max_length=4096)]
Name = Annotated[str, Field(pattern=NAME, max_length=64)]


def _hash(secret: object) -> object:
    if isinstance(secret, str) and not secret.startswith("$argon2"):
        raise ValueError("not an argon2 hash; make one with `ironworks user hash`")
    return secret


Glob = Annotated[str, Field(min_length=1, max_length=256)]


class UserConfig(Section):
    """A person or client that may log in.

    Attributes:
        areas: globs of tags or alarm areas with the role there; of several that match, the last holds.
        os_user: account on this machine that is this user on the unix socket.
        secret: argon2 hash made by `ironworks user hash`.
    """

    name: Name
    role: RoleName = Role.VIEWER
    areas: Annotated[dict[Glob, RoleName], Field(max_length=100)] = {}
    os_user: str | None = None
    secret: Annotated[str | None, BeforeValidator(_hash)] = None


def _issuer(url: str) -> str:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or plain):
        raise ValueError("must begin with https://")
    return url


class OidcRole(Section):
    """A role for whoever has a value in the issuer's claim.

    Attributes:
        areas: globs of tags or alarm areas with the role there; of several that match, the last holds.
    """

    value: Annotated[str, Field(min_length=1, max_length=256)]
    role: RoleName
    areas: Annotated[dict[Glob, RoleName], Field(max_length=100)] = {}


class OidcConfig(Section):
    """An OpenID Connect issuer that vouches for people.

    Attributes:
        issuer: its URL, just as its tokens have it.
        client_id: what the plant is called there; a public client with the device authorization grant.
        audience: whom access tokens are for; without it ID tokens are taken, which are for the client.
        scope: what `ironworks login --oidc` asks for.
        name_claim: claim with the person's name; in the audit trail `oidc:` stands before it.
        roles_claim: claim with groups or roles; dots lead into objects.
        roles: what values of that claim give; of several the greatest role.
    """

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Annotated[str, Field(min_length=1, max_length=256)]
    audience: str | None = None
    scope: str = "openid profile"
    name_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: list[OidcRole] = Field(min_length=1)

    @property
    def for_audience(self) -> str:
        return self.audience or self.client_id


class LoginConfig(Section):
    """How long a session lasts, and who else vouches for people.

    Attributes:
        idle: it ends when no person used it for so long; what a console asks by itself is no use.
        longest: it ends in any case.
    """

    idle: DurationNs = Field(_HOUR_NS, ge=60_000_000_000, le=30 * 24 * _HOUR_NS)
    longest: DurationNs = Field(12 * _HOUR_NS, ge=60_000_000_000, le=90 * 24 * _HOUR_NS)
    oidc: OidcConfig | None = None


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _address(host: str) -> str:
    if host == "localhost":
        return host
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        text = f"{host!r} is no address; write one of this machine, or 0.0.0.0 for all that it has"
        raise ValueError(text) from None


def _dns(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


class TlsConfig(Section):
    """The certificate that the API shows beyond loopback; without files the gateway makes and renews its own.

    Attributes:
        names: further DNS names and addresses under which clients know the gateway.
        certificate, key: PEM files of a certificate from elsewhere, followed when they change.
    """

    names: list[Annotated[str, Field(pattern=HOST, max_length=253), AfterValidator(_dns)]] = []
    certificate: FileName | None = None
    key: FileName | None = None

    @model_validator(mode="after")
    def _both(self) -> TlsConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; give both files, or none")
        return self


class ApiConfig(Section):
    """Where the HTTP and WebSocket API listens; the unix socket is always there.

    Attributes:
        host: address to listen on. Another than loopback means TLS, and an admin who can log in.
        anonymous: who a client on this machine without a name is; `none` to refuse it, as behind a proxy that
            does not tell whom it serves. The unix socket knows the account.
        requests_per_s: how much one address, and one user, may ask; five times that in a burst.
    """

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: int | None = Field(8420, ge=0, le=65535)
    tls: TlsConfig = TlsConfig()
    anonymous: Literal["viewer", "none"] = "viewer"
    requests_per_s: int = Field(200, ge=1, le=100_000)

    @property
    def outside(self) -> bool:
        """Tell whether other machines shall reach it."""
        return self.port is not None and not is_loopback(self.host)


def _without_password(url: object) -> object:
    if not isinstance(url, str) or not re.match(r"postgres(ql)?://", url):
        raise ValueError("not the address of a database; write it like postgresql://user@host:5432/database")
    if "password=" in url or ":" in url.partition("://")[2].rpartition("@")[0]:
        raise ValueError("a password does not belong in the plant file; name password_env or password_file")
    return url


class SinkConfig(Section):
    """A PostgreSQL or TimescaleDB database that gets every sample that is stored.

    Attributes:
        url: `postgresql://user@host:5432/database`; more, such as `sslmode=require`, behind a `?`.
        password_env: environment variable with the password.
        password_file: file with the password, in the plant folder or by its whole path.
    """

    url: Annotated[str, BeforeValidator(_without_password)]
    password_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    password_file: FileName | None = None

    @model_validator(mode="after")
    def _one_password(self) -> SinkConfig:
        if self.password_env and self.password_file:
            raise ValueError("password_env and password_file: keep one of the two")
        return self


class HistoryConfig(Section):
    """What the historian keeps.

    Attributes:
        flush: longest time that a sample waits before it is committed.
        retention: how long each retention class is kept.
        memory_limit_mib: memory that the store may use; 32 carry 500,000 samples a second, 64 two million.
        disk_limit_mib: disk that the store may use; oldest samples go first, with an alarm.
        sink: where every sample is sent as well.
    """

    flush: DurationNs = Field(1_000_000_000, ge=10_000_000)
    short: DurationNs = Field(2 * 86_400_000_000_000, ge=_HOUR_NS)
    standard: DurationNs = Field(90 * 86_400_000_000_000, ge=_HOUR_NS)
    long: DurationNs = Field(3650 * 86_400_000_000_000, ge=_HOUR_NS)
    memory_limit_mib: int = Field(32, ge=32, le=1 << 20)
    disk_limit_mib: int = Field(2048, ge=64, le=1 << 30)
    sink: SinkConfig | None = None


class JournalConfig(Section):
    """How much of the journal is kept.

    Attributes:
        disk_limit_mib: disk that it may use; the oldest transitions of alarms go first, the audit never.
    """

    disk_limit_mib: int = Field(1024, ge=16, le=1 << 20)


class RateLimit(Section):
    """How many writes one actor may make to a class of tags in a time; bursts up to that many pass."""

    tags: list[str] = Field(["**"], min_length=1)
    writes: int = Field(ge=1, le=1_000_000)
    per: DurationNs = Field(1_000_000_000, ge=1_000_000)


class SignatureRule(Section):
    """Tags whose writes are signed: whoever writes shows name and secret once more, and says what it means.

    Attributes:
        meanings: what a signature may mean, such as `approval`, `review` or `responsibility`.
    """

    tags: list[Glob] = Field(min_length=1)
    meanings: list[Annotated[str, Field(min_length=1, max_length=128)]] = Field(min_length=1)


class GateConfig(Section):
    """What the gate asks beyond role, range and interlock.

    Attributes:
        signatures: tags that take an electronic signature, and what it may mean.
        rates: limits for each actor; a write must fit all whose globs match.
        two_person: globs of tags that take a second person's approval.
        approval: how long a request waits for it.
        longest_hold: how long a value may be written for a time.
    """

    rates: list[RateLimit] = []
    two_person: list[str] = []
    signatures: list[SignatureRule] = []
    approval: DurationNs = Field(600_000_000_000, ge=1_000_000_000, le=86_400_000_000_000)
    longest_hold: DurationNs = Field(86_400_000_000_000, ge=1_000_000_000)


class BackupConfig(Section):
    """Backups that the plant makes by itself.

    Attributes:
        every: how often.
        keep: how many; the oldest go first.
        to: folder, which must be there: another disk, or a share.
    """

    every: DurationNs = Field(86_400_000_000_000, ge=60_000_000_000)
    keep: int = Field(7, ge=1, le=10_000)
    to: FileName


Level = Literal["debug", "info", "warning", "error"]


class LogConfig(Section):
    """What is logged to `ironworks.log` in the state folder, and how much of it is kept.

    Attributes:
        levels: by name of a logger (`runtime.historian`, `pymodbus`): another level than the rest.
        file_mib: size of one file.
        files: how many are kept, the present one included.
    """

    level: Level = "info"
    levels: dict[str, Level] = {}
    file_mib: int = Field(5, ge=1, le=1024)
    files: int = Field(5, ge=2, le=100)


class TracesConfig(Section):
    """Where OpenTelemetry traces go (extra `otel`); its OTEL_EXPORTER_OTLP_HEADERS holds what logs in there.

    Attributes:
        endpoint: base URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318.
    """

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s?#]*[^\s?#/])?$", max_length=500)]


class AlarmConfig(Section):
    """One alarm definition, in the terms of ISA-18.2.

    Attributes:
        name: unique in the plant; `equipment.condition` reads well.
        tag: path, relative to the plant's root or whole.
        kind: `high`, `low` (with `limit`), `deviation` (`limit` from `setpoint`), `rate_of_change` (`limit`
            per second, measured `over` some time), `discrete` (with `state`), `bad_quality`,
            `communication` (the driver of the tag is offline), or `expression` (with `expression`; `tag` is
            what it is about).
        setpoint: path of the tag that `deviation` compares with.
        deadband: how far the value must return before the alarm clears, in engineering units; it and `limit`
            are durations (`3s`, `T#1m30s`) where the tag is a TIME.
        on_delay, off_delay: how long the condition must hold, or be gone.
        area: whose operator is to act; load and floods are counted for each area.
        class_: alarm class, written `class:`; for lists and rationalization.
        group: alarms of one group tell which of them was the first.
        latching: stays in alarm until it is reset.
        confirm: once acknowledged, it waits until somebody confirms that what it asked for was done.
        re_alarm: how long after its acknowledgement a standing alarm is announced again; 0 for never.
        suppressed_when: expression over tags that hides the alarm by design while it holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=128)]
    tag: str
    kind: Literal[
        "high",
        "low",
        "deviation",
        "rate_of_change",
        "discrete",
        "bad_quality",
        "communication",
        "expression",
    ]
    limit: Amount | None = None
    setpoint: str | None = None
    over: DurationNs = Field(10_000_000_000, ge=10_000_000)
    state: Value = True
    expression: str | None = None
    deadband: Size = 0.0
    on_delay: DurationNs = 0
    off_delay: DurationNs = 0
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    area: Annotated[str, Field(max_length=128)] = ""
    class_: Annotated[str, Field(alias="class", max_length=128)] = ""
    group: Annotated[str, Field(max_length=128)] = ""
    latching: bool = False
    confirm: bool = False
    re_alarm: DurationNs = 0
    suppressed_when: str | None = None
    text: Words
    cause: Words | None = None
    consequence: Words | None = None
    action: Words | None = None


class DriverConfig(Section):
    """What every driver has; each kind adds its own."""

    name: Name
    kind: str


def _not_system(root: str) -> str:
    if root.partition("/")[0] == "sys":
        raise ValueError("sys/ is kept for the system's own tags; begin with the name of the site")
    return root


class PlantFile(BaseModel):
    """The head of a plant folder: `plant.yaml`. Sections of other packages stand beside these keys.

    Attributes:
        root: ISA-95 path that the paths in the folder's files are relative to.
        state: folder for stores, caches and logs; `.ironworks`, for another file than plant.yaml a
            folder in it.
        rack: makes this file the field side of that device: its tags only, with the twin as
            the source of what the device reads and the device as the source of what it writes.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    plant: Name
    title: Words | None = None
    root: Annotated[str, Field(pattern=ROOT, max_length=200), AfterValidator(_not_system)]
    tags: FileName = "tags.csv"
    alarms: FileName | None = None
    state: FileName | None = None
    rack: Name | None = None
    users: list[UserConfig] = []
    login: LoginConfig = LoginConfig()
    api: ApiConfig | None = ApiConfig()
    history: HistoryConfig | None = HistoryConfig()
    journal: JournalConfig = JournalConfig()
    gate: GateConfig = GateConfig()
    backup: BackupConfig | None = None
    log: LogConfig = LogConfig()
    traces: TracesConfig | None = None
    drivers: list[dict[str, Any]] = []
