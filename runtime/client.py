"""The client of a running plant: find it, ask it, follow it. The structs are the API's wire format."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta, Struct

from runtime import trust
from runtime.configview import (
    ConfigApplied,
    ConfigLog,
    ConfigStatus,
    ConfigStep,
    PlanView,
    VersionFiles,
    VersionList,
)
from runtime.contract import Value, glob
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.logins import LoginWays, SessionList, SessionMade, SessionView, Signing

if TYPE_CHECKING:
    import ssl

    import httpx

PREFIX = "/api/v1"
PLANT_VARIABLE = "IRONWORKS_PLANT"
T = TypeVar("T")
_PROBE_S = 0.5
_CHANGE_S = 300.0  # a program may have to be compiled
_SERVICE = Path("/run/ironworks")  # of the account that runs plants as services: `ironworks install`
_FRAME_LIMIT = 64 * 1024 * 1024


class Text(Struct, frozen=True):
    """A text for people, in English and Chinese."""

    en: str
    zh: str = ""

    def in_language(self, language: str) -> str:
        return self.zh if language == "zh" and self.zh else self.en


class User(Struct, frozen=True):
    """Who the kernel takes the client for, and the way it came; `areas` are globs with the role there."""

    name: str
    role: str
    via: str
    areas: tuple[tuple[str, str], ...] = ()

    @property
    def signer(self) -> str:
        """Return the name to sign with: that of a user of the plant; empty for accounts and strangers."""
        known = self.via in ("session", "http", "certificate") and self.name != "anonymous"
        return self.name if known and ":" not in self.name else ""

    def role_at(self, path: str) -> str:
        """Return the role for a tag, by its whole path."""
        return next(
            (role for pattern, role in reversed(self.areas) if glob(pattern).fullmatch(path)), self.role
        )


class Info(Struct, frozen=True):
    """The plant and the client's place in it."""

    plant: str
    title: Text
    root: str
    version: str
    now_ns: int
    started_ns: int
    user: User


class TagView(Struct, frozen=True):
    """A tag and its present value; `value` is null while the quality is bad.

    Attributes:
        signature: what the signature of a write may mean; none is taken where it is empty.
    """

    id: int
    path: str
    type: str
    unit: str
    unit_text: str
    low: float | None
    high: float | None
    description: str
    description_zh: str
    access: str
    source: str
    device: str
    address: str
    variable: str
    role: str
    interlock: str | None
    value: Value | None
    quality: int
    quality_text: str
    source_ns: int
    two_person: bool = False
    signature: tuple[str, ...] = ()


class TagPage(Struct, frozen=True):
    """Some tags in order of id; `next` is the id to ask for the rest `after`."""

    tags: tuple[TagView, ...]
    next: int | None


class Written(Struct, frozen=True):
    """A write that the owner has taken, or that it would be allowed (`dry_run`)."""

    value: Value
    previous: Value | None
    dry_run: bool = False


class RequestView(Struct, frozen=True):
    """A write that waits for a second person; `for_ns` is 0 unless it is for a time only.

    Attributes:
        signature: what the signature of the approval may mean; none is taken where it is empty.
    """

    id: int
    path: str
    value: Value
    actor: str
    role: str
    reason: str
    for_ns: int
    at_ns: int
    until_ns: int
    signature: tuple[str, ...] = ()


class HoldView(Struct, frozen=True):
    """A tag that goes back to `previous` at `until_ns`; `late` while it could not yet."""

    path: str
    value: Value
    previous: Value
    until_ns: int
    actor: str
    reason: str
    late: bool


class GateView(Struct, frozen=True):
    """Who may write now: `auto`, `maintenance` (engineers) or `read_only` (nobody); and what waits."""

    mode: str
    actor: str
    reason: str
    since_ns: int
    requests: tuple[RequestView, ...]
    holds: tuple[HoldView, ...]


class Series(Struct, frozen=True):
    """Stored samples of one tag: (source time ns, value, quality)."""

    path: str
    unit_text: str
    points: tuple[tuple[int, Value | None, int], ...]


class SeriesList(Struct, frozen=True):
    series: tuple[Series, ...]


class SqlAnswer(Struct, frozen=True):
    """Rows of a query; `truncated` tells that there were more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


class TrendSeries(Struct, frozen=True):
    """Buckets of one tag: (start ns, least, mean, greatest); null where there is a gap."""

    path: str
    unit_text: str
    points: tuple[tuple[int, float | None, float | None, float | None], ...]


class TrendList(Struct, frozen=True):
    series: tuple[TrendSeries, ...]


class AlarmNote(Struct, frozen=True):
    """Who hid an alarm, when, why, and until when (null: until told otherwise)."""

    at_ns: int
    by: str
    reason: str
    until_ns: int | None = None


class AlarmView(Struct, frozen=True):
    """An alarm and its state in the terms of ISA-18.2.

    Attributes:
        state: `normal`, `unacknowledged`, `acknowledged` or `returned`.
        active: whether the condition holds; a latched alarm stays in its state without it.
        acknowledged_by, comment: empty while it is not acknowledged.
        count: how often it was raised.
        first_out: whether it was the first of its group in the group's latest episode.
        hidden: shelved, suppressed by design or out of service: the operator is not asked for anything.
    """

    name: str
    tag: str
    kind: str
    limit: float | None
    priority: str
    state: str
    active: bool
    acknowledged: bool
    text: Text
    cause: Text | None
    consequence: Text | None
    action: Text | None
    raised_ns: int | None
    cleared_ns: int | None
    acknowledged_ns: int | None
    acknowledged_by: str
    comment: str
    value: Value | None
    count: int
    area: str = ""
    class_: str = msgspec.field(default="", name="class")
    group: str = ""
    first_out: bool = False
    hidden: bool = False
    latched: bool = False
    suppressed: bool = False
    shelved: AlarmNote | None = None
    out_of_service: AlarmNote | None = None


class AlarmList(Struct, frozen=True):
    """Alarms in the order of their definitions; `next` is the name to ask for the rest `after`."""

    alarms: tuple[AlarmView, ...]
    next: str | None = None


class JournalEntry(Struct, frozen=True):
    """One transition of an alarm; `actor` is empty for the plant itself.

    Attributes:
        announced: whether it asked the operator for attention.
    """

    seq: int
    at_ns: int
    alarm: str
    transition: str
    state: str
    actor: str
    comment: str
    value: Value | None
    announced: bool = False


class JournalPage(Struct, frozen=True):
    """Transitions, newest first; `next` is the seq to ask for those `before`."""

    entries: tuple[JournalEntry, ...]
    next: int | None = None


class OperatorLoad(Struct, frozen=True):
    """What the alarms of one area asked of its operator; the area is empty where none is given."""

    area: str
    announced: int
    last_10min: int
    average_10min: float
    peak_10min: int
    flood_percent: float


class AlarmFlood(Struct, frozen=True):
    """More than 10 alarms within 10 minutes, until fewer than 5 are; `ended_ns` is null while it lasts."""

    area: str
    first: str
    began_ns: int
    count: int
    ended_ns: int | None


class AlarmShare(Struct, frozen=True):
    alarm: str
    count: int
    percent: float


class AlarmCount(Struct, frozen=True):
    alarm: str
    count: int


class StaleAlarm(Struct, frozen=True):
    alarm: str
    since_ns: int


class PriorityShare(Struct, frozen=True):
    """How many announced alarms were of a priority, beside what ISA-18.2 aims at; critical counts as high."""

    priority: str
    count: int
    percent: float
    target_percent: float


class AlarmFigures(Struct, frozen=True):
    """How the alarm system does over a span of time, after ISA-18.2.

    Attributes:
        standing: alarms that the operator sees in alarm now.
        chattering: most announcements within a minute, of those with three or more.
        fleeting: how often an alarm was gone within 10 s.
        stale: alarms that have stood for more than 24 h.
    """

    start_ns: int
    end_ns: int
    announced: int
    standing: int
    operators: tuple[OperatorLoad, ...]
    floods: tuple[AlarmFlood, ...]
    top: tuple[AlarmShare, ...]
    chattering: tuple[AlarmCount, ...]
    fleeting: tuple[AlarmCount, ...]
    stale: tuple[StaleAlarm, ...]
    priorities: tuple[PriorityShare, ...]


class SignatureView(Struct, frozen=True):
    """An electronic signature: who signed, what it means, and when."""

    name: str
    meaning: str
    at_ns: int


class AuditEntry(Struct, frozen=True):
    """One attempt to do something, and what came of it."""

    seq: int
    at_ns: int
    actor: str
    role: str
    via: str
    action: str
    target: str
    old: Value | None
    new: Value | None
    reason: str
    outcome: str
    detail: str
    signatures: tuple[SignatureView, ...] = ()


class AuditPage(Struct, frozen=True):
    """Attempts, newest first; `next` is the seq to ask for those `before`."""

    entries: tuple[AuditEntry, ...]
    next: int | None = None


class Tampering(Struct, frozen=True):
    """A place where the audit's chain does not hold: `touched`, `removed`, `inserted` or `head`."""

    seq: int
    kind: str
    text: str


class AuditCheck(Struct, frozen=True):
    """What a check of the audit's hash chain found; `findings` are the first of `found`."""

    ok: bool
    rows: int
    head_seq: int
    head: str
    findings: tuple[Tampering, ...]
    found: int


class UserView(Struct, frozen=True):
    """A user; `kept` in `plant.yaml` or the `journal`; `locked_ns` is how long it is locked yet.

    Attributes:
        areas: globs of tags or alarm areas with the role there; the last that matches holds.
    """

    name: str
    role: str
    kept: str
    locked_ns: int
    areas: tuple[tuple[str, str], ...] = ()


class UserList(Struct, frozen=True):
    users: tuple[UserView, ...]


class TokenView(Struct, frozen=True):
    """An API token: globs of the tags that it reads and writes in its user's name."""

    id: str
    user: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    created_ns: int
    created_by: str
    expires_ns: int | None
    revoked_ns: int | None


class TokenList(Struct, frozen=True):
    """Tokens, oldest first; `next` is the id to ask for the rest `after`."""

    tokens: tuple[TokenView, ...]
    next: str | None = None


class TokenMade(Struct, frozen=True):
    """A new token; `token` is its text, shown this once."""

    token: str
    view: TokenView


class CertificateView(Struct, frozen=True):
    """A client certificate and the user whom it logs in; `id` is the beginning of its fingerprint."""

    id: str
    user: str
    fingerprint: str
    until_ns: int
    added_ns: int
    added_by: str


class CertificateList(Struct, frozen=True):
    certificates: tuple[CertificateView, ...]


class ComponentView(Struct, frozen=True):
    """A component; state is `starting`, `running`, `degraded`, `faulted` or `stopped`."""

    name: str
    kind: str
    state: str
    since_ns: int
    restarts: int
    text: str


class ComponentList(Struct, frozen=True):
    components: tuple[ComponentView, ...]


class HistoryHealth(Struct, frozen=True):
    samples: int
    committed: int
    dropped: int
    lag_ms: float


class BusHealth(Struct, frozen=True):
    updates: int
    overflow: int


class Health(Struct, frozen=True):
    """How the plant's kernel is; `components` counts them by state, `history` is null where none is kept."""

    ok: bool
    components: dict[str, int]
    history: HistoryHealth | None
    bus: BusHealth


class Probe(Struct, frozen=True):
    """Whether the kernel is alive or ready; `waits` names what is not up yet."""

    ok: bool
    waits: tuple[str, ...] = ()


class Values(Struct, frozen=True, tag="values", tag_field="type"):
    """Rows (tag id, value, quality, source time ns) that changed: newest per tag, or each (`every`)."""

    rows: tuple[tuple[int, Value | None, int, int], ...]


class Gap(Struct, frozen=True, tag="gap", tag_field="type"):
    """Values that an `every` stream does not carry: sources' times that they lie between.

    Attributes:
        lost: how many; null where nobody knows.
        text: why, and where they may be found.
    """

    since_ns: int
    until_ns: int
    lost: int | None
    text: str


class AlarmChange(Struct, frozen=True, tag="alarm", tag_field="type"):
    """An alarm as it stands now; `resume` is empty while its transition is not on disk."""

    alarm: AlarmView
    resume: str = ""


class Missed(Struct, frozen=True, tag="missed", tag_field="type"):
    """Begins a stream of alarms: what happened since `Subscription.resume`, oldest first.

    Attributes:
        complete: whether that is all; if not, `/alarms/journal` has the rest, or the journal was begun anew.
        resume: where to go on after the next loss of the connection.
    """

    entries: tuple[JournalEntry, ...]
    complete: bool
    resume: str


class ConfigChange(Struct, frozen=True, tag="config", tag_field="type"):
    """Another configuration runs: tags and alarms may be others, so load them anew.

    What is subscribed to is sent as it is now, and goes on; globs select among the tags that there are now.
    """

    version: int


class ComponentChange(Struct, frozen=True, tag="component", tag_field="type"):
    component: ComponentView


Message = Values | AlarmChange | ComponentChange | ConfigChange | Missed | Gap


class Subscription(Struct, frozen=True, forbid_unknown_fields=True):
    """What a stream should carry; a client may send another at any time.

    Attributes:
        every: each value of the tags instead of the newest; what does not fit is told as a `Gap`.
        resume: the last that a `Missed` or `AlarmChange` said: what happened since then comes first.
        since_ns: for `every`: the newest source time that the client has; the history fills in from there.
    """

    tags: tuple[str, ...] = ()
    alarms: bool = False
    components: bool = False
    interval_ms: int = 200
    every: bool = False
    resume: str = ""
    since_ns: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class Place(Struct):
    """How far a client has followed a stream: hand it to the next one to go on there."""

    resume: str = ""
    since_ns: int | None = None

    def take(self, message: Message) -> None:
        """Note what came."""
        match message:
            case AlarmChange(_, resume) | Missed(_, _, resume):
                self.resume = resume or self.resume
            case Values(rows) if rows:
                newest_ns = max(row[3] for row in rows)
                self.since_ns = max(newest_ns, self.since_ns or 0)


class Refusal(Struct, frozen=True):
    """The body of every answer that is not 2xx: problem details, with what to do about it.

    Attributes:
        error: the same text as `detail`.

    Source: RFC 9457.
    """

    error: str
    remedy: str = ""
    detail: str = ""
    title: str = ""
    status: int = 0


class Endpoint(Struct, frozen=True, omit_defaults=True):
    """Where a plant answers; as a file of the runtime folder it registers a running kernel.

    Attributes:
        file: resolved path of the plant file.
        socket: path of the unix socket.
        http: URL on TCP, where there is one.
        user: whom the URL names, as in https://anna@gateway:8420.
        rack: the device that this process plays, when it is a rack beside a plant.
    """

    plant: str = ""
    file: str = ""
    pid: int = 0
    socket: str | None = None
    http: str | None = None
    rack: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        return self.socket or self.http or self.file


def runtime_folder() -> Path:
    """Return the folder of sockets and registrations of this account."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return Path(base) / "ironworks"
    if _SERVICE.is_dir() and _SERVICE.stat().st_uid == os.getuid():
        return _SERVICE
    return Path(tempfile.gettempdir()) / f"ironworks-{os.getuid()}"


def registration_name(file: Path) -> str:
    """Return the name, without suffix, under which a plant file registers."""
    return hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]


def answers(socket_file: Path | str) -> bool:
    """Tell whether a process listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(socket_file))
        except OSError:
            return False
    return True


def running() -> list[Endpoint]:
    """Return the plants that run under this account; what a killed process left behind is ignored."""
    found = []
    for each in sorted(runtime_folder().glob("*.json")):
        try:
            endpoint = msgspec.json.decode(each.read_bytes(), type=Endpoint)
        except (OSError, msgspec.DecodeError):
            continue  # gone since the listing, or not a registration
        if endpoint.socket and _alive(endpoint.pid) and answers(endpoint.socket):
            found.append(endpoint)
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def plant_file(target: Path | str | None) -> Path | None:
    """Return the plant file that is meant: the target, $IRONWORKS_PLANT, or ./plant.yaml; None without any.

    Raises:
        PlantError: there is no such file or folder.
    """
    named = target or os.environ.get(PLANT_VARIABLE)
    if not named:
        here = Path("plant.yaml")
        return here.resolve() if here.is_file() else None
    path = Path(named).expanduser()
    file = path / "plant.yaml" if path.is_dir() else path
    if not file.is_file():
        raise PlantError(f"{file}: no such plant", "name a plant folder, or its plant.yaml")
    return file.resolve()


def find(target: Path | str | None = None) -> Endpoint:
    """Return where the plant answers: a folder, file or http URL, or the only one that runs.

    Raises:
        ConnectError: it does not run, or it is not clear which is meant; lists what runs.
    """
    named = target or os.environ.get(PLANT_VARIABLE)
    if named and str(named).startswith(("http://", "https://")):
        return _at(str(named))
    file = plant_file(target)
    there = running()
    if file:
        for each in there:
            if each.file == str(file):
                return each
        raise ConnectError(f"{file} is not running", f"start it: ironworks run {file.parent}{_list(there)}")
    plants = [each for each in there if not each.rack]
    if len(plants) == 1:
        return plants[0]
    if not plants:
        raise ConnectError("no plant is running", f"start one: ironworks run PLANT{_list(there)}")
    raise ConnectError(f"{len(plants)} plants are running", f"say which with --plant{_list(plants)}")


def _at(url: str) -> Endpoint:
    """Return the endpoint of a URL; plain HTTP goes no further than this machine.

    Raises:
        PlantError: it is no address, holds a secret, or would send one in the clear.
    """
    from runtime.config import is_loopback

    try:
        parts = urlsplit(url)
        host, number = parts.hostname or "", parts.port
    except ValueError:
        host, number = "", None
    if not host:
        raise PlantError(f"{url!r} is not an address", "write it like https://gateway:8420")
    if parts.password is not None:
        remedy = "leave it out: it is asked for, or comes from $IRONWORKS_SECRET_FILE or $IRONWORKS_SECRET"
        raise PlantError("a secret does not belong into an address", remedy)
    if parts.scheme == "http" and not is_loopback(host):
        raise PlantError(f"{url} would send secrets in the clear", f"use https://{host}:{number or 8420}")
    shown = f"[{host}]" if ":" in host else host
    return Endpoint(http=f"{parts.scheme}://{shown}{f':{number}' if number else ''}", user=parts.username)


def _list(there: Sequence[Endpoint]) -> str:
    if not there:
        return ""
    return "\n  running: " + "\n           ".join(
        f"{each.plant} {each.file} (pid {each.pid})" for each in there
    )


class PlantClient:
    """The API of one plant as methods.

    Every method raises `ConnectError` when the plant cannot be reached, `WriteRejectedError` when it
    refuses a command, and `PlantError` when it refuses a question.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        user: str | None = None,
        secret: str | None = None,
        timeout_s: float = 15.0,
        token: str | None = None,
        certificate: str | None = None,
    ) -> None:
        """`certificate` is a PEM file with a client certificate and its key, for https."""
        self.endpoint = endpoint
        self._certificate = certificate
        self._tls: ssl.SSLContext | None = None
        self._token = None if user else token
        self._login = (user, secret or "") if user else None
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> PlantClient:
        import httpx

        path = self.endpoint.socket
        if not path and self._base_url.startswith("https:"):
            self._tls = trust.context(self._base_url, self._certificate)
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=path) if path else None,
            verify=self._tls or False,
            base_url=f"{self._base_url}{PREFIX}",
            auth=self._login,
            headers={"Authorization": f"Bearer {self._token}"} if self._token else None,
            timeout=self._timeout_s,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http:
            await self._http.aclose()

    @property
    def _base_url(self) -> str:
        if self.endpoint.socket:
            return "http://localhost"
        if not self.endpoint.http:
            raise ConnectError("the plant has no address", "use runtime.client.find to get one")
        return self.endpoint.http

    async def info(self) -> Info:
        return await self._get("/info", Info)

    async def tags(self, *match: str) -> list[TagView]:
        """Return the tags whose paths match any of the globs, or all."""
        found: list[TagView] = []
        after: int | None = -1
        while after is not None:
            page = await self._get("/tags", TagPage, match=match, after=after, limit=5000)
            found += page.tags
            after = page.next
        return found

    async def tag(self, path: str) -> TagView:
        return await self._get(f"/tags/{quote(path)}", TagView)

    async def write(
        self,
        path: str,
        value: Value,
        reason: str = "",
        for_ns: int = 0,
        dry_run: bool = False,
        signature: Signing | None = None,
    ) -> Written:
        """Write through the gate; returns when the owner has taken the value.

        With `for_ns` the tag goes back to its previous value by itself; with `dry_run` nothing happens.
        Who gives a `signature` is who writes.
        """
        body: dict[str, Any] = {"value": value, "reason": reason, **_signed(signature)}
        body |= {"for_ns": for_ns} if for_ns else {}
        body |= {"dry_run": True} if dry_run else {}
        return await self._send("PUT", f"/tags/{quote(path)}", Written, body)

    async def gate(self) -> GateView:
        """Return the plant's mode, what waits for a second person, and what goes back by itself."""
        return await self._get("/gate", GateView)

    async def set_mode(self, mode: str, reason: str) -> GateView:
        """Set `auto` or `maintenance` (engineer)."""
        return await self._send("PUT", "/gate/mode", GateView, {"mode": mode, "reason": reason})

    async def set_read_only(self, on: bool, reason: str) -> GateView:
        """Throw the emergency switch (engineer)."""
        return await self._send("PUT", "/gate/read-only", GateView, {"on": on, "reason": reason})

    async def request_write(
        self,
        path: str,
        value: Value,
        reason: str = "",
        for_ns: int = 0,
        signature: Signing | None = None,
    ) -> RequestView:
        """Ask for a write that takes a second person."""
        body = {"path": path, "value": value, "reason": reason, "for_ns": for_ns, **_signed(signature)}
        return await self._send("POST", "/gate/requests", RequestView, body)

    async def approve(self, id_: int, reason: str = "", signature: Signing | None = None) -> Written:
        """Carry out what another person requested; returns when the owner has taken the value."""
        body = {"reason": reason, **_signed(signature)}
        return await self._send("POST", f"/gate/requests/{id_}/approve", Written, body)

    async def reject(self, id_: int, reason: str = "") -> GateView:
        """End a request without a write."""
        return await self._send("POST", f"/gate/requests/{id_}/reject", GateView, {"reason": reason})

    async def history(
        self,
        paths: Sequence[str],
        start_ns: int,
        end_ns: int,
        limit: int | None = None,
        *,
        mode: str = "raw",
        interval_ns: int | None = None,
    ) -> tuple[Series, ...]:
        """Return stored samples of each tag, oldest first; at most the newest `limit` of each.

        With another mode (`at`, `interpolated`, `min`, `max`, `mean`, `first`, `last`, `time_weighted`) and
        an interval, one point for each interval.
        """
        series: tuple[Series, ...] = ()
        points = limit or 10_000
        if interval_ns:
            points = max(1, -(-(end_ns - start_ns) // interval_ns))
        for chunk in _chunks(paths, points):
            query: dict[str, Any] = {"tag": chunk, "start": start_ns, "end": end_ns, "limit": limit}
            if mode != "raw":
                query |= {"mode": mode, "interval": interval_ns}
            series += (await self._get("/history", SeriesList, **query)).series
        return series

    async def sql(self, query: str, limit: int = 10_000, seconds: float = 30.0) -> SqlAnswer:
        """Return the rows of one SELECT over `samples` and `tags` of the history; for engineers."""
        body = {"query": query, "limit": limit, "seconds": seconds}
        patience_s = seconds + self._timeout_s
        return await self._ask("POST", "/history/sql", SqlAnswer, json=body, timeout=patience_s)

    async def trend(
        self, paths: Sequence[str], start_ns: int, end_ns: int, buckets: int
    ) -> tuple[TrendSeries, ...]:
        series: tuple[TrendSeries, ...] = ()
        for chunk in _chunks(paths, buckets):
            query = {"tag": chunk, "start": start_ns, "end": end_ns, "buckets": buckets}
            series += (await self._get("/history/trend", TrendList, **query)).series
        return series

    async def alarms(
        self,
        all: bool = False,  # noqa: A002 - the API's word
        hidden: bool = False,
    ) -> tuple[AlarmView, ...]:
        """Return the alarms that the operator is to see, or the hidden ones, or all."""
        query = {"all": str(all).lower(), "hidden": str(hidden).lower()}
        page = await self._get("/alarms", AlarmList, **query)
        found = page.alarms
        while page.next:
            page = await self._get("/alarms", AlarmList, **query, after=page.next)
            found += page.alarms
        return found

    async def acknowledge(self, name: str, comment: str = "") -> AlarmView:
        """Acknowledge an alarm; returns when that is on disk."""
        return await self._command(name, "acknowledge", {"comment": comment})

    async def shelve(self, name: str, for_ns: int, reason: str) -> AlarmView:
        """Hide an alarm for some time; returns when that is on disk."""
        return await self._command(name, "shelve", {"for_ns": for_ns, "reason": reason})

    async def unshelve(self, name: str, reason: str = "") -> AlarmView:
        """End a shelf before its time."""
        return await self._command(name, "unshelve", {"reason": reason})

    async def out_of_service(self, name: str, reason: str) -> AlarmView:
        """Take an alarm out of service (engineer)."""
        return await self._command(name, "out-of-service", {"reason": reason})

    async def in_service(self, name: str, reason: str = "") -> AlarmView:
        """Return an alarm to service (engineer)."""
        return await self._command(name, "in-service", {"reason": reason})

    async def reset_alarm(self, name: str, reason: str = "") -> AlarmView:
        """Reset the latch of an alarm whose condition is gone."""
        return await self._command(name, "reset", {"reason": reason})

    async def _command(self, name: str, verb: str, body: dict[str, Any]) -> AlarmView:
        return await self._send("POST", f"/alarms/{quote(name, safe='')}/{verb}", AlarmView, body)

    async def alarm_journal(self, limit: int = 100, before: int | None = None) -> tuple[JournalEntry, ...]:
        """Return transitions of alarms, newest first."""
        return (await self._get("/alarms/journal", JournalPage, limit=limit, before=before)).entries

    async def alarm_figures(self, hours: float = 8.0) -> AlarmFigures:
        """Return how the alarm system did over the last hours."""
        return await self._get("/alarms/figures", AlarmFigures, hours=hours)

    async def audit(self, limit: int = 100, before: int | None = None) -> tuple[AuditEntry, ...]:
        """Return what was attempted, newest first."""
        return (await self._get("/audit", AuditPage, limit=limit, before=before)).entries

    async def verify_audit(self, expect: str = "") -> AuditCheck:
        """Check the audit's hash chain (engineer); `expect` is a head noted earlier."""
        return await self._get("/audit/verify", AuditCheck, expect=expect)

    async def users(self) -> tuple[UserView, ...]:
        """Return the users (admin)."""
        return (await self._get("/users", UserList)).users

    async def add_user(
        self, name: str, role: str, secret_hash: str, areas: Sequence[tuple[str, str]] = ()
    ) -> tuple[UserView, ...]:
        """Add a user by the argon2 hash of a secret (admin); returns all."""
        body = {"name": name, "role": role, "secret": secret_hash, "areas": list(areas)}
        return (await self._send("POST", "/users", UserList, body)).users

    async def set_role(
        self, name: str, role: str, areas: Sequence[tuple[str, str]] = ()
    ) -> tuple[UserView, ...]:
        """Give a user another role, and roles in areas instead of those before (admin); returns all."""
        body = {"role": role, "areas": list(areas)}
        return (await self._send("PUT", f"/users/{quote(name, safe='')}/role", UserList, body)).users

    async def set_secret(self, name: str, secret_hash: str) -> tuple[UserView, ...]:
        """Give a user another secret by its argon2 hash (admin); returns all."""
        path = f"/users/{quote(name, safe='')}/secret"
        return (await self._send("PUT", path, UserList, {"secret": secret_hash})).users

    async def change_password(self, name: str, secret: str, new: str) -> UserView:
        """Change one's own secret; the sessions of that name end."""
        body = {"name": name, "secret": secret, "new": new}
        return await self._send("POST", "/password", UserView, body)

    async def log_in(self, name: str, secret: str) -> SessionMade:
        """Open a session; its text is a `token` for other clients."""
        return await self._send("POST", "/sessions", SessionMade, {"name": name, "secret": secret})

    async def log_in_by_issuer(self) -> SessionMade:
        """Open a session for whom the `token` of this client, which the plant's issuer made, vouches."""
        return await self._send("POST", "/sessions", SessionMade)

    async def login_ways(self) -> LoginWays:
        """Return how people log in."""
        return await self._get("/login", LoginWays)

    async def sessions(self) -> tuple[SessionView, ...]:
        """Return one's own sessions, as admin all."""
        return (await self._get("/sessions", SessionList)).sessions

    async def end_session(self, id_: str) -> tuple[SessionView, ...]:
        """End a session: one's own, as admin any; returns what is left."""
        return (await self._send("DELETE", f"/sessions/{quote(id_, safe='')}", SessionList)).sessions

    async def remove_user(self, name: str) -> tuple[UserView, ...]:
        """Remove a user and the tokens of that name (admin); returns the others."""
        return (await self._send("DELETE", f"/users/{quote(name, safe='')}", UserList)).users

    async def tokens(self) -> tuple[TokenView, ...]:
        """Return the API tokens (admin)."""
        page = await self._get("/tokens", TokenList)
        found = page.tokens
        while page.next:
            page = await self._get("/tokens", TokenList, after=page.next)
            found += page.tokens
        return found

    async def issue_token(
        self, user: str, read: Sequence[str], write: Sequence[str] = (), for_ns: int = 0
    ) -> TokenMade:
        """Make an API token of a user for globs of tags (admin)."""
        body = {"user": user, "read": list(read), "write": list(write), "for_ns": for_ns}
        return await self._send("POST", "/tokens", TokenMade, body)

    async def revoke_token(self, id_: str) -> tuple[TokenView, ...]:
        """End a token at once (admin); returns all."""
        return (await self._send("DELETE", f"/tokens/{quote(id_, safe='')}", TokenList)).tokens

    async def certificates(self) -> tuple[CertificateView, ...]:
        """Return the client certificates (admin)."""
        return (await self._get("/certificates", CertificateList)).certificates

    async def add_certificate(self, user: str, pem: str) -> tuple[CertificateView, ...]:
        """Let a certificate log in a user (admin); returns all."""
        body = {"user": user, "certificate": pem}
        return (await self._send("POST", "/certificates", CertificateList, body)).certificates

    async def end_certificate(self, id_: str) -> tuple[CertificateView, ...]:
        """End a certificate at once (admin); returns the others."""
        found = await self._send("DELETE", f"/certificates/{quote(id_, safe='')}", CertificateList)
        return found.certificates

    async def components(self) -> tuple[ComponentView, ...]:
        return (await self._get("/components", ComponentList)).components

    async def restart(self, name: str) -> ComponentView:
        return await self._send("POST", f"/components/{quote(name, safe='')}/restart", ComponentView)

    async def config(self) -> ConfigStatus:
        """Return which configuration runs."""
        return await self._get("/config", ConfigStatus)

    async def config_versions(self) -> VersionList:
        return await self._get("/config/versions", VersionList)

    async def config_log(self, limit: int = 100) -> tuple[ConfigStep, ...]:
        return (await self._get("/config/log", ConfigLog, limit=limit)).steps

    async def config_files(self, version: str, file: str | None = None) -> VersionFiles:
        return await self._get("/config/files", VersionFiles, version=version, file=file)

    async def config_diff(self, old: str = "running", new: str = "folder") -> PlanView:
        options: dict[str, Any] = {"params": {"old": old, "new": new}, "timeout": _CHANGE_S}
        return await self._ask("GET", "/config/diff", PlanView, **options)

    async def config_apply(
        self, comment: str = "", restart: bool = False, dry_run: bool = False
    ) -> ConfigApplied:
        """Make the plant folder the configuration that runs; `dry_run` returns the plan only."""
        body = {"comment": comment, "restart": restart, "dry_run": dry_run}
        return await self._ask("POST", "/config/apply", ConfigApplied, json=body, timeout=_CHANGE_S)

    async def config_rollback(self, version: str, comment: str = "", restart: bool = False) -> ConfigApplied:
        """Put a version back and apply it."""
        body = {"version": version, "comment": comment, "restart": restart}
        return await self._ask("POST", "/config/rollback", ConfigApplied, json=body, timeout=_CHANGE_S)

    async def health(self) -> Health:
        return await self._get("/health", Health)

    async def backup(self) -> AsyncGenerator[bytes, None]:
        """Yield a backup of the plant piece by piece (admin); a broken one ends in an error."""
        import httpx

        if self._http is None:
            raise RuntimeError("use PlantClient as an async context manager")
        try:
            async with self._http.stream("POST", "/backup", timeout=None) as response:
                if not response.is_success:
                    refusal = _refusal(await response.aread(), response.status_code)
                    raise WriteRejectedError(refusal.error, refusal.remedy)
                async for piece in response.aiter_raw():
                    yield piece
        except httpx.TransportError as exc:
            text = f"the backup from {self.endpoint} broke off: {exc}"
            raise PlantError(text, "see the plant's log: ironworks.log in its state folder") from exc

    async def stream(
        self,
        tags: Sequence[str] = (),
        alarms: bool = False,
        components: bool = False,
        interval_ms: int = 200,
        *,
        every: bool = False,
        place: Place | None = None,
    ) -> AsyncGenerator[Message, None]:
        """Yield what is there, then what changes; ends only by an error or by its consumer.

        With `every`, each value instead of the newest. `place` is where another stream ended: what happened
        since comes first. `runtime.follow` does that by itself.
        """
        from websockets.asyncio.client import connect, unix_connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

        url = f"ws{self._base_url.removeprefix('http')}{PREFIX}/stream"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if self._login:
            token = base64.b64encode(":".join(self._login).encode()).decode()
            headers["Authorization"] = f"Basic {token}"
        options: dict[str, Any] = {
            "additional_headers": headers,
            "compression": None,
            "max_size": _FRAME_LIMIT,
            "open_timeout": self._timeout_s,
            "close_timeout": 1,
        }
        if self.endpoint.socket:
            opening = unix_connect(self.endpoint.socket, url, **options)
        else:
            opening = connect(url, proxy=None, ssl=self._tls, **options)
        decoder = msgspec.json.Decoder(Message)
        try:
            async with opening as websocket:
                resume, since_ns = (place.resume, place.since_ns if every else None) if place else ("", None)
                wanted = Subscription(tuple(tags), alarms, components, interval_ms, every, resume, since_ns)
                await websocket.send(msgspec.json.encode(wanted).decode())
                while True:
                    message = decoder.decode(await websocket.recv(decode=False))
                    if place:
                        place.take(message)
                    if not isinstance(message, Missed) or resume:  # else it only says where the client is
                        yield message
        except ConnectionClosed as exc:
            why = exc.rcvd.reason if exc.rcvd else ""
            raise ConnectError(f"the plant closed the stream{': ' if why else ''}{why}") from exc
        except InvalidStatus as exc:
            refusal = _refusal(exc.response.body or b"", exc.response.status_code)
            raise PlantError(refusal.error, refusal.remedy) from exc
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as exc:
            raise self._unreachable(exc) from exc
        except msgspec.DecodeError as exc:
            raise self._strange(exc) from exc

    async def _get(self, path: str, answer: type[T], **query: Any) -> T:
        return await self._ask("GET", path, answer, params={k: v for k, v in query.items() if v is not None})

    async def _send(self, method: str, path: str, answer: type[T], body: Any = None) -> T:
        return await self._ask(method, path, answer, json=body)

    async def _ask(self, method: str, path: str, answer: type[T], **options: Any) -> T:
        import httpx

        if self._http is None:
            raise RuntimeError("use PlantClient as an async context manager")
        try:
            response = await self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise self._unreachable(exc) from exc
        if response.is_success:
            try:
                return msgspec.json.decode(response.content, type=answer)
            except msgspec.DecodeError as exc:
                raise self._strange(exc) from exc
        refusal = _refusal(response.content, response.status_code)
        rejected = method != "GET" and response.is_client_error
        raise (WriteRejectedError if rejected else PlantError)(refusal.error, refusal.remedy)

    def _unreachable(self, exc: Exception) -> ConnectError:
        words = trust.unreachable(str(self.endpoint), exc) if self._tls else None
        if words:
            return words
        why = str(exc) or type(exc).__name__
        if self._tls and self._certificate and not isinstance(exc, TimeoutError):
            remedy = f"is it running? It may not know {self._certificate}: `ironworks user certs` there"
            return ConnectError(f"the plant at {self.endpoint} ended the connection: {why}", remedy)
        return ConnectError(f"the plant at {self.endpoint} cannot be reached: {why}", "is it running?")

    def _strange(self, exc: Exception) -> ConnectError:
        return ConnectError(
            f"{self.endpoint} does not answer like a plant: {exc}", "is it of the same version?"
        )


def _chunks(paths: Sequence[str], points: int) -> Iterator[Sequence[str]]:
    """Yield as many paths at a time as the API answers in one request."""
    size = max(1, min(100, 1_000_000 // points))
    for first in range(0, len(paths), size):
        yield paths[first : first + size]


def _signed(signature: Signing | None) -> dict[str, Any]:
    return {"signature": msgspec.to_builtins(signature)} if signature else {}


def _refusal(body: bytes | bytearray, status: int) -> Refusal:
    try:
        return msgspec.json.decode(body, type=Refusal)
    except msgspec.DecodeError:
        return Refusal(f"the plant answered {status}")
