"""The client of a running plant: ask it, follow it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

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
from runtime.contract import Value
from runtime.endpoint import Endpoint
from runtime.errors import ConnectError, PlantError, WriteRejectedError
from runtime.logins import IDLE, LoginWays, SessionList, SessionMade, SessionView, Signing
from runtime.plcview import (
    ForceList,
    ForceView,
    PlcFigures,
    PlcValues,
    RecordView,
    WhyView,
    WorstScan,
)
from runtime.wire import (
    PREFIX,
    AlarmFigures,
    AlarmList,
    AlarmView,
    AuditCheck,
    AuditEntry,
    AuditPage,
    CertificateList,
    CertificateView,
    ComponentList,
    ComponentView,
    GateView,
    Health,
    Info,
    JournalEntry,
    JournalPage,
    Message,
    Missed,
    Place,
    Refusal,
    RequestView,
    Series,
    SeriesList,
    SqlAnswer,
    Subscription,
    TagPage,
    TagView,
    TokenList,
    TokenMade,
    TokenView,
    TrendList,
    TrendSeries,
    UserList,
    UserView,
    Written,
)

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")
P = TypeVar("P", UserList, SessionList, TokenList, CertificateList)
_CHANGE_S = 300.0  # a program may have to be compiled
_FRAME_LIMIT = 64 * 1024 * 1024


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
        idle_s: Callable[[], float] | None = None,
    ) -> None:
        """`certificate` is a PEM file with a client certificate and its key, for https.

        `idle_s` tells how long no person did anything, for a client that asks by itself: its questions are no
        use of the session then, its commands are.
        """
        self.endpoint = endpoint
        self._certificate = certificate
        self._tls: ssl.SSLContext | None = None
        self._token = None if user else token
        self._login = (user, secret or "") if user else None
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> PlantClient:
        import httpx

        path = self.endpoint.socket
        if not path and self._base_url.startswith("https:"):
            self._tls = trust.context(self._base_url, self._certificate)
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=path, verify=False) if path else None,
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
            raise ConnectError("the plant has no address", "use runtime.endpoint.find to get one")
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
        return await self._get(f"/tags/{_levels(path)}", TagView)

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
        return await self._send("PUT", f"/tags/{_levels(path)}", Written, body)

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

    async def confirm(self, name: str, comment: str = "") -> AlarmView:
        """Confirm that what an acknowledged alarm asked for was done; returns when that is on disk."""
        return await self._command(name, "confirm", {"comment": comment})

    async def shelve(self, name: str, for_ns: int, reason: str, *, once: bool = False) -> AlarmView:
        """Hide an alarm for some time; `once`: no longer than until its episode ends."""
        return await self._command(name, "shelve", {"for_ns": for_ns, "reason": reason, "once": once})

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
        return await self._send("POST", f"/alarms/{_level('alarm', name)}/{verb}", AlarmView, body)

    async def alarm(self, name: str) -> AlarmView:
        """Return an alarm, whatever its state."""
        return await self._get(f"/alarms/{_level('alarm', name)}/details", AlarmView)

    async def alarm_journal(
        self, limit: int = 100, before: int | None = None, alarm: str | None = None
    ) -> tuple[JournalEntry, ...]:
        """Return transitions of alarms, or of one, newest first."""
        found = await self._get("/alarms/journal", JournalPage, limit=limit, before=before, alarm=alarm)
        return found.entries

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
        return await self._whole("/users", lambda each: each.users, await self._get("/users", UserList))

    async def user(self, name: str) -> tuple[UserView, str]:
        """Return a user, and the `etag` by which a change holds only while the user is still so (admin)."""
        response = await self._answer("GET", f"/users/{_level('user', name)}")
        return self._decoded(response.content, UserView), response.headers.get("ETag", "")

    async def add_user(
        self, name: str, role: str, secret_hash: str, areas: Sequence[tuple[str, str]] = ()
    ) -> tuple[UserView, ...]:
        """Add a user by the argon2 hash of a secret (admin); returns all."""
        body = {"name": name, "role": role, "secret": secret_hash, "areas": list(areas)}
        return await self._whole(
            "/users", lambda each: each.users, await self._send("POST", "/users", UserList, body)
        )

    async def set_role(
        self, name: str, role: str, areas: Sequence[tuple[str, str]] = (), etag: str = ""
    ) -> tuple[UserView, ...]:
        """Give a user another role, and roles in areas instead of those before (admin); returns all."""
        body = {"role": role, "areas": list(areas)}
        return await self._change_user("PUT", f"/users/{_level('user', name)}/role", etag, body)

    async def set_secret(self, name: str, secret_hash: str, etag: str = "") -> tuple[UserView, ...]:
        """Give a user another secret by its argon2 hash (admin); returns all."""
        body = {"secret": secret_hash}
        return await self._change_user("PUT", f"/users/{_level('user', name)}/secret", etag, body)

    async def _change_user(self, method: str, path: str, etag: str, body: Any = None) -> tuple[UserView, ...]:
        headers = {"If-Match": etag} if etag else None
        return await self._whole(
            "/users",
            lambda each: each.users,
            await self._ask(method, path, UserList, json=body, headers=headers),
        )

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
        return await self._whole(
            "/sessions", lambda each: each.sessions, await self._get("/sessions", SessionList)
        )

    async def end_session(self, id_: str) -> tuple[SessionView, ...]:
        """End a session: one's own, as admin any; returns what is left."""
        page = await self._send("DELETE", f"/sessions/{_level('session', id_)}", SessionList)
        return await self._whole("/sessions", lambda each: each.sessions, page)

    async def remove_user(self, name: str, etag: str = "") -> tuple[UserView, ...]:
        """Remove a user and the tokens of that name (admin); returns the others."""
        return await self._change_user("DELETE", f"/users/{_level('user', name)}", etag)

    async def tokens(self) -> tuple[TokenView, ...]:
        """Return the API tokens (admin)."""
        return await self._whole("/tokens", lambda each: each.tokens, await self._get("/tokens", TokenList))

    async def issue_token(
        self, user: str, read: Sequence[str], write: Sequence[str] = (), for_ns: int = 0
    ) -> TokenMade:
        """Make an API token of a user for globs of tags (admin)."""
        body = {"user": user, "read": list(read), "write": list(write), "for_ns": for_ns}
        return await self._send("POST", "/tokens", TokenMade, body)

    async def revoke_token(self, id_: str) -> tuple[TokenView, ...]:
        """End a token at once (admin); returns all."""
        page = await self._send("DELETE", f"/tokens/{_level('token', id_)}", TokenList)
        return await self._whole("/tokens", lambda each: each.tokens, page)

    async def certificates(self) -> tuple[CertificateView, ...]:
        """Return the client certificates (admin)."""
        return await self._whole(
            "/certificates", lambda each: each.certificates, await self._get("/certificates", CertificateList)
        )

    async def add_certificate(self, user: str, pem: str) -> tuple[CertificateView, ...]:
        """Let a certificate log in a user (admin); returns all."""
        body = {"user": user, "certificate": pem}
        return await self._whole(
            "/certificates",
            lambda each: each.certificates,
            await self._send("POST", "/certificates", CertificateList, body),
        )

    async def end_certificate(self, id_: str) -> tuple[CertificateView, ...]:
        """End a certificate at once (admin); returns the others."""
        page = await self._send("DELETE", f"/certificates/{_level('certificate', id_)}", CertificateList)
        return await self._whole("/certificates", lambda each: each.certificates, page)

    async def components(self) -> tuple[ComponentView, ...]:
        return (await self._get("/components", ComponentList)).components

    async def restart(self, name: str) -> ComponentView:
        return await self._send("POST", f"/components/{_level('component', name)}/restart", ComponentView)

    async def plc(self) -> PlcFigures:
        """Return how the tasks of the program do."""
        return await self._get("/plc", PlcFigures)

    async def plc_worst(self, task: str) -> WorstScan:
        """Return the longest scan of a task of the program."""
        return await self._get("/plc/worst", WorstScan, task=task)

    async def plc_read(self, paths: Sequence[str]) -> PlcValues:
        """Return any variables of the program, or parts of it as a whole, as one scan left them."""
        return await self._send("POST", "/plc/read", PlcValues, {"paths": list(paths)})

    async def plc_record(self) -> RecordView:
        """Return how the record of scans does."""
        return await self._get("/plc/record", RecordView)

    async def plc_why(self, path: str, at: str = "", run: int | None = None) -> WhyView:
        """Return why a variable has its value (engineer); `at` is a scan, or a time."""
        return await self._send("POST", "/plc/why", WhyView, {"path": path, "at": at, "run": run})

    async def forces(self) -> tuple[ForceView, ...]:
        return (await self._get("/plc/forces", ForceList)).forces

    async def force(
        self, path: str, value: Value, reason: str, for_ns: int = 0, signature: Signing | None = None
    ) -> tuple[ForceView, ...]:
        """Force a variable (engineer); text is a literal of its type. Returns all that is forced."""
        body = {"path": path, "value": value, "reason": reason, "for_ns": for_ns, **_signed(signature)}
        return (await self._send("POST", "/plc/force", ForceList, body)).forces

    async def unforce(self, paths: Sequence[str] | None, reason: str = "") -> tuple[ForceView, ...]:
        """End forces, or all (engineer); returns what is still forced."""
        body = {"reason": reason} | ({} if paths is None else {"paths": list(paths)})
        return (await self._send("POST", "/plc/unforce", ForceList, body)).forces

    async def restart_plc(self, *, cold: bool, reason: str = "", task: str = "") -> PlcFigures:
        """Begin the program, or the programs of one task, anew (engineer); returns when it scans."""
        body = {"mode": "cold" if cold else "warm", "task": task, "reason": reason}
        return await self._ask("POST", "/plc/restart", PlcFigures, json=body, timeout=_CHANGE_S)

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
        self, comment: str = "", restart: bool = False, dry_run: bool = False, **change: Any
    ) -> ConfigApplied:
        """Make the plant folder the configuration that runs; `dry_run` returns the plan only.

        `change` may have `online`, `rehearse` and `reset`, as the route `POST /config/apply` says.
        """
        body = {"comment": comment, "restart": restart, "dry_run": dry_run, **change}
        return await self._ask("POST", "/config/apply", ConfigApplied, json=body, timeout=_CHANGE_S)

    async def config_rollback(
        self, version: str, comment: str = "", restart: bool = False, **change: Any
    ) -> ConfigApplied:
        """Put a version back and apply it; `change` as in `config_apply`."""
        body = {"version": version, "comment": comment, "restart": restart, **change}
        return await self._ask("POST", "/config/rollback", ConfigApplied, json=body, timeout=_CHANGE_S)

    async def health(self) -> Health:
        return await self._get("/health", Health)

    def backup(self) -> AsyncGenerator[bytes, None]:
        """Yield a backup of the plant piece by piece (admin); a broken one ends in an error."""
        return self._download("/backup", "the backup")

    def record(
        self, name: str, for_ns: int, most: int = 16 * 1024 * 1024, reason: str = "", peer: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Yield what goes over a driver's connections as pcap, piece by piece as it comes (engineer).

        `peer` chooses those that lead to an address, or to `address:port`.
        """
        body = {"for_ns": for_ns, "most": most, "reason": reason, "peer": peer}
        return self._download(f"/components/{_level('component', name)}/record", "the recording", body)

    async def _download(self, path: str, what: str, body: Any = None) -> AsyncGenerator[bytes, None]:
        import httpx

        if self._http is None:
            raise RuntimeError("use PlantClient as an async context manager")
        try:
            async with self._http.stream("POST", path, json=body, timeout=None) as response:
                if not response.is_success:
                    refusal = _refusal(await response.aread(), response.status_code)
                    raise WriteRejectedError(refusal.error, refusal.remedy)
                async for piece in response.aiter_raw():
                    yield piece
        except httpx.TransportError as exc:
            text = f"{what} from {self.endpoint} broke off: {exc}"
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
        headers |= self._idle()
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

    async def _whole(self, path: str, items: Callable[[P], tuple[T, ...]], page: P) -> tuple[T, ...]:
        """Return what stands on a page, and on those behind it."""
        found = items(page)
        while page.next:
            page = await self._get(path, type(page), after=page.next)
            found += items(page)
        return found

    async def _get(self, path: str, answer: type[T], **query: Any) -> T:
        return await self._ask("GET", path, answer, params={k: v for k, v in query.items() if v is not None})

    async def _send(self, method: str, path: str, answer: type[T], body: Any = None) -> T:
        return await self._ask(method, path, answer, json=body)

    async def _ask(self, method: str, path: str, answer: type[T], **options: Any) -> T:
        return self._decoded((await self._answer(method, path, **options)).content, answer)

    async def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx

        if self._http is None:
            raise RuntimeError("use PlantClient as an async context manager")
        try:
            if method == "GET":
                options["headers"] = self._idle()
            response = await self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise self._unreachable(exc) from exc
        if response.is_success:
            return response
        refusal = _refusal(response.content, response.status_code)
        rejected = method != "GET" and response.is_client_error
        raise (WriteRejectedError if rejected else PlantError)(refusal.error, refusal.remedy)

    def _idle(self) -> dict[str, str]:
        return {IDLE: str(int(self._idle_s()))} if self._idle_s else {}

    def _decoded(self, body: bytes, answer: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=answer)
        except msgspec.DecodeError as exc:
            raise self._strange(exc) from exc

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


_LISTED = {
    "alarm": "alarms list --all",
    "user": "user list",
    "session": "user sessions",
    "token": "user tokens",
    "certificate": "user certs",
    "component": "components list",
}


def _level(kind: str, name: str) -> str:
    """Return a name as one level of a route.

    Raises:
        PlantError: it would lead to another route, so nothing has that name.
    """
    if name in ("", ".", "..") or "/" in name:
        raise PlantError(f"no {kind} is named {name!r}", f"`ironworks {_LISTED[kind]}` lists all")
    return quote(name, safe="")


def _levels(path: str) -> str:
    """Return a tag's path as levels of a route.

    Raises:
        PlantError: it would lead to another route, so no tag has that path.
    """
    if not path or not {".", ".."}.isdisjoint(path.split("/")):
        raise PlantError(f"no tag is named {path!r}", "`ironworks tags export` lists the tags there are")
    return quote(path)


def _signed(signature: Signing | None) -> dict[str, Any]:
    return {"signature": msgspec.to_builtins(signature)} if signature else {}


def _refusal(body: bytes | bytearray, status: int) -> Refusal:
    try:
        return msgspec.json.decode(body, type=Refusal)
    except msgspec.DecodeError:
        return Refusal(f"the plant answered {status}")
